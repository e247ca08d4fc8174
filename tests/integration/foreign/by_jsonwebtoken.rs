//! Rust, `jsonwebtoken`.

use std::str::FromStr as _;

use chancery::Algorithm;
use chancery::software::Engine;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::{Case, Fault, Scene};
use crate::support::{AUDIENCE, segment};
use chancery_tests::http;

/// Whether it knows the algorithm; P-521 it has not, and EdDSA under its older name only.
fn knows(algorithm: Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Es512 | Algorithm::Ed25519)
}

/// What it finds wrong; `None` where it does not look.
fn finds(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::Payload | Fault::Signature | Fault::OtherKey => Some("InvalidSignature"),
        Fault::Expired => Some("ExpiredSignature"),
        Fault::NotYetValid => Some("ImmatureSignature"),
        Fault::Audience => Some("InvalidAudience"),
        Fault::Issuer => Some("InvalidIssuer"),
        Fault::UnknownKid => Some("no such kid"),
        Fault::Type => None,
    }
}

#[test]
fn jsonwebtoken_judges_every_token() {
    for &engine in Engine::ALL {
        let scene = Scene::new(engine);
        let url = format!("{}/.well-known/jwks.json", scene.url());
        let document = http::request("GET", &url, None).unwrap().body;
        let keys: JwkSet = serde_json::from_slice(&document).unwrap();
        for case in &scene.cases {
            let expected = if knows(case.algorithm) {
                case.fault.and_then(finds)
            } else {
                Some("InvalidAlgorithmName")
            };
            match (verify(case, &keys, scene.url()), expected) {
                (Ok(claims), None) => assert_eq!(claims, segment(&case.token, 1)),
                (Err(error), Some(expected)) => {
                    assert_eq!(error, expected, "{engine} {}", case.name);
                }
                (outcome, expected) => {
                    panic!("{engine} {}: {outcome:?}, not {expected:?}", case.name)
                }
            }
        }
    }
}

fn verify(case: &Case, keys: &JwkSet, issuer: &str) -> Result<Value, String> {
    let name = |error: Error| match error.kind() {
        kind @ (ErrorKind::Json(_) | ErrorKind::Base64(_)) => panic!("{}: {kind:?}", case.name),
        kind => format!("{kind:?}"),
    };
    let algorithm = jsonwebtoken::Algorithm::from_str(case.algorithm.name()).map_err(name)?;
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let kid = decode_header(&case.token).map_err(name)?.kid.unwrap();
    let key = keys.find(&kid).ok_or("no such kid")?;
    let key = DecodingKey::from_jwk(key).map_err(name)?;
    decode(&case.token, &key, &validation)
        .map(|token| token.claims)
        .map_err(name)
}
