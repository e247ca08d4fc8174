//! Sessions are closed, given up, replaced, and not tried with a wrong password again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::{HsmOptions, State};
use chancery_yubihsm::{NewKey, Password, YubiHsm, YubiHsmError};
use chancery_yubihsm_tests::{Backend as _, Fault, SimulatedDevice, capability};

use crate::support::{Rig, sign_and_verify};

#[test]
fn a_wrong_password_is_tried_once_and_leaves_no_session() {
    let rig = Rig::new(SimulatedDevice::new());
    for _ in 0..20 {
        let error = rig.open_as(1, "wrong").unwrap_err();
        assert!(
            matches!(
                error,
                YubiHsmError::WrongPassword {
                    authentication_key: 1
                }
            ),
            "{error}"
        );
    }
    assert_eq!(rig.backend.sessions(), 0);
    assert_eq!(rig.backend.failed_authentications(), 20);
    rig.open();
}

#[test]
fn an_authentication_key_that_is_not_there_is_named() {
    let rig = Rig::new(SimulatedDevice::new());
    let error = rig.open_as(99, "password").unwrap_err();
    assert_eq!(error.to_string(), "the device has no authentication key 99");
}

/// A password that is changed under a running signer is tried a few times, since damaged answers
/// look the same; then no more, by any signer or method.
#[test]
fn a_changed_password_latches() {
    let rig = Rig::new(SimulatedDevice::new());
    rig.backend
        .put_authentication_key(2, "before", capability::ALL, u16::MAX);
    let device = rig.open_as(2, "before").unwrap();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let signer = device.signer().open().unwrap();
    rig.wait_for_sessions(2);
    rig.backend
        .put_authentication_key(2, "after", capability::ALL, u16::MAX);
    rig.backend.power_cycle();

    let error = signer
        .sign(&SigningInput::new(Algorithm::Es256, b"a.b"))
        .unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::WrongPin, "{error}");
    assert_eq!(signer.health().state, State::Latched);
    assert_eq!(rig.backend.failed_authentications(), 8);
    assert!(matches!(
        device.keys(),
        Err(YubiHsmError::WrongPassword { .. })
    ));
    assert!(matches!(
        device.signer().open(),
        Err(YubiHsmError::WrongPassword { .. })
    ));
    assert_eq!(rig.backend.failed_authentications(), 8);
    assert_eq!(rig.backend.sessions(), 0);
}

#[test]
fn a_damaged_handshake_is_no_wrong_password() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let signer = device.signer().open().unwrap();
    rig.wait_for_sessions(2);
    rig.backend.power_cycle();
    rig.proxy.inject_into_creation(Fault::FlipMiddle, 5);
    sign_and_verify(&signer, b"header.payload");
    assert_eq!(rig.proxy.hits(), 5);
    // None of the sessions that were created in vain is left.
    rig.wait_for_sessions(2);
    assert_eq!(signer.health().state, State::Ready);
}

#[test]
fn sessions_are_closed_when_the_answer_was_lost() {
    for fault in [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
        Fault::Truncate,
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::FlipLast,
        Fault::FlipLength,
        Fault::FlipRequest,
        Fault::FlipCode,
        Fault::Garbage,
        Fault::Replay,
        Fault::Split,
    ] {
        let rig = Rig::new(SimulatedDevice::new());
        let device = rig.open();
        device
            .generate(Algorithm::Es256, &NewKey::new("key"))
            .unwrap();
        // The messages of a signer in turn: handshakes, questions, signatures, closing.
        for message in 0..12 {
            let hits = rig.proxy.hits();
            rig.proxy.inject_after(fault, message);
            if let Ok(signer) = device.signer().options(one_worker()).open() {
                sign_and_verify(&signer, b"header.payload");
                sign_and_verify(&signer, b"header.payload");
            }
            assert_eq!(rig.proxy.hits(), hits + 1, "{fault:?} {message}");
            // Nobody knows the number of a session whose creation was not answered.
            let is_unknown = rig.proxy.last_hit() == 3
                && !matches!(
                    fault,
                    Fault::CutBefore
                        | Fault::ErrorBefore
                        | Fault::Garbage
                        | Fault::FlipLast
                        | Fault::FlipRequest
                        | Fault::FlipCode
                );
            rig.wait_for_sessions(usize::from(is_unknown));
            rig.backend.power_cycle();
        }
    }
}

fn one_worker() -> HsmOptions {
    HsmOptions::new().with_workers(NonZeroUsize::MIN)
}

#[test]
fn a_full_audit_log_says_what_to_do() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    rig.backend.force_audit(58);
    let options = one_worker().with_deadline(Duration::from_millis(400));
    let signer = device.signer().options(options).open().unwrap();
    for _ in 0..3 {
        sign_and_verify(&signer, b"header.payload");
    }
    let error = signer
        .sign(&SigningInput::new(Algorithm::Es256, b"a.b"))
        .unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Unavailable);
    assert!(
        error
            .to_string()
            .contains("audit log of the device is full"),
        "{error}"
    );
    assert!(error.to_string().contains("set the log index"), "{error}");
    // It is not cleared from here, however often somebody asks.
    assert!(
        signer
            .sign(&SigningInput::new(Algorithm::Es256, b"a.b"))
            .is_err()
    );
    rig.backend.force_audit(0);
    sign_and_verify(&signer, b"header.payload");
}

/// A device whose log is full opens sessions, and closes none.
#[test]
fn a_full_audit_log_leaves_sessions_to_whoever_empties_it() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let options = HsmOptions::new()
        .with_workers(NonZeroUsize::new(2).unwrap())
        .with_deadline(Duration::from_secs(1));
    let signer = device.signer().options(options).open().unwrap();
    rig.wait_for_sessions(2);
    rig.backend.force_audit(62);
    for _ in 0..6 {
        let error = signer
            .sign(&SigningInput::new(Algorithm::Es256, b"a.b"))
            .unwrap_err();
        assert!(error.to_string().contains("audit log"), "{error}");
        assert!(matches!(device.keys(), Err(YubiHsmError::AuditLogFull)));
        // Two of the signer, and one of the call.
        assert!(rig.backend.sessions() <= 3, "{}", rig.backend.sessions());
    }
    rig.backend.end_audit();
    sign_and_verify(&signer, b"header.payload");
    drop(signer);
    for _ in 0..3 {
        device.keys().unwrap();
    }
    assert_eq!(rig.backend.sessions(), 0);
}

#[test]
fn a_device_without_a_free_session_says_so() {
    let rig = Rig::new(SimulatedDevice::new());
    let devices: Vec<_> = (0..2).map(|_| rig.open()).collect();
    devices[0]
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let options = |workers| HsmOptions::new().with_workers(NonZeroUsize::new(workers).unwrap());
    let _first = devices[0].signer().options(options(12)).open().unwrap();
    rig.wait_for_sessions(12);
    let _second = devices[1].signer().options(options(4)).open().unwrap();
    rig.wait_for_sessions(16);
    let error = rig.open_as(1, "password").unwrap_err();
    assert!(matches!(error, YubiHsmError::SessionsFull), "{error}");
}

#[test]
fn a_session_that_the_device_forgot_is_replaced() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let signer = device.signer().open().unwrap();
    rig.wait_for_sessions(2);
    rig.backend.expire_after(Duration::from_millis(50));
    std::thread::sleep(Duration::from_millis(80));
    assert_eq!(rig.backend.sessions(), 0);
    sign_and_verify(&signer, b"header.payload");
}

#[test]
fn what_is_wrong_with_the_line_is_told() {
    let rig = Rig::new(SimulatedDevice::new());
    let told = |error: YubiHsmError| {
        let cause = std::error::Error::source(&error).unwrap();
        format!("{error}: {cause}")
    };
    rig.proxy.inject(Fault::ErrorBefore, 1);
    let error = told(rig.open_as(1, "password").unwrap_err());
    assert!(error.contains("500 Internal Server Error"), "{error}");
    rig.proxy.stop();
    let error = told(rig.open_as(1, "password").unwrap_err());
    assert!(error.contains("no answer from the connector"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}

/// As from a server of something else, at whose answers the HTTP client of `yubihsm` 0.42.1 panics.
#[test]
fn an_answer_of_enormous_length_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 65000\r\n\r\n")
            .unwrap();
        // So that the head is read first, and then as much as there is room for.
        thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(&[b'a'; 400_000]);
    });
    let error = YubiHsm::http(&url, 1, &Password::new("password")).unwrap_err();
    assert!(matches!(error, YubiHsmError::Unreachable(_)), "{error}");
}

#[test]
fn nothing_secret_is_shown() {
    let rig = Rig::new(SimulatedDevice::new());
    rig.backend
        .put_authentication_key(2, "hunter2", capability::ALL, u16::MAX);
    let device = rig.open_as(2, "hunter2").unwrap();
    let shown = format!("{device:?} {:?}", device.signer());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains(&rig.proxy.url()), "{shown}");
}
