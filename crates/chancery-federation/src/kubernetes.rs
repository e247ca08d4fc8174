//! Kubernetes: the API server's structured authentication configuration.

use std::fmt;

use chancery_core::IssuerUrl;

use crate::cel;
use crate::sharing::{Sharing, is_somebody};
use crate::tree::Tree;

/// A JWT authenticator of the API server (Kubernetes, "Authenticating": structured authentication
/// configuration).
///
/// A user's name is the prefix and the token's subject; RBAC says what he may do.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::{Sharing, kubernetes::Authenticator};
///
/// let url = IssuerUrl::parse("https://id.example.com")?;
/// let authenticator = Authenticator::new(&url, "kubernetes", "example:")?
///     .with_subject("space:1:job:42");
/// let yaml = authenticator.yaml(Sharing::ManyCustomers)?;
/// assert!(yaml.contains(r#"url: "https://id.example.com""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Authenticator {
    issuer: String,
    audiences: Vec<String>,
    prefix: String,
    subjects: Vec<String>,
}

impl Authenticator {
    /// Takes the tokens of an issuer for this audience, as users whose names begin with the prefix.
    ///
    /// # Errors
    /// [`AuthenticatorError`] when the audience is empty, or the prefix would let a subject be a
    /// user of the system.
    pub fn new(
        issuer: &IssuerUrl,
        audience: impl Into<String>,
        prefix: impl Into<String>,
    ) -> Result<Self, AuthenticatorError> {
        let (audience, prefix) = (audience.into(), prefix.into());
        if audience.is_empty() {
            return Err(AuthenticatorError::Audience);
        }
        if !issuer.as_str().starts_with("https://") {
            return Err(AuthenticatorError::NotHttps);
        }
        if prefix.is_empty() || "system:".starts_with(&prefix) || prefix.starts_with("system:") {
            return Err(AuthenticatorError::Prefix);
        }
        Ok(Self {
            issuer: issuer.as_str().to_owned(),
            audiences: vec![audience],
            prefix,
            subjects: Vec::new(),
        })
    }

    /// Takes tokens for this audience as well.
    ///
    /// # Errors
    /// [`AuthenticatorError::Audience`] when it is empty or there already.
    pub fn with_audience(
        mut self,
        audience: impl Into<String>,
    ) -> Result<Self, AuthenticatorError> {
        let audience = audience.into();
        if audience.is_empty() || self.audiences.contains(&audience) {
            return Err(AuthenticatorError::Audience);
        }
        self.audiences.push(audience);
        Ok(self)
    }

    /// Lets in this subject, and no other. Called again, it adds another.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subjects.push(subject.into());
        self
    }

    /// The file for `--authentication-config`, as Kubernetes reads it from 1.30 on.
    ///
    /// # Errors
    /// [`AuthenticatorError::NobodyIdentified`] when the issuer is shared and no subject is named, or one
    /// that is not whole, such as `repo:`.
    pub fn yaml(&self, sharing: Sharing) -> Result<String, AuthenticatorError> {
        let is_identified =
            !self.subjects.is_empty() && self.subjects.iter().all(|subject| is_somebody(subject));
        if sharing == Sharing::ManyCustomers && !is_identified {
            return Err(AuthenticatorError::NobodyIdentified);
        }
        let mut issuer = vec![
            ("url", Tree::text(&self.issuer)),
            (
                "audiences",
                Tree::texts(self.audiences.iter().map(String::as_str)),
            ),
        ];
        if self.audiences.len() > 1 {
            issuer.push(("audienceMatchPolicy", Tree::text("MatchAny")));
        }
        let mut jwt = vec![("issuer", Tree::object(issuer))];
        if !self.subjects.is_empty() {
            let rule = Tree::object([
                (
                    "expression",
                    Tree::text(cel::one_of("claims.sub", &self.subjects)),
                ),
                ("message", Tree::text("the subject is none of those let in")),
            ]);
            jwt.push(("claimValidationRules", Tree::List(vec![rule])));
        }
        let username = Tree::object([
            ("claim", Tree::text("sub")),
            ("prefix", Tree::text(&self.prefix)),
        ]);
        jwt.push(("claimMappings", Tree::object([("username", username)])));
        Ok(Tree::object([
            ("apiVersion", Tree::text("apiserver.config.k8s.io/v1beta1")),
            ("kind", Tree::text("AuthenticationConfiguration")),
            ("jwt", Tree::List(vec![Tree::object(jwt)])),
        ])
        .to_yaml())
    }
}

/// Why there is no such configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticatorError {
    /// An audience is empty, or there twice.
    Audience,
    /// The URL does not begin with `https://`.
    NotHttps,
    /// The prefix is empty, or a subject behind it could begin with `system:`.
    Prefix,
    /// The issuer is shared, and nothing tells its customers apart.
    NobodyIdentified,
}

impl fmt::Display for AuthenticatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audience => "an audience must not be empty, and each is named once",
            Self::NotHttps => "the API server takes an issuer only at https://",
            Self::Prefix => {
                "the prefix must keep subjects apart from the users of the system, such as \"example:\""
            }
            Self::NobodyIdentified => {
                "the issuer has many customers, and the API server would let in all of them; add a subject"
            }
        })
    }
}

impl std::error::Error for AuthenticatorError {}
