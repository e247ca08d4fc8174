//! Both engines pass the kit with every algorithm they have.
#![allow(clippy::unwrap_used)]
#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]

use chancery_conformance::check;
use chancery_core::{Algorithm, KeyType};
use chancery_software::{Engine, PrivateKey, SoftwareSigner};

/// An RSA key of 2048 bits, since ring cannot generate one.
const RSA_KEY: &[u8] = include_bytes!("../../chancery-software/tests/data/rsa2048.pem");

fn signer(algorithm: Algorithm, engine: Engine) -> SoftwareSigner {
    if algorithm.key_type() == KeyType::Rsa {
        let key = PrivateKey::from_pem(RSA_KEY).unwrap();
        SoftwareSigner::new(&key, algorithm, engine).unwrap()
    } else {
        SoftwareSigner::generate(algorithm, engine).unwrap()
    }
}

#[cfg(feature = "ring")]
#[test]
fn ring_passes_with_all_but_es512() {
    for algorithm in Algorithm::all() {
        if algorithm == Algorithm::Es512 {
            assert!(SoftwareSigner::generate(algorithm, Engine::Ring).is_err());
            continue;
        }
        let report = check(&signer(algorithm, Engine::Ring)).unwrap();
        assert_eq!(report.passed().len(), 12, "{report}");
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn aws_lc_passes_with_all() {
    for algorithm in Algorithm::all() {
        let report = check(&signer(algorithm, Engine::AwsLcRs)).unwrap();
        assert_eq!(report.passed().len(), 12, "{report}");
    }
}
