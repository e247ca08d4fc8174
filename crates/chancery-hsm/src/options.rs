//! How a signer uses its device.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;

/// How an [`HsmSigner`](crate::HsmSigner) uses its device.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use chancery_hsm::HsmOptions;
///
/// let options = HsmOptions::new()
///     .with_workers(NonZeroUsize::new(2).unwrap())
///     .with_deadline(Duration::from_secs(2))
///     .on_event(|event| eprintln!("{event}"));
/// # drop(options);
/// ```
///
/// Its clones share the hook.
#[derive(Clone)]
pub struct HsmOptions {
    pub(crate) workers: NonZeroUsize,
    pub(crate) queue_capacity: usize,
    pub(crate) deadline: Duration,
    pub(crate) hook: Option<Hook>,
    pub(crate) is_verified: bool,
}

/// Times to come are added up from the present, which must not overflow.
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) type Hook = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

impl HsmOptions {
    /// Eight workers, a queue of 1024 signatures, a deadline of ten seconds, no hook.
    #[must_use]
    pub fn new() -> Self {
        Self {
            workers: NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN),
            queue_capacity: 1024,
            deadline: Duration::from_secs(10),
            hook: None,
            is_verified: true,
        }
    }

    /// Sets the number of worker threads, each of which holds one session with the device.
    ///
    /// More help as long as the device works on several signatures at once. Of one that computes in
    /// this process, no more are at work at once than there are processors.
    #[must_use]
    pub const fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers;
        self
    }

    /// The number of worker threads.
    #[must_use]
    pub const fn workers(&self) -> NonZeroUsize {
        self.workers
    }

    /// Sets how many signatures may wait for a worker before calls are refused as
    /// [`Busy`](chancery_core::SignErrorKind::Busy). With 0 every call is refused.
    #[must_use]
    pub const fn with_queue_capacity(mut self, signatures: usize) -> Self {
        self.queue_capacity = signatures;
        self
    }

    /// Sets how long a call may take in all: waiting, signing, and whatever recovery is needed. More
    /// than a year counts as a year.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = if deadline.as_secs() < LONGEST_DEADLINE.as_secs() {
            deadline
        } else {
            LONGEST_DEADLINE
        };
        self
    }

    /// Sets what is called with each [`Event`]. It runs on the signer's threads, or on that of a
    /// caller who is refused, and holds up the one that it runs on, so it should return at once, and
    /// not sign. Others' deadlines are kept even if it hangs; should it panic, the signer goes on.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Releases signatures unverified, so that a benchmark can tell what verification costs.
    #[cfg(chancery_unverified)]
    #[must_use]
    pub const fn unverified(mut self) -> Self {
        self.is_verified = false;
        self
    }
}

impl Default for HsmOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HsmOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HsmOptions")
            .field("workers", &self.workers)
            .field("queue_capacity", &self.queue_capacity)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
