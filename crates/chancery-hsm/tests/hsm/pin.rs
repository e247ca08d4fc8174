//! A wrong PIN is tried once: the next try may lock the device.

use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, HsmOptions, HsmSigner, State};

use crate::device::calls::{begin, block_on, callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

const WRONG_PIN: Act = Act::Fail(DeviceErrorKind::WrongPin);

/// What holds for good once a PIN was refused. That nothing opens again is a rule of the device.
fn assert_latched(device: &Scripted, signer: &HsmSigner) {
    let opens = device.watch().calls(Step::Open);
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(refused(signer, "a.b"), SignErrorKind::WrongPin);
        let error = block_on(begin(signer, "a.b")).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::WrongPin);
        assert!(!error.is_retryable());
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "refused at once"
    );
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(device.watch().calls(Step::Open), opens);
    eventually("all sessions are closed", || device.watch().live() == 0);
    eventually("latched", || signer.health().state == State::Latched);
    assert_eq!(signer.health().sessions, 0);
}

#[test]
fn a_wrong_pin_at_the_start_is_tried_once() {
    let device = Scripted::new();
    device.always(Step::Open, WRONG_PIN);
    let error = device.try_signer(HsmOptions::new()).unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::WrongPin);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(device.watch().calls(Step::Open), 1);
}

#[test]
fn a_wrong_pin_at_recovery_is_tried_once_with_many_callers_and_workers() {
    let device = Scripted::new();
    let signer = device.signer(HsmOptions::new());
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Open, WRONG_PIN);
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    let started = Instant::now();
    let kinds = callers(32, |_| refused(&signer, "a.b"));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "at once, not at the deadline"
    );
    assert_eq!(kinds, [SignErrorKind::WrongPin; 32]);
    assert_eq!(device.watch().calls(Step::Open), 9);
    assert_latched(&device, &signer);
}

#[test]
fn a_wrong_pin_of_one_worker_latches_all() {
    let device = Scripted::new();
    let signer = device.signer(workers(4));
    eventually("four sessions", || signer.health().sessions == 4);
    device.always(Step::Open, WRONG_PIN);
    let first = device.watch().calls(Step::Sign);
    device.on(Step::Sign, move |call| match call.number == first {
        true => Act::Fail(DeviceErrorKind::Failed),
        false => Act::Work,
    });
    // Another worker may sign what the first could not.
    let _ = sign(&signer, "a.b");
    eventually("the PIN was refused", || {
        device.watch().calls(Step::Open) == 5
    });
    eventually("calls are refused", || sign(&signer, "a.b").is_err());
    assert_latched(&device, &signer);
}

#[test]
fn a_wrong_pin_while_signing_latches() {
    let device = Scripted::new();
    let signer = device.signer(workers(4));
    eventually("four sessions", || signer.health().sessions == 4);
    device.always(Step::Sign, WRONG_PIN);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    eventually("calls are refused", || {
        signer.health().state == State::Latched
    });
    let asked = device.watch().calls(Step::Sign);
    assert_latched(&device, &signer);
    assert_eq!(device.watch().calls(Step::Sign), asked);
    assert_eq!(device.watch().calls(Step::Open), 4);
}

#[test]
fn a_wrong_pin_while_resetting_latches() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    device.always(Step::Reset, WRONG_PIN);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    assert_eq!(device.watch().calls(Step::Reset), 1);
    assert_latched(&device, &signer);
}

#[test]
fn a_wrong_pin_in_a_self_test_at_recovery_latches() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::SelfTest, WRONG_PIN);
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    assert_eq!(device.watch().calls(Step::SelfTest), 3);
    assert_latched(&device, &signer);
}

#[test]
fn what_a_hung_worker_signs_after_the_latch_is_still_released() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    device.on(Step::Sign, |call| match call.number {
        0 => Act::Hang,
        _ => Act::Fail(DeviceErrorKind::Failed),
    });
    device.always(Step::Open, WRONG_PIN);
    let hung = begin(&signer, "a.b");
    eventually("it hangs", || device.watch().hanging() == 1);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    device.watch().release();
    hung.wait().unwrap();
    assert_latched(&device, &signer);
}
