//! Callers that sign all the time, half of them blocking and half of them async.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chancery_core::{IssueError, SignErrorKind, Token};
use tokio::runtime::{Builder, Runtime};

use crate::bench::Bench;

pub(crate) const CALLERS: usize = 32;

/// How long a caller rests after an error, or when the verifier has too much to do.
const REST: Duration = Duration::from_millis(1);

/// How many tokens may wait for the verifier before callers wait for it too.
const MOST_UNVERIFIED: usize = 256;

/// Callers at work.
pub(crate) struct Load {
    callers: Arc<Vec<Caller>>,
    stop: Arc<AtomicBool>,
    runtime: Runtime,
    /// Ends when all callers have.
    verifier: JoinHandle<Vec<Call>>,
}

/// A call that has returned.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) is_async: bool,
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

/// Where one caller is.
#[derive(Default)]
struct Caller {
    last_signed: Mutex<Option<Instant>>,
    has_ended: AtomicBool,
}

/// What a caller needs. It hands over what it got to be verified elsewhere, so that it mostly
/// waits, and is woken as soon as any thread is.
struct Work {
    bench: Arc<Bench>,
    stop: Arc<AtomicBool>,
    callers: Arc<Vec<Caller>>,
    number: usize,
    results: Sender<Issued>,
    unverified: Arc<AtomicUsize>,
}

/// A call that has returned, and what it brought.
struct Issued {
    began: Instant,
    took: Duration,
    is_async: bool,
    outcome: Result<Token, IssueError>,
}

impl Load {
    pub(crate) fn start(bench: &Arc<Bench>) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let callers: Vec<_> = (0..CALLERS).map(|_| Caller::default()).collect();
        let callers = Arc::new(callers);
        let stop = Arc::new(AtomicBool::new(false));
        let unverified = Arc::new(AtomicUsize::new(0));
        let (results, issued) = mpsc::channel();
        for number in 0..CALLERS {
            let work = Work {
                bench: Arc::clone(bench),
                stop: Arc::clone(&stop),
                callers: Arc::clone(&callers),
                number,
                results: results.clone(),
                unverified: Arc::clone(&unverified),
            };
            if is_async(number) {
                runtime.spawn(work.poll());
            } else {
                thread::spawn(move || work.block());
            }
        }
        let verifier = {
            let bench = Arc::clone(bench);
            thread::spawn(move || verify(&bench, issued, &unverified))
        };
        Self {
            callers,
            stop,
            runtime,
            verifier,
        }
    }

    /// Waits until every caller has got a token since then; `false` at the deadline.
    pub(crate) fn all_sign_since(&self, since: Instant, deadline: Instant) -> bool {
        loop {
            let signed = |caller: &Caller| {
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

    /// Lets the callers end with the call that they are at. Hands out all calls, and how many
    /// callers did not come back in time, in which case there are no calls.
    pub(crate) fn stop(self, timeout: Duration) -> (Vec<Call>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + timeout;
        let at_work = || {
            let at_work = |caller: &&Caller| !caller.has_ended.load(Ordering::Acquire);
            self.callers.iter().filter(at_work).count()
        };
        while at_work() > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let missing = at_work();
        self.runtime.shutdown_background();
        if missing > 0 {
            return (Vec::new(), missing);
        }
        (self.verifier.join().unwrap(), 0)
    }
}

impl Work {
    fn block(self) {
        let claims = Bench::claims();
        while !self.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let outcome = self.bench.issuer.issue(&claims);
            if self.hand_over(began, outcome) {
                thread::sleep(REST);
            }
        }
        self.end();
    }

    async fn poll(self) {
        let claims = Bench::claims();
        while !self.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let outcome = self.bench.issuer.issue_async(&claims).await;
            if self.hand_over(began, outcome) {
                tokio::time::sleep(REST).await;
            }
        }
        self.end();
    }

    /// Hands over what came of a call; tells whether to rest now.
    fn hand_over(&self, began: Instant, outcome: Result<Token, IssueError>) -> bool {
        let took = began.elapsed();
        let is_error = outcome.is_err();
        if !is_error {
            *self.callers[self.number].last_signed.lock().unwrap() = Some(began + took);
        }
        let unverified = self.unverified.fetch_add(1, Ordering::Relaxed);
        let issued = Issued {
            began,
            took,
            is_async: is_async(self.number),
            outcome,
        };
        self.results.send(issued).unwrap();
        is_error || unverified >= MOST_UNVERIFIED
    }

    /// The signer is let go of before the caller counts as gone.
    fn end(self) {
        let Self {
            bench,
            callers,
            number,
            ..
        } = self;
        drop(bench);
        callers[number].has_ended.store(true, Ordering::Release);
    }
}

/// Every other caller is async.
const fn is_async(caller: usize) -> bool {
    !caller.is_multiple_of(2)
}

static WRONG_TOKENS: AtomicUsize = AtomicUsize::new(0);

/// How many tokens callers have got so far that do not verify with the published key.
pub(crate) fn wrong_tokens() -> usize {
    WRONG_TOKENS.load(Ordering::SeqCst)
}

/// Judges what the callers got, until the last of them has ended.
fn verify(bench: &Bench, issued: Receiver<Issued>, unverified: &AtomicUsize) -> Vec<Call> {
    let judge = |issued: Issued| {
        let outcome = match issued.outcome {
            Ok(token) => match bench.verify(token.as_str()) {
                Ok(()) => Outcome::Signed,
                Err(error) => {
                    WRONG_TOKENS.fetch_add(1, Ordering::SeqCst);
                    Outcome::Wrong(format!("a token that does not verify: {error}"))
                }
            },
            Err(IssueError::Sign(error)) => Outcome::Failed(error.kind()),
            Err(error) => Outcome::Wrong(error.to_string()),
        };
        let call = Call {
            began: issued.began,
            took: issued.took,
            is_async: issued.is_async,
            outcome,
        };
        unverified.fetch_sub(1, Ordering::Relaxed);
        call
    };
    issued.into_iter().map(judge).collect()
}
