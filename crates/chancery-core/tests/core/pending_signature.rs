//! Signatures under way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{
    Algorithm, PendingSignature, SignError, SignErrorKind, Signature, SignatureCompleter,
};

use crate::tokens::block_on;

fn channel() -> (SignatureCompleter, PendingSignature) {
    PendingSignature::channel(Instant::now() + Duration::from_secs(60))
}

fn signature(byte: u8) -> Signature {
    Signature::new(Algorithm::Es256, &[byte; 64]).unwrap()
}

fn busy() -> SignError {
    SignError::new(SignErrorKind::Busy, "64 wait")
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(pending: &mut PendingSignature, count: &Arc<Count>) -> Poll<Result<Signature, SignError>> {
    let waker = Waker::from(Arc::clone(count));
    Pin::new(pending).poll(&mut Context::from_waker(&waker))
}

#[test]
fn one_that_is_ready_is_there_at_once() {
    let pending = PendingSignature::ready(Ok(signature(1)));
    assert_eq!(pending.wait().unwrap().as_bytes(), [1; 64]);
    let pending = PendingSignature::ready(Err(busy()));
    assert_eq!(pending.wait().unwrap_err().kind(), SignErrorKind::Busy);
    let pending = PendingSignature::ready(Ok(signature(2)));
    assert_eq!(block_on(pending).unwrap().as_bytes(), [2; 64]);
}

#[test]
fn a_future_that_is_polled_after_its_deadline_gives_up() {
    let (completer, mut pending) =
        PendingSignature::channel(Instant::now() + Duration::from_millis(20));
    let count = Arc::new(Count::default());
    assert!(poll(&mut pending, &count).is_pending());
    thread::sleep(Duration::from_millis(30));
    let Poll::Ready(Err(error)) = poll(&mut pending, &count) else {
        panic!("it still waits");
    };
    assert_eq!(error.kind(), SignErrorKind::Timeout);
    assert!(completer.is_abandoned());
}

#[test]
fn one_completed_before_it_is_waited_for_is_there_at_once() {
    let (completer, pending) = channel();
    completer.complete(Ok(signature(1)));
    assert_eq!(pending.wait().unwrap().as_bytes(), [1; 64]);
    let (completer, pending) = channel();
    completer.complete(Err(busy()));
    assert_eq!(block_on(pending).unwrap_err().kind(), SignErrorKind::Busy);
}

#[test]
fn one_completed_while_it_is_waited_for_wakes_the_caller() {
    for is_async in [false, true] {
        let (completer, pending) = channel();
        let worker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            completer.complete(Ok(signature(3)));
        });
        let started = Instant::now();
        let signature = if is_async {
            block_on(pending)
        } else {
            pending.wait()
        };
        assert_eq!(signature.unwrap().as_bytes(), [3; 64]);
        assert!(started.elapsed() < Duration::from_secs(30));
        worker.join().unwrap();
    }
}

#[test]
fn waiting_ends_at_the_deadline() {
    let started = Instant::now();
    let deadline = started + Duration::from_millis(30);
    let (completer, pending) = PendingSignature::channel(deadline);
    let error = pending.wait().unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Timeout);
    assert!(error.is_retryable());
    assert!(Instant::now() >= deadline);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(completer.is_abandoned());
    // It comes too late, and nothing happens.
    completer.complete(Ok(signature(1)));
}

#[test]
fn a_deadline_that_has_passed_still_takes_what_is_there() {
    let past = Instant::now();
    let (completer, pending) = PendingSignature::channel(past);
    completer.complete(Ok(signature(1)));
    assert!(pending.wait().is_ok());
    let (_completer, pending) = PendingSignature::channel(past);
    assert_eq!(pending.wait().unwrap_err().kind(), SignErrorKind::Timeout);
}

#[test]
fn a_dropped_completer_is_an_unavailable_signer() {
    let (completer, pending) = channel();
    drop(completer);
    assert_eq!(
        pending.wait().unwrap_err().kind(),
        SignErrorKind::Unavailable
    );

    let (completer, pending) = channel();
    let worker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(10));
        drop(completer);
    });
    assert_eq!(
        pending.wait().unwrap_err().kind(),
        SignErrorKind::Unavailable
    );
    worker.join().unwrap();
}

#[test]
fn a_worker_that_panics_is_an_unavailable_signer() {
    let (completer, pending) = channel();
    let worker = thread::spawn(move || {
        let _completer = completer;
        std::panic::resume_unwind(Box::new("the driver failed"));
    });
    assert_eq!(
        pending.wait().unwrap_err().kind(),
        SignErrorKind::Unavailable
    );
    assert!(worker.join().is_err());
}

#[test]
fn the_last_waker_is_woken_once() {
    let (completer, mut pending) = channel();
    let (first, last) = (Arc::<Count>::default(), Arc::<Count>::default());
    assert!(poll(&mut pending, &first).is_pending());
    assert!(poll(&mut pending, &first).is_pending());
    assert!(poll(&mut pending, &last).is_pending());
    completer.complete(Ok(signature(5)));
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
    assert_eq!(last.0.load(Ordering::SeqCst), 1);
    assert!(matches!(poll(&mut pending, &last), Poll::Ready(Ok(_))));
}

#[test]
fn one_that_is_polled_after_its_end_is_an_error_and_no_panic() {
    let count = Arc::<Count>::default();
    let (completer, mut channel) = channel();
    completer.complete(Ok(signature(1)));
    for pending in [&mut channel, &mut PendingSignature::ready(Ok(signature(1)))] {
        assert!(matches!(poll(pending, &count), Poll::Ready(Ok(_))));
        for _ in 0..2 {
            let Poll::Ready(Err(error)) = poll(pending, &count) else {
                panic!("not an error");
            };
            assert_eq!(error.kind(), SignErrorKind::Failed);
            assert!(!error.is_retryable());
        }
    }
    assert_eq!(channel.wait().unwrap_err().kind(), SignErrorKind::Failed);
}

#[test]
fn one_that_was_polled_may_be_waited_for() {
    let (completer, mut pending) = channel();
    let count = Arc::<Count>::default();
    assert!(poll(&mut pending, &count).is_pending());
    let worker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(10));
        completer.complete(Ok(signature(6)));
    });
    assert_eq!(pending.wait().unwrap().as_bytes(), [6; 64]);
    worker.join().unwrap();
}

#[test]
fn a_completer_sees_that_its_caller_has_gone() {
    let (completer, mut pending) = channel();
    assert!(!completer.is_abandoned());
    assert!(poll(&mut pending, &Arc::default()).is_pending());
    assert!(!completer.is_abandoned());
    drop(pending);
    assert!(completer.is_abandoned());
    completer.complete(Ok(signature(1)));
}

#[test]
fn completion_and_waiting_never_miss_each_other() {
    for round in 0..2000 {
        let (completer, pending) = channel();
        let worker = thread::spawn(move || completer.complete(Ok(signature(7))));
        let outcome = if round % 2 == 0 {
            pending.wait()
        } else {
            block_on(pending)
        };
        assert_eq!(outcome.unwrap().as_bytes(), [7; 64]);
        worker.join().unwrap();
    }
}
