//! A key that is not the published one, not there, or of no use.

use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, HsmOptions, State};

use crate::device::calls::{callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

/// Loses all sessions, and gives this reason for not opening another.
fn lose_the_key(device: &Scripted, kind: DeviceErrorKind) {
    device.always(Step::Open, Act::Fail(kind));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
}

fn give_it_back(device: &Scripted) {
    device.always(Step::Sign, Act::Work);
    device.always(Step::Open, Act::Work);
}

#[test]
fn a_key_that_changed_is_refused_at_once_until_it_is_back() {
    refused_until_back(DeviceErrorKind::KeyChanged, SignErrorKind::KeyChanged);
}

#[test]
fn a_key_that_is_of_no_use_is_refused_at_once_until_it_is() {
    refused_until_back(DeviceErrorKind::Unsupported, SignErrorKind::Unsupported);
}

fn refused_until_back(device_kind: DeviceErrorKind, kind: SignErrorKind) {
    let device = Scripted::new();
    let signer = device.signer(HsmOptions::new());
    eventually("eight sessions", || signer.health().sessions == 8);
    lose_the_key(&device, device_kind);
    let started = Instant::now();
    let kinds = callers(32, |_| refused(&signer, "a.b"));
    assert_eq!(kinds, [kind; 32]);
    assert_eq!(refused(&signer, "a.b"), kind);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "at once, not at the deadline"
    );
    eventually("refusing", || signer.health().state == State::Refusing);
    assert_eq!(signer.health().signed, 0);
    // A reset would not help, and would harm others.
    assert_eq!(device.watch().calls(Step::Reset), 0);
    give_it_back(&device);
    eventually("it recovers", || signer.health().state == State::Ready);
    sign(&signer, "a.b").unwrap();
}

#[test]
fn a_session_that_signs_with_another_key_after_recovery_is_not_used() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_millis(500)));
    device.always(Step::SelfTest, Act::AnotherKey);
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::BadSignature);
    let asked = device.watch().calls(Step::Sign);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::BadSignature);
    assert_eq!(
        device.watch().calls(Step::Sign),
        asked,
        "it was never asked to sign"
    );
}

#[test]
fn a_missing_key_is_waited_for_and_named_at_the_deadline() {
    let device = Scripted::new();
    let deadline = Duration::from_millis(400);
    let signer = device.signer(workers(2).with_deadline(deadline));
    eventually("two sessions", || signer.health().sessions == 2);
    lose_the_key(&device, DeviceErrorKind::KeyMissing);
    let started = Instant::now();
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::KeyMissing);
    assert!(started.elapsed() >= deadline);
    assert_eq!(signer.health().state, State::Recovering);
}

#[test]
fn a_key_that_is_missing_for_a_while_is_not_noticed() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    lose_the_key(&device, DeviceErrorKind::KeyMissing);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| sign(&signer, "a.b").unwrap());
        eventually("tries failed", || device.watch().calls(Step::Open) > 4);
        give_it_back(&device);
        call.join().unwrap();
    });
}

#[test]
fn a_key_that_changed_for_one_worker_is_no_matter_while_others_have_it() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::KeyChanged));
    device.on(Step::Sign, |call| match call.number {
        0 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    for _ in 0..50 {
        sign(&signer, "a.b").unwrap();
    }
    eventually("a try failed", || device.watch().calls(Step::Open) > 4);
    sign(&signer, "a.b").unwrap();
    assert_eq!(signer.health().state, State::Ready);
}

#[test]
fn a_device_that_says_so_while_signing_is_believed_for_that_call() {
    for (device_kind, kind) in [
        (DeviceErrorKind::KeyChanged, SignErrorKind::KeyChanged),
        (DeviceErrorKind::Unsupported, SignErrorKind::Unsupported),
    ] {
        let device = Scripted::new();
        let signer = device.signer(workers(1));
        device.on(Step::Sign, move |call| match call.number {
            0 => Act::Fail(device_kind),
            _ => Act::Work,
        });
        assert_eq!(refused(&signer, "a.b"), kind);
        // The next session has the key.
        sign(&signer, "a.b").unwrap();
    }
}

#[test]
fn a_key_that_comes_and_goes_never_locks_callers_out() {
    let device = Scripted::new();
    let signer = device.signer(workers(4));
    // Opening fails every other time, signing now and then, so that workers fail and succeed in
    // all orders.
    device.on(Step::Open, |call| match call.number % 2 {
        0 => Act::Fail(DeviceErrorKind::KeyChanged),
        _ => Act::Work,
    });
    device.on(Step::Sign, |call| match call.number % 3 {
        0 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    callers(8, |_| {
        for _ in 0..200 {
            match sign(&signer, "a.b") {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), SignErrorKind::KeyChanged),
            }
        }
    });
    // One session stays, and the others are not opened again.
    device.always(Step::Sign, Act::Work);
    device.always(Step::Open, Act::Work);
    eventually("a session", || signer.health().sessions > 0);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    eventually("calls are signed", || sign(&signer, "a.b").is_ok());
    for _ in 0..50 {
        sign(&signer, "a.b").unwrap();
    }
}
