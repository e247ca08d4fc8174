//! Getting over faults without the caller noticing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::{DeviceErrorKind, HsmOptions, State};

use crate::device::calls::{callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

const FAILED: Act = Act::Fail(DeviceErrorKind::Failed);

/// Resets are at least this far apart.
const RESET_INTERVAL: Duration = Duration::from_millis(200);

#[test]
fn sessions_that_fail_now_and_then_are_not_noticed() {
    for kind in [DeviceErrorKind::Failed, DeviceErrorKind::KeyMissing] {
        let device = Scripted::new();
        device.on(Step::Sign, move |call| match call.number % 5 {
            2 => Act::Fail(kind),
            _ => Act::Work,
        });
        let signer = device.signer(HsmOptions::new());
        callers(32, |caller| {
            for call in 0..30 {
                sign(&signer, &format!("{caller}.{call}")).unwrap();
            }
        });
        assert!(device.watch().opened() > 200, "{}", device.watch().opened());
        assert_eq!(device.watch().calls(Step::Reset), 0);
    }
}

#[test]
fn a_device_that_is_down_for_a_while_is_not_noticed() {
    const DOWN: Duration = Duration::from_millis(300);
    let device = Scripted::new();
    let signer = device.signer(HsmOptions::new());
    eventually("eight sessions", || signer.health().sessions == 8);
    let is_over = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let calls: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        sign(&signer, "a.b").unwrap();
                    }
                    sign(&signer, "a.b").unwrap();
                    Instant::now()
                })
            })
            .collect();
        device.always(Step::Sign, FAILED);
        device.always(Step::Open, FAILED);
        thread::sleep(DOWN);
        device.always(Step::Open, Act::Work);
        device.always(Step::Sign, Act::Work);
        let ended = Instant::now();
        is_over.store(true, Ordering::Relaxed);
        let served = calls.into_iter().map(|call| call.join().unwrap()).max();
        let late = served.unwrap().saturating_duration_since(ended);
        println!("all were served {late:?} after the device was back");
        // The longest pause at this point of the ladder is 200 ms.
        assert!(late < Duration::from_secs(1), "{late:?}");
        ended
    });
    assert!(ended.elapsed() < Duration::from_secs(5));
    assert_eq!(signer.health().state, State::Ready);
    assert_eq!(signer.health().failed, 0);
}

#[test]
fn resets_are_apart_and_stop_when_there_is_a_session() {
    let device = Scripted::new();
    let signer = device.signer(workers(8).with_deadline(Duration::from_millis(1500)));
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Open, FAILED);
    device.always(Step::Sign, FAILED);
    let started = Instant::now();
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Unavailable);
    let resets = device.watch().calls(Step::Reset);
    // A reset may start late, so the interval between two says less than their number.
    let most = 1 + started.elapsed().as_millis() / RESET_INTERVAL.as_millis();
    assert!(resets >= 2, "{resets}");
    assert!(
        resets as u128 <= most,
        "{resets} in {:?}",
        started.elapsed()
    );
    for pair in device.watch().resets().windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart > RESET_INTERVAL * 3 / 4, "{apart:?}");
    }
    device.always(Step::Sign, Act::Work);
    device.always(Step::Open, Act::Work);
    sign(&signer, "a.b").unwrap();
    let resets = device.watch().calls(Step::Reset);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(device.watch().calls(Step::Reset), resets);
    eventually("the resets are counted", || {
        signer.health().resets == resets as u64
    });
}

#[test]
fn what_only_a_reset_mends_is_mended_by_one() {
    let device = Scripted::new();
    let signer = device.signer(workers(4));
    eventually("four sessions", || signer.health().sessions == 4);
    let is_broken = Arc::new(AtomicBool::new(true));
    for step in [Step::Open, Step::Sign] {
        let is_broken = Arc::clone(&is_broken);
        device.on(step, move |_| match is_broken.load(Ordering::Relaxed) {
            true => FAILED,
            false => Act::Work,
        });
    }
    device.on(Step::Reset, move |_| {
        is_broken.store(false, Ordering::Relaxed);
        Act::Work
    });
    sign(&signer, "a.b").unwrap();
    assert_eq!(device.watch().calls(Step::Reset), 1);
}

#[test]
fn a_reset_that_fails_is_tried_again() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    let mended = Arc::new(AtomicBool::new(false));
    for step in [Step::Open, Step::Sign] {
        let mended = Arc::clone(&mended);
        device.on(step, move |_| match mended.load(Ordering::Relaxed) {
            true => Act::Work,
            false => FAILED,
        });
    }
    device.on(Step::Reset, move |call| {
        if call.number < 2 {
            return FAILED;
        }
        mended.store(true, Ordering::Relaxed);
        Act::Work
    });
    sign(&signer, "a.b").unwrap();
    assert_eq!(device.watch().calls(Step::Reset), 3);
    assert_eq!(signer.health().resets, 1);
}

#[test]
fn one_session_fewer_than_workers_stalls_nobody() {
    const LIMIT: usize = 3;
    let device = Arc::new(Scripted::new());
    // The worker that has none keeps asking.
    let counted = Arc::downgrade(&device);
    device.on(Step::Open, move |_| match counted.upgrade() {
        Some(device) if device.watch().live() >= LIMIT => FAILED,
        _ => Act::Work,
    });
    let signer = device.signer(workers(LIMIT + 1));
    eventually("three sessions", || signer.health().sessions == LIMIT);
    eventually("tries that failed", || {
        device.watch().calls(Step::Open) > LIMIT + 3
    });
    let longest = callers(8, |caller| {
        let mut longest = Duration::ZERO;
        for call in 0..200 {
            let started = Instant::now();
            sign(&signer, &format!("{caller}.{call}")).unwrap();
            longest = longest.max(started.elapsed());
        }
        longest
    })
    .into_iter()
    .max()
    .unwrap();
    // The worker without a session pauses for up to 500 ms; a call that waited for it would too.
    println!("the longest call took {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert_eq!(device.watch().opened(), LIMIT);
    assert_eq!(device.watch().calls(Step::Reset), 0);
    assert_eq!(signer.health().state, State::Ready);
    assert_eq!(signer.health().sessions, LIMIT);
    drop(signer);
}

#[test]
fn sessions_that_pass_their_self_test_and_then_fail_do_not_spin() {
    let device = Scripted::new();
    device.always(Step::Sign, FAILED);
    let signer = device.signer(workers(1).with_deadline(Duration::from_millis(1200)));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Timeout);
    // Pauses of 0, 1, 10, 50, 100, 200 and 500 ms leave room for nine.
    let opened = device.watch().opened();
    assert!((4..=10).contains(&opened), "{opened}");
    device.always(Step::Sign, Act::Work);
    sign(&signer, "a.b").unwrap();
}

#[test]
fn tries_are_paused_while_the_device_is_down() {
    let device = Scripted::new();
    let signer = device.signer(workers(8).with_deadline(Duration::from_millis(1200)));
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Open, FAILED);
    device.always(Step::Sign, FAILED);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Unavailable);
    // One more for each session that was lost while others seemed well.
    let tries = device.watch().calls(Step::Open) - 8;
    assert!((4..=32).contains(&tries), "{tries}");
}

#[test]
fn a_signature_that_was_retried_is_the_one_that_was_asked_for() {
    let device = Scripted::new();
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    device.on(Step::Sign, move |call| match call.number % 2 {
        0 => {
            counted.fetch_add(1, Ordering::Relaxed);
            FAILED
        }
        _ => Act::Work,
    });
    let signer = device.signer(workers(2));
    // `sign` verifies each over its own message.
    callers(4, |caller| {
        for call in 0..50 {
            sign(&signer, &format!("{caller}.{call}")).unwrap();
        }
    });
    assert!(failures.load(Ordering::Relaxed) >= 150);
}

#[test]
fn a_worker_that_hangs_in_open_keeps_the_others_out_for_the_deadline_alone() {
    let device = Scripted::new();
    let deadline = Duration::from_millis(300);
    let signer = device.signer(workers(3).with_deadline(deadline));
    eventually("three sessions", || signer.health().sessions == 3);
    let opened = device.watch().opened();
    device.on(Step::Open, move |call| {
        if call.number == opened {
            Act::Hang
        } else {
            Act::Work
        }
    });
    let fails = Arc::new(AtomicUsize::new(3));
    let left = Arc::clone(&fails);
    device.on(Step::Sign, move |_| {
        let take = |left: usize| left.checked_sub(1);
        if left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
        {
            FAILED
        } else {
            Act::Work
        }
    });
    // All three sessions fail, and the first that is opened anew hangs for good.
    let input = SigningInput::new(signer.jwk().algorithm(), b"a.b");
    let _ = signer.sign(&input);
    eventually("two others", || signer.health().sessions == 2);
    sign(&signer, "a.b").unwrap();
    let health = signer.health();
    assert_eq!((health.state, health.overdue), (State::Ready, 1));
    device.watch().release();
    eventually("all three", || signer.health().sessions == 3);
    assert_eq!(signer.health().overdue, 0);
}
