//! Every call returns by its deadline, whatever the device does.
//!
//! One test runs at a time, so that none is late because of another.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]

mod device;

use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
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

/// See [`assert_in_time`].
const ATTEMPTS: usize = 8;

/// How many calls block, and how many are awaited.
const CALLS: usize = 50;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a call ended, and how long it took.
struct Call {
    outcome: Result<Signature, SignError>,
    took: Duration,
}

/// Calls of both kinds side by side, each a while after the one before.
fn calls_apart(signer: &HsmSigner, apart: Duration) -> Vec<Call> {
    let barrier = Barrier::new(2 * CALLS);
    callers(2 * CALLS, |caller| {
        barrier.wait();
        thread::sleep(apart * u32::try_from(caller).unwrap());
        let started = Instant::now();
        let outcome = match caller % 2 {
            0 => sign(signer, "a.b"),
            _ => block_on(begin(signer, "a.b")),
        };
        let took = started.elapsed();
        Call { outcome, took }
    })
}

fn calls(signer: &HsmSigner) -> Vec<Call> {
    calls_apart(signer, Duration::ZERO)
}

fn number_signed(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.outcome.is_ok()).count()
}

/// All calls return by the deadline, those that fail with this kind.
///
/// A machine that is busy with something else makes some late by chance, a fault of ours makes
/// them late each time: so there are a few attempts, of which one must be in time as a whole.
fn assert_in_time(kind: SignErrorKind, calls: impl Fn() -> Vec<Call>) {
    let is_in_time = |_| {
        let calls = calls();
        assert_eq!(calls.len(), 2 * CALLS);
        for call in &calls {
            let Err(error) = &call.outcome else { continue };
            assert!(call.took >= DEADLINE, "{:?}: {error}", call.took);
            // One that blocks gives up by itself where the machine is late, and knows no more.
            let gave_up = error.to_string().contains("no signature arrived in time");
            assert!(error.kind() == kind || gave_up, "{error}");
        }
        let longest = calls.iter().map(|call| call.took).max().unwrap();
        let signed = number_signed(&calls);
        println!(
            "{} calls, {signed} signed, the longest took {longest:?}",
            calls.len()
        );
        longest <= DEADLINE + LATE
    };
    assert!((0..ATTEMPTS).any(is_in_time), "calls are late each time");
}

/// A signer of which every worker has its session.
fn signer(device: &Scripted, number: usize) -> HsmSigner {
    let options = || workers(number).with_deadline(DEADLINE);
    // A busy machine may be late with that too.
    let signer = (0..ATTEMPTS)
        .find_map(|_| device.try_signer(options()).ok())
        .unwrap();
    eventually("all sessions", || signer.health().sessions == number);
    signer
}

#[test]
fn of_a_device_that_hangs_in_sign() {
    let _alone = alone();
    for number in [1, 8] {
        assert_in_time(SignErrorKind::Timeout, || {
            let device = Scripted::new();
            let signer = signer(&device, number);
            device.always(Step::Sign, Act::Hang);
            let calls = calls(&signer);
            assert_eq!(number_signed(&calls), 0);
            eventually("hung", || signer.health().state == State::Hung);
            device.watch().release();
            calls
        });
    }
}

#[test]
fn of_a_device_of_which_one_session_hangs() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 4);
        device.on(Step::Sign, |call| match call.number {
            0 => Act::Hang,
            _ => Act::Work,
        });
        let calls = calls(&signer);
        assert_eq!(device.watch().hanging(), 1);
        // All but one, unless the machine stands still for a while.
        assert!(number_signed(&calls) >= CALLS);
        device.watch().release();
        calls
    });
}

#[test]
fn of_a_device_that_hangs_in_open() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 8);
        device.always(Step::Open, Act::Hang);
        device.always(Step::Sign, FAILED);
        let calls = calls(&signer);
        assert_eq!(number_signed(&calls), 0);
        assert_eq!(signer.health().state, State::Hung);
        device.watch().release();
        calls
    });
}

#[test]
fn of_a_device_that_hangs_in_its_self_test() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 8);
        device.always(Step::SelfTest, Act::Hang);
        device.always(Step::Sign, FAILED);
        let calls = calls(&signer);
        assert_eq!(number_signed(&calls), 0);
        device.watch().release();
        calls
    });
}

#[test]
fn of_a_device_that_hangs_in_reset() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Unavailable, || {
        let device = Scripted::new();
        let signer = signer(&device, 8);
        device.always(Step::Open, FAILED);
        device.always(Step::Sign, FAILED);
        device.always(Step::Reset, Act::Hang);
        let calls = calls(&signer);
        // What is known by then is that sessions could not be opened.
        assert_eq!(number_signed(&calls), 0);
        // Another worker takes over when the deadline of the first reset has passed.
        assert!((1..=2).contains(&device.watch().calls(Step::Reset)));
        device.watch().release();
        calls
    });
}

#[test]
fn of_a_device_that_hangs_when_a_session_is_dropped() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 8);
        device.always(Step::Drop, Act::Hang);
        device.always(Step::Sign, FAILED);
        let calls = calls(&signer);
        assert_eq!(number_signed(&calls), 0);
        eventually("all hang", || device.watch().hanging() == 8);
        device.always(Step::Drop, Act::Work);
        device.always(Step::Sign, Act::Work);
        device.watch().release();
        eventually("the workers are back", || signer.health().sessions == 8);
        sign(&signer, "a.b").unwrap();
        calls
    });
}

#[test]
fn of_a_device_that_is_down() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Unavailable, || {
        let device = Scripted::new();
        let signer = signer(&device, 8);
        device.always(Step::Open, FAILED);
        device.always(Step::Sign, FAILED);
        let calls = calls(&signer);
        assert_eq!(number_signed(&calls), 0);
        calls
    });
}

#[test]
fn of_a_device_that_is_too_slow_for_all() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 2);
        device.always(Step::Sign, Act::Take(Duration::from_millis(20)));
        let calls = calls(&signer);
        let signed = number_signed(&calls);
        assert!((1..2 * CALLS).contains(&signed), "{signed}");
        calls
    });
}

#[test]
fn of_calls_that_come_one_after_the_other() {
    let _alone = alone();
    assert_in_time(SignErrorKind::Timeout, || {
        let device = Scripted::new();
        let signer = signer(&device, 2);
        device.always(Step::Sign, Act::Hang);
        let calls = calls_apart(&signer, Duration::from_millis(1));
        assert_eq!(number_signed(&calls), 0);
        device.watch().release();
        calls
    });
}

#[test]
fn of_a_signer_whose_device_hangs_while_it_is_opened() {
    let _alone = alone();
    for step in [Step::Open, Step::SelfTest] {
        let is_in_time = |_| {
            let device = Scripted::new();
            device.always(step, Act::Hang);
            let started = Instant::now();
            let outcome = device.try_signer(workers(8).with_deadline(DEADLINE));
            let took = started.elapsed();
            assert_eq!(outcome.unwrap_err().kind(), SignErrorKind::Timeout);
            assert!(took >= DEADLINE, "{took:?}");
            device.watch().release();
            eventually("what was opened is dropped", || device.watch().live() == 0);
            took <= DEADLINE + LATE
        };
        assert!((0..ATTEMPTS).any(is_in_time), "late each time");
    }
}
