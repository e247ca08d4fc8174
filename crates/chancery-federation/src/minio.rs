//! MinIO: an OpenID provider and the access policy of its users.

use std::fmt;

use chancery_core::IssuerUrl;

use crate::sharing::{Sharing, is_somebody};
use crate::shell::quote;
use crate::tree::Tree;

/// An OpenID provider of a MinIO deployment, with a policy that says what its users may do (MinIO,
/// "OpenID Connect access management").
///
/// Every token of the issuer for the client id gets the policy; so its conditions tell users apart.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::{Sharing, minio::OpenIdProvider};
///
/// let url = IssuerUrl::parse("https://id.example.com")?;
/// let provider = OpenIdProvider::new("example", &url, "minio.example.com")?
///     .with_subject("space:1:job:42")
///     .with_access("s3:GetObject", "arn:aws:s3:::artefacts/*");
/// assert!(provider.commands("local", Sharing::ManyCustomers)?.contains("mc idp openid add"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenIdProvider {
    name: String,
    config_url: String,
    client_id: String,
    subjects: Vec<String>,
    access: Vec<(String, String)>,
}

impl OpenIdProvider {
    /// A provider of this name, which its policy has as well.
    ///
    /// # Errors
    /// [`OpenIdProviderError`] when the name or the client id could not be written into MinIO's
    /// configuration.
    pub fn new(
        name: &str,
        issuer: &IssuerUrl,
        client_id: &str,
    ) -> Result<Self, OpenIdProviderError> {
        if !is_name(name) {
            return Err(OpenIdProviderError::Name);
        }
        // MinIO reads keys and values that are divided by white space.
        let is_plain = |character: char| {
            !character.is_whitespace()
                && !character.is_control()
                && !matches!(character, '"' | '\'')
        };
        if client_id.is_empty() || !client_id.chars().all(is_plain) {
            return Err(OpenIdProviderError::ClientId);
        }
        Ok(Self {
            name: name.to_owned(),
            config_url: format!("{}{}", issuer.origin(), issuer.discovery_path()),
            client_id: client_id.to_owned(),
            subjects: Vec::new(),
            access: Vec::new(),
        })
    }

    /// Lets in this subject, and no other. Called again, it adds another.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subjects.push(subject.into());
        self
    }

    /// Allows an action on a resource.
    #[must_use]
    pub fn with_access(mut self, action: impl Into<String>, resource: impl Into<String>) -> Self {
        self.access.push((action.into(), resource.into()));
        self
    }

    /// The access policy.
    ///
    /// # Errors
    /// [`OpenIdProviderError`] when the issuer is shared and no whole subject is named, when nothing is
    /// allowed, or when a subject holds `${`, which MinIO reads as a variable.
    pub fn policy_json(&self, sharing: Sharing) -> Result<String, OpenIdProviderError> {
        let is_identified =
            !self.subjects.is_empty() && self.subjects.iter().all(|subject| is_somebody(subject));
        if sharing == Sharing::ManyCustomers && !is_identified {
            return Err(OpenIdProviderError::NobodyIdentified);
        }
        if self.access.is_empty() {
            return Err(OpenIdProviderError::NoAccess);
        }
        if self.subjects.iter().any(|subject| subject.contains("${")) {
            return Err(OpenIdProviderError::Variable);
        }
        let statement = |(action, resource): &(String, String)| {
            let mut members = vec![
                ("Effect", Tree::text("Allow")),
                ("Action", Tree::texts([action.as_str()])),
                ("Resource", Tree::texts([resource.as_str()])),
            ];
            if !self.subjects.is_empty() {
                let subjects = Tree::texts(self.subjects.iter().map(String::as_str));
                let equals = Tree::object([("jwt:sub", subjects)]);
                members.push(("Condition", Tree::object([("StringEquals", equals)])));
            }
            Tree::object(members)
        };
        Ok(Tree::object([
            ("Version", Tree::text("2012-10-17")),
            (
                "Statement",
                Tree::List(self.access.iter().map(statement).collect()),
            ),
        ])
        .to_json())
    }

    /// A shell script of `mc` commands for the deployment of this alias.
    ///
    /// # Errors
    /// As for [`OpenIdProvider::policy_json`], and [`OpenIdProviderError::Name`] when the alias is
    /// none.
    pub fn commands(&self, alias: &str, sharing: Sharing) -> Result<String, OpenIdProviderError> {
        if !is_name(alias) {
            return Err(OpenIdProviderError::Name);
        }
        let (alias, name) = (quote(alias), quote(&self.name));
        let policy = quote(&self.policy_json(sharing)?);
        let client_id = quote(&format!("client_id={}", self.client_id));
        let config_url = quote(&format!("config_url={}", self.config_url));
        let role_policy = quote(&format!("role_policy={}", self.name));
        Ok(format!(
            "#!/bin/sh
# Creates the access policy and the provider. MinIO takes it in when it restarts.
set -eu

printf '%s' {policy} | mc admin policy create {alias} {name} /dev/stdin
mc idp openid add {alias} {name} {client_id} {config_url} {role_policy}
mc admin service restart {alias}
"
        ))
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Why there is no such provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenIdProviderError {
    /// The name or the alias is not of letters, digits, `-` and `_`, a letter first.
    Name,
    /// The client id is empty, or has white space or quotation marks.
    ClientId,
    /// Nothing is allowed.
    NoAccess,
    /// A subject holds `${`.
    Variable,
    /// The issuer is shared, and nothing tells its customers apart.
    NobodyIdentified,
}

impl fmt::Display for OpenIdProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => {
                "a provider and an alias are named by letters, digits, - and _, a letter first"
            }
            Self::ClientId => {
                "MinIO takes no client id with white space or quotation marks, nor an empty one"
            }
            Self::NoAccess => "the policy allows nothing; add an action and a resource",
            Self::Variable => "MinIO would read ${ in a subject as a policy variable",
            Self::NobodyIdentified => {
                "the issuer has many customers, and MinIO would let in all of them; add a subject"
            }
        })
    }
}

impl std::error::Error for OpenIdProviderError {}
