//! Listing, opening, making and destroying keys on a token that errs or lies.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{Signer as _, SigningInput};
use chancery_fault_module::{Effect, Fault, Faults, Function, Injection, SoftHsm, When};
use chancery_pkcs11::{KeyPair, Pin, Pkcs11Error, Token};
use cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_HOST_MEMORY, CKR_MECHANISM_INVALID,
    CKR_SESSION_HANDLE_INVALID,
};

// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../module/device.rs"]
mod device;

use device::{in_own_process, objects};

/// What a token may say after it has done what it was asked for.
const UNTRUE: [u64; 4] = [
    CKR_DEVICE_ERROR,
    CKR_GENERAL_ERROR,
    CKR_HOST_MEMORY,
    CKR_SESSION_HANDLE_INVALID,
];

#[test]
#[ignore = "needs SoftHSM"]
fn a_key_that_was_made_whatever_the_token_said_is_kept() {
    in_own_process(
        "a_key_that_was_made_whatever_the_token_said_is_kept",
        || {
            let (faults, token) = open();
            for key_pair in [KeyPair::P256, KeyPair::Ed25519] {
                for code in UNTRUE {
                    let effect = Effect::DoButReturn(code);
                    let fault = inject(&faults, Function::GenerateKeyPair, effect, When::Next(1));
                    let key = token.generate(key_pair, "key", None);
                    assert_eq!(fault.end(), 1);
                    let key = key.unwrap_or_else(|error| panic!("{code:#x}: {error}"));
                    assert_eq!(token.keys().unwrap(), std::slice::from_ref(&key));
                    assert_eq!(objects(), 2, "{code:#x}");
                    token.destroy(key.kid()).unwrap();
                }
            }
        },
    );
}

#[test]
#[ignore = "needs SoftHSM"]
fn a_key_that_was_not_made_leaves_nothing() {
    in_own_process("a_key_that_was_not_made_leaves_nothing", || {
        let (faults, token) = open();
        for code in UNTRUE {
            let effect = Effect::Return(code);
            let fault = inject(&faults, Function::GenerateKeyPair, effect, When::Always);
            let made = token.generate(KeyPair::P256, "key", Some(&[1]));
            assert!(matches!(made, Err(Pkcs11Error::Module(_))), "{made:?}");
            assert!(fault.end() > 0);
            assert_eq!(objects(), 0);
            // Made, but never found to be safe.
            let effect = Effect::Return(code);
            let fault = inject(&faults, Function::SignInit, effect, When::Always);
            let made = token.generate(KeyPair::P256, "key", Some(&[1]));
            let Err(Pkcs11Error::Generated { left_behind, .. }) = made else {
                panic!("{made:?}");
            };
            assert!(fault.end() > 0);
            assert_eq!((left_behind.len(), objects()), (0, 0));
        }
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn a_key_that_was_destroyed_whatever_the_token_said_is_gone() {
    in_own_process(
        "a_key_that_was_destroyed_whatever_the_token_said_is_gone",
        || {
            let (faults, token) = open();
            token.generate(KeyPair::P256, "kept", None).unwrap();
            // The private half, and both.
            for calls in [1, 2] {
                for code in UNTRUE {
                    let key = token.generate(KeyPair::P256, "key", None).unwrap();
                    let effect = Effect::DoButReturn(code);
                    let when = When::Next(calls);
                    let fault = inject(&faults, Function::DestroyObject, effect, when);
                    let destroyed = token.destroy(key.kid());
                    assert!(fault.end() > 0);
                    destroyed.unwrap_or_else(|error| panic!("{code:#x}: {error}"));
                    assert_eq!(objects(), 2, "{code:#x}");
                }
            }
        },
    );
}

/// The session that a key was made in may be lost before the key is looked at.
#[test]
#[ignore = "needs SoftHSM"]
fn a_key_is_checked_in_another_session_when_the_first_is_lost() {
    in_own_process(
        "a_key_is_checked_in_another_session_when_the_first_is_lost",
        || {
            let (faults, token) = open();
            let lost = Effect::Return(CKR_SESSION_HANDLE_INVALID);
            // No attribute of an empty token is read before.
            let fault = inject(&faults, Function::GetAttributeValue, lost, When::Next(1));
            let key = token.generate(KeyPair::P256, "key", None).unwrap();
            assert_eq!(fault.end(), 1);
            assert_eq!(token.keys().unwrap(), [key]);
        },
    );
}

/// A restart takes the module from all signers, and a code that may mean anything is no reason.
#[test]
#[ignore = "needs SoftHSM"]
fn an_error_about_an_object_restarts_nothing() {
    in_own_process("an_error_about_an_object_restarts_nothing", || {
        let (faults, token) = open();
        let key = token.generate(KeyPair::P256, "key", None).unwrap();
        let signer = token.signer().label("key").open().unwrap();
        // A worker that is still opening its session would meet the fault instead of the listing.
        while signer.health().sessions < signer.health().workers {
            thread::sleep(Duration::from_millis(1));
        }
        for (code, is_repeated) in [
            (CKR_GENERAL_ERROR, false),
            (CKR_SESSION_HANDLE_INVALID, true),
        ] {
            let effect = Effect::Return(code);
            let fault = inject(&faults, Function::FindObjectsInit, effect, When::Next(1));
            let keys = token.keys();
            assert_eq!(fault.end(), 1);
            assert_eq!(keys.is_ok(), is_repeated, "{keys:?}");
            assert_eq!(faults.calls(Function::Finalize), 0, "{code:#x}");
        }
        let effect = Effect::Return(CKR_DEVICE_ERROR);
        let fault = inject(&faults, Function::FindObjectsInit, effect, When::Next(1));
        assert_eq!(token.keys().unwrap(), [key]);
        assert_eq!(fault.end(), 1);
        assert_eq!(faults.calls(Function::Finalize), 1);
        drop(signer);
    });
}

/// The module finds another key than the one that was asked for.
#[test]
#[ignore = "needs SoftHSM"]
fn a_key_of_another_label_or_id_is_not_opened() {
    in_own_process("a_key_of_another_label_or_id_is_not_opened", || {
        let (faults, token) = open();
        let rsa = KeyPair::Rsa { bits: 2048 };
        token.generate(rsa, "one", Some(&[1])).unwrap();
        let two = token.generate(rsa, "two", Some(&[2])).unwrap();
        let other = Effect::OtherKey(2);
        let fault = inject(&faults, Function::FindObjectsInit, other, When::Always);
        for signer in [token.signer().label("one"), token.signer().id(&[1])] {
            let opened = signer.open();
            assert!(
                matches!(opened, Err(Pkcs11Error::NoKey { .. })),
                "{opened:?}"
            );
        }
        let opened = token.signer().label("two").id(&[2]).open().unwrap();
        assert_eq!(opened.jwk().kid(), two.kid());
        drop(opened);
        assert!(fault.end() > 0);
    });
}

/// A device that no key signs on is away; keys that do not sign on one that is there are of no use.
#[test]
#[ignore = "needs SoftHSM"]
fn a_device_that_is_away_is_no_empty_token() {
    in_own_process("a_device_that_is_away_is_no_empty_token", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let effect = Effect::Return(CKR_DEVICE_ERROR);
        let fault = inject(&faults, Function::SignInit, effect, When::Always);
        let keys = token.keys();
        assert!(
            matches!(keys, Err(Pkcs11Error::SelfTest { .. })),
            "{keys:?}"
        );
        assert!(fault.end() > 0);
        assert_eq!(token.keys().unwrap().len(), 1);
    });
}

/// SoftHSM has one way to sign with a key on a curve. That it lacks the other says nothing of a key
/// whose device was away for a moment.
#[test]
#[ignore = "needs SoftHSM"]
fn a_device_that_is_away_for_one_signature_makes_no_key_useless() {
    in_own_process(
        "a_device_that_is_away_for_one_signature_makes_no_key_useless",
        || {
            let (faults, token) = open();
            token.generate(KeyPair::P256, "key", None).unwrap();
            let effect = Effect::Return(CKR_DEVICE_ERROR);
            let fault = inject(&faults, Function::Sign, effect, When::Next(1));
            let signer = token.signer().label("key").open();
            assert_eq!(fault.end(), 1);
            signer.unwrap();
        },
    );
}

#[test]
#[ignore = "needs SoftHSM"]
fn what_the_first_way_refuses_is_signed_in_the_second() {
    in_own_process("what_the_first_way_refuses_is_signed_in_the_second", || {
        let (faults, token) = open();
        let rsa = KeyPair::Rsa { bits: 2048 };
        token.generate(rsa, "key", None).unwrap();
        let effect = Effect::Return(CKR_MECHANISM_INVALID);
        let fault = inject(&faults, Function::SignInit, effect, When::Next(1));
        let signer = token.signer().label("key").open().unwrap();
        assert_eq!(fault.end(), 1);
        assert_eq!(faults.calls(Function::Finalize), 0);
        let input = SigningInput::new(signer.jwk().algorithm(), b"header.payload");
        // Verified before it is released.
        signer.sign(&input).unwrap();
    });
}

/// Workers take no more sessions than leave room for a rotation beside them.
#[test]
#[ignore = "needs SoftHSM"]
fn a_token_of_few_sessions_has_some_left_for_its_keys() {
    in_own_process("a_token_of_few_sessions_has_some_left_for_its_keys", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let limit = Effect::SessionLimit(6);
        let told = inject(&faults, Function::GetTokenInfo, limit, When::Always);
        let held = inject(&faults, Function::OpenSession, limit, When::Always);
        let signer = token.signer().label("key").open().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while signer.health().sessions < signer.health().workers {
            assert!(Instant::now() < until, "{:?}", signer.health());
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(signer.health().workers, 3);
        let next = token.generate(KeyPair::P256, "next", None).unwrap();
        assert_eq!(token.keys().unwrap().len(), 2);
        token.destroy(next.kid()).unwrap();
        assert_eq!(signer.health().last_error, None);
        // It never came to that.
        assert_eq!((told.end() > 0, held.end()), (true, 0));
    });
}

fn open() -> (Faults, Token) {
    let token = Token::builder(Faults::path().unwrap())
        .label(SoftHsm::LABEL)
        .pin(Pin::new(SoftHsm::PIN))
        .open()
        .unwrap();
    (Faults::load().unwrap(), token)
}

fn inject(faults: &Faults, function: Function, effect: Effect, when: When) -> Injection {
    faults.inject(Fault {
        function,
        effect,
        when,
    })
}
