//! What is tried, and when, to get over a fault: new sessions first, then a reset of the device.

use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;

use crate::sync::{Condvar, Mutex, lock, wait};
use crate::trouble::Trouble;

/// The pauses between tries to open a session, while none succeeds. The last one is repeated.
const PAUSES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// The device is reset from this failure on.
const FAILURES_BEFORE_RESET: usize = 2;

/// Resets are at least this far apart.
const RESET_INTERVAL: Duration = Duration::from_millis(200);

/// The sessions of a signer and the tries to open them.
#[derive(Debug)]
pub(crate) struct Ladder {
    state: Mutex<State>,
    changed: Condvar,
    /// How long one worker opens a session, or resets the device, before others may.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    sessions: usize,
    /// There has been a session.
    has_opened: bool,
    /// Tries in a row that failed.
    failures: usize,
    next_try: Instant,
    last_reset: Option<Instant>,
    /// Since when there has been no session.
    down_since: Option<Instant>,
    /// Why there is no session.
    trouble: Option<Trouble>,
    /// Nothing is tried any more.
    is_closed: bool,
    running: usize,
    /// The try that a worker is at, and since when.
    under_way: Option<(u64, Instant)>,
    /// The number of tries so far.
    tries: u64,
    /// The number of tries that did not return in time, and have not yet.
    overdue: usize,
}

/// What comes after a failed try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// No worker has a session, and callers need not wait for one.
    pub(crate) refuse: bool,
    /// The device is to be reset.
    pub(crate) reset: bool,
}

/// How the first try went.
pub(crate) enum FirstTry {
    Opened,
    Failed(Trouble),
    TimedOut,
}

impl Ladder {
    pub(crate) fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                sessions: 0,
                has_opened: false,
                failures: 0,
                next_try: now,
                last_reset: None,
                down_since: Some(now),
                trouble: None,
                is_closed: false,
                running: 0,
                under_way: None,
                tries: 0,
                overdue: 0,
            }),
            changed: Condvar::new(),
            patience,
        }
    }

    /// Waits for the time of the next try, and runs it, while no other worker is at one, unless that
    /// one hangs. `None` when nothing is tried any more.
    pub(crate) fn climb<T>(&self, attempt: impl FnOnce() -> T) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return None;
            }
            let now = Instant::now();
            let from = match state.under_way {
                Some((_, since)) => state.next_try.max(since + self.patience),
                None => state.next_try,
            };
            let pause = from.saturating_duration_since(now);
            if pause.is_zero() {
                state.overdue += usize::from(state.under_way.is_some());
                state.tries += 1;
                let number = state.tries;
                state.under_way = Some((number, now));
                drop(state);
                let _end = Attempt {
                    ladder: self,
                    number,
                };
                return Some(attempt());
            }
            state = wait(&self.changed, state, Some(pause));
        }
    }

    /// Pauses a worker whose sessions turn out to be of no use, the longer the more there were.
    pub(crate) fn rest(&self, useless: usize) {
        let until = Instant::now() + PAUSES[useless.min(PAUSES.len() - 1)];
        let mut state = lock(&self.state);
        while !state.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.changed, state, Some(left));
        }
    }

    /// Records a session; tells how long there was none, where this is the first.
    pub(crate) fn opened(&self) -> Option<Duration> {
        let mut state = lock(&self.state);
        state.sessions += 1;
        state.has_opened = true;
        state.failures = 0;
        state.next_try = Instant::now();
        if !state.is_closed {
            state.trouble = None;
        }
        let down_for = state.down_since.take().map(|since| since.elapsed());
        drop(state);
        self.changed.notify_all();
        down_for
    }

    /// Records that a session was dropped.
    pub(crate) fn lost(&self) {
        let mut state = lock(&self.state);
        state.sessions -= 1;
        if state.sessions == 0 {
            let now = Instant::now();
            // Tries that failed while other sessions seemed well need not delay the rescue of all.
            state.failures = 0;
            state.next_try = now;
            state.down_since = Some(now);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Records a try that failed. `overdue` is the number of sessions that hang in a call.
    pub(crate) fn failed(&self, trouble: &Trouble, overdue: usize) -> Failure {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let pause = PAUSES[state.failures.min(PAUSES.len() - 1)];
        state.failures += 1;
        state.next_try = now + pause;
        let is_down = state.sessions <= overdue;
        if is_down && !state.is_closed {
            state.trouble = Some(trouble.clone());
        }
        // A signer whose first try failed is never used.
        state.is_closed |= trouble.is_final() || !state.has_opened;
        let reset = is_down
            && !state.is_closed
            && !trouble.refuses()
            && state.failures >= FAILURES_BEFORE_RESET
            && state
                .last_reset
                .is_none_or(|reset| now.duration_since(reset) >= RESET_INTERVAL);
        if reset {
            state.last_reset = Some(now);
        }
        drop(state);
        self.changed.notify_all();
        Failure {
            refuse: is_down && trouble.refuses(),
            reset,
        }
    }

    /// Ends all tries, for a reason that stays.
    pub(crate) fn latch(&self, trouble: &Trouble) {
        let mut state = lock(&self.state);
        state.trouble = Some(trouble.clone());
        state.is_closed = true;
        drop(state);
        self.changed.notify_all();
    }

    /// What to tell a caller whose deadline has passed.
    pub(crate) fn deadline_passed(&self) -> Trouble {
        let trouble = lock(&self.state).trouble.clone();
        trouble.unwrap_or_else(|| {
            Trouble::new(
                SignErrorKind::Timeout,
                "the device did not sign before the deadline",
            )
        })
    }

    /// The number of sessions, that of tries to open one that hang, and why there is none.
    pub(crate) fn sessions(&self) -> (usize, usize, Option<Trouble>) {
        let state = lock(&self.state);
        let hangs = |(_, since): (u64, Instant)| since.elapsed() >= self.patience;
        let overdue = state.overdue + usize::from(state.under_way.is_some_and(hangs));
        (state.sessions, overdue, state.trouble.clone())
    }

    /// Waits for the outcome of the first try.
    pub(crate) fn first_try(&self, deadline: Instant) -> FirstTry {
        let mut state = lock(&self.state);
        loop {
            if state.sessions > 0 {
                return FirstTry::Opened;
            }
            if let Some(trouble) = &state.trouble {
                return FirstTry::Failed(trouble.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return FirstTry::TimedOut;
            }
            state = wait(&self.changed, state, Some(left));
        }
    }

    /// Ends all tries.
    pub(crate) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }

    /// Counts a worker that starts.
    pub(crate) fn worker_started(&self) {
        lock(&self.state).running += 1;
    }

    /// Counts a worker that ends.
    pub(crate) fn worker_ended(&self) {
        lock(&self.state).running -= 1;
        self.changed.notify_all();
    }

    /// Waits until no worker runs, or until the deadline; not at all where there never was a session
    /// that a worker could have to close.
    pub(crate) fn wait_for_workers(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        while state.running > 0 && state.has_opened {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.changed, state, Some(left));
        }
    }
}

/// A try that a worker is at. It ends when this is dropped.
struct Attempt<'a> {
    ladder: &'a Ladder,
    number: u64,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.ladder.state);
        match state.under_way {
            Some((number, _)) if number == self.number => state.under_way = None,
            // Another worker went on without this one.
            _ => state.overdue -= 1,
        }
        drop(state);
        self.ladder.changed.notify_all();
    }
}
