//! How a signer is, for operators.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;

use crate::sync::{Mutex, lock};

/// How a signer is at one moment. The counts are since it was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Whether it can sign.
    pub state: State,
    /// The number of signatures that wait for a worker.
    pub queue_depth: usize,
    /// The number of worker threads.
    pub workers: usize,
    /// The number of workers that have a session with the device.
    pub sessions: usize,
    /// The number of workers whose device is still at a call whose deadline has passed, be it to sign
    /// or to open a session.
    pub overdue: usize,
    /// The device's last error, and how long ago it was; `None` when there was none.
    pub last_error: Option<(String, Duration)>,
    /// Calls that ended with a signature.
    pub signed: u64,
    /// Calls that reached their deadline, whatever the reason.
    pub timed_out: u64,
    /// Calls refused because the queue was full.
    pub busy: u64,
    /// Calls that ended with another error.
    pub failed: u64,
    /// Signatures of the device that did not verify, and were withheld.
    pub withheld: u64,
    /// Resets of the device's library or connection, by this signer or just before by another.
    pub resets: u64,
    /// The mean time from a call to its signature; zero when there is none yet.
    pub mean_latency: Duration,
    /// The longest time from a call to its signature.
    pub longest_latency: Duration,
}

/// Whether a signer can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// At least one worker has a session whose device answers.
    Ready,
    /// No worker has a session. They keep trying, and calls wait until their deadline.
    Recovering,
    /// No worker has a session whose device answers, and at least one hangs in a call whose deadline
    /// has passed. Calls wait until their deadline.
    Hung,
    /// The device has another key in the place of the published one, or can no longer sign with
    /// it. Calls are refused at once, while workers keep trying.
    Refusing,
    /// The PIN or password was refused. It is not tried again, and calls are refused at once: mend
    /// it, and open another signer.
    Latched,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Recovering => "recovering",
            Self::Hung => "hung",
            Self::Refusing => "refusing",
            Self::Latched => "latched",
        })
    }
}

/// What a signer counts and remembers for its [`Health`].
#[derive(Debug, Default)]
pub(crate) struct Record {
    signed: AtomicU64,
    timed_out: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
    pub(crate) withheld: AtomicU64,
    pub(crate) resets: AtomicU64,
    latency: AtomicU64,
    longest_latency: AtomicU64,
    last_latency: AtomicU64,
    last_error: Mutex<Option<(String, Instant)>>,
}

impl Record {
    pub(crate) fn signed(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.signed.fetch_add(1, Ordering::Relaxed);
        self.latency.fetch_add(nanoseconds, Ordering::Relaxed);
        self.last_latency.store(nanoseconds, Ordering::Relaxed);
        self.longest_latency
            .fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// The last time from a call to its signature; zero when there is none yet.
    pub(crate) fn last_latency(&self) -> Duration {
        Duration::from_nanos(self.last_latency.load(Ordering::Relaxed))
    }

    pub(crate) fn not_signed(&self, kind: SignErrorKind) {
        let count = match kind {
            SignErrorKind::Busy => &self.busy,
            _ => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn error(&self, error: &str) {
        *lock(&self.last_error) = Some((error.to_owned(), Instant::now()));
    }

    /// Puts what was recorded beside what the caller knows.
    pub(crate) fn health(
        &self,
        state: State,
        queue_depth: usize,
        workers: usize,
        sessions: usize,
        overdue: usize,
    ) -> Health {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let signed = load(&self.signed);
        let mean = load(&self.latency).checked_div(signed).unwrap_or(0);
        Health {
            state,
            queue_depth,
            workers,
            sessions,
            overdue,
            last_error: lock(&self.last_error)
                .as_ref()
                .map(|(error, at)| (error.clone(), at.elapsed())),
            signed,
            timed_out: load(&self.timed_out),
            busy: load(&self.busy),
            failed: load(&self.failed),
            withheld: load(&self.withheld),
            resets: load(&self.resets),
            mean_latency: Duration::from_nanos(mean),
            longest_latency: Duration::from_nanos(load(&self.longest_latency)),
        }
    }
}
