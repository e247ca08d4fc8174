//! HashiCorp Vault and OpenBao: the JWT auth method's configuration and a role.

use std::fmt;

use chancery_core::IssuerUrl;

use crate::sharing::{Sharing, is_somebody};
use crate::shell::quote;
use crate::subject_pattern::SubjectPattern;
use crate::tree::Tree;

/// A role of the JWT auth method that tokens of one issuer may take (Vault API, "JWT/OIDC auth
/// method").
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::{Sharing, vault::Role};
///
/// let url = IssuerUrl::parse("https://id.example.com")?;
/// let role = Role::new("jwt", "deploy", &url, "vault.example.com")?
///     .with_subject("space:1:job:42")
///     .with_token_policy("deploy");
/// assert!(role.role_json(Sharing::ManyCustomers)?.contains(r#""role_type":"jwt""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Role {
    mount: String,
    name: String,
    issuer: String,
    audiences: Vec<String>,
    claims: Vec<(String, Vec<Bound>)>,
    token_policies: Vec<String>,
}

#[derive(Clone, Debug)]
struct Bound {
    value: String,
    is_exact: bool,
    is_identifying: bool,
}

impl Role {
    /// A role of this name, of the auth method mounted at this path.
    ///
    /// # Errors
    /// [`RoleError`] when the path or the name is not one that fits into a command's path, or the
    /// audience is empty.
    pub fn new(
        mount: &str,
        name: &str,
        issuer: &IssuerUrl,
        audience: impl Into<String>,
    ) -> Result<Self, RoleError> {
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        if !mount.split('/').all(is_segment) || !is_segment(name) {
            return Err(RoleError::Path);
        }
        let audience = audience.into();
        if audience.is_empty() {
            return Err(RoleError::Empty);
        }
        Ok(Self {
            mount: mount.to_owned(),
            name: name.to_owned(),
            issuer: issuer.as_str().to_owned(),
            audiences: vec![audience],
            claims: Vec::new(),
            token_policies: Vec::new(),
        })
    }

    /// Lets in this subject. Called again, it adds another.
    #[must_use]
    pub fn with_subject(self, subject: impl Into<String>) -> Self {
        self.with_claim("sub", subject)
    }

    /// Lets in the subjects that a template's pattern matches. Called again, it adds others.
    #[must_use]
    pub fn with_subject_pattern(mut self, pattern: &SubjectPattern) -> Self {
        self.bind(
            "sub".to_owned(),
            Bound {
                value: pattern.value().to_owned(),
                is_exact: pattern.is_exact(),
                is_identifying: pattern.is_identifying(),
            },
        );
        self
    }

    /// Asks for a claim of this value. Called again with the same claim, it allows another value.
    ///
    /// On a shared issuer it counts as telling the customers apart: choose a claim that no other
    /// customer's token has with this value. Claims of the token itself, such as `iss` and `aud`, do
    /// not count.
    #[must_use]
    pub fn with_claim(mut self, claim: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        self.bind(
            claim.into(),
            Bound {
                is_exact: true,
                is_identifying: is_somebody(&value),
                value,
            },
        );
        self
    }

    /// Gives the role's tokens a policy.
    #[must_use]
    pub fn with_token_policy(mut self, policy: impl Into<String>) -> Self {
        self.token_policies.push(policy.into());
        self
    }

    /// The auth method's configuration. `bound_issuer` is always there: without it `iss` is not
    /// compared.
    #[must_use]
    pub fn config_json(&self) -> String {
        Tree::object([
            ("oidc_discovery_url", Tree::text(&self.issuer)),
            ("bound_issuer", Tree::text(&self.issuer)),
        ])
        .to_json()
    }

    /// The role.
    ///
    /// # Errors
    /// [`RoleError`] when the issuer is shared and nothing tells its customers apart, or when a
    /// value would be read as a pattern.
    pub fn role_json(&self, sharing: Sharing) -> Result<String, RoleError> {
        // Every customer's token may have the same of these. Behind a slash Vault reads a JSON pointer.
        let is_common = |claim: &str| {
            let mut segments = claim.strip_prefix('/').unwrap_or(claim).split('/');
            matches!(
                segments.next().unwrap_or_default(),
                "aud" | "iss" | "azp" | "exp" | "iat" | "nbf" | "jti" | "auth_time"
            )
        };
        let identifies = |(claim, values): &(String, Vec<Bound>)| {
            !is_common(claim) && values.iter().all(|bound| bound.is_identifying)
        };
        let mut all = self.claims.iter().flat_map(|(_, values)| values);
        let has_pattern = all.clone().any(|bound| !bound.is_exact);
        if all.clone().any(|bound| bound.value.is_empty()) {
            return Err(RoleError::Empty);
        }
        if sharing == Sharing::ManyCustomers && !self.claims.iter().any(identifies) {
            return Err(RoleError::NobodyIdentified);
        }
        // The type is one for all claims: beside a pattern, every star is a wildcard.
        if has_pattern && all.any(|bound| bound.is_exact && bound.value.contains('*')) {
            return Err(RoleError::Star);
        }
        let mut members = vec![
            ("role_type", Tree::text("jwt")),
            ("user_claim", Tree::text("sub")),
            (
                "bound_audiences",
                Tree::texts(self.audiences.iter().map(String::as_str)),
            ),
        ];
        if !self.claims.is_empty() {
            let bound = |(claim, values): &(String, Vec<Bound>)| {
                let values = values.iter().map(|bound| bound.value.as_str());
                (claim.clone(), Tree::texts(values))
            };
            let claims = self.claims.iter().map(bound).collect();
            let kind = if has_pattern { "glob" } else { "string" };
            members.push(("bound_claims_type", Tree::text(kind)));
            members.push(("bound_claims", Tree::Object(claims)));
        }
        let policies = self.token_policies.iter().map(String::as_str);
        members.push(("token_policies", Tree::texts(policies)));
        Ok(Tree::object(members).to_json())
    }

    /// A shell script of `vault` commands; with `VAULT=bao` it runs OpenBao's. Values go through
    /// standard input, where none is read as a file's name.
    ///
    /// # Errors
    /// As for [`Role::role_json`].
    pub fn commands(&self, sharing: Sharing) -> Result<String, RoleError> {
        let Self { mount, name, .. } = self;
        let config = quote(&self.config_json());
        let role = quote(&self.role_json(sharing)?);
        Ok(format!(
            "#!/bin/sh
# Configures the JWT auth method, which must be enabled, and writes the role.
set -eu

printf '%s' {config} | \"${{VAULT:-vault}}\" write {} -
printf '%s' {role} | \"${{VAULT:-vault}}\" write {} -
",
            quote(&format!("auth/{mount}/config")),
            quote(&format!("auth/{mount}/role/{name}")),
        ))
    }

    fn bind(&mut self, claim: String, bound: Bound) {
        match self.claims.iter_mut().find(|(other, _)| *other == claim) {
            Some((_, values)) => values.push(bound),
            None => self.claims.push((claim, vec![bound])),
        }
    }
}

/// Why there is no such role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleError {
    /// The mount or the name is not of letters, digits, `-`, `_` and `.`.
    Path,
    /// The audience or the value of a claim is empty.
    Empty,
    /// The issuer is shared, and nothing tells its customers apart.
    NobodyIdentified,
    /// A value has a star, which a pattern beside it makes a wildcard.
    Star,
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "a mount and a role are named by letters, digits, -, _ and .",
            Self::Empty => "an audience and the value of a claim must not be empty",
            Self::NobodyIdentified => {
                "the issuer has many customers, and the role would let in all of them; add a subject or a claim"
            }
            Self::Star => {
                "beside a pattern Vault reads every * as a wildcard; make a role for the pattern by itself"
            }
        })
    }
}

impl std::error::Error for RoleError {}
