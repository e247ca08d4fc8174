//! Rust, `openidconnect`.

use chancery::Algorithm;
use chancery::software::Engine;
use chancery_tests::verifiers::openidconnect::{discover, get, named, verify};
use openidconnect::IssuerUrl;
use openidconnect::core::{
    CoreIdTokenClaims, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
    CoreSubjectIdentifierType,
};

use super::{Case, Fault, Scene};
use crate::support::{AUDIENCE, algorithms, segment};

/// What it says of a token whose algorithm it does not know: `Ed25519` it cannot parse, and the
/// curve of ES512 it lacks when it comes to the signature, which is after some of the claims.
fn unknown(algorithm: Algorithm, fault: Option<Fault>) -> Option<&'static str> {
    let is_found_before = matches!(
        fault,
        Some(Fault::Audience | Fault::Issuer | Fault::Type | Fault::UnknownKid)
    );
    match algorithm {
        Algorithm::Es512 if !is_found_before => Some("unsupported algorithm"),
        Algorithm::Ed25519 => Some("unrecognized JSON Web Algorithm `Ed25519`"),
        _ => None,
    }
}

/// What it finds wrong; `None` where it does not look.
fn finds(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::Payload | Fault::Signature | Fault::OtherKey => Some("signature"),
        Fault::Expired => Some("expired"),
        Fault::Audience => Some("audience"),
        Fault::Issuer => Some("issuer"),
        Fault::UnknownKid => Some("no key"),
        Fault::Type => Some("typ"),
        Fault::NotYetValid => None,
    }
}

#[test]
fn openidconnect_judges_every_token() {
    for &engine in Engine::ALL {
        let scene = Scene::new(engine);
        let metadata = discover(scene.url());
        for case in &scene.cases {
            let expected =
                unknown(case.algorithm, case.fault).or_else(|| case.fault.and_then(finds));
            let outcome = verify(case.algorithm, &case.token, &metadata, AUDIENCE);
            match (outcome, expected) {
                (Ok(claims), None) => assert_claims(&claims, case),
                (Err(error), Some(expected)) => {
                    assert!(error.contains(expected), "{engine} {}: {error}", case.name);
                }
                (outcome, expected) => {
                    panic!("{engine} {}: {outcome:?}, not {expected:?}", case.name)
                }
            }
        }
    }
}

#[test]
fn openidconnect_reads_the_discovery_document() {
    let scene = Scene::new(Engine::AwsLcRs);
    let metadata = discover(scene.url());
    assert_eq!(metadata.issuer().as_str(), scene.url());
    assert_eq!(
        metadata.jwks_uri().as_str(),
        format!("{}/.well-known/jwks.json", scene.url())
    );
    let id_token = CoreResponseType::IdToken;
    assert_eq!(
        metadata.response_types_supported(),
        &vec![openidconnect::ResponseTypes::new(vec![id_token])]
    );
    assert_eq!(
        metadata.subject_types_supported(),
        &vec![CoreSubjectIdentifierType::Public]
    );
    // What it does not know it leaves out, of the algorithms and of the keys.
    let known: Vec<CoreJwsSigningAlgorithm> = algorithms(Engine::AwsLcRs)
        .filter(|algorithm| *algorithm != Algorithm::Ed25519)
        .map(named)
        .collect();
    assert_eq!(metadata.id_token_signing_alg_values_supported(), &known);
    assert_eq!(metadata.jwks().keys().len(), known.len());
    let claims = metadata.claims_supported().unwrap();
    let claims: Vec<&str> = claims.iter().map(|name| name.as_str()).collect();
    assert_eq!(claims, ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"]);
    // The discovery document and the JWKS, each fetched once.
    assert_eq!(scene.server.requests(), 2);
}

/// It compares the issuer with the URL that it asked at.
#[test]
fn openidconnect_refuses_the_document_of_another_issuer() {
    let scene = Scene::new(Engine::Ring);
    let elsewhere = scene.url().replace("127.0.0.1", "localhost");
    let error = CoreProviderMetadata::discover(&IssuerUrl::new(elsewhere).unwrap(), &|request| {
        get(&request)
    })
    .unwrap_err();
    assert!(
        error.to_string().contains("unexpected issuer URI"),
        "{error}"
    );
}

fn assert_claims(claims: &CoreIdTokenClaims, case: &Case) {
    let payload = segment(&case.token, 1);
    assert_eq!(claims.subject().as_str(), payload["sub"]);
    assert_eq!(claims.audiences().len(), 1);
    assert_eq!(claims.nonce().unwrap().secret(), &payload["nonce"]);
    assert_eq!(claims.email().unwrap().as_str(), payload["email"]);
    assert_eq!(claims.email_verified(), Some(true));
    assert_eq!(claims.auth_method_refs().unwrap().len(), 1);
    assert_eq!(
        Some(claims.expiration().timestamp()),
        payload["exp"].as_i64()
    );
    assert_eq!(
        Some(claims.issue_time().timestamp()),
        payload["iat"].as_i64()
    );
}
