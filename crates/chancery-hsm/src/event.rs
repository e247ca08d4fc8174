//! What happens between a signer and its device, for whoever watches it.

use std::fmt;
use std::time::Duration;

use chancery_core::SignErrorKind;

/// Something that happened between a signer and its device. None holds a secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A worker opened a session.
    #[non_exhaustive]
    SessionOpened {
        /// The worker, from 0.
        worker: usize,
    },
    /// A worker dropped its session because of an error, or could not open one.
    #[non_exhaustive]
    SessionLost {
        /// The worker, from 0.
        worker: usize,
        /// What it means for callers, should no other worker have a session.
        kind: SignErrorKind,
        /// What the device said, causes included.
        error: &'a str,
    },
    /// The device's library or connection was started afresh, now or just before by another signer
    /// that shares it.
    Reset,
    /// The device's library or connection could not be started afresh.
    #[non_exhaustive]
    ResetFailed {
        /// What the device said, causes included.
        error: &'a str,
    },
    /// There is a session, after there was none.
    #[non_exhaustive]
    Recovered {
        /// How long there was none.
        after: Duration,
    },
    /// The PIN or password was refused. Nothing is tried again.
    #[non_exhaustive]
    Latched {
        /// What the device said, causes included.
        error: &'a str,
    },
    /// A signature of the device did not verify, and was withheld.
    #[non_exhaustive]
    SignatureWithheld {
        /// The worker, from 0.
        worker: usize,
    },
    /// A call ended with a signature.
    #[non_exhaustive]
    Signed {
        /// The time from the call to the signature.
        latency: Duration,
        /// The number of signatures that wait for a worker.
        queue_depth: usize,
    },
    /// A call ended with an error.
    #[non_exhaustive]
    NotSigned {
        /// The kind of the error.
        kind: SignErrorKind,
        /// The number of signatures that wait for a worker.
        queue_depth: usize,
    },
}

impl Event<'_> {
    /// Whether something went wrong. The rest is what happens all the time, and recovery.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        !matches!(
            self,
            Self::SessionOpened { .. } | Self::Recovered { .. } | Self::Signed { .. }
        )
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionOpened { worker } => write!(f, "worker {worker} opened a session"),
            Self::SessionLost { worker, error, .. } => {
                write!(f, "worker {worker} has no session: {error}")
            }
            Self::Reset => f.write_str("the device was reset"),
            Self::ResetFailed { error } => write!(f, "the device could not be reset: {error}"),
            Self::Recovered { after } => write!(f, "there is a session again after {after:?}"),
            Self::Latched { error } => {
                write!(f, "PIN refused, it will not be tried again: {error}")
            }
            Self::SignatureWithheld { worker } => write!(
                f,
                "worker {worker} got a signature that does not verify, and withheld it"
            ),
            Self::Signed { latency, .. } => write!(f, "signed in {latency:?}"),
            Self::NotSigned { kind, queue_depth } => {
                write!(f, "not signed, {queue_depth} waiting: {kind}")
            }
        }
    }
}

/// Hands an event to `tracing`, at a level that fits how soon somebody should look.
#[cfg(feature = "tracing")]
pub(crate) fn trace(kid: &str, event: &Event<'_>) {
    match event {
        Event::Latched { .. } => tracing::error!(kid, "{event}"),
        Event::SessionLost { .. }
        | Event::ResetFailed { .. }
        | Event::Reset
        | Event::SignatureWithheld { .. } => tracing::warn!(kid, "{event}"),
        Event::SessionOpened { .. } => tracing::debug!(kid, "{event}"),
        Event::Recovered { .. } => tracing::info!(kid, "{event}"),
        Event::Signed {
            latency,
            queue_depth,
        } => tracing::trace!(kid, ?latency, queue_depth, "signed"),
        Event::NotSigned { kind, queue_depth } => {
            tracing::warn!(kid, %kind, queue_depth, "not signed");
        }
    }
}
