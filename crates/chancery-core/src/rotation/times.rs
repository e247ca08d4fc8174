//! The times that a rotation depends on, and how long each step waits for them.

use std::time::Duration;

use crate::time::UnixTime;

/// What is known about relying parties and about the replicas of an issuer: how long each of them
/// lags. In whole seconds, none longer than ten years.
///
/// The defaults suit the clouds:
///
/// ```
/// use std::time::Duration;
/// use chancery_core::rotation::RotationTimes;
///
/// let times = RotationTimes::default().with_lease(Duration::from_secs(3600));
/// // A key signs 25 h 1 min after it was announced at the earliest ...
/// assert_eq!(times.activate_after_announce(), Duration::from_secs(25 * 3600 + 60));
/// // ... and leaves the JWKS 2 h 11 min 10 s after it stopped.
/// assert_eq!(times.retire_after_stop(), Duration::from_secs(2 * 3600 + 11 * 60 + 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationTimes {
    /// C: the largest `max-age` with which the JWKS is served. By default 5 minutes.
    pub max_age: Duration,
    /// R: how long relying parties and CDNs that ignore `max-age` keep a JWKS. By default a day.
    pub refresh: Duration,
    /// L: how old the manifest may be by which a replica signs and publishes. By default an hour.
    pub lease: Duration,
    /// ε: how far the clock of a replica may be off, to either side. By default 30 seconds.
    pub clock_error: Duration,
    /// D: how long one signature may take. By default 10 seconds.
    pub signing_deadline: Duration,
    /// T: the longest lifetime of a token. By default an hour.
    pub longest_lifetime: Duration,
    /// G: how long after `exp` relying parties still accept a token. By default 5 minutes, which
    /// is what AWS grants.
    pub leeway: Duration,
    /// r: how far the clock of a relying party may lag beyond the leeway. By default 5 minutes.
    pub clock_lag: Duration,
    /// W: how long a relying party or CDN remembers that there was no such key or no document. By
    /// default 5 minutes.
    pub negative_cache: Duration,
}

impl Default for RotationTimes {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(5 * 60),
            refresh: Duration::from_secs(24 * 3600),
            lease: Duration::from_secs(3600),
            clock_error: Duration::from_secs(30),
            signing_deadline: Duration::from_secs(10),
            longest_lifetime: Duration::from_secs(3600),
            leeway: Duration::from_secs(5 * 60),
            clock_lag: Duration::from_secs(5 * 60),
            negative_cache: Duration::from_secs(5 * 60),
        }
    }
}

impl RotationTimes {
    /// Sets C, the largest `max-age` served.
    #[must_use]
    pub const fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets R, how long a JWKS is kept where `max-age` is ignored.
    #[must_use]
    pub const fn with_refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// Sets L, how old the manifest of a replica may be.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets ε, how far a replica's clock may be off.
    #[must_use]
    pub const fn with_clock_error(mut self, clock_error: Duration) -> Self {
        self.clock_error = clock_error;
        self
    }

    /// Sets D, how long one signature may take.
    #[must_use]
    pub const fn with_signing_deadline(mut self, signing_deadline: Duration) -> Self {
        self.signing_deadline = signing_deadline;
        self
    }

    /// Sets T, the longest lifetime of a token.
    #[must_use]
    pub const fn with_longest_lifetime(mut self, longest_lifetime: Duration) -> Self {
        self.longest_lifetime = longest_lifetime;
        self
    }

    /// Sets G, how long relying parties accept a token after `exp`.
    #[must_use]
    pub const fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets r, how far a relying party's clock may lag beyond the leeway.
    #[must_use]
    pub const fn with_clock_lag(mut self, clock_lag: Duration) -> Self {
        self.clock_lag = clock_lag;
        self
    }

    /// Sets W, how long "no such key" is remembered.
    #[must_use]
    pub const fn with_negative_cache(mut self, negative_cache: Duration) -> Self {
        self.negative_cache = negative_cache;
        self
    }

    /// H: how long a JWKS is kept at most, the larger of C and R.
    #[must_use]
    pub fn cache(&self) -> Duration {
        self.max_age.max(self.refresh)
    }

    /// L + H + 2ε: how long after its announcement a key signs at the earliest (inequality 1).
    #[must_use]
    pub fn activate_after_announce(&self) -> Duration {
        self.lease.saturating_add(self.activate_after_observation())
    }

    /// H + 2ε: how long after its observation a key signs at the earliest (inequality 1).
    #[must_use]
    pub fn activate_after_observation(&self) -> Duration {
        self.cache().saturating_add(self.clock_errors())
    }

    /// W + 2ε: how long after its observation the first key of all signs at the earliest
    /// (inequality 8).
    #[must_use]
    pub fn bootstrap_after_observation(&self) -> Duration {
        self.negative_cache.saturating_add(self.clock_errors())
    }

    /// L + D + T + G + r + 2ε: how long after its last signature a key stays in the JWKS
    /// (inequality 3).
    #[must_use]
    pub fn retire_after_stop(&self) -> Duration {
        self.destroy_after_stop()
            .saturating_add(self.longest_lifetime)
            .saturating_add(self.leeway)
            .saturating_add(self.clock_lag)
    }

    /// L + D + 2ε: how long after a key stopped its private half is kept (inequality 4).
    #[must_use]
    pub fn destroy_after_stop(&self) -> Duration {
        self.lease
            .saturating_add(self.signing_deadline)
            .saturating_add(self.clock_errors())
    }

    /// 2ε: how far the clocks of two replicas may be apart.
    #[must_use]
    pub const fn clock_errors(&self) -> Duration {
        self.clock_error.saturating_add(self.clock_error)
    }

    /// The longer of two, each time by itself.
    pub(super) fn longest(&self, other: &Self) -> Self {
        Self {
            max_age: self.max_age.max(other.max_age),
            refresh: self.refresh.max(other.refresh),
            lease: self.lease.max(other.lease),
            clock_error: self.clock_error.max(other.clock_error),
            signing_deadline: self.signing_deadline.max(other.signing_deadline),
            longest_lifetime: self.longest_lifetime.max(other.longest_lifetime),
            leeway: self.leeway.max(other.leeway),
            clock_lag: self.clock_lag.max(other.clock_lag),
            negative_cache: self.negative_cache.max(other.negative_cache),
        }
    }

    /// The times by the names they have in a manifest.
    pub(super) fn named(&self) -> [(&'static str, Duration); 9] {
        [
            ("max_age", self.max_age),
            ("refresh", self.refresh),
            ("lease", self.lease),
            ("clock_error", self.clock_error),
            ("signing_deadline", self.signing_deadline),
            ("longest_lifetime", self.longest_lifetime),
            ("leeway", self.leeway),
            ("clock_lag", self.clock_lag),
            ("negative_cache", self.negative_cache),
        ]
    }

    /// The times by what [`named`](Self::named) calls them.
    pub(super) fn from_named<E>(
        mut value: impl FnMut(&'static str) -> Result<Duration, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            max_age: value("max_age")?,
            refresh: value("refresh")?,
            lease: value("lease")?,
            clock_error: value("clock_error")?,
            signing_deadline: value("signing_deadline")?,
            longest_lifetime: value("longest_lifetime")?,
            leeway: value("leeway")?,
            clock_lag: value("clock_lag")?,
            negative_cache: value("negative_cache")?,
        })
    }
}

/// The times that were in force for a while. A manifest keeps all of them, because what was cached
/// under the old ones outlives their replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimesRecord {
    /// The times.
    pub times: RotationTimes,
    /// From this moment on.
    pub since: UnixTime,
    /// Until this moment; `None` for those in force.
    pub until: Option<UnixTime>,
}

/// How long a step has to wait, given the times.
pub(super) type Wait = fn(&RotationTimes) -> Duration;
