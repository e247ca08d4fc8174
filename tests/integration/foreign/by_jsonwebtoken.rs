//! Rust, `jsonwebtoken`.

use chancery::software::Engine;
use chancery_tests::verifiers::jsonwebtoken::{UNKNOWN, fetch, verify};

use super::{Fault, Scene};
use crate::support::{AUDIENCE, segment};

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
        let keys = fetch(scene.url());
        for case in &scene.cases {
            let expected = if UNKNOWN.contains(&case.algorithm) {
                Some("InvalidAlgorithmName")
            } else {
                case.fault.and_then(finds)
            };
            let outcome = verify(case.algorithm, &case.token, &keys, scene.url(), AUDIENCE);
            match (outcome, expected) {
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
