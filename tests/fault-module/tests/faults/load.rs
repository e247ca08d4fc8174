//! Callers that sign all the time, half of them blocking and half of them async.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chancery_core::{IssueError, SignErrorKind, Token};
use tokio::runtime::{Builder, Runtime};

use crate::bench::Bench;

pub(crate) const CALLERS: usize = 32;

/// How long a caller rests after an error.
const REST: Duration = Duration::from_millis(1);

/// Callers at work.
pub(crate) struct Load {
    callers: Vec<Arc<Caller>>,
    stop: Arc<AtomicBool>,
    runtime: Runtime,
}

/// A call that has returned.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A token that verifies with the published key.
    Signed,
    Failed(SignErrorKind),
    /// A token that does not verify, or an error that has nothing to do with signing.
    Wrong(String),
}

/// Sleeps over and over, to tell how late a thread wakes that does nothing else: so late may any
/// call return, whatever its signer does.
pub(crate) struct Canary {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Canary {
    pub(crate) fn start() -> Self {
        const NAP: Duration = Duration::from_millis(5);
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut longest = NAP;
            while !is_over.load(Ordering::Relaxed) {
                let start = Instant::now();
                thread::sleep(NAP);
                longest = longest.max(start.elapsed());
            }
            longest - NAP
        });
        Self { stop, thread }
    }

    /// The longest that it overslept.
    pub(crate) fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Call {
    pub(crate) fn is_signed(&self) -> bool {
        self.outcome == Outcome::Signed
    }

    pub(crate) fn ended(&self) -> Instant {
        self.began + self.took
    }
}

#[derive(Default)]
struct Caller {
    calls: Mutex<Vec<Call>>,
    last_signed: Mutex<Option<Instant>>,
    has_ended: AtomicBool,
}

impl Load {
    pub(crate) fn start(bench: &Arc<Bench>) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for number in 0..CALLERS {
            let caller = Arc::new(Caller::default());
            callers.push(Arc::clone(&caller));
            let (bench, stop) = (Arc::clone(bench), Arc::clone(&stop));
            if number % 2 == 0 {
                thread::spawn(move || caller.block(&bench, &stop));
            } else {
                runtime.spawn(async move { caller.poll(&bench, &stop).await });
            }
        }
        Self {
            callers,
            stop,
            runtime,
        }
    }

    /// Waits until every caller has got a signature since then; `false` at the deadline.
    pub(crate) fn all_sign_since(&self, since: Instant, deadline: Instant) -> bool {
        loop {
            let signed = |caller: &Arc<Caller>| {
                let last = *caller.last_signed.lock().unwrap();
                last.is_some_and(|last| last >= since)
            };
            if self.callers.iter().all(signed) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets the callers end with the call that they are at. Hands out all calls, by caller, and
    /// how many callers did not come back in time.
    pub(crate) fn stop(self, timeout: Duration) -> (Vec<Vec<Call>>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + timeout;
        let at_work = || {
            let ended = |caller: &&Arc<Caller>| !caller.has_ended.load(Ordering::Acquire);
            self.callers.iter().filter(ended).count()
        };
        while at_work() > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let missing = at_work();
        self.runtime.shutdown_background();
        let calls = self
            .callers
            .iter()
            .map(|caller| caller.calls.lock().unwrap().clone())
            .collect();
        (calls, missing)
    }
}

impl Caller {
    fn block(&self, bench: &Bench, stop: &AtomicBool) {
        let claims = Bench::claims();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let issued = bench.issuer.issue(&claims);
            if !self.record(bench, began, issued) {
                thread::sleep(REST);
            }
        }
        self.has_ended.store(true, Ordering::Release);
    }

    async fn poll(&self, bench: &Bench, stop: &AtomicBool) {
        let claims = Bench::claims();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let issued = bench.issuer.issue_async(&claims).await;
            if !self.record(bench, began, issued) {
                tokio::time::sleep(REST).await;
            }
        }
        self.has_ended.store(true, Ordering::Release);
    }

    /// Notes a call; tells whether it signed.
    fn record(&self, bench: &Bench, began: Instant, issued: Result<Token, IssueError>) -> bool {
        let took = began.elapsed();
        let outcome = match issued {
            Ok(token) => match bench.verify(token.as_str()) {
                Ok(()) => Outcome::Signed,
                Err(error) => Outcome::Wrong(format!("a token that does not verify: {error}")),
            },
            Err(IssueError::Sign(error)) => Outcome::Failed(error.kind()),
            Err(error) => Outcome::Wrong(error.to_string()),
        };
        let call = Call {
            began,
            took,
            outcome,
        };
        let is_signed = call.is_signed();
        if is_signed {
            *self.last_signed.lock().unwrap() = Some(call.ended());
        }
        self.calls.lock().unwrap().push(call);
        is_signed
    }
}
