//! What the model checker tries: many interleavings of the threads of a signer.
//!
//! ```sh
//! RUSTFLAGS="--cfg chancery_shuttle" cargo test -p chancery-hsm --lib
//! ```
//!
//! A wake-up that is lost leaves all threads waiting, which the checker reports as a deadlock. Its
//! clock stands still: see `sync::wait`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod ladder;
mod queue;
mod workers;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use chancery_core::{
    Algorithm, PendingSignature, SignError, SignErrorKind, Signature, Signer as _, SigningInput,
};
use chancery_software::{Engine, SoftwareSigner};
use shuttle::sync::{Condvar, Mutex};

use crate::queue::{Job, Ticket};
use crate::trouble::Trouble;

static KEY: LazyLock<SoftwareSigner> =
    LazyLock::new(|| SoftwareSigner::generate(Algorithm::Es256, Engine::ALL[0]).unwrap());

static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| sign(b"a.b"));

/// Tries a model with both schedulers: one that picks any thread, and one that seldom changes its
/// mind and so reaches deeper.
fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    LazyLock::force(&SIGNATURE);
    let model = Arc::new(model);
    let same = Arc::clone(&model);
    shuttle::check_random(move || same(), schedules);
    shuttle::check_pct(move || model(), schedules / 2, 3);
}

fn sign(message: &[u8]) -> Signature {
    KEY.sign(&SigningInput::new(Algorithm::Es256, message))
        .unwrap()
}

/// A job, whose deadline has passed already or never does, and what its caller holds.
fn job(message: &str, is_late: bool) -> (Job, PendingSignature) {
    let submitted = Instant::now();
    let never = submitted + Duration::from_secs(3600);
    let deadline = if is_late { submitted } else { never };
    let (completer, pending) = PendingSignature::channel(never);
    let ticket = Ticket {
        completer,
        submitted,
        deadline,
    };
    let job = Job {
        message: message.as_bytes().to_vec(),
        bad_signatures: 0,
        ticket,
    };
    (job, pending)
}

/// How a call ended, or `None` if it has not.
fn outcome(pending: &mut PendingSignature) -> Option<Result<(), SignErrorKind>> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(pending).poll(&mut context) {
        Poll::Pending => None,
        Poll::Ready(Ok(_)) => Some(Ok(())),
        Poll::Ready(Err(error)) => {
            // So it says when a ticket was dropped.
            assert!(
                !error.to_string().contains("stopped before"),
                "a job was lost"
            );
            Some(Err(error.kind()))
        }
    }
}

fn signed(ticket: Ticket) {
    ticket.completer.complete(Ok(SIGNATURE.clone()));
}

fn not_signed(ticket: Ticket, error: SignError) {
    ticket.completer.complete(Err(error));
}

fn trouble(kind: SignErrorKind) -> Trouble {
    Trouble::new(kind, "as the model has it")
}

/// Counts, and lets a thread wait until so many are counted.
#[derive(Default)]
struct Count {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Count {
    fn add(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, number: usize) {
        let mut count = self.count.lock().unwrap();
        while *count < number {
            count = self.changed.wait(count).unwrap();
        }
    }

    fn is(&self, number: usize) -> bool {
        *self.count.lock().unwrap() == number
    }
}
