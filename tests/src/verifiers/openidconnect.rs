//! Rust, `openidconnect`, which fetches and parses the discovery document and the JWKS.

use std::str::FromStr as _;

use ::openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
    CoreProviderMetadata,
};
use ::openidconnect::{
    ClaimsVerificationError, ClientId, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    SignatureVerificationError, http as types,
};
use chancery::{Algorithm, ProviderMetadata};

use crate::http;

/// `Ed25519` it cannot parse, and the curve of ES512 it lacks.
pub const UNKNOWN: &[Algorithm] = &[Algorithm::Es512, Algorithm::Ed25519];

/// What an issuer has to say besides: it parses only documents of those that have a login page.
pub fn metadata() -> ProviderMetadata {
    let login = "https://id.example.com/authorize";
    ProviderMetadata::new()
        .with_member("authorization_endpoint", login)
        .unwrap()
}

/// Fetches an issuer's documents.
pub fn discover(issuer: &str) -> CoreProviderMetadata {
    let issuer = IssuerUrl::new(issuer.to_owned()).unwrap();
    CoreProviderMetadata::discover(&issuer, &|request| get(&request)).unwrap()
}

/// Fetches one document.
pub fn get(request: &HttpRequest) -> std::io::Result<HttpResponse> {
    let url = request.uri().to_string();
    let response = http::request(request.method().as_str(), &url, None)?;
    let content_type = response.header("content-type").unwrap_or_default();
    Ok(types::Response::builder()
        .status(response.status)
        .header("content-type", content_type)
        .body(response.body)
        .unwrap())
}

/// The token's claims, or a word for what it finds wrong.
pub fn verify(
    algorithm: Algorithm,
    token: &str,
    metadata: &CoreProviderMetadata,
    audience: &str,
) -> Result<CoreIdTokenClaims, String> {
    let token = CoreIdToken::from_str(token).map_err(|error| error.to_string())?;
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(audience.to_owned()),
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_allowed_algs([named(algorithm)]);
    let nonce = |_: Option<&Nonce>| Ok(());
    match token.claims(&verifier, nonce) {
        Ok(claims) => Ok(claims.clone()),
        Err(error) => Err(match error {
            ClaimsVerificationError::Expired(_) => "expired".to_owned(),
            ClaimsVerificationError::InvalidAudience(_) => "audience".to_owned(),
            ClaimsVerificationError::InvalidIssuer(_) => "issuer".to_owned(),
            ClaimsVerificationError::SignatureVerification(error) => match error {
                SignatureVerificationError::CryptoError(_) => "signature".to_owned(),
                SignatureVerificationError::NoMatchingKey => "no key".to_owned(),
                SignatureVerificationError::UnsupportedAlg(_) => "unsupported algorithm".to_owned(),
                other => other.to_string(),
            },
            other => other.to_string(),
        }),
    }
}

/// Its name for an algorithm.
pub fn named(algorithm: Algorithm) -> CoreJwsSigningAlgorithm {
    serde_json::from_value(algorithm.name().into()).unwrap()
}
