//! Private keys from files.

use chancery_core::{Algorithm, Curve, Jwk, KeyType, Signer, SigningInput};
use chancery_software::{Engine, PrivateKey, SoftwareSigner, VerifyingKey};

/// The password of the encrypted seeds.
const PASSWORD: &[u8] = b"password";

/// The first byte picks the format, the rest is the key. What is loaded survives being stored,
/// shows nothing of itself, and when an engine takes it, it signs what its public half verifies.
pub fn key_import(data: &[u8]) {
    let Some((&format, data)) = data.split_first() else {
        return;
    };
    let loaded = match format % 4 {
        0 => PrivateKey::from_pem(data),
        1 => PrivateKey::from_pkcs8_der(data),
        2 => PrivateKey::from_jwk_json(data),
        _ => PrivateKey::from_encrypted_pkcs8_der(data, PASSWORD),
    };
    let key = match loaded {
        Ok(key) => key,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let shown = format!("{key:?}");
    assert!(shown.len() < 40, "{shown}");
    let stored = key.to_pkcs8_der().expect("a loaded key can be stored");
    let again = PrivateKey::from_pkcs8_der(&stored).expect("a stored key can be loaded");
    assert_eq!(again.key_type(), key.key_type());
    let stored_again = again.to_pkcs8_der().expect("a loaded key can be stored");
    assert_eq!(*stored, *stored_again);

    for algorithm in Algorithm::all() {
        let Ok(signer) = SoftwareSigner::new(&key, algorithm, Engine::Ring) else {
            continue;
        };
        assert_eq!(algorithm.key_type(), key.key_type());
        check(&signer);
        // One RSA signature is slow enough.
        if key.key_type() == KeyType::Rsa {
            break;
        }
    }
    if matches!(key.key_type(), KeyType::Ec(Curve::P521)) {
        assert!(SoftwareSigner::new(&key, Algorithm::Es512, Engine::Ring).is_err());
    }
}

fn check(signer: &SoftwareSigner) {
    let jwk = signer.jwk();
    let rendered = serde_json::to_vec(jwk).expect("a key is JSON");
    assert_eq!(Jwk::from_json(&rendered).as_ref(), Ok(jwk));
    let message = b"header.payload";
    let signature = signer
        .sign(&SigningInput::new(jwk.algorithm(), message))
        .expect("a key that was taken signs");
    assert_eq!(signature.as_bytes().len(), jwk.signature_len());
    let verifying_key = VerifyingKey::new(jwk).expect("its own public half");
    verifying_key
        .verify(message, &signature)
        .expect("a signature of its own");
    assert!(verifying_key.verify(b"another", &signature).is_err());
}
