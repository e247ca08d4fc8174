//! The OpenSSL command line.

use std::path::Path;

use chancery::software::Engine;
use chancery::{KeyType, Signer as _};
use chancery_tests::verifiers::openssl::{Folder, verifies};

use super::Fault;
use crate::support::{algorithms, claims, issuer, published, signer};

#[test]
#[ignore = "needs openssl; cargo xtask test sets it up"]
fn openssl_verifies_every_algorithm_and_refuses_changed_tokens() {
    for &engine in Engine::ALL {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("openssl-{engine}"));
        let folder = Folder::new(folder);
        for algorithm in algorithms(engine) {
            let issuer = issuer(algorithm, engine);
            let keys = published(&issuer);
            let jwk = &keys.keys()[0];
            let good = issuer.issue(&claims()).unwrap().into_string();
            assert!(verifies(&folder, jwk, &good), "{engine} {algorithm}");
            for (fault, token) in [
                (Fault::Payload, super::with_other_payload(&good)),
                (Fault::Signature, super::with_flipped_bit(&good)),
            ] {
                assert!(
                    !verifies(&folder, jwk, &token),
                    "{engine} {algorithm} {fault:?}"
                );
            }
            if algorithm.key_type() != KeyType::Rsa {
                let other = signer(algorithm, engine);
                assert!(
                    !verifies(&folder, other.jwk(), &good),
                    "{engine} {algorithm}"
                );
            }
        }
    }
}
