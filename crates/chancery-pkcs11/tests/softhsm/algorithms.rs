//! Every algorithm that SoftHSM has.

use chancery_conformance::check;
use chancery_core::{Algorithm, Signer as _};
use chancery_pkcs11::{KeyPair, Pkcs11Error};

use crate::support::{SoftHsm, isolated, said};

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn es256() {
    isolated(|hsm| conforms(hsm, KeyPair::P256, &[Algorithm::Es256]));
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn es384() {
    isolated(|hsm| conforms(hsm, KeyPair::P384, &[Algorithm::Es384]));
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn ed25519_under_both_names() {
    isolated(|hsm| {
        conforms(
            hsm,
            KeyPair::Ed25519,
            &[Algorithm::EdDsa, Algorithm::Ed25519],
        );
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn rsa_of_every_length() {
    isolated(|hsm| {
        for bits in [2048, 3072, 4096] {
            conforms(
                hsm,
                KeyPair::Rsa { bits },
                &[
                    Algorithm::Rs256,
                    Algorithm::Rs384,
                    Algorithm::Rs512,
                    Algorithm::Ps256,
                    Algorithm::Ps384,
                    Algorithm::Ps512,
                ],
            );
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn an_algorithm_of_another_key_is_refused() {
    isolated(|hsm| {
        let token = hsm.token();
        token.generate(KeyPair::P256, "p256", None).unwrap();
        for algorithm in [Algorithm::Es384, Algorithm::Es512, Algorithm::Rs256] {
            let opened = token.signer().label("p256").algorithm(algorithm).open();
            assert!(matches!(opened, Err(Pkcs11Error::Algorithm { .. })));
            assert_eq!(
                said(opened),
                format!(
                    "{algorithm} does not go with this key, which is EC P-256; name an algorithm \
                     that does, or another key"
                )
            );
        }
    });
}

fn conforms(hsm: &SoftHsm, key_pair: KeyPair, algorithms: &[Algorithm]) {
    let token = hsm.token();
    let label = format!("{key_pair:?}");
    let key = token.generate(key_pair, &label, None).unwrap();
    assert_eq!(key.algorithm(), algorithms[0]);
    for &algorithm in algorithms {
        let signer = token.signer().label(&label).algorithm(algorithm);
        let signer = signer.open().unwrap();
        assert_eq!(signer.jwk().algorithm(), algorithm);
        assert_eq!(signer.jwk().kid(), key.kid());
        println!("{}", check(&signer).unwrap());
    }
}
