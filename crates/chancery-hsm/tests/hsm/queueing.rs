//! The queue between callers and workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use std::{future::Future as _, pin::pin, sync::mpsc, thread};

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, HsmSigner, State};

use crate::device::calls::{begin, block_on, callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

/// Keeps the one worker of a signer busy until the device is released.
fn occupy(device: &Scripted, signer: &HsmSigner) -> chancery_core::PendingSignature {
    device.always(Step::Sign, Act::Hang);
    let occupying = begin(signer, "the.first");
    eventually("the worker is at it", || device.watch().hanging() == 1);
    device.always(Step::Sign, Act::Work);
    occupying
}

#[test]
fn is_busy_exactly_when_the_capacity_is_waiting() {
    let device = Scripted::new();
    let signer = device.signer(workers(1).with_queue_capacity(3));
    let occupying = occupy(&device, &signer);
    let waiting: Vec<_> = (0..3).map(|_| begin(&signer, "a.b")).collect();
    assert_eq!(signer.health().queue_depth, 3);
    let error = sign(&signer, "a.b").unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Busy);
    assert!(
        error.to_string().contains("3 signatures are waiting"),
        "{error}"
    );
    assert!(error.is_retryable());
    let error = block_on(begin(&signer, "a.b")).unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Busy);
    assert_eq!(signer.health().busy, 2);
    device.watch().release();
    occupying.wait().unwrap();
    for waiting in waiting {
        waiting.wait().unwrap();
    }
    sign(&signer, "a.b").unwrap();
    assert_eq!(signer.health().queue_depth, 0);
}

#[test]
fn is_not_busy_any_more_once_deadlines_have_passed() {
    let device = Scripted::new();
    let options = workers(1)
        .with_queue_capacity(3)
        .with_deadline(Duration::from_millis(300));
    let signer = device.signer(options);
    let occupying = occupy(&device, &signer);
    let waiting: Vec<_> = (0..3).map(|_| begin(&signer, "a.b")).collect();
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Busy);
    for late in waiting.into_iter().chain([occupying]) {
        assert_eq!(block_on(late).unwrap_err().kind(), SignErrorKind::Timeout);
    }
    assert_eq!(signer.health().queue_depth, 0);
    let waiting: Vec<_> = (0..3).map(|_| begin(&signer, "a.b")).collect();
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Busy);
    device.watch().release();
    for waiting in waiting {
        waiting.wait().unwrap();
    }
}

#[test]
fn one_worker_signs_in_the_order_of_the_calls() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    let occupying = occupy(&device, &signer);
    let messages: Vec<_> = (0..200).map(|number| format!("message.{number}")).collect();
    let pending: Vec<_> = messages
        .iter()
        .map(|message| begin(&signer, message))
        .collect();
    device.watch().release();
    occupying.wait().unwrap();
    for pending in pending {
        pending.wait().unwrap();
    }
    let expected: Vec<_> = messages.into_iter().map(String::into_bytes).collect();
    assert_eq!(device.watch().messages()[1..], expected);
}

#[test]
fn what_failed_is_signed_before_what_came_later() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    let occupying = occupy(&device, &signer);
    device.on(Step::Sign, |call| match call.number % 3 {
        0 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    let messages: Vec<_> = (0..60).map(|number| format!("message.{number}")).collect();
    let pending: Vec<_> = messages
        .iter()
        .map(|message| begin(&signer, message))
        .collect();
    device.watch().release();
    occupying.wait().unwrap();
    for pending in pending {
        pending.wait().unwrap();
    }
    // A message that failed is asked for twice, one time right after the other.
    let mut asked = device.watch().messages();
    assert!(asked.len() > 80, "{}", asked.len());
    asked.dedup();
    let expected: Vec<_> = messages.into_iter().map(String::into_bytes).collect();
    assert_eq!(asked[1..], expected);
}

#[test]
fn futures_that_were_dropped_are_not_signed() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    let occupying = occupy(&device, &signer);
    for _ in 0..100 {
        drop(begin(&signer, "nobody.waits"));
    }
    let awaited = begin(&signer, "somebody.waits");
    device.watch().release();
    occupying.wait().unwrap();
    awaited.wait().unwrap();
    assert_eq!(
        device.watch().messages(),
        [&b"the.first"[..], b"somebody.waits"]
    );
    assert_eq!(signer.health().signed, 2);
}

#[test]
fn a_hung_worker_is_one_worker_less_and_comes_back() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_millis(400)));
    device.on(Step::Sign, |call| match call.number {
        0 => Act::Hang,
        _ => Act::Work,
    });
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Timeout);
    eventually("two sessions, one overdue", || {
        let health = signer.health();
        health.sessions == 2 && health.overdue == 1
    });
    for _ in 0..100 {
        sign(&signer, "a.b").unwrap();
    }
    assert_eq!(signer.health().state, State::Ready);
    device.watch().release();
    eventually("the worker is back", || signer.health().overdue == 0);
    assert_eq!(signer.health().sessions, 2);
    // Its session is still good: nothing was reopened.
    assert_eq!(device.watch().opened(), 2);
    // Both of them sign again.
    device.on(Step::Sign, |_| Act::Hang);
    let pending = [begin(&signer, "a.b"), begin(&signer, "a.b")];
    eventually("both are at it", || device.watch().hanging() == 2);
    device.always(Step::Sign, Act::Work);
    device.watch().release();
    for pending in pending {
        // The deadline may have passed meanwhile, should the machine be slow.
        let _ = pending.wait();
    }
    sign(&signer, "a.b").unwrap();
}

#[test]
fn every_one_of_many_calls_is_answered_once() {
    const CALLERS: usize = 16;
    let device = Scripted::new();
    device.on(Step::Sign, |call| match call.number % 50 {
        0 => Act::Fail(DeviceErrorKind::Failed),
        // Not often, since three for one call are an error.
        25 if call.number < 500 => Act::Flip,
        _ => Act::Work,
    });
    let signer = device.signer(workers(8));
    let signed: usize = callers(CALLERS, |caller| {
        (0..200)
            .map(|call| sign(&signer, &format!("{caller}.{call}")).unwrap())
            .count()
    })
    .into_iter()
    .sum();
    assert_eq!(signed, CALLERS * 200);
    eventually("all are counted", || {
        signer.health().signed == signed as u64
    });
    assert_eq!(signer.health().queue_depth, 0);
}

/// Asks the signer how it is when it is woken, as an executor may that polls at once, and drops it.
struct Curious {
    signer: Arc<HsmSigner>,
    woken: AtomicUsize,
}

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        let _ = self.signer.health();
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn wakers_are_not_run_under_a_lock() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let device = Scripted::new();
        let signer = Arc::new(device.signer(workers(1)));
        let curious = Arc::new(Curious {
            signer: Arc::clone(&signer),
            woken: AtomicUsize::new(0),
        });
        let occupying = occupy(&device, &signer);
        let waker = Waker::from(Arc::clone(&curious));
        {
            // Polled, so that its waker is kept, and then dropped.
            let mut abandoned = pin!(begin(&signer, "nobody.waits"));
            let mut context = Context::from_waker(&waker);
            assert!(abandoned.as_mut().poll(&mut context).is_pending());
        }
        device.watch().release();
        occupying.wait().unwrap();
        sign(&signer, "a.b").unwrap();
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(20))
        .expect("a worker is locked out by a waker");
}

#[test]
fn calls_that_nobody_waits_for_take_no_place() {
    let device = Scripted::new();
    let signer = device.signer(workers(1).with_queue_capacity(2));
    let occupying = occupy(&device, &signer);
    for _ in 0..10 {
        drop(begin(&signer, "nobody.waits"));
    }
    let started = Instant::now();
    let awaited = begin(&signer, "somebody.waits");
    device.watch().release();
    awaited.wait().unwrap();
    occupying.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_device_that_computes_here_no_more_has_all_workers() {
    // A busy machine may be late.
    assert!((0..5).any(|_| all_workers_wait_at_once()));
}

/// Whether eight workers took at most twice as long as they must, which two would exceed.
fn all_workers_wait_at_once() -> bool {
    const CALLERS: usize = 16;
    const CALLS: u32 = 25;
    const EACH: Duration = Duration::from_millis(5);
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Sign, Act::Take(EACH));
    let start = Instant::now();
    callers(CALLERS, |_| {
        for _ in 0..CALLS {
            sign(&signer, "a.b").unwrap();
        }
    });
    start.elapsed() < EACH * CALLS * 16 / 8 * 2
}
