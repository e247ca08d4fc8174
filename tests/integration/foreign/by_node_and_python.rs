//! Python's PyJWT and npm's jose, as programs of their own. Both fetch the documents themselves.

use std::process::Command;

use chancery::Algorithm;
use chancery::software::Engine;
use chancery_tests::programs;
use serde_json::{Value, json};

use super::{Fault, Scene};
use crate::support::{AUDIENCE, segment};

/// What a library says of a good token and of each fault, by its own names.
struct Library {
    /// The error for an algorithm that it does not know, and those that it does not.
    unknown: (&'static str, &'static [Algorithm]),
    finds: fn(Fault) -> &'static str,
}

/// PyJWT leaves `typ` to its caller, and verify.py looks at it.
const PYJWT: Library = Library {
    unknown: ("NotImplementedError", programs::UNKNOWN_TO_PYJWT),
    finds: |fault| match fault {
        Fault::Payload | Fault::Signature | Fault::OtherKey => "InvalidSignatureError",
        Fault::Expired => "ExpiredSignatureError",
        Fault::NotYetValid => "ImmatureSignatureError",
        Fault::Audience => "InvalidAudienceError",
        Fault::Issuer => "InvalidIssuerError",
        Fault::UnknownKid => "PyJWKClientError",
        Fault::Type => "TypeMismatch",
    },
};

const JOSE: Library = Library {
    unknown: ("ERR_JOSE_NOT_SUPPORTED", &[]),
    finds: |fault| match fault {
        Fault::Payload | Fault::Signature | Fault::OtherKey => {
            "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
        }
        Fault::Expired => "ERR_JWT_EXPIRED",
        Fault::NotYetValid | Fault::Audience | Fault::Issuer | Fault::Type => {
            "ERR_JWT_CLAIM_VALIDATION_FAILED"
        }
        Fault::UnknownKid => "ERR_JWKS_NO_MATCHING_KEY",
    },
};

#[test]
#[ignore = "needs CHANCERY_FOREIGN_PYTHON; cargo xtask test sets it up"]
fn pyjwt_judges_every_token() {
    for &engine in Engine::ALL {
        judge(engine, &PYJWT, &mut programs::pyjwt());
    }
}

#[test]
#[ignore = "needs CHANCERY_FOREIGN_NODE; cargo xtask test sets it up"]
fn jose_judges_every_token() {
    for &engine in Engine::ALL {
        judge(engine, &JOSE, &mut programs::jose());
    }
}

/// Both read access tokens where those are expected.
#[test]
#[ignore = "needs CHANCERY_FOREIGN_PYTHON and _NODE; cargo xtask test sets them up"]
fn both_take_access_and_logout_tokens() {
    let scene = Scene::new(Engine::Ring);
    let issuer = scene.server.issuer();
    let claims = super::rich_claims()
        .into_access_token("client")
        .with_scope("read write");
    let logout = chancery::Claims::logout_of_subject("job:42").with_audience(AUDIENCE);
    let tokens = json!([
        {"name": "access", "token": issuer.issue(&claims).unwrap().as_str(),
         "algorithms": ["ES256"], "typ": "at+jwt"},
        {"name": "logout", "token": issuer.issue(&logout).unwrap().as_str(),
         "algorithms": ["ES256"], "typ": "logout+jwt"},
    ]);
    for mut program in [programs::pyjwt(), programs::jose()] {
        let results = programs::ask(&mut program, &scene.server, AUDIENCE, &tokens);
        assert_eq!(results.len(), 2);
        for (result, asked) in results.iter().zip(tokens.as_array().unwrap()) {
            assert_eq!(result["ok"], true, "{result}");
            let payload = segment(asked["token"].as_str().unwrap(), 1);
            assert_eq!(result["claims"], payload);
        }
    }
}

fn judge(engine: Engine, library: &Library, program: &mut Command) {
    let scene = Scene::new(engine);
    let tokens: Value = scene
        .cases
        .iter()
        .map(|case| {
            json!({"name": case.name, "token": case.token,
                   "algorithms": [case.algorithm.name()], "typ": "JWT"})
        })
        .collect();
    let results = programs::ask(program, &scene.server, AUDIENCE, &tokens);
    assert_eq!(results.len(), scene.cases.len());
    // Both fetched the discovery document and the JWKS.
    assert!(scene.server.requests() >= 2);
    for (case, result) in scene.cases.iter().zip(&results) {
        assert_eq!(result["name"], case.name);
        let (error, unknown) = library.unknown;
        let expected = if unknown.contains(&case.algorithm) {
            Some(error)
        } else {
            case.fault.map(library.finds)
        };
        match expected {
            Some(error) => assert_eq!(result["error"], error, "{engine} {result}"),
            None => assert_eq!(
                result["claims"],
                segment(&case.token, 1),
                "{engine} {result}"
            ),
        }
        assert_eq!(result["ok"], expected.is_none());
    }
}
