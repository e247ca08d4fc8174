//! The signer over a device.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{
    Jwk, PendingSignature, SignError, SignErrorKind, Signature, Signer, SigningInput,
};
use chancery_software::VerifyingKey;

use crate::device::Device;
use crate::health::Health;
use crate::ladder::FirstTry;
use crate::options::HsmOptions;
use crate::queue::{Job, Ticket};
use crate::shared::Shared;
use crate::worker;

/// Up to this latency a caller looks for its signature before it sleeps. It would mostly look in vain
/// for one that takes longer.
const FAST: Duration = Duration::from_micros(250);

/// The same where the device computes in this process: a processor is at work anyway, and how long an
/// RSA signature takes changes little.
const FAST_HERE: Duration = Duration::from_millis(2);

/// How long after its deadline a call gives up by itself, should the thread that watches deadlines
/// not have told it.
const GRACE: Duration = Duration::from_millis(20);

/// How many reports of calls that reached their deadline may wait for a hook.
const MOST_REPORTS: usize = 1024;

/// How long a signer that is dropped waits for its workers to close their sessions.
const PATIENCE: Duration = Duration::from_secs(1);

/// Signs with one key of a device.
///
/// Worker threads, each with a session of its own, take signatures from one bounded queue, in the
/// order in which they were asked for. Every signature is verified with the published key before
/// it is released. Every call returns by its deadline, whatever the device does.
///
/// When it is dropped, calls that wait are refused, and it waits for up to one second until the
/// workers have closed their sessions.
pub struct HsmSigner {
    shared: Arc<Shared>,
}

impl HsmSigner {
    /// Starts the workers and waits until one of them has opened a session, and has signed and
    /// verified a test with it; at most for the options' deadline.
    ///
    /// # Errors
    /// [`SignError`] when the first try to open a session fails, or takes too long; of the kind
    /// [`SignErrorKind::Unsupported`] when the algorithm cannot be verified.
    pub fn open<D: Device>(device: D, jwk: Jwk, options: HsmOptions) -> Result<Self, SignError> {
        let verifying_key = VerifyingKey::new(&jwk).map_err(|error| {
            SignError::new(
                SignErrorKind::Unsupported,
                "signatures of this algorithm cannot be verified, so none would be released",
            )
            .with_source(error)
        })?;
        let device = Arc::new(device);
        // Its drop ends the threads when anything below fails.
        let signer = Self {
            shared: Arc::new(Shared::new(verifying_key, options)),
        };
        signer.start_watchdog()?;
        signer.start_worker(0, &device)?;
        let deadline = Instant::now() + signer.shared.options.deadline;
        match signer.shared.ladder.first_try(deadline) {
            FirstTry::Opened => {}
            FirstTry::Failed(trouble) => return Err(trouble.error()),
            FirstTry::TimedOut => {
                return Err(SignError::new(
                    SignErrorKind::Timeout,
                    "the device opened no session before the deadline",
                ));
            }
        }
        for worker in 1..signer.shared.options.workers.get() {
            signer.start_worker(worker, &device)?;
        }
        Ok(signer)
    }

    /// How the signer is at this moment.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    fn start_watchdog(&self) -> Result<(), SignError> {
        let shared = Arc::clone(&self.shared);
        let (reports, reported) = mpsc::sync_channel(MOST_REPORTS);
        start("chancery-hsm-deadlines".to_owned(), move || {
            shared.watch_deadlines(&reports);
        })?;
        let shared = Arc::clone(&self.shared);
        start("chancery-hsm-reports".to_owned(), move || {
            shared.report_deadlines(&reported);
        })
    }

    fn start_worker<D: Device>(&self, worker: usize, device: &Arc<D>) -> Result<(), SignError> {
        let shared = Arc::clone(&self.shared);
        let device = Arc::clone(device);
        let running = Running::new(Arc::clone(&shared));
        start(format!("chancery-hsm-{worker}"), move || {
            let _running = running;
            worker::run(worker, &shared, &*device);
        })
    }

    fn submit(&self, input: &SigningInput<'_>) -> PendingSignature {
        let algorithm = self.shared.algorithm();
        if input.algorithm() != algorithm {
            return PendingSignature::ready(Err(SignError::new(
                SignErrorKind::Unsupported,
                format!("the key signs {algorithm} only, not {}", input.algorithm()),
            )));
        }
        let submitted = Instant::now();
        let deadline = submitted + self.shared.options.deadline;
        let (completer, pending) = PendingSignature::channel(deadline + GRACE);
        let job = Job {
            message: input.as_bytes().to_vec(),
            bad_signatures: 0,
            ticket: Ticket {
                completer,
                submitted,
                deadline,
            },
        };
        if let Err((ticket, error)) = self.shared.queue.push(job) {
            self.shared.not_signed(ticket, error);
        }
        pending
    }
}

impl Signer for HsmSigner {
    fn jwk(&self) -> &Jwk {
        self.shared.jwk()
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        let mut pending = self.submit(input);
        let queue = &self.shared.queue;
        let fast = if queue.computes_here() {
            FAST_HERE
        } else {
            FAST
        };
        if self.shared.record.last_latency() < fast {
            let found = queue.processors().look_as_caller(fast, || {
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(&mut pending).poll(&mut context) {
                    Poll::Ready(outcome) => Some(outcome),
                    Poll::Pending => None,
                }
            });
            if let Some(outcome) = found {
                return outcome;
            }
        }
        pending.wait()
    }

    fn begin_sign(&self, input: &SigningInput<'_>) -> PendingSignature {
        self.submit(input)
    }
}

impl Drop for HsmSigner {
    fn drop(&mut self) {
        self.shared.shut_down(PATIENCE);
    }
}

/// Shows kid, alg and state.
impl fmt::Debug for HsmSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HsmSigner")
            .field("kid", &self.jwk().kid())
            .field("alg", &self.jwk().algorithm().name())
            .field("state", &self.health().state)
            .finish_non_exhaustive()
    }
}

/// Counts a worker for as long as it runs, even if it panics.
struct Running(Arc<Shared>);

impl Running {
    fn new(shared: Arc<Shared>) -> Self {
        shared.ladder.worker_started();
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ladder.worker_ended();
    }
}

fn start(name: String, run: impl FnOnce() + Send + 'static) -> Result<(), SignError> {
    let thread = thread::Builder::new().name(name).spawn(run);
    thread.map(drop).map_err(|error| {
        SignError::new(
            SignErrorKind::Unavailable,
            "the system gave no thread for a worker",
        )
        .with_source(error)
    })
}
