//! Tokens, as other people's verifiers see them.

use std::process::Command;
use std::sync::Arc;

use chancery::{Algorithm, Claims, Issuer, KeySet, Schedule, ScheduledKey, Signer};
use chancery_tests::http::Server;
use chancery_tests::programs;
use serde_json::{Value, json};

use crate::module::Module;

const AUDIENCE: &str = "sts.example.com";

pub(crate) fn pyjwt_takes_them(module: &Module) {
    // It does not know Ed25519 under its newer name.
    judge(module, programs::pyjwt(), &[Algorithm::Ed25519]);
}

pub(crate) fn jose_takes_them(module: &Module) {
    judge(module, programs::jose(), &[]);
}

/// One issuer with all the keys; a token of each.
fn judge(module: &Module, mut program: Command, unknown: &[Algorithm]) {
    let algorithms: Vec<Algorithm> = module.expected.algorithms().collect();
    let server = Server::start(|url| {
        let key = |&algorithm: &Algorithm| {
            let signer: Arc<dyn Signer> = Arc::new(module.signer(algorithm));
            ScheduledKey::new(signer, Schedule::ALWAYS)
        };
        Issuer::new(
            url,
            KeySet::new(algorithms.iter().map(key).collect()).unwrap(),
        )
    });
    let token = |algorithm: &Algorithm| {
        let claims = Claims::new("job:42").with_audience(AUDIENCE);
        let claims = claims.with_signing_algorithm(*algorithm);
        let token = server.issuer().issue(&claims).unwrap();
        json!({"name": algorithm.name(), "token": token.as_str(),
               "algorithms": [algorithm.name()], "typ": "JWT"})
    };
    let tokens: Vec<Value> = algorithms.iter().map(token).collect();
    let results = programs::ask(&mut program, &server, AUDIENCE, &tokens.into());
    assert_eq!(results.len(), algorithms.len());
    for (result, algorithm) in results.iter().zip(&algorithms) {
        assert_eq!(result["name"], algorithm.name());
        assert_eq!(result["ok"], !unknown.contains(algorithm), "{result}");
    }
}
