//! Azure: a federated identity credential of an application in Entra ID.

use std::fmt;

use chancery_core::IssuerUrl;

use crate::shell::quote;
use crate::tree::{Body, Tree, is_kept_by_terraform, resource};

/// The one audience that Entra ID takes.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A federated identity credential: an application trusts one subject of one issuer (Microsoft
/// Graph, federatedIdentityCredential). An application has at most twenty.
///
/// Issuer and subject are compared exactly, case and last slash included.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::azure::FederatedCredential;
///
/// let credential = FederatedCredential::new(
///     "00000000-1111-2222-3333-444444444444",
///     "job-42",
///     &IssuerUrl::parse("https://id.example.com")?,
///     "space:1:job:42",
/// )?;
/// assert!(credential.az().starts_with("az ad app federated-credential create"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FederatedCredential {
    application: String,
    name: String,
    issuer: String,
    subject: String,
}

impl FederatedCredential {
    /// A credential of this name, for the application of this object id.
    ///
    /// # Errors
    /// [`FederatedCredentialError`] when Entra ID would refuse it, or it could match no token.
    pub fn new(
        application: &str,
        name: &str,
        issuer: &IssuerUrl,
        subject: &str,
    ) -> Result<Self, FederatedCredentialError> {
        let is_group = |group: &str, len: usize| {
            group.len() == len && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let groups: Vec<&str> = application.split('-').collect();
        let lengths = [8, 4, 4, 4, 12];
        let is_id = groups.len() == lengths.len()
            && groups
                .iter()
                .zip(lengths)
                .all(|(group, len)| is_group(group, len));
        if !is_id {
            return Err(FederatedCredentialError::Application);
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !(3..=120).contains(&name.len()) || !begins || !name.bytes().all(is_allowed) {
            return Err(FederatedCredentialError::Name);
        }
        for (text, of) in [(issuer.as_str(), "issuer"), (subject, "subject")] {
            let len = text.chars().count();
            if len == 0 || len > 600 {
                return Err(FederatedCredentialError::Length { of, len });
            }
        }
        if subject.contains('*') {
            return Err(FederatedCredentialError::Wildcard);
        }
        Ok(Self {
            application: application.to_owned(),
            name: name.to_owned(),
            issuer: issuer.as_str().to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// The body of a request to Microsoft Graph.
    #[must_use]
    pub fn json(&self) -> String {
        self.tree().to_json()
    }

    /// The `az` command, one line.
    #[must_use]
    pub fn az(&self) -> String {
        format!(
            "az ad app federated-credential create --id {} --parameters {}\n",
            quote(&self.application),
            quote(&self.json())
        )
    }

    /// Terraform's resource, for the provider `hashicorp/azuread`.
    ///
    /// # Errors
    /// [`FederatedCredentialError::Normalization`] when Terraform may change the subject.
    pub fn terraform(&self) -> Result<String, FederatedCredentialError> {
        if !is_kept_by_terraform(&self.subject) {
            return Err(FederatedCredentialError::Normalization);
        }
        let application = format!("/applications/{}", self.application);
        Ok(resource(
            "azuread_application_federated_identity_credential",
            "issuer",
            &[
                Body::Argument("application_id", Tree::text(application)),
                Body::Argument("display_name", Tree::text(&self.name)),
                Body::Argument("issuer", Tree::text(&self.issuer)),
                Body::Argument("subject", Tree::text(&self.subject)),
                Body::Argument("audiences", Tree::texts([AUDIENCE])),
            ],
        ))
    }

    fn tree(&self) -> Tree {
        Tree::object([
            ("name", Tree::text(&self.name)),
            ("issuer", Tree::text(&self.issuer)),
            ("subject", Tree::text(&self.subject)),
            ("audiences", Tree::texts([AUDIENCE])),
        ])
    }
}

/// Why there is no such credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FederatedCredentialError {
    /// The application's object id is not of the form `00000000-0000-0000-0000-000000000000`.
    Application,
    /// The name is not 3 to 120 letters, digits, `-` and `_`, of which the first is neither of the
    /// latter.
    Name,
    /// The issuer or the subject is empty or too long.
    Length {
        /// Which of them.
        of: &'static str,
        /// Its length in characters.
        len: usize,
    },
    /// The subject has a star, which Entra ID does not read as a wildcard.
    Wildcard,
    /// The subject has a character from U+0300 on, which Terraform may normalize into another.
    Normalization,
}

impl fmt::Display for FederatedCredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application => f.write_str(
                "the application is named by its object id, 32 hexadecimal digits in five groups",
            ),
            Self::Name => f.write_str(
                "the name of a credential has 3 to 120 letters, digits, - and _, a letter or digit first",
            ),
            Self::Length { of, len } => write!(
                f,
                "the {of} has {len} characters; Entra ID takes 1 to 600"
            ),
            Self::Wildcard => f.write_str(
                "Entra ID compares subjects exactly and knows no wildcards; make a credential for each subject",
            ),
            Self::Normalization => f.write_str(
                "Terraform normalizes strings, and may change the characters from U+0300 on; use others in the subject, or az",
            ),
        }
    }
}

impl std::error::Error for FederatedCredentialError {}
