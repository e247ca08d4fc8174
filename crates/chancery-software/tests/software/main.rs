//! Keys, signatures and verification, on every engine that is compiled in.

// The lints let the tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod jwk;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod key_file;
mod loading;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod rfc;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod signing;
mod structure;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod verifier;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
mod without_engine;

use chancery_core::{Algorithm, KeyType, Signer as _, SigningInput};
use chancery_software::{Engine, KeyError, PrivateKey, SoftwareSigner, VerifyingKey};

const PASSWORD: &[u8] = b"hunter2";

/// Reads a file from `tests/data`.
fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The algorithms that an engine has and that go with a kind of key.
fn algorithms(key_type: KeyType, engine: Engine) -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(move |alg| alg.key_type() == key_type && engine.supports(*alg))
}

/// Signs with the key under each of its algorithms on each engine, and verifies.
fn assert_signs(key: &PrivateKey, name: &str) {
    let mut signed = 0;
    for &engine in Engine::ALL {
        for algorithm in algorithms(key.key_type(), engine) {
            let signer = SoftwareSigner::new(key, algorithm, engine)
                .unwrap_or_else(|error| panic!("{name} {algorithm} {engine}: {error}"));
            let signature = signer
                .sign(&SigningInput::new(algorithm, b"header.payload"))
                .unwrap();
            let verifying_key = VerifyingKey::new(signer.jwk()).unwrap();
            verifying_key
                .verify(b"header.payload", &signature)
                .unwrap_or_else(|error| panic!("{name} {algorithm} {engine}: {error}"));
            assert!(verifying_key.verify(b"header.payloae", &signature).is_err());
            signed += 1;
        }
    }
    let only_on_aws_lc_rs = Algorithm::Es512.key_type();
    assert!(
        signed > 0 || key.key_type() == only_on_aws_lc_rs || Engine::ALL.is_empty(),
        "{name} was never used"
    );
}

/// Why the file holds no key.
fn load_error(name: &str) -> KeyError {
    PrivateKey::from_pem(&data(name)).expect_err(name)
}
