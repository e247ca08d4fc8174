//! Google Cloud Workload Identity Federation: a pool and the provider in it.

use std::fmt::{self, Write as _};

use chancery_core::IssuerUrl;

use crate::cel::{self, Flaw};
use crate::sharing::{Sharing, is_somebody};
use crate::shell::quote;
use crate::tree::{Body, Tree, is_kept_by_terraform, resource};

/// An OpenID Connect provider in a workload identity pool (Google Cloud, "Configure Workload
/// Identity Federation").
///
/// `google.subject` is the token's subject. Values are compared as they are.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::{Sharing, google::PoolProvider};
///
/// let url = IssuerUrl::parse("https://id.example.com")?;
/// let provider = PoolProvider::new("project-1", "example-pool", "example", url)?
///     .with_subject("space:1:job:42")
///     .with_mapping("attribute.space", "assertion.space_id")?;
/// let script = provider.gcloud(Sharing::ManyCustomers)?;
/// assert!(script.contains("--attribute-condition='assertion.sub == "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PoolProvider {
    project: String,
    pool: String,
    provider: String,
    url: IssuerUrl,
    audiences: Vec<String>,
    mapping: Vec<(String, String)>,
    subjects: Vec<String>,
    condition: Option<String>,
}

impl PoolProvider {
    /// A provider of this id in the pool of this id of a project.
    ///
    /// # Errors
    /// [`PoolProviderError`] when an id is not one that Google takes.
    pub fn new(
        project: &str,
        pool: &str,
        provider: &str,
        url: IssuerUrl,
    ) -> Result<Self, PoolProviderError> {
        let is_project =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // A project of a domain is named `example.com:project`.
        let is_scoped = |byte: u8| is_project(byte) || matches!(byte, b'.' | b':');
        if project.is_empty() || project.starts_with('-') || !project.bytes().all(is_scoped) {
            return Err(PoolProviderError::Id { of: "project" });
        }
        for (id, of) in [(pool, "pool"), (provider, "provider")] {
            let is_id = (4..=32).contains(&id.len())
                && id.bytes().all(is_project)
                && !id.starts_with("gcp-")
                && !id.starts_with('-');
            if !is_id {
                return Err(PoolProviderError::Id { of });
            }
        }
        Ok(Self {
            project: project.to_owned(),
            pool: pool.to_owned(),
            provider: provider.to_owned(),
            url,
            audiences: Vec::new(),
            mapping: Vec::new(),
            subjects: Vec::new(),
            condition: None,
        })
    }

    /// Takes tokens for this audience, and not for the provider's own name. Called again, it adds
    /// another, up to ten.
    ///
    /// # Errors
    /// [`PoolProviderError::Audience`] when it is empty, too long, or the eleventh, or has a NUL.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Result<Self, PoolProviderError> {
        let audience = audience.into();
        let len = audience.chars().count();
        if len == 0 || len > 256 || audience.contains('\0') || self.audiences.len() == 10 {
            return Err(PoolProviderError::Audience);
        }
        self.audiences.push(audience);
        Ok(self)
    }

    /// Maps an attribute, `attribute.NAME` or `google.groups`, to a CEL expression over
    /// `assertion`.
    ///
    /// # Errors
    /// [`PoolProviderError::Mapping`] when the name or the length is not one that Google takes, or
    /// there are too many; [`PoolProviderError::Expression`] when the expression is blank, or has
    /// brackets that do not match, a string that does not end, a comment or a NUL.
    pub fn with_mapping(
        mut self,
        attribute: impl Into<String>,
        expression: impl Into<String>,
    ) -> Result<Self, PoolProviderError> {
        let (attribute, expression) = (attribute.into(), expression.into());
        let is_name = |name: &str| {
            (1..=100).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let is_attribute = attribute == "google.groups"
            || attribute.strip_prefix("attribute.").is_some_and(is_name);
        let is_there = self.mapping.iter().any(|(other, _)| *other == attribute);
        let fits = expression.len() <= 2048 && self.mapping.len() < 50;
        if !is_attribute || is_there || !fits {
            return Err(PoolProviderError::Mapping { attribute });
        }
        if let Some(Flaw { position, problem }) = cel::flaw(&expression) {
            return Err(PoolProviderError::Expression {
                attribute,
                position,
                problem,
            });
        }
        self.mapping.push((attribute, expression));
        Ok(self)
    }

    /// Lets in this subject, and no other. Called again, it adds another.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subjects.push(subject.into());
        self
    }

    /// Lets in tokens of which this CEL expression holds as well. Of what it means nothing is known
    /// here: on a shared issuer it has to fix something that no other customer's token has, and is
    /// refused only where it looks at nothing of the token, as `true` does. What would read otherwise
    /// within a longer condition, such as a comment, is refused there.
    #[must_use]
    pub fn with_condition(mut self, expression: impl Into<String>) -> Self {
        self.condition = Some(expression.into());
        self
    }

    /// The attribute condition, in CEL.
    ///
    /// # Errors
    /// [`PoolProviderError::NobodyIdentified`] when the issuer is shared and there is none, or it is
    /// the same for every token, or a subject is not whole, such as `repo:`,
    /// [`PoolProviderError::Condition`] when the one that was added is blank, or has brackets
    /// that do not match, a string that does not end, a comment or a NUL,
    /// [`PoolProviderError::ConditionLength`] when it is too long.
    pub fn condition(&self, sharing: Sharing) -> Result<Option<String>, PoolProviderError> {
        if let Some(Flaw { position, problem }) = self.condition.as_deref().and_then(cel::flaw) {
            return Err(PoolProviderError::Condition { position, problem });
        }
        let subjects =
            (!self.subjects.is_empty()).then(|| cel::one_of("assertion.sub", &self.subjects));
        let condition = match (subjects, &self.condition) {
            (Some(subjects), Some(other)) => Some(format!("{subjects} && ({other})")),
            (subjects, other) => subjects.or_else(|| other.clone()),
        };
        let is_part = |subject: &String| !is_somebody(subject);
        let is_constant = |condition: &String| {
            let of_token = ["assertion", "google.", "attribute."];
            !of_token.iter().any(|name| condition.contains(name))
        };
        let is_open =
            self.subjects.iter().any(is_part) || condition.as_ref().is_some_and(is_constant);
        if sharing == Sharing::ManyCustomers && is_open {
            return Err(PoolProviderError::NobodyIdentified);
        }
        match &condition {
            None if sharing == Sharing::ManyCustomers => Err(PoolProviderError::NobodyIdentified),
            Some(condition) if condition.chars().count() > 4096 => {
                Err(PoolProviderError::ConditionLength {
                    len: condition.chars().count(),
                })
            }
            _ => Ok(condition),
        }
    }

    /// A shell script of `gcloud` commands that can be run again.
    ///
    /// # Errors
    /// As for [`PoolProvider::condition`].
    pub fn gcloud(&self, sharing: Sharing) -> Result<String, PoolProviderError> {
        let condition = self.condition(sharing)?;
        let flag = |name: &str, value: &str| quote_flag(name, value);
        let project = flag("project", &self.project);
        let pools = "gcloud iam workload-identity-pools";
        let within = format!("--location=global {project}");
        let mapping: Vec<String> = self
            .all_mappings()
            .map(|(attribute, expression)| format!("{attribute}={expression}"))
            .collect();
        let mut flags = vec![
            flag("workload-identity-pool", &self.pool),
            flag("issuer-uri", self.url.as_str()),
            flag("attribute-mapping", &list(&mapping)),
        ];
        if !self.audiences.is_empty() {
            flags.push(flag("allowed-audiences", &list(&self.audiences)));
        }
        if let Some(condition) = &condition {
            flags.push(flag("attribute-condition", condition));
        }
        let flags = flags.join(" ");
        let (pool, provider) = (quote(&self.pool), quote(&self.provider));
        let in_pool = flag("workload-identity-pool", &self.pool);
        let mut script = String::from(
            "#!/bin/sh\n# Creates the pool and its provider, or brings the provider up to date. Needs gcloud.\nset -eu\n",
        );
        let _ = write!(
            script,
            "
if ! {pools} describe {pool} {within} >/dev/null 2>&1; then
  {pools} create {pool} {within}
fi
if {pools} providers describe {provider} {within} {in_pool} >/dev/null 2>&1; then
  {pools} providers update-oidc {provider} {within} {flags}
else
  {pools} providers create-oidc {provider} {within} {flags}
fi
"
        );
        Ok(script)
    }

    /// Terraform's resources, for the provider `hashicorp/google`.
    ///
    /// # Errors
    /// As for [`PoolProvider::condition`], and [`PoolProviderError::Normalization`] when Terraform
    /// may change an audience, a mapping or the condition that was added.
    pub fn terraform(&self, sharing: Sharing) -> Result<String, PoolProviderError> {
        let condition = self.condition(sharing)?;
        let expressions = self.all_mappings().map(|(_, expression)| expression);
        let compared = self.audiences.iter().chain(&condition).map(String::as_str);
        if !compared.chain(expressions).all(is_kept_by_terraform) {
            return Err(PoolProviderError::Normalization);
        }
        let pool = resource(
            "google_iam_workload_identity_pool",
            "issuer",
            &[
                Body::Argument("project", Tree::text(&self.project)),
                Body::Argument("workload_identity_pool_id", Tree::text(&self.pool)),
            ],
        );
        let mapping = self
            .all_mappings()
            .map(|(attribute, expression)| (attribute.to_owned(), Tree::text(expression)));
        let mut body = vec![
            Body::Argument("project", Tree::text(&self.project)),
            Body::Argument(
                "workload_identity_pool_id",
                Tree::Reference(
                    "google_iam_workload_identity_pool.issuer.workload_identity_pool_id",
                ),
            ),
            Body::Argument(
                "workload_identity_pool_provider_id",
                Tree::text(&self.provider),
            ),
            Body::Argument("attribute_mapping", Tree::Object(mapping.collect())),
        ];
        if let Some(condition) = condition {
            body.push(Body::Argument("attribute_condition", Tree::text(condition)));
        }
        let mut oidc = vec![Body::Argument("issuer_uri", Tree::text(self.url.as_str()))];
        if !self.audiences.is_empty() {
            let audiences = Tree::texts(self.audiences.iter().map(String::as_str));
            oidc.push(Body::Argument("allowed_audiences", audiences));
        }
        body.push(Body::Block("oidc", oidc));
        let provider = resource(
            "google_iam_workload_identity_pool_provider",
            "issuer",
            &body,
        );
        Ok(format!("{pool}\n{provider}"))
    }

    fn all_mappings(&self) -> impl Iterator<Item = (&str, &str)> {
        let subject = ("google.subject", "assertion.sub");
        let others = self
            .mapping
            .iter()
            .map(|(attribute, expression)| (attribute.as_str(), expression.as_str()));
        std::iter::once(subject).chain(others)
    }
}

fn quote_flag(name: &str, value: &str) -> String {
    format!("--{name}={}", quote(value))
}

/// A list as gcloud reads it, with a delimiter at which it splits into the same values again
/// (`gcloud topic escaping`). That no value holds the delimiter is not enough: the end of one and
/// its beginning may make another.
fn list(values: &[String]) -> String {
    let is_free = |delimiter: &String| {
        let joined = values.join(delimiter);
        joined.split(delimiter.as_str()).eq(values)
    };
    let delimiter = (0..)
        .map(|number| format!("~{number}~"))
        .find(is_free)
        .unwrap_or_default();
    format!("^{delimiter}^{}", values.join(&delimiter))
}

/// Why there is no such provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolProviderError {
    /// An id is not one that Google takes.
    Id {
        /// Of what: `project`, `pool` or `provider`.
        of: &'static str,
    },
    /// An audience is empty, longer than 256 characters, or the eleventh, or has a NUL.
    Audience,
    /// A mapping has a name or a length that Google does not take, is there twice, or is the 51st.
    Mapping {
        /// The attribute.
        attribute: String,
    },
    /// The issuer is shared, and nothing tells its customers apart.
    NobodyIdentified,
    /// What an attribute is mapped to is no expression: it is blank, or has brackets that do not
    /// match, a string that does not end, a comment or a NUL.
    Expression {
        /// The attribute.
        attribute: String,
        /// Where, in bytes from 0.
        position: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The condition that was added is no expression by itself, as with a mapping's.
    Condition {
        /// Where, in bytes from 0.
        position: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// An audience, a mapping or the condition has a character from U+0300 on, which Terraform may
    /// normalize into another.
    Normalization,
    /// The condition has more than 4096 characters.
    ConditionLength {
        /// Its length.
        len: usize,
    },
}

impl fmt::Display for PoolProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id { of } => write!(
                f,
                "the id of the {of} is not one that Google takes: lower-case letters, digits and dashes, 4 to 32 of them and no gcp- in front for a pool or provider"
            ),
            Self::Audience => f.write_str("Google takes ten audiences of 1 to 256 characters, without NUL"),
            Self::Mapping { attribute } => write!(
                f,
                "the mapping of {attribute:?} is not one that Google takes: attribute.NAME, each once, with NAME of a-z, 0-9 and _, and an expression of at most 2048 bytes, 50 of them"
            ),
            Self::NobodyIdentified => f.write_str(
                "the issuer has many customers, and a provider without a condition lets in all of them; add a subject",
            ),
            Self::Expression {
                attribute,
                position,
                problem,
            } => write!(
                f,
                "the mapping of {attribute:?} is no expression: {problem}, at byte {position}; write one whole expression"
            ),
            Self::Condition { position, problem } => write!(
                f,
                "the condition is no expression: {problem}, at byte {position}; write one whole expression"
            ),
            Self::Normalization => f.write_str(
                "Terraform normalizes strings, and may change the characters from U+0300 on; use others in audiences, mappings and the condition, or gcloud",
            ),
            Self::ConditionLength { len } => {
                write!(f, "the condition has {len} characters; Google takes 4096")
            }
        }
    }
}

impl std::error::Error for PoolProviderError {}
