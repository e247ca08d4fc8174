//! Signing, and what is refused before it.

use super::*;
use chancery_core::{Jwk, SignErrorKind};

#[test]
fn generated_keys_sign_under_every_algorithm_of_the_engine() {
    for &engine in Engine::ALL {
        for algorithm in Algorithm::all() {
            match PrivateKey::generate(algorithm, engine) {
                Ok(key) => assert_signs(&key, algorithm.name()),
                Err(error) => {
                    // Only what ring lacks fails, and the message names the ways out.
                    assert_eq!(engine.to_string(), "ring");
                    assert!(error.to_string().contains("feature `aws-lc-rs`"));
                    match error {
                        KeyError::RsaGeneration { .. } => {
                            assert_eq!(algorithm.key_type(), KeyType::Rsa);
                            assert!(error.to_string().contains(
                                "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
                            ));
                        }
                        KeyError::UnsupportedAlgorithm { .. } => {
                            assert_eq!(algorithm, Algorithm::Es512);
                        }
                        other => panic!("{algorithm}: {other}"),
                    }
                }
            }
        }
    }
}

#[test]
fn engines_verify_each_other() {
    for name in ["p256.pem", "p384.pem", "ed25519.pem", "rsa2048.pem"] {
        let key = PrivateKey::from_pem(&data(name)).unwrap();
        let mut jwks: Vec<Jwk> = Vec::new();
        for &engine in Engine::ALL {
            for algorithm in algorithms(key.key_type(), engine) {
                let signer = SoftwareSigner::new(&key, algorithm, engine).unwrap();
                assert_eq!(signer.engine(), engine);
                jwks.push(signer.jwk().clone());
            }
        }
        // The public half is the same on each engine, but for its `alg`.
        assert!(
            jwks.windows(2)
                .all(|pair| pair[0].public_key() == pair[1].public_key())
        );
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn rsa_keys_are_generated_at_the_lengths_there_are() {
    for bits in [2048, 3072, 4096] {
        let key = PrivateKey::generate_rsa(bits, Engine::AwsLcRs).unwrap();
        let signer = SoftwareSigner::new(&key, Algorithm::Rs256, Engine::AwsLcRs).unwrap();
        assert_eq!(signer.jwk().signature_len() * 8, bits);
    }
    for bits in [0, 1024, 2047, 8192] {
        assert!(matches!(
            PrivateKey::generate_rsa(bits, Engine::AwsLcRs),
            Err(KeyError::RsaLength { .. })
        ));
    }
}

#[test]
fn an_algorithm_that_does_not_go_with_the_key_is_refused() {
    for name in ["p256.pem", "ed25519.pem", "rsa2048.pem"] {
        let key = PrivateKey::from_pem(&data(name)).unwrap();
        for algorithm in Algorithm::all() {
            if algorithm.key_type() == key.key_type() {
                continue;
            }
            for &engine in Engine::ALL {
                assert!(matches!(
                    SoftwareSigner::new(&key, algorithm, engine),
                    Err(KeyError::Algorithm { .. })
                ));
            }
        }
    }
}

#[test]
fn an_input_for_another_algorithm_is_refused() {
    for &engine in Engine::ALL {
        let signer = SoftwareSigner::generate(Algorithm::EdDsa, engine).unwrap();
        let error = signer
            .sign(&SigningInput::new(Algorithm::Ed25519, b"header.payload"))
            .unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Unsupported);
    }
}

#[test]
fn verifying_after_signing_hands_out_the_same_kind_of_signature() {
    for &engine in Engine::ALL {
        let signer = SoftwareSigner::generate(Algorithm::Es256, engine)
            .unwrap()
            .with_verify_after_signing();
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        let signature = signer.sign(&input).unwrap();
        VerifyingKey::new(signer.jwk())
            .unwrap()
            .verify(input.as_bytes(), &signature)
            .unwrap();
    }
}

#[test]
fn a_key_is_named_by_its_thumbprint_or_by_the_operator() {
    for &engine in Engine::ALL {
        let signer = SoftwareSigner::generate(Algorithm::EdDsa, engine).unwrap();
        assert_eq!(signer.jwk().kid(), signer.jwk().thumbprint());
        let signer = signer.with_kid("2026-01").unwrap();
        assert_eq!(signer.jwk().kid(), "2026-01");
        assert_eq!(
            format!("{signer:?}"),
            format!(r#"SoftwareSigner {{ kid: "2026-01", alg: "EdDSA", engine: {engine:?}, .. }}"#)
        );
        assert!(matches!(
            signer.with_kid("with \"quotes\""),
            Err(KeyError::Kid(_))
        ));
    }
}

#[test]
fn a_certificate_must_be_the_keys_own() {
    let pem = String::from_utf8(data("certificate.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let certificate = <base64ct::Base64 as base64ct::Encoding>::decode_vec(&body).unwrap();
    for &engine in Engine::ALL {
        let signer = |name: &str| {
            let key = PrivateKey::from_pem(&data(name)).unwrap();
            SoftwareSigner::new(&key, Algorithm::Es256, engine).unwrap()
        };
        let own = signer("p256.pem").with_certificate_chain(vec![certificate.clone()]);
        assert_eq!(own.unwrap().jwk().certificate_chain().len(), 1);
        assert!(matches!(
            signer("p256-with-parameters.pem").with_certificate_chain(vec![certificate.clone()]),
            Err(KeyError::CertificateChain(_))
        ));
    }
}
