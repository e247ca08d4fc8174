//! What an account has to set up: the provider and its roles, as commands and templates.

mod cloudformation;
mod commands;
mod terraform;

use std::fmt;

use super::policy::Policy;
use super::provider::Provider;
use super::session_tags::{SessionTags, SessionTagsError};
use crate::tree::Tree;

/// An account's provider with the roles that trust it.
///
/// Each rendering says the same, and is the same whenever it is made.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::Sharing;
/// use chancery_federation::aws::{Provider, Setup, TrustPolicy};
///
/// let url = IssuerUrl::parse("https://proxy.example.com")?;
/// let provider = Provider::new("111122223333", url, ["discover.teleport"])?;
/// let policy = TrustPolicy::new(&provider, Sharing::OneCustomer).build()?;
/// let setup = Setup::new(provider)
///     .with_tag("teleport.dev/origin", "integration_awsoidc")?
///     .with_role("discovery", policy)?;
/// assert!(setup.aws_commands().contains("create-open-id-connect-provider"));
/// assert!(setup.terraform()?.contains("aws_iam_openid_connect_provider"));
/// assert!(setup.cloudformation()?.contains("AWS::IAM::OIDCProvider"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Setup {
    provider: Provider,
    tags: SessionTags,
    roles: Vec<Role>,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    policy: Policy,
}

impl Setup {
    /// A provider that no role trusts yet.
    #[must_use]
    pub const fn new(provider: Provider) -> Self {
        Self {
            provider,
            tags: SessionTags::new(),
            roles: Vec::new(),
        }
    }

    /// Adds a tag to the provider and to each role.
    ///
    /// # Errors
    /// [`SetupError::Tag`] when IAM would refuse it; its limits are those of session tags.
    pub fn with_tag(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, SetupError> {
        self.tags = self.tags.with_tag(key, value).map_err(SetupError::Tag)?;
        Ok(self)
    }

    /// Adds a role of this name and trust policy.
    ///
    /// # Errors
    /// [`SetupError`] when IAM would refuse the name, or a role has it already.
    pub fn with_role(mut self, name: &str, policy: Policy) -> Result<Self, SetupError> {
        let is_allowed = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
        };
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_allowed) {
            return Err(SetupError::RoleName);
        }
        // IAM takes no account of case here.
        if self
            .roles
            .iter()
            .any(|role| role.name.eq_ignore_ascii_case(name))
        {
            return Err(SetupError::RoleTwice);
        }
        self.roles.push(Role {
            name: name.to_owned(),
            policy,
        });
        Ok(self)
    }

    fn has_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    fn tag_list(&self) -> Tree {
        let tag = |(key, value, _): (&str, &str, bool)| {
            Tree::object([("Key", Tree::text(key)), ("Value", Tree::text(value))])
        };
        Tree::List(self.tags.iter().map(tag).collect())
    }
}

fn texts(texts: &[String]) -> Tree {
    Tree::texts(texts.iter().map(String::as_str))
}

/// Why there is no such set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The name of a role is not 1 to 64 letters, digits and `_+=,.@-`.
    RoleName,
    /// Two roles have the same name.
    RoleTwice,
    /// Ceph asks for the provider's thumbprint.
    Thumbprint,
    /// An audience or a tag has a character from U+0300 on, which Terraform may normalize into
    /// another.
    Normalization,
    /// A condition key of a policy is `Ref` or begins with `Fn::`, which CloudFormation reads as a
    /// function.
    Function,
    /// A value holds `{{resolve:`, which CloudFormation reads as a dynamic reference.
    DynamicReference,
    /// IAM would refuse a tag.
    Tag(SessionTagsError),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoleName => {
                f.write_str("the name of a role has 1 to 64 letters, digits and _+=,.@-")
            }
            Self::RoleTwice => f.write_str("a role of this name is there already"),
            Self::Thumbprint => {
                f.write_str("Ceph asks for a thumbprint; add it with Provider::with_thumbprint")
            }
            Self::Normalization => f.write_str(
                "Terraform normalizes strings, and may change the characters from U+0300 on; use others in audiences and tags, or the AWS CLI",
            ),
            Self::Function => f.write_str(
                "CloudFormation would read a condition key that is Ref, or begins with Fn::, as a function; use Terraform or the AWS CLI",
            ),
            Self::DynamicReference => f.write_str(
                "CloudFormation would read {{resolve: in a value as a dynamic reference; use Terraform or the AWS CLI",
            ),
            Self::Tag(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetupError {}
