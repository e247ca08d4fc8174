//! Opening a signer.

use std::time::{Duration, Instant};

use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::{DeviceErrorKind, HsmOptions, State};

use crate::device::calls::{block_on, eventually, sign, workers};
use crate::device::{Act, Scripted, Step};

const KINDS: [(DeviceErrorKind, SignErrorKind); 5] = [
    (DeviceErrorKind::WrongPin, SignErrorKind::WrongPin),
    (DeviceErrorKind::KeyChanged, SignErrorKind::KeyChanged),
    (DeviceErrorKind::KeyMissing, SignErrorKind::KeyMissing),
    (DeviceErrorKind::Unsupported, SignErrorKind::Unsupported),
    (DeviceErrorKind::Failed, SignErrorKind::Unavailable),
];

#[test]
fn every_worker_opens_one_session() {
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    sign(&signer, "a.b").unwrap();
    eventually("eight sessions", || signer.health().sessions == 8);
    assert_eq!(device.watch().opened(), 8);
    assert_eq!(device.watch().calls(Step::SelfTest), 8);
}

#[test]
fn a_device_that_is_down_is_an_error_at_once_after_one_try() {
    for (device_kind, kind) in KINDS {
        let device = Scripted::new();
        device.always(Step::Open, Act::Fail(device_kind));
        let started = Instant::now();
        let error = device.try_signer(HsmOptions::new()).unwrap_err();
        assert!(
            started.elapsed() < Duration::from_millis(900),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(error.kind(), kind);
        let text = error.to_string();
        assert!(text.ends_with("the script said no: code 48"), "{text}");
        assert_eq!(device.watch().calls(Step::Open), 1, "{kind:?}");
        assert_eq!(device.watch().calls(Step::Reset), 0, "{kind:?}");
    }
}

#[test]
fn a_session_that_does_not_pass_its_self_test_is_not_used() {
    let cases = [
        (
            Act::Fail(DeviceErrorKind::Unsupported),
            SignErrorKind::Unsupported,
        ),
        (
            Act::Fail(DeviceErrorKind::WrongPin),
            SignErrorKind::WrongPin,
        ),
        (Act::Panic, SignErrorKind::Unavailable),
        (Act::Flip, SignErrorKind::BadSignature),
        (Act::AnotherKey, SignErrorKind::BadSignature),
        (Act::AnotherAlgorithm, SignErrorKind::BadSignature),
        (Act::Short, SignErrorKind::Unavailable),
    ];
    for (act, kind) in cases {
        let device = Scripted::new();
        device.always(Step::SelfTest, act);
        let error = device.try_signer(workers(4)).unwrap_err();
        assert_eq!(error.kind(), kind, "{act:?}");
        assert_eq!(device.watch().calls(Step::SelfTest), 1, "{act:?}");
        assert_eq!(device.watch().live(), 0, "{act:?}");
    }
}

#[test]
fn a_self_test_that_fails_later_costs_one_worker_only() {
    let device = Scripted::new();
    device.on(Step::SelfTest, |call| match call.session {
        0 => Act::Work,
        _ => Act::AnotherKey,
    });
    let signer = device.signer(workers(2));
    eventually("three sessions failed", || {
        device.watch().calls(Step::SelfTest) > 3
    });
    for _ in 0..100 {
        sign(&signer, "a.b").unwrap();
    }
    assert_eq!(signer.health().state, State::Ready);
    assert_eq!(signer.health().sessions, 1);
    assert_eq!(device.watch().calls(Step::Reset), 0);
}

#[test]
fn input_for_another_algorithm_never_reaches_the_device() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    let input = SigningInput::new(Algorithm::Es384, b"a.b");
    let blocking = signer.sign(&input).unwrap_err();
    assert_eq!(blocking.kind(), SignErrorKind::Unsupported);
    let awaited = block_on(signer.begin_sign(&input)).unwrap_err();
    assert_eq!(awaited.kind(), SignErrorKind::Unsupported);
    assert_eq!(device.watch().calls(Step::Sign), 0);
}

#[test]
fn the_longest_deadline_is_a_deadline() {
    let device = Scripted::new();
    let signer = device.signer(workers(1).with_deadline(Duration::MAX));
    sign(&signer, "a.b").unwrap();
}

#[test]
fn no_time_at_all_is_a_deadline() {
    let device = Scripted::new();
    let error = device.try_signer(workers(1).with_deadline(Duration::ZERO));
    // The session may be there before anybody looks at the clock.
    if let Err(error) = error {
        assert_eq!(error.kind(), SignErrorKind::Timeout);
    }
}
