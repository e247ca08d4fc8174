//! Tokens of a YubiHSM, as other people's verifiers see them.

use std::process::Command;
use std::sync::Arc;

use chancery::{Algorithm, Claims, Issuer, KeySet, Schedule, ScheduledKey, Signer};
use chancery_tests::http::Server;
use chancery_tests::programs;
use chancery_yubihsm::NewKey;
use chancery_yubihsm_tests::SimulatedDevice;
use serde_json::{Value, json};

use crate::support::Rig;

const AUDIENCE: &str = "sts.example.com";
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Rs256,
];

#[test]
#[ignore = "needs CHANCERY_FOREIGN_PYTHON; cargo xtask test sets it up"]
fn pyjwt_takes_them() {
    judge(programs::pyjwt());
}

#[test]
#[ignore = "needs CHANCERY_FOREIGN_NODE; cargo xtask test sets it up"]
fn jose_takes_them() {
    judge(programs::jose());
}

/// One issuer with a key of each algorithm, and two tokens of each: one to be taken, and one of
/// another text.
fn judge(mut program: Command) {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let server = Server::start(|url| {
        let keys = ALGORITHMS.map(|algorithm| {
            let key = device.generate(algorithm, &NewKey::new("key")).unwrap();
            let signer: Arc<dyn Signer> = Arc::new(device.signer().id(key.id()).open().unwrap());
            ScheduledKey::new(signer, Schedule::ALWAYS)
        });
        Issuer::new(url, KeySet::new(keys.into()).unwrap())
    });
    let issue = |algorithm, subject: &str| {
        let claims = Claims::new(subject).with_audience(AUDIENCE);
        let claims = claims.with_signing_algorithm(algorithm);
        server.issuer().issue(&claims).unwrap().into_string()
    };
    let tokens: Vec<Value> = ALGORITHMS
        .into_iter()
        .flat_map(|algorithm| {
            let good = issue(algorithm, "job:42");
            let other = issue(algorithm, "job:43");
            let (text, _) = good.rsplit_once('.').unwrap();
            let (_, signature) = other.rsplit_once('.').unwrap();
            let bad = format!("{text}.{signature}");
            [("good", good), ("bad", bad)].map(|(name, token)| {
                json!({"name": name, "token": token,
                       "algorithms": [algorithm.name()], "typ": "JWT"})
            })
        })
        .collect();
    let results = programs::ask(&mut program, &server, AUDIENCE, &tokens.into());
    assert_eq!(results.len(), 2 * ALGORITHMS.len());
    for result in results {
        assert_eq!(result["ok"], result["name"] == "good", "{result}");
    }
}
