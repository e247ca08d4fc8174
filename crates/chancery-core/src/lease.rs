//! How long a key set that follows a manifest may be relied on, and what it allows meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::issue_error::{DocumentError, IssueError};
use crate::time::UnixTime;

/// What a [`KeySet`](crate::KeySet) that follows a key manifest holds its issuers to: how long
/// they may rely on what was read, and the times that the manifest's schedules were made for.
///
/// All durations are whole seconds; a fraction is dropped, which is the stricter reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// When the manifest was read, by the issuers' clock: the moment before the read began.
    pub as_of: UnixTime,
    /// How long from then on tokens may be signed and documents served. It is read again, and the
    /// lease renewed, long before.
    pub lease: Duration,
    /// The longest lifetime of a token, since keys stay published as long as this after they have
    /// stopped.
    pub longest_lifetime: Duration,
    /// The longest `max-age` of a document, since keys are announced as long as this before they
    /// sign. An issuer that is set to a longer one serves this one.
    pub max_age: Duration,
    /// How far a clock may be off. It may go back by twice as much.
    pub clock_error: Duration,
}

/// The lease of the keys that one call of [`KeySet::follow`](crate::KeySet::follow) brought.
///
/// Its clones are the same lease. Keys that replace them have another, so that a renewal which
/// comes late never prolongs what it was not meant for.
#[derive(Clone)]
pub struct Lease(Arc<Terms>);

struct Terms {
    /// When the manifest was read last, in seconds.
    as_of: AtomicU64,
    limits: Limits,
}

impl Lease {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Terms {
            as_of: AtomicU64::new(limits.as_of.as_secs()),
            limits,
        }))
    }

    /// Notes that the manifest was read again and is still the same: the keys may be relied on for
    /// another term from `as_of` on, the moment before that read began.
    ///
    /// The last renewal counts, also where it is earlier than the one before, so that a clock which
    /// was set right does not keep the lease that it granted itself while it was wrong.
    pub fn renew(&self, as_of: UnixTime) {
        // Nothing else is published by this store.
        self.0.as_of.store(as_of.as_secs(), Ordering::Relaxed);
    }

    /// The first moment at which nothing signs any more and no document is served, unless the lease
    /// is renewed.
    #[must_use]
    pub fn valid_until(&self) -> UnixTime {
        self.as_of()
            .checked_add(self.0.limits.lease)
            .unwrap_or(UnixTime::MAX)
    }

    /// Whether the keys may be relied on: the lease has not run out, and the clock did not go back
    /// to before it was granted.
    #[must_use]
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.check(now).is_ok()
    }

    pub(crate) fn check(&self, now: UnixTime) -> Result<(), Lapse> {
        let as_of = self.as_of();
        if now < as_of.saturating_sub(self.clock_tolerance()) {
            return Err(Lapse::ClockWentBack { now, latest: as_of });
        }
        let valid_until = self.valid_until();
        if now >= valid_until {
            return Err(Lapse::Expired { now, valid_until });
        }
        Ok(())
    }

    pub(crate) fn longest_lifetime(&self) -> Duration {
        self.0.limits.longest_lifetime
    }

    pub(crate) fn max_age(&self) -> Duration {
        self.0.limits.max_age
    }

    /// Two clocks, or one at two moments, may differ by twice the error of one.
    pub(crate) fn clock_tolerance(&self) -> Duration {
        self.0.limits.clock_error.saturating_mul(2)
    }

    fn as_of(&self) -> UnixTime {
        // It was a moment when it was stored.
        UnixTime::from_secs(self.0.as_of.load(Ordering::Relaxed)).unwrap_or(UnixTime::EPOCH)
    }
}

/// Shows when it runs out.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}

/// Why the keys of a set cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// The lease ran out.
    Expired {
        now: UnixTime,
        valid_until: UnixTime,
    },
    /// The clock went back.
    ClockWentBack { now: UnixTime, latest: UnixTime },
}

impl From<Lapse> for IssueError {
    fn from(lapse: Lapse) -> Self {
        match lapse {
            Lapse::Expired { now, valid_until } => Self::LeaseExpired { now, valid_until },
            Lapse::ClockWentBack { now, latest } => Self::ClockWentBack { now, latest },
        }
    }
}

impl From<Lapse> for DocumentError {
    fn from(lapse: Lapse) -> Self {
        match lapse {
            Lapse::Expired { now, valid_until } => Self::LeaseExpired { now, valid_until },
            Lapse::ClockWentBack { now, latest } => Self::ClockWentBack { now, latest },
        }
    }
}
