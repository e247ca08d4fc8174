//! Rust, `jsonwebtoken`.

use std::str::FromStr as _;

use ::jsonwebtoken::errors::{Error, ErrorKind};
use ::jsonwebtoken::jwk::JwkSet;
use ::jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use chancery::Algorithm;
use serde_json::Value;

use crate::http;

/// P-521 it has not, and EdDSA under its older name only.
pub const UNKNOWN: &[Algorithm] = &[Algorithm::Es512, Algorithm::Ed25519];

/// Fetches an issuer's keys.
pub fn fetch(issuer: &str) -> JwkSet {
    let url = format!("{issuer}/.well-known/jwks.json");
    let document = http::request("GET", &url, None).unwrap().body;
    serde_json::from_slice(&document).unwrap()
}

/// The token's claims, or its name for what is wrong.
pub fn verify(
    algorithm: Algorithm,
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    audience: &str,
) -> Result<Value, String> {
    let name = |error: Error| match error.kind() {
        kind @ (ErrorKind::Json(_) | ErrorKind::Base64(_)) => panic!("{token}: {kind:?}"),
        kind => format!("{kind:?}"),
    };
    let algorithm = ::jsonwebtoken::Algorithm::from_str(algorithm.name()).map_err(name)?;
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let kid = decode_header(token).map_err(name)?.kid.unwrap();
    let key = keys.find(&kid).ok_or("no such kid")?;
    let key = DecodingKey::from_jwk(key).map_err(name)?;
    decode(token, &key, &validation)
        .map(|token| token.claims)
        .map_err(name)
}
