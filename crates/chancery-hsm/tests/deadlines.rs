//! Every call returns by its deadline, whatever the device does.
//!
//! One test runs at a time, so that none is late because of another.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]

mod device;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{SignError, SignErrorKind, Signature};
use chancery_hsm::{DeviceErrorKind, HsmSigner, State};

use device::calls::{begin, block_on, callers, eventually, sign, workers};
use device::{Act, Scripted, Step};

const DEADLINE: Duration = Duration::from_millis(400);

/// How late a call may return.
const LATE: Duration = Duration::from_millis(50);

const FAILED: Act = Act::Fail(DeviceErrorKind::Failed);

/// Calls that block, and as many that are awaited.
const CALLS: usize = 100;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a call ended, and how long it took.
struct Call {
    outcome: Result<Signature, SignError>,
    took: Duration,
}

/// Calls of both kinds side by side. A thread for each, started beforehand.
fn calls(signer: &HsmSigner) -> Vec<Call> {
    let barrier = std::sync::Barrier::new(2 * CALLS);
    callers(2 * CALLS, |caller| {
        barrier.wait();
        let started = Instant::now();
        let outcome = match caller % 2 {
            0 => sign(signer, "a.b"),
            _ => block_on(begin(signer, "a.b")),
        };
        let took = started.elapsed();
        Call { outcome, took }
    })
}

/// All calls return by the deadline, those that fail with this kind.
fn assert_in_time(calls: &[Call], kind: SignErrorKind) {
    let longest = calls.iter().map(|call| call.took).max().unwrap();
    let failed = calls.iter().filter(|call| call.outcome.is_err()).count();
    println!(
        "{} calls, {failed} failed, the longest took {longest:?}",
        calls.len()
    );
    assert!(longest <= DEADLINE + LATE, "{longest:?}");
    for call in calls {
        if let Err(error) = &call.outcome {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(call.took >= DEADLINE, "{:?}: {error}", call.took);
        }
    }
}

/// A signer of which every worker has its session.
fn signer(device: &Scripted, number: usize) -> HsmSigner {
    let signer = device.signer(workers(number).with_deadline(DEADLINE));
    eventually("all sessions", || signer.health().sessions == number);
    signer
}

#[test]
fn of_a_device_that_hangs_in_sign() {
    let _alone = alone();
    for number in [1, 8] {
        let device = Scripted::new();
        let signer = signer(&device, number);
        device.always(Step::Sign, Act::Hang);
        let calls = calls(&signer);
        assert_in_time(&calls, SignErrorKind::Timeout);
        assert!(calls.iter().all(|call| call.outcome.is_err()));
        assert_eq!(signer.health().state, State::Hung);
        device.watch().release();
    }
}

#[test]
fn of_a_device_of_which_one_session_hangs() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 4);
    device.on(Step::Sign, |call| match call.session {
        0 => Act::Hang,
        _ => Act::Work,
    });
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Timeout);
    let failed = calls.iter().filter(|call| call.outcome.is_err()).count();
    assert!(failed <= 1, "{failed}");
    device.watch().release();
}

#[test]
fn of_a_device_that_hangs_in_open() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 8);
    device.always(Step::Open, Act::Hang);
    device.always(Step::Sign, FAILED);
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Timeout);
    assert!(calls.iter().all(|call| call.outcome.is_err()));
    assert_eq!(signer.health().state, State::Recovering);
    device.watch().release();
}

#[test]
fn of_a_device_that_hangs_in_its_self_test() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 8);
    device.always(Step::SelfTest, Act::Hang);
    device.always(Step::Sign, FAILED);
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Timeout);
    assert!(calls.iter().all(|call| call.outcome.is_err()));
    device.watch().release();
}

#[test]
fn of_a_device_that_hangs_in_reset() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 8);
    device.always(Step::Open, FAILED);
    device.always(Step::Sign, FAILED);
    device.always(Step::Reset, Act::Hang);
    let calls = calls(&signer);
    // What is known by then is that sessions could not be opened.
    assert_in_time(&calls, SignErrorKind::Unavailable);
    assert!(calls.iter().all(|call| call.outcome.is_err()));
    assert_eq!(device.watch().calls(Step::Reset), 1);
    device.watch().release();
}

#[test]
fn of_a_device_that_hangs_when_a_session_is_dropped() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 8);
    device.always(Step::Drop, Act::Hang);
    device.always(Step::Sign, FAILED);
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Timeout);
    assert!(calls.iter().all(|call| call.outcome.is_err()));
    assert_eq!(device.watch().hanging(), 8);
    device.always(Step::Drop, Act::Work);
    device.always(Step::Sign, Act::Work);
    device.watch().release();
    eventually("the workers are back", || signer.health().sessions == 8);
    sign(&signer, "a.b").unwrap();
}

#[test]
fn of_a_device_that_is_down() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 8);
    device.always(Step::Open, FAILED);
    device.always(Step::Sign, FAILED);
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Unavailable);
    assert!(calls.iter().all(|call| call.outcome.is_err()));
}

#[test]
fn of_a_device_that_is_too_slow_for_all() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 2);
    device.always(Step::Sign, Act::Take(Duration::from_millis(20)));
    let calls = calls(&signer);
    assert_in_time(&calls, SignErrorKind::Timeout);
    let signed = calls.iter().filter(|call| call.outcome.is_ok()).count();
    assert!((20..=42).contains(&signed), "{signed}");
}

#[test]
fn of_calls_that_come_one_after_the_other() {
    let _alone = alone();
    let device = Scripted::new();
    let signer = signer(&device, 2);
    device.always(Step::Sign, Act::Hang);
    let pending: Vec<_> = (0..200)
        .map(|_| {
            thread::sleep(Duration::from_millis(1));
            (Instant::now(), begin(&signer, "a.b"))
        })
        .collect();
    // Awaited in the order of their deadlines, on one thread.
    let mut longest = Duration::ZERO;
    for (started, pending) in pending {
        let error = block_on(pending).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Timeout);
        longest = longest.max(started.elapsed());
    }
    println!("the longest took {longest:?}");
    assert!(longest <= DEADLINE + LATE, "{longest:?}");
    device.watch().release();
}

#[test]
fn of_a_signer_whose_device_hangs_while_it_is_opened() {
    let _alone = alone();
    for step in [Step::Open, Step::SelfTest] {
        let device = Scripted::new();
        device.always(step, Act::Hang);
        let started = Instant::now();
        let error = device
            .try_signer(workers(8).with_deadline(DEADLINE))
            .unwrap_err();
        let took = started.elapsed();
        assert_eq!(error.kind(), SignErrorKind::Timeout);
        assert!((DEADLINE..=DEADLINE + LATE).contains(&took), "{took:?}");
        device.watch().release();
        eventually("what was opened is dropped", || device.watch().live() == 0);
    }
}
