//! Each fault is seen to happen, through bare `cryptoki` over SoftHSM.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_fault_module::{Effect, Function, SoftHsm, When};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::AttributeType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Limit;
use cryptoki::types::AuthPin;
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_PIN_LOCKED};

// The other tests use the rest of it.
#[allow(dead_code)]
mod device;

use device::{
    DIGEST, Device, OTHER_DIGEST, Outcome, find, generate, in_own_process, initialize, real,
};

#[test]
#[ignore = "needs SoftHSM"]
fn passes_calls_on() {
    in_own_process("passes_calls_on", || {
        let device = Device::new();
        let signature = device.sign(&DIGEST).unwrap();
        assert!(device.verifies(&DIGEST, &signature));
        assert_eq!(device.faults.calls(Function::SignInit), 1);
        assert_eq!(device.faults.calls(Function::Login), 1);
        assert_eq!(device.faults.failures(Function::Login), 0);
        // cryptoki asks for the length first.
        assert_eq!(device.faults.calls(Function::Sign), 2);
        assert_eq!(device.faults.overlaps(), 0);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn returns_codes_when_asked_to() {
    in_own_process("returns_codes_when_asked_to", || {
        let device = Device::new();
        let removed = Effect::Return(CKR_DEVICE_REMOVED);
        let sign = || device.sign(&DIGEST).is_ok();
        let outcomes = |count: usize| (0..count).map(|_| sign()).collect::<Vec<_>>();

        let fault = device.inject(Function::SignInit, removed, When::Always);
        let error = device.sign(&DIGEST).unwrap_err();
        assert!(matches!(error, Error::Pkcs11(RvError::DeviceRemoved, _)));
        assert_eq!(outcomes(3), [false; 3]);
        assert_eq!(fault.end(), 4);
        assert!(sign());

        let fault = device.inject(Function::SignInit, removed, When::Next(2));
        assert_eq!(outcomes(4), [false, false, true, true]);
        assert_eq!(fault.end(), 2);

        let fault = device.inject(Function::SignInit, removed, When::Every(3));
        assert_eq!(outcomes(6), [true, true, false, true, true, false]);
        assert_eq!(fault.end(), 2);

        let within = When::within(Duration::from_millis(50));
        let fault = device.inject(Function::SignInit, removed, within);
        assert_eq!(outcomes(2), [false; 2]);
        thread::sleep(Duration::from_millis(60));
        assert_eq!(outcomes(2), [true; 2]);
        assert_eq!(fault.end(), 2);

        drop(device.inject(Function::SignInit, removed, When::Always));
        assert!(sign());
        assert_eq!(device.faults.failures(Function::SignInit), 4 + 2 + 2 + 2);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn returns_codes_from_every_function() {
    in_own_process("returns_codes_from_every_function", || {
        let device = Device::new();
        let Device { pkcs11, slot, .. } = &device;
        let (pkcs11, slot) = (pkcs11, *slot);
        let open = || pkcs11.open_rw_session(slot).unwrap();
        let pin = AuthPin::from(SoftHsm::PIN);
        // In an order in which each also works.
        let calls: &[(Function, &dyn Fn() -> Outcome)] = &[
            (Function::GetInfo, &|| pkcs11.get_library_info().map(drop)),
            (Function::GetSlotList, &|| pkcs11.get_all_slots().map(drop)),
            (Function::GetSlotInfo, &|| {
                pkcs11.get_slot_info(slot).map(drop)
            }),
            (Function::GetTokenInfo, &|| {
                pkcs11.get_token_info(slot).map(drop)
            }),
            (Function::GetMechanismList, &|| {
                pkcs11.get_mechanism_list(slot).map(drop)
            }),
            (Function::OpenSession, &|| {
                pkcs11.open_ro_session(slot).map(drop)
            }),
            (Function::CloseSession, &|| open().close()),
            (Function::GetSessionInfo, &|| {
                open().get_session_info().map(drop)
            }),
            (Function::GetAttributeValue, &|| {
                open()
                    .get_attributes(device.public_key, &[AttributeType::EcPoint])
                    .map(drop)
            }),
            (Function::FindObjectsInit, &|| find(&open(), 1).map(drop)),
            (Function::FindObjects, &|| find(&open(), 1).map(drop)),
            (Function::GenerateKeyPair, &|| {
                generate(&open(), 2).map(drop)
            }),
            (Function::DestroyObject, &|| {
                let key = generate(&open(), 3).unwrap().1;
                open().destroy_object(key)
            }),
            (Function::SignInit, &|| device.sign_with(&open()).map(drop)),
            (Function::Sign, &|| device.sign_with(&open()).map(drop)),
            (Function::Logout, &|| open().logout()),
            (Function::Login, &|| {
                open().login(UserType::User, Some(&pin))
            }),
            (Function::Finalize, &|| pkcs11.clone().finalize()),
            (Function::Initialize, &|| initialize(pkcs11)),
        ];
        // cryptoki says nothing when this one fails, but the search stays open.
        let session = open();
        let effect = Effect::Return(CKR_DEVICE_ERROR);
        let fault = device.inject(Function::FindObjectsFinal, effect, When::Next(1));
        assert!(find(&session, 1).is_ok());
        assert!(find(&session, 1).is_err());
        assert_eq!(fault.end(), 1);

        for (function, call) in calls {
            let failures = device.faults.failures(*function);
            let fault = device.inject(*function, effect, When::Next(1));
            let error = call().expect_err(&format!("{function:?} with the fault"));
            assert!(
                matches!(error, Error::Pkcs11(RvError::DeviceError, _)),
                "{error}"
            );
            assert_eq!(fault.end(), 1, "{function:?}");
            assert_eq!(device.faults.failures(*function), failures + 1);
            call().unwrap_or_else(|error| panic!("{function:?} without the fault: {error}"));
        }
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn works_and_fails_all_the_same() {
    in_own_process("works_and_fails_all_the_same", || {
        let device = Device::new();
        device.session.logout().unwrap();
        let effect = Effect::DoButReturn(CKR_DEVICE_ERROR);
        let fault = device.inject(Function::Login, effect, When::Always);
        let pin = AuthPin::from(SoftHsm::PIN);
        let error = device
            .session
            .login(UserType::User, Some(&pin))
            .unwrap_err();
        assert!(matches!(error, Error::Pkcs11(RvError::DeviceError, _)));
        assert_eq!(fault.end(), 1);
        // It is logged in, so the key is there, under whatever handle.
        let key = device.find(1)[0];
        device
            .session
            .sign(&Mechanism::Ecdsa, key, &DIGEST)
            .unwrap();
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn delays_and_hangs() {
    in_own_process("delays_and_hangs", || {
        let device = Device::new();
        let delay = Duration::from_millis(40);
        let fault = device.inject(Function::SignInit, Effect::delay(delay), When::Always);
        let start = Instant::now();
        device.sign(&DIGEST).unwrap();
        assert!(start.elapsed() >= delay);
        assert_eq!(fault.end(), 1);

        let fault = device.inject(Function::SignInit, Effect::Hang, When::Next(1));
        let (signed, outcome) = mpsc::channel();
        let session = device.login();
        let key = device.key;
        thread::scope(|scope| {
            scope.spawn(move || {
                let signature = session.sign(&Mechanism::Ecdsa, key, &DIGEST);
                signed.send(signature.is_ok()).unwrap();
            });
            while fault.injected() == 0 {
                thread::yield_now();
            }
            // Another session is free to go on.
            device.sign(&DIGEST).unwrap();
            let waited = outcome.recv_timeout(Duration::from_millis(100));
            assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout));
            assert_eq!(fault.end(), 1);
            let soon = Duration::from_secs(5);
            assert_eq!(outcome.recv_timeout(soon), Ok(true));
        });

        let within = When::within(Duration::from_millis(50));
        let fault = device.inject(Function::SignInit, Effect::Hang, within);
        let start = Instant::now();
        device.sign(&DIGEST).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(40));
        assert_eq!(fault.end(), 1);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn spoils_signatures() {
    in_own_process("spoils_signatures", || {
        let device = Device::new();
        let before = device.sign(&OTHER_DIGEST).unwrap();
        let spoiled = |effect| {
            let fault = device.inject(Function::Sign, effect, When::Next(1));
            let signature = device.sign(&DIGEST).unwrap();
            assert_eq!(fault.end(), 1, "{effect:?}");
            assert!(!device.verifies(&DIGEST, &signature), "{effect:?}");
            assert!(device.verifies(&DIGEST, &device.sign(&DIGEST).unwrap()));
            signature
        };
        assert_eq!(spoiled(Effect::FlipBit).len(), 64);
        assert_eq!(spoiled(Effect::Shorten(1)).len(), 63);
        assert_eq!(spoiled(Effect::Shorten(64)).len(), 0);
        assert_eq!(spoiled(Effect::Lengthen(8)).len(), 72);
        assert_eq!(spoiled(Effect::Random).len(), 64);
        assert!(device.verifies(&OTHER_DIGEST, &before));
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn flips_another_bit_each_time() {
    in_own_process("flips_another_bit_each_time", || {
        let device = Device::new();
        let fault = device.inject(Function::Sign, Effect::FlipBit, When::Always);
        for _ in 0..512 {
            let signature = device.sign(&DIGEST).unwrap();
            assert!(!device.verifies(&DIGEST, &signature));
        }
        assert_eq!(fault.end(), 512);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn replays_an_earlier_signature() {
    in_own_process("replays_an_earlier_signature", || {
        let device = Device::new();
        let fault = device.inject(Function::Sign, Effect::Replay, When::Always);
        let first = device.sign(&DIGEST).unwrap();
        assert!(device.verifies(&DIGEST, &first));
        let second = device.sign(&OTHER_DIGEST).unwrap();
        assert_eq!(second, first);
        assert!(!device.verifies(&OTHER_DIGEST, &second));
        assert_eq!(fault.end(), 2);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn takes_another_key() {
    in_own_process("takes_another_key", || {
        let device = Device::new();
        generate(&device.session, 2).unwrap();
        let other = device.find(2);
        assert_ne!(other, [device.key]);

        let fault = device.inject(Function::SignInit, Effect::OtherKey(2), When::Next(1));
        let signature = device.sign(&DIGEST).unwrap();
        assert_eq!(fault.end(), 1);
        assert!(!device.verifies(&DIGEST, &signature));

        let effect = Effect::OtherKey(2);
        let fault = device.inject(Function::FindObjectsInit, effect, When::Always);
        assert_eq!(device.find(1), other);
        assert_eq!(fault.end(), 1);
        assert_eq!(device.find(1), [device.key]);

        let nothing = Effect::FindNothing;
        let fault = device.inject(Function::FindObjects, nothing, When::Always);
        assert_eq!(device.find(1), []);
        assert_eq!(fault.end(), 1);
        let fault = device.inject(Function::GetSlotList, nothing, When::Always);
        assert_eq!(device.pkcs11.get_all_slots().unwrap(), []);
        assert!(fault.end() > 0);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn limits_sessions() {
    in_own_process("limits_sessions", || {
        let device = Device::new();
        let limit = Effect::SessionLimit(3);
        let fault = device.inject(Function::OpenSession, limit, When::Always);
        let open = || device.pkcs11.open_ro_session(device.slot);
        let second = open().unwrap();
        let third = open().unwrap();
        let error = open().unwrap_err();
        assert!(matches!(error, Error::Pkcs11(RvError::SessionCount, _)));
        drop(second);
        let fourth = open().unwrap();
        assert!(open().is_err());
        assert_eq!(device.faults.open_sessions(), 3);
        // Sessions that somebody else closed don't count.
        device.faults.close_sessions();
        assert_eq!(device.faults.open_sessions(), 0);
        assert!(device.session.get_session_info().is_err());
        open().unwrap().close().unwrap();
        assert_eq!(fault.end(), 2);
        // The token tells of it when it is to.
        let token = || device.pkcs11.get_token_info(device.slot).unwrap();
        let told = device.inject(Function::GetTokenInfo, limit, When::Always);
        assert!(matches!(token().max_session_count(), Limit::Max(3)));
        assert_eq!(token().session_count(), Some(0));
        assert_eq!(told.end(), 2);
        assert!(!matches!(token().max_session_count(), Limit::Max(3)));
        drop((third, fourth));
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn counts_logins_after_a_refusal() {
    in_own_process("counts_logins_after_a_refusal", || {
        let device = Device::new();
        device.session.logout().unwrap();
        let login = |pin: &str| {
            let pin = AuthPin::from(pin);
            device.session.login(UserType::User, Some(&pin)).is_ok()
        };
        assert!(!login("wrong"));
        assert_eq!(device.faults.refused_logins(), 1);
        assert_eq!(device.faults.logins_after_refusal(), 0);
        assert!(login(SoftHsm::PIN));
        assert_eq!(device.faults.logins_after_refusal(), 1);
        let locked = Effect::Return(CKR_PIN_LOCKED);
        let fault = device.inject(Function::Login, locked, When::Always);
        assert!(!login(SoftHsm::PIN));
        assert_eq!(fault.end(), 1);
        assert_eq!(device.faults.refused_logins(), 2);
        assert_eq!(device.faults.logins_after_refusal(), 2);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn sees_calls_during_finalize() {
    in_own_process("sees_calls_during_finalize", || {
        let device = Device::new();
        let fault = device.inject(Function::Finalize, Effect::Hang, When::Always);
        thread::scope(|scope| {
            scope.spawn(|| device.pkcs11.clone().finalize().unwrap());
            while fault.injected() == 0 {
                thread::yield_now();
            }
            assert_eq!(device.faults.overlaps(), 0);
            let _ = device.session.get_session_info();
            assert_eq!(device.faults.overlaps(), 1);
            drop(fault);
        });
        initialize(&device.pkcs11).unwrap();
        assert_eq!(device.faults.overlaps(), 1);

        // The other way round: a call is under way when it is finalized.
        let fault = device.inject(Function::GetSlotList, Effect::Hang, When::Always);
        thread::scope(|scope| {
            scope.spawn(|| device.pkcs11.get_all_slots().is_ok());
            while fault.injected() == 0 {
                thread::yield_now();
            }
            device.pkcs11.clone().finalize().unwrap();
            assert_eq!(device.faults.overlaps(), 2);
            drop(fault);
        });
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn lets_somebody_else_act_between_calls() {
    in_own_process("lets_somebody_else_act_between_calls", || {
        let device = Device::new();
        let (start, started) = mpsc::channel();
        let session = device.login();
        thread::scope(|scope| {
            scope.spawn(move || {
                started.recv().unwrap();
                // Waits until the other is done.
                let error = session.get_session_info().unwrap_err();
                assert!(matches!(
                    error,
                    Error::Pkcs11(RvError::CryptokiNotInitialized, _)
                ));
            });
            device.faults.alone(|| {
                start.send(()).unwrap();
                thread::sleep(Duration::from_millis(50));
                real().finalize().unwrap();
            });
        });
        assert_eq!(device.faults.overlaps(), 0);
        assert_eq!(device.faults.calls(Function::Finalize), 0);
    });
}

#[test]
#[ignore = "needs SoftHSM"]
fn has_the_latency_of_a_device() {
    in_own_process("has_the_latency_of_a_device", || {
        const CALLS: u32 = 25;
        let latency = Duration::from_millis(20);
        let device = Device::new();
        device.faults.set_latency(latency);
        let sign = |session: &Session| {
            for _ in 0..CALLS {
                session
                    .sign(&Mechanism::Ecdsa, device.key, &DIGEST)
                    .unwrap();
            }
        };
        let sessions = [device.login(), device.login(), device.login()];
        let start = Instant::now();
        thread::scope(|scope| {
            for session in sessions {
                scope.spawn(move || sign(&session));
            }
        });
        let one = latency * CALLS;
        let taken = start.elapsed();
        assert!((one..one * 2).contains(&taken), "{taken:?}");
        device.faults.set_latency(Duration::ZERO);
        let start = Instant::now();
        device.sign(&DIGEST).unwrap();
        assert!(start.elapsed() < latency);
    });
}
