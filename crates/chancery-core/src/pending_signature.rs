//! A signature under way, awaited by blocking and by async callers alike.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::sign_error::{SignError, SignErrorKind};
use crate::signature::Signature;

type Outcome = Result<Signature, SignError>;

/// A signature under way: a [`Future`], and [`PendingSignature::wait`] for callers that block.
///
/// Whoever signs holds the [`SignatureCompleter`], on whatever thread or runtime it likes.
///
/// ```
/// use std::time::{Duration, Instant};
/// use chancery_core::{PendingSignature, SignErrorKind};
///
/// let deadline = Instant::now() + Duration::from_millis(5);
/// let (completer, pending) = PendingSignature::channel(deadline);
/// let error = pending.wait().unwrap_err();
/// assert_eq!(error.kind(), SignErrorKind::Timeout);
/// drop(completer);
/// ```
#[must_use = "a pending signature does nothing unless awaited or waited for"]
pub struct PendingSignature(State);

enum State {
    // Boxed, so that the pending form stays small while it waits.
    Ready(Option<Box<Outcome>>),
    Waiting(Arc<Channel>, Instant),
}

struct Channel {
    slot: Mutex<Slot>,
    completed: Condvar,
}

enum Slot {
    Empty(Waiter),
    Full(Box<Outcome>),
    Closed,
}

/// Who is to be told. Nobody is while the caller does something else, which saves a system call.
enum Waiter {
    Nobody,
    Thread,
    Task(Waker),
}

impl PendingSignature {
    /// A signature that is already there, or an error.
    pub fn ready(outcome: Result<Signature, SignError>) -> Self {
        Self(State::Ready(Some(Box::new(outcome))))
    }

    /// A signature that the holder of the completer will provide.
    ///
    /// [`PendingSignature::wait`] gives up at the deadline by itself. A future that is polled after
    /// the deadline gives up as well, but has no clock to wake it: the completer's side must
    /// complete it, with [`SignErrorKind::Timeout`], when the deadline comes.
    pub fn channel(deadline: Instant) -> (SignatureCompleter, Self) {
        let channel = Arc::new(Channel {
            slot: Mutex::new(Slot::Empty(Waiter::Nobody)),
            completed: Condvar::new(),
        });
        let completer = SignatureCompleter(Arc::clone(&channel));
        (completer, Self(State::Waiting(channel, deadline)))
    }

    /// Blocks until the signature is there or the deadline has passed.
    ///
    /// # Errors
    /// The signer's own error, or [`SignErrorKind::Timeout`] at the deadline.
    pub fn wait(self) -> Result<Signature, SignError> {
        match self.0 {
            State::Ready(outcome) => outcome.map_or_else(|| Err(taken_twice()), |boxed| *boxed),
            State::Waiting(channel, deadline) => channel.wait_until(deadline),
        }
    }
}

impl Future for PendingSignature {
    type Output = Result<Signature, SignError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Ready(outcome) => Poll::Ready(
                outcome
                    .take()
                    .map_or_else(|| Err(taken_twice()), |boxed| *boxed),
            ),
            State::Waiting(channel, deadline) => channel.poll(context.waker(), *deadline),
        }
    }
}

impl fmt::Debug for PendingSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "PendingSignature(ready)",
            State::Waiting(..) => "PendingSignature(waiting)",
        })
    }
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // No code that can panic runs under the lock, so a poisoned one is whole.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, deadline: Instant) -> Outcome {
        let mut slot = self.lock();
        loop {
            match mem::replace(&mut *slot, Slot::Closed) {
                Slot::Full(outcome) => return *outcome,
                Slot::Closed => return Err(taken_twice()),
                Slot::Empty(_) => *slot = Slot::Empty(Waiter::Thread),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                *slot = Slot::Closed;
                return Err(too_late());
            }
            slot = self
                .completed
                .wait_timeout(slot, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn poll(&self, waker: &Waker, deadline: Instant) -> Poll<Outcome> {
        let mut slot = self.lock();
        match mem::replace(&mut *slot, Slot::Closed) {
            Slot::Full(outcome) => Poll::Ready(*outcome),
            Slot::Closed => Poll::Ready(Err(taken_twice())),
            Slot::Empty(_) if deadline <= Instant::now() => Poll::Ready(Err(too_late())),
            Slot::Empty(_) => {
                *slot = Slot::Empty(Waiter::Task(waker.clone()));
                Poll::Pending
            }
        }
    }

    fn complete(&self, outcome: Outcome) {
        let mut slot = self.lock();
        if let Slot::Empty(waiter) = &mut *slot {
            let waiter = mem::replace(waiter, Waiter::Nobody);
            *slot = Slot::Full(Box::new(outcome));
            drop(slot);
            match waiter {
                Waiter::Nobody => {}
                Waiter::Thread => self.completed.notify_one(),
                Waiter::Task(waker) => waker.wake(),
            }
        }
    }
}

fn too_late() -> SignError {
    SignError::new(SignErrorKind::Timeout, "no signature arrived in time")
}

fn taken_twice() -> SignError {
    SignError::new(
        SignErrorKind::Failed,
        "the signature was already taken from this future",
    )
}

/// The signer's end of a [`PendingSignature`].
///
/// Dropped without a word, it completes with [`SignErrorKind::Unavailable`], so that no caller
/// waits for a worker that died.
pub struct SignatureCompleter(Arc<Channel>);

impl SignatureCompleter {
    /// Hands over the outcome. It is dropped where the caller no longer waits.
    pub fn complete(self, outcome: Result<Signature, SignError>) {
        self.0.complete(outcome);
    }

    /// Whether the caller has given up, so that a queued signature need not be made at all.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1 || matches!(*self.0.lock(), Slot::Closed)
    }
}

impl Drop for SignatureCompleter {
    fn drop(&mut self) {
        self.0.complete(Err(SignError::new(
            SignErrorKind::Unavailable,
            "the signer stopped before it had signed",
        )));
    }
}

impl fmt::Debug for SignatureCompleter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignatureCompleter")
    }
}
