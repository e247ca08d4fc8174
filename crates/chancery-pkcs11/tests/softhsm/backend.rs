//! Keys for a keeper.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chancery_core::rotation::{BackendError, KeyBackend as _};
use chancery_core::{Algorithm, Jwk, Signer, SigningInput};
use chancery_hsm::{Event, HsmOptions};
use chancery_pkcs11::{KeyPair, Pkcs11Uri, TokenBackend};
use chancery_software::VerifyingKey;

use crate::support::{SoftHsm, isolated};

fn backend(hsm: &SoftHsm) -> TokenBackend {
    TokenBackend::new(hsm.token())
}

fn signs(signer: &dyn Signer) {
    let input = SigningInput::new(signer.jwk().algorithm(), b"header.payload");
    let signature = signer.sign(&input).unwrap();
    let key = VerifyingKey::new(signer.jwk()).unwrap();
    key.verify(b"header.payload", &signature).unwrap();
}

/// The text of the error, with all of its causes.
fn said<T>(result: Result<T, BackendError>) -> String {
    let error = result.err().expect("an error");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    println!("said: {text}");
    text
}

fn other_key() -> Jwk {
    Jwk::from_json(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )
    .unwrap()
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn what_is_made_is_opened_by_its_reference_and_never_extractable() {
    isolated(|hsm| {
        let backend = backend(hsm);
        for algorithm in [
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::EdDsa,
            Algorithm::Ed25519,
            Algorithm::Rs256,
            Algorithm::Ps256,
        ] {
            let made = backend.create(algorithm, "issuer").unwrap();
            let jwk = made.signer.jwk().clone();
            assert_eq!(jwk.algorithm(), algorithm);
            assert_eq!(jwk.kid(), jwk.thumbprint());
            signs(&*made.signer);
            drop(made.signer);

            assert!(made.reference.starts_with("pkcs11:object=issuer"));
            let uri: Pkcs11Uri = made.reference.parse().unwrap();
            assert_eq!(uri.to_string(), made.reference);
            assert!(uri.pin().is_none() && uri.module_path().is_none());
            let opened = backend.open(&made.reference, &jwk).unwrap();
            assert_eq!(opened.jwk(), &jwk);
            signs(&*opened);
        }
        let keys = hsm.token().keys().unwrap();
        assert_eq!(keys.len(), 6);
        assert!(keys.iter().all(|key| !key.is_extractable()));
        // Keys of one name are told apart.
        assert_eq!(keys.iter().filter(|key| key.label() == "issuer").count(), 1);
        let refused = backend.create(Algorithm::Es512, "issuer");
        assert!(said(refused).contains("use ES256"));
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn signers_use_the_token_as_the_options_say() {
    isolated(|hsm| {
        let opened = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&opened);
        let options = HsmOptions::new().on_event(move |event| {
            if matches!(event, Event::SessionOpened { .. }) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        let backend = backend(hsm).with_options(options);
        let made = backend.create(Algorithm::Es256, "issuer").unwrap();
        signs(&*made.signer);
        let after_one = opened.load(Ordering::SeqCst);
        assert!(after_one > 0);
        let other = backend.create(Algorithm::Es256, "issuer").unwrap();
        signs(&*other.signer);
        assert!(opened.load(Ordering::SeqCst) > after_one);
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn another_key_under_the_reference_is_neither_opened_nor_destroyed() {
    isolated(|hsm| {
        let backend = backend(hsm);
        let made = backend.create(Algorithm::Es256, "issuer").unwrap();
        let jwk = made.signer.jwk().clone();
        let wrong = backend.open(&made.reference, &other_key());
        assert!(said(wrong).contains("another key"));
        assert!(said(backend.destroy(&made.reference, &other_key())).contains("another key"));
        signs(&*backend.open(&made.reference, &jwk).unwrap());

        // A key that is there, and not where the reference says.
        let second = backend.create(Algorithm::Es256, "issuer").unwrap();
        let mixed_up = backend.destroy(&made.reference, second.signer.jwk());
        assert!(said(mixed_up).contains("another key"));
        assert_eq!(hsm.token().keys().unwrap().len(), 2);
        backend
            .destroy(&second.reference, second.signer.jwk())
            .unwrap();

        // Somebody puts another key under the same label and id.
        let uri: Pkcs11Uri = made.reference.parse().unwrap();
        let token = hsm.token();
        token.destroy(jwk.kid()).unwrap();
        token
            .generate(KeyPair::P256, uri.object().unwrap(), uri.id())
            .unwrap();
        assert!(said(backend.open(&made.reference, &jwk)).contains("another key"));
        assert!(said(backend.destroy(&made.reference, &jwk)).contains("another key"));
        assert_eq!(token.keys().unwrap().len(), 1);
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_key_is_destroyed_once_and_stays_gone() {
    isolated(|hsm| {
        let backend = backend(hsm);
        let kept = backend.create(Algorithm::Es256, "issuer").unwrap();
        let made = backend.create(Algorithm::Es256, "issuer").unwrap();
        let jwk = made.signer.jwk().clone();
        // As a replica does that still has it open.
        backend.destroy(&made.reference, &jwk).unwrap();
        backend.destroy(&made.reference, &jwk).unwrap();
        assert!(said(backend.open(&made.reference, &jwk)).contains("no private key"));
        let keys = hsm.token().keys().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].kid(), kept.signer.jwk().kid());
    });
}

/// Who is not logged in does not see keys, and must not take them for destroyed.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn without_a_pin_no_key_counts_as_destroyed() {
    isolated(|hsm| {
        let token = chancery_pkcs11::Token::builder(&hsm.module)
            .label(crate::support::LABEL)
            .open()
            .unwrap();
        let destroyed =
            TokenBackend::new(token).destroy("pkcs11:object=issuer;type=private", &other_key());
        assert!(said(destroyed).contains("no PIN was given"));
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_reference_names_a_key_and_nothing_else() {
    isolated(|hsm| {
        let backend = backend(hsm);
        for reference in [
            "",
            "0x1234",
            "pkcs11:",
            "pkcs11:type=private",
            "pkcs11:object=issuer",
            "pkcs11:object=issuer;type=public",
            "pkcs11:token=other;object=issuer;type=private",
            "pkcs11:object=issuer;type=private?pin-value=9876",
            "pkcs11:object=issuer;type=private?pin-value=9876&pin-value=9876",
            "pkcs11:object=issuer;type=private?module-path=/usr/lib/evil.so",
        ] {
            for said in [
                said(backend.open(reference, &other_key())),
                said(backend.destroy(reference, &other_key())),
            ] {
                assert!(said.contains("the reference"), "{reference}: {said}");
                assert!(!said.contains("9876"), "{said}");
            }
        }
    });
}
