//! What the discovery document says besides issuer and keys.

use std::fmt;

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::issuer_url::IssuerUrl;

/// The members that must agree with the issuer and its keys, and so are not for the operator.
const DERIVED: [&str; 3] = [
    "issuer",
    "jwks_uri",
    "id_token_signing_alg_values_supported",
];

/// The claims that every token of the library can have.
const CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"];

/// What the discovery document says besides issuer and keys (OpenID Connect Discovery 1.0 §3, RFC
/// 8414 §2).
///
/// By default it is what an issuer without a login page needs: `response_types_supported`,
/// `subject_types_supported` and `claims_supported`. Some relying parties' parsers want more, such
/// as an `authorization_endpoint`: add it.
///
/// ```
/// use chancery_core::ProviderMetadata;
///
/// let metadata = ProviderMetadata::new()
///     .with_claim_supported("email")
///     .with_member("authorization_endpoint", "https://example.com/authorize")?;
/// assert!(ProviderMetadata::new().with_member("issuer", "https://example.org").is_err());
/// # Ok::<(), chancery_core::ProviderMetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderMetadata {
    claims: Vec<String>,
    members: Map<String, Value>,
}

impl ProviderMetadata {
    /// The metadata of an issuer without a login page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name to `claims_supported`, which always has those that the library fills in.
    #[must_use]
    pub fn with_claim_supported(mut self, name: impl Into<String>) -> Self {
        self.claims.push(name.into());
        self
    }

    /// Adds a member to the document, or replaces one of the defaults.
    ///
    /// # Errors
    /// [`ProviderMetadataError`] when the member must agree with the issuer or its keys.
    pub fn with_member(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ProviderMetadataError> {
        let name = name.into();
        if DERIVED.contains(&name.as_str()) {
            return Err(ProviderMetadataError { name });
        }
        self.members.insert(name, value.into());
        Ok(self)
    }

    /// Renders the document.
    pub(crate) fn render(
        &self,
        issuer: &IssuerUrl,
        jwks_uri: &str,
        algorithms: &[Algorithm],
    ) -> Vec<u8> {
        let claims: Vec<&str> = CLAIMS
            .into_iter()
            .chain(self.claims.iter().map(String::as_str))
            .collect();
        let names: Vec<&str> = algorithms
            .iter()
            .map(|algorithm| algorithm.name())
            .collect();
        let own = [
            ("issuer", Value::from(issuer.as_str())),
            ("jwks_uri", Value::from(jwks_uri)),
            ("response_types_supported", Value::from(vec!["id_token"])),
            ("subject_types_supported", Value::from(vec!["public"])),
            ("id_token_signing_alg_values_supported", Value::from(names)),
            ("claims_supported", Value::from(claims)),
        ];
        let mut document = String::from("{");
        let own = own
            .iter()
            .filter(|(name, _)| !self.members.contains_key(*name))
            .map(|(name, value)| (*name, value));
        let extra = self
            .members
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        for (index, (name, value)) in own.chain(extra).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            document.push_str(&format!("{comma}{}:{value}", Value::from(name)));
        }
        document.push('}');
        document.into_bytes()
    }
}

/// The member is derived from the issuer and its keys; the operator cannot set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadataError {
    name: String,
}

impl fmt::Display for ProviderMetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "discovery member `{}` is derived from the issuer and its keys and cannot be set",
            self.name
        )
    }
}

impl std::error::Error for ProviderMetadataError {}
