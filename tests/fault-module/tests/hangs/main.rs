//! What is done on a token whose module hangs returns by its deadline, and goes on when it ends.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::rotation::KeyBackend as _;
use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_fault_module::{Effect, Faults, Function, SoftHsm, When};
use chancery_hsm::{HsmOptions, State};
use chancery_pkcs11::{KeyPair, Operation, Pin, Pkcs11Error, Token, TokenBackend};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use cryptoki_sys::CKR_DEVICE_ERROR;

// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../module/device.rs"]
mod device;
mod support;

use device::{in_own_process, objects, real};
use support::{
    DEADLINE, GRACE, at_rest, builder, builder_with, closes_all_sessions, closes_all_sessions_but,
    hang, in_time, inject, not_returned, open, said, signs,
};

#[test]
#[ignore = "needs SoftHSM"]
fn opening_a_token_returns_by_its_deadline() {
    in_own_process("opening_a_token_returns_by_its_deadline", || {
        let faults = Faults::load().unwrap();
        let without_pin = || Token::builder(Faults::path().unwrap()).label(SoftHsm::LABEL);
        // In an order in which each is called: the first starts the module, the last logs in.
        for function in [
            Function::Initialize,
            Function::GetSlotList,
            Function::GetTokenInfo,
            Function::OpenSession,
            Function::Login,
        ] {
            let fault = hang(&faults, function);
            let opened = in_time(|| builder().deadline(DEADLINE).open());
            not_returned(opened, Operation::OpenToken);
            assert!(fault.end() > 0);
            without_pin().open().unwrap();
        }
        builder().open().unwrap();
        assert_eq!(faults.overlaps(), 0);
    });
}

/// A library that hangs while it is loaded holds up whoever wants the same one, and nobody else.
#[test]
#[ignore = "needs SoftHSM"]
fn a_library_that_hangs_holds_up_no_other() {
    in_own_process("a_library_that_hangs_holds_up_no_other", || {
        let faults = Faults::load().unwrap();
        let fault = hang(&faults, Function::GetFunctionList);
        for _ in 0..2 {
            let opened = in_time(|| builder().deadline(DEADLINE).open());
            not_returned(opened, Operation::OpenToken);
        }
        assert_eq!(fault.injected(), 1);
        let other = Token::builder(SoftHsm::MODULE).label(SoftHsm::LABEL);
        let other = other.pin(Pin::new(SoftHsm::PIN)).deadline(DEADLINE);
        let other = in_time(|| other.open()).unwrap();
        assert_eq!(in_time(|| other.keys()).unwrap(), []);
        assert!(fault.end() > 0);
        builder().open().unwrap();
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn listing_keys_returns_by_its_deadline() {
    in_own_process("listing_keys_returns_by_its_deadline", || {
        let (faults, token) = open();
        let key = token.generate(KeyPair::P256, "key", None).unwrap();
        for function in [
            Function::GetSlotList,
            Function::OpenSession,
            Function::FindObjectsInit,
            Function::FindObjects,
            Function::GetAttributeValue,
            Function::Sign,
            Function::CloseSession,
        ] {
            let fault = hang(&faults, function);
            not_returned(in_time(|| token.keys()), Operation::ListKeys);
            not_returned(in_time(|| token.unusable_keys()), Operation::ListKeys);
            assert!(fault.end() > 0);
            assert_eq!(token.keys().unwrap(), std::slice::from_ref(&key));
        }
        closes_all_sessions(&faults);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn opening_a_signer_returns_by_the_deadline_of_its_token() {
    in_own_process(
        "opening_a_signer_returns_by_the_deadline_of_its_token",
        || {
            let (faults, token) = open();
            token.generate(KeyPair::P256, "key", None).unwrap();
            for function in [
                Function::OpenSession,
                Function::FindObjects,
                Function::SignInit,
                Function::Sign,
            ] {
                let fault = hang(&faults, function);
                let opened = in_time(|| token.signer().label("key").open());
                not_returned(opened, Operation::OpenSigner);
                assert!(fault.end() > 0);
                signs(&token.signer().label("key").open().unwrap());
            }
            let fault = hang(&faults, Function::FindObjects);
            let warnings = in_time(|| token.signer().label("key").warnings());
            not_returned(warnings, Operation::FindKey);
            assert!(fault.end() > 0);
            token.signer().label("key").warnings().unwrap();
            // The signers that nobody got are closed as well.
            closes_all_sessions(&faults);
        },
    );
}

/// The key may come to be when the module goes on, and is as good as others then.
#[test]
#[ignore = "needs SoftHSM"]
fn generating_a_key_returns_by_its_deadline() {
    in_own_process("generating_a_key_returns_by_its_deadline", || {
        let (faults, token) = open();
        let fault = hang(&faults, Function::GenerateKeyPair);
        let made = in_time(|| token.generate(KeyPair::P256, "key", None));
        assert!(said(&made).contains("list the keys before trying again"));
        not_returned(made, Operation::Generate);
        assert_eq!(objects(), 0);
        assert!(fault.end() > 0);
        closes_all_sessions(&faults);
        let keys = token.keys().unwrap();
        assert_eq!((keys.len(), objects()), (1, 2));
        signs(&token.signer().label("key").open().unwrap());
        token.destroy(keys[0].kid()).unwrap();
        // What hung before it came to that makes nothing any more.
        let fault = hang(&faults, Function::FindObjects);
        let made = in_time(|| token.generate(KeyPair::P256, "key", None));
        not_returned(made, Operation::Generate);
        assert!(fault.end() > 0);
        closes_all_sessions(&faults);
        assert_eq!(objects(), 0);
        token.generate(KeyPair::P256, "key", None).unwrap();
        assert_eq!(objects(), 2);
    });
}

/// Whoever was told that it had not returned may have tried again, under the same label and id.
/// Neither key is found alone by these any more, for which reason one would be destroyed again.
#[test]
#[ignore = "needs SoftHSM"]
fn a_generation_that_was_given_up_destroys_nothing() {
    in_own_process("a_generation_that_was_given_up_destroys_nothing", || {
        let (faults, token) = open();
        let function = Function::GenerateKeyPair;
        let fault = inject(&faults, function, Effect::Hang, When::Next(1));
        let made = in_time(|| token.generate(KeyPair::P256, "key", Some(&[1])));
        not_returned(made, Operation::Generate);
        let key = token.generate(KeyPair::P256, "key", Some(&[1])).unwrap();
        assert_eq!(fault.end(), 1);
        closes_all_sessions(&faults);
        let keys = token.keys().unwrap();
        assert!(keys.contains(&key), "{keys:?}");
        assert_eq!((keys.len(), objects()), (2, 4));
    });
}

/// Once the private half may be gone, the public one goes as well.
#[test]
#[ignore = "needs SoftHSM"]
fn destroying_a_key_returns_by_its_deadline() {
    in_own_process("destroying_a_key_returns_by_its_deadline", || {
        let (faults, token) = open();
        let kept = token.generate(KeyPair::P256, "kept", None).unwrap();
        let key = token.generate(KeyPair::P256, "key", None).unwrap();
        // What hung before it came to that destroys nothing any more.
        for function in [Function::OpenSession, Function::FindObjects, Function::Sign] {
            let fault = hang(&faults, function);
            not_returned(in_time(|| token.destroy(key.kid())), Operation::Destroy);
            assert!(fault.end() > 0);
            closes_all_sessions(&faults);
            assert_eq!(objects(), 4);
        }
        let fault = hang(&faults, Function::DestroyObject);
        let destroyed = in_time(|| token.destroy(key.kid()));
        assert!(said(&destroyed).contains("destroyed all the same"));
        not_returned(destroyed, Operation::Destroy);
        assert_eq!(objects(), 4);
        assert!(fault.end() > 0);
        closes_all_sessions(&faults);
        assert_eq!((token.keys().unwrap(), objects()), (vec![kept], 2));
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn a_keepers_calls_return_by_the_deadline_of_the_token() {
    in_own_process(
        "a_keepers_calls_return_by_the_deadline_of_the_token",
        || {
            let (faults, token) = open();
            let backend = TokenBackend::new(token);
            let key = backend.create(Algorithm::Es256, "key").unwrap();
            let jwk = key.signer.jwk();
            let operation = |error: &chancery_core::rotation::BackendError| {
                let cause = error.source()?.downcast_ref::<Pkcs11Error>()?;
                match cause {
                    Pkcs11Error::NotReturned { operation, .. } => Some(*operation),
                    _ => None,
                }
            };
            // The key is made and the deadline passes while it is opened.
            for function in [Function::GenerateKeyPair, Function::Sign] {
                let fault = hang(&faults, function);
                let error = in_time(|| backend.create(Algorithm::Es256, "next")).unwrap_err();
                assert_eq!(operation(&error), Some(Operation::Generate), "{error}");
                assert!(fault.end() > 0);
            }
            let fault = hang(&faults, Function::FindObjects);
            let error = in_time(|| backend.open(&key.reference, jwk)).unwrap_err();
            assert_eq!(operation(&error), Some(Operation::OpenSigner), "{error}");
            let error = in_time(|| backend.destroy(&key.reference, jwk)).unwrap_err();
            assert_eq!(operation(&error), Some(Operation::Destroy), "{error}");
            assert!(fault.end() > 0);
            backend.open(&key.reference, jwk).unwrap();
            backend.create(Algorithm::Es256, "next").unwrap();
            backend.destroy(&key.reference, jwk).unwrap();
        },
    );
}

/// Threads that a module keeps are bounded.
#[test]
#[ignore = "needs SoftHSM"]
fn no_more_than_eight_operations_hang() {
    in_own_process("no_more_than_eight_operations_hang", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let signer = token.signer().label("key").open().unwrap();
        at_rest(&signer);
        let fault = hang(&faults, Function::FindObjects);
        let not_begun = thread::scope(|scope| {
            let calls = [(); 20].map(|()| scope.spawn(|| in_time(|| token.keys())));
            let outcomes = calls.map(|call| call.join().unwrap());
            let not_begun = |outcome: &Result<_, _>| {
                matches!(
                    outcome,
                    Err(Pkcs11Error::NotBegun {
                        operation: Operation::ListKeys,
                        ..
                    })
                )
            };
            outcomes.iter().filter(|outcome| not_begun(outcome)).count()
        });
        assert_eq!((not_begun, fault.injected()), (12, 8));
        // From here on at once.
        let began = Instant::now();
        let refused = token.generate(KeyPair::P256, "other", None);
        assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
        let text = said(&refused);
        assert!(text.contains("8 of which have not returned"), "{text}");
        assert!(text.contains("the source of the PIN"), "{text}");
        assert!(matches!(refused, Err(Pkcs11Error::NotBegun { .. })));
        assert_eq!(fault.injected(), 8);
        // Those who sign are not concerned.
        signs(&signer);
        fault.end();
        closes_all_sessions_but(&faults, signer.health().sessions);
        // Many at once wait for each other.
        let token = builder().open().unwrap();
        thread::scope(|scope| {
            let calls = [(); 20].map(|()| scope.spawn(|| token.keys().unwrap().len()));
            assert_eq!(calls.map(|call| call.join().unwrap()), [1; 20]);
        });
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn signatures_go_on_beside_what_hangs() {
    in_own_process("signatures_go_on_beside_what_hangs", || {
        let (faults, token) = open();
        let doomed = token.generate(KeyPair::P256, "doomed", None).unwrap();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let signer = token.signer().label("key").open().unwrap();
        at_rest(&signer);
        for function in [
            Function::GetSlotList,
            Function::OpenSession,
            Function::FindObjects,
            Function::GetAttributeValue,
            Function::CloseSession,
            Function::GenerateKeyPair,
            Function::DestroyObject,
        ] {
            let fault = hang(&faults, function);
            let signed = thread::scope(|scope| {
                let hanging = scope.spawn(|| match function {
                    Function::GenerateKeyPair => {
                        in_time(|| token.generate(KeyPair::P256, "next", None)).map(drop)
                    }
                    Function::DestroyObject => in_time(|| token.destroy(doomed.kid())),
                    _ => in_time(|| token.keys()).map(drop),
                });
                let mut signed = 0;
                while !hanging.is_finished() {
                    in_time(|| signs(&signer));
                    assert_eq!(in_time(|| signer.health().state), State::Ready);
                    signed += 1;
                }
                assert!(matches!(
                    hanging.join().unwrap(),
                    Err(Pkcs11Error::NotReturned { .. })
                ));
                signed
            });
            println!("{signed} signatures beside {}", function.name());
            assert!(signed > 10, "{signed}");
            assert!(fault.end() > 0);
            closes_all_sessions_but(&faults, signer.health().sessions);
        }
    });
}

/// A restart has the module for itself, so that nobody is let in.
#[test]
#[ignore = "needs SoftHSM"]
fn a_restart_that_hangs_breaks_no_deadline() {
    in_own_process("a_restart_that_hangs_breaks_no_deadline", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let options = HsmOptions::new().with_deadline(DEADLINE);
        let signer = token.signer().label("key").options(options).open().unwrap();
        at_rest(&signer);
        // The last restart that the module had must not be too recent.
        thread::sleep(DEADLINE);
        let fault = hang(&faults, Function::Initialize);
        let failing = Effect::Return(CKR_DEVICE_ERROR);
        let failing = inject(&faults, Function::OpenSession, failing, When::Always);
        not_returned(in_time(|| token.keys()), Operation::ListKeys);
        assert_eq!((failing.end(), fault.injected()), (1, 1));
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        let error = in_time(|| signer.sign(&input)).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Timeout, "{error}");
        let began = Instant::now();
        assert!(signer.health().overdue > 0);
        assert!(began.elapsed() < GRACE);
        not_returned(in_time(|| token.keys()), Operation::ListKeys);
        let opened = in_time(|| builder().deadline(DEADLINE).open());
        not_returned(opened, Operation::OpenToken);
        assert_eq!(fault.end(), 1);
        // What waited for it is under way as well now, so it may take longer.
        let token = builder().open().unwrap();
        assert_eq!(token.keys().unwrap().len(), 1);
        at_rest(&signer);
        signs(&signer);
        assert_eq!(faults.overlaps(), 0);
    });
}

/// Whoever hangs in the login holds the lock of all logins to the token.
#[test]
#[ignore = "needs SoftHSM"]
fn a_login_that_hangs_breaks_no_deadline() {
    in_own_process("a_login_that_hangs_breaks_no_deadline", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let options = HsmOptions::new().with_deadline(DEADLINE);
        let signer = token.signer().label("key").options(options).open().unwrap();
        at_rest(&signer);
        let fault = hang(&faults, Function::Login);
        faults.close_sessions();
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        while fault.injected() == 0 {
            let _ = in_time(|| signer.sign(&input));
        }
        let error = in_time(|| signer.sign(&input)).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Timeout, "{error}");
        not_returned(in_time(|| token.keys()), Operation::ListKeys);
        let opened = in_time(|| builder().deadline(DEADLINE).open());
        not_returned(opened, Operation::OpenToken);
        // Nor does whoever is done with it wait.
        let began = Instant::now();
        drop(signer);
        assert!(began.elapsed() < Duration::from_secs(1) + GRACE);
        assert_eq!(fault.end(), 1);
        // What waited for it is under way as well now, so it may take longer.
        let token = builder().open().unwrap();
        assert_eq!(token.keys().unwrap().len(), 1);
        signs(&token.signer().label("key").open().unwrap());
        assert_eq!(faults.refused_logins(), 0);
    });
}

/// A PIN that never came to be tried was not refused, though the token has counted a wrong one.
#[test]
#[ignore = "needs SoftHSM"]
fn an_opening_that_was_given_up_refuses_no_pin() {
    in_own_process("an_opening_that_was_given_up_refuses_no_pin", || {
        let faults = Faults::load().unwrap();
        let without_pin = Token::builder(Faults::path().unwrap()).label(SoftHsm::LABEL);
        without_pin.open().unwrap();
        let real = real();
        let slot = real.get_slots_with_initialized_token().unwrap()[0];
        let session = real.open_ro_session(slot).unwrap();
        let wrong = AuthPin::from("4321");
        session.login(UserType::User, Some(&wrong)).unwrap_err();
        assert!(real.get_token_info(slot).unwrap().user_pin_count_low());
        let fault = hang(&faults, Function::OpenSession);
        let opened = in_time(|| builder().deadline(DEADLINE).open());
        not_returned(opened, Operation::OpenToken);
        assert!(fault.end() > 0);
        closes_all_sessions(&faults);
        builder().open().unwrap();
        assert_eq!(faults.refused_logins(), 0);
    });
}

/// Nobody who drops something waits for the module longer than for its workers.
#[test]
#[ignore = "needs SoftHSM"]
fn what_is_dropped_waits_for_no_module() {
    in_own_process("what_is_dropped_waits_for_no_module", || {
        let (faults, token) = open();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let builder = token.signer().label("key");
        let signer = token.signer().label("key").open().unwrap();
        at_rest(&signer);
        let fault = hang(&faults, Function::CloseSession);
        let began = Instant::now();
        drop(signer);
        assert!(began.elapsed() < Duration::from_secs(1) + GRACE);
        assert!(fault.injected() > 0);
        let began = Instant::now();
        drop((builder, token));
        assert!(began.elapsed() < GRACE);
        fault.end();
        closes_all_sessions(&faults);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn a_pin_that_takes_too_long_or_panics_is_the_callers_to_know() {
    in_own_process(
        "a_pin_that_takes_too_long_or_panics_is_the_callers_to_know",
        || {
            let with = |pin| builder_with(pin).deadline(DEADLINE).open();
            let (release, released) = mpsc::channel::<()>();
            let released = std::sync::Mutex::new(released);
            let slow = Pin::callback(move || {
                released.lock().unwrap().recv().unwrap();
                Ok(SoftHsm::PIN.to_owned())
            });
            not_returned(in_time(|| with(slow)), Operation::OpenToken);
            release.send(()).unwrap();
            let panicking = Pin::callback(|| panic!("no PIN today"));
            let panicked = catch_unwind(AssertUnwindSafe(|| with(panicking))).unwrap_err();
            assert_eq!(panicked.downcast_ref(), Some(&"no PIN today"));
            // One that opens the token itself does so by the deadline of the whole.
            let itself = Pin::callback(|| {
                builder().deadline(Duration::ZERO).open()?;
                Ok(SoftHsm::PIN.to_owned())
            });
            with(itself).unwrap();
        },
    );
}
