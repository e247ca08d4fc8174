//! What the operator wants: which keys there are, where they lie and how long each signs.

use std::fmt;
use std::time::Duration;

use super::times::RotationTimes;
use crate::algorithm::Algorithm;

/// The longest time that a policy may name: ten years of 365 days.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How many keys may stand in a JWKS: AWS reads no more (inequality 10).
pub(super) const MOST_PUBLISHED: usize = 100;

/// How keys are rotated. Every replica is given one, and the manifest holds the one in force.
///
/// ```
/// use std::time::Duration;
/// use chancery_core::Algorithm;
/// use chancery_core::rotation::{Lane, RotationPolicy};
///
/// let policy = RotationPolicy::new(1)
///     .with_lane(Lane::new(Algorithm::Es256, "hsm").with_standby("software"))
///     .with_lane(Lane::new(Algorithm::Rs256, "software"));
/// policy.check()?;
/// # Ok::<(), chancery_core::rotation::RotationPolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationPolicy {
    /// Which policy this is. A replica that brings a higher version than the manifest's puts its
    /// policy in force; one that brings a lower version follows the manifest.
    pub version: u64,
    /// How long relying parties and replicas lag.
    pub times: RotationTimes,
    /// A lane for each algorithm, the one that signs by default first.
    pub lanes: Vec<Lane>,
    /// Whether the very first keys may sign at once, because no relying party has asked for the
    /// JWKS yet (inequality 8). It matters only until they are announced.
    pub nobody_has_fetched: bool,
}

impl RotationPolicy {
    /// A policy with the default times and no lane yet.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self {
            version,
            times: RotationTimes::default(),
            lanes: Vec::new(),
            nobody_has_fetched: false,
        }
    }

    /// Sets how long relying parties and replicas lag.
    #[must_use]
    pub const fn with_times(mut self, times: RotationTimes) -> Self {
        self.times = times;
        self
    }

    /// Adds a lane.
    #[must_use]
    pub fn with_lane(mut self, lane: Lane) -> Self {
        self.lanes.push(lane);
        self
    }

    /// Lets the very first keys sign at once.
    #[must_use]
    pub const fn nobody_has_fetched(mut self) -> Self {
        self.nobody_has_fetched = true;
        self
    }

    /// The lane of an algorithm.
    #[must_use]
    pub fn lane(&self, algorithm: Algorithm) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.algorithm == algorithm)
    }

    /// Checks that the policy can be carried out.
    ///
    /// # Errors
    /// [`RotationPolicyError`]: which time or lane cannot be, and why.
    pub fn check(&self) -> Result<(), RotationPolicyError> {
        check_times(&self.times)?;
        // A replica takes 2ε off its lease. What is left must be something.
        let (lease, needed) = (self.times.lease, self.times.clock_errors());
        if lease <= needed {
            return Err(RotationPolicyError::ShortLease {
                found: lease,
                clock_errors: needed,
            });
        }
        if self.lanes.is_empty() {
            return Err(RotationPolicyError::NoLane);
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            if self.lanes[..index]
                .iter()
                .any(|earlier| earlier.algorithm == lane.algorithm)
            {
                return Err(RotationPolicyError::DuplicateLane {
                    algorithm: lane.algorithm,
                });
            }
            lane.check(&self.times)?;
        }
        let published = self.lanes.iter().fold(0_u64, |sum, lane| {
            sum.saturating_add(lane.published(&self.times))
        });
        if published > MOST_PUBLISHED as u64 {
            return Err(RotationPolicyError::TooManyKeys { published });
        }
        Ok(())
    }
}

/// The keys of one algorithm, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lane {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The name of the backend in which its keys lie.
    pub backend: String,
    /// The name of the backend in which a key stands by, announced ahead for an emergency
    /// (inequality 7); best another one.
    pub standby: Option<String>,
    /// How long a key signs before the next one takes over. By default 30 days.
    pub active_for: Duration,
    /// How long a key signs at most, where the next one is late. By default 60 days.
    pub longest_active: Duration,
    /// How much earlier than needed the next key is made, so that a step may fail or be late. By
    /// default a day.
    pub margin: Duration,
}

impl Lane {
    /// A lane with the default times and no standby.
    #[must_use]
    pub fn new(algorithm: Algorithm, backend: impl Into<String>) -> Self {
        Self {
            algorithm,
            backend: backend.into(),
            standby: None,
            active_for: Duration::from_secs(30 * 24 * 3600),
            longest_active: Duration::from_secs(60 * 24 * 3600),
            margin: Duration::from_secs(24 * 3600),
        }
    }

    /// Keeps a key standing by in this backend.
    #[must_use]
    pub fn with_standby(mut self, backend: impl Into<String>) -> Self {
        self.standby = Some(backend.into());
        self
    }

    /// Sets how long a key signs, and how long at most.
    #[must_use]
    pub const fn with_active_for(mut self, active_for: Duration, longest: Duration) -> Self {
        self.active_for = active_for;
        self.longest_active = longest;
        self
    }

    /// Sets how much earlier than needed the next key is made.
    #[must_use]
    pub const fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// How long before it is to sign a key is made: ε until its announcement counts, L + H + 2ε
    /// (inequality 1), and the margin.
    #[must_use]
    pub fn lead(&self, times: &RotationTimes) -> Duration {
        times
            .activate_after_announce()
            .saturating_add(times.clock_error)
            .saturating_add(self.margin)
    }

    /// The backend for keys of this role.
    pub(super) fn backend_of(&self, role: Role) -> Option<&str> {
        match role {
            Role::Rotating => Some(&self.backend),
            Role::Standby => self.standby.as_deref(),
        }
    }

    fn check(&self, times: &RotationTimes) -> Result<(), RotationPolicyError> {
        for backend in [Some(&self.backend), self.standby.as_ref()]
            .into_iter()
            .flatten()
        {
            if !is_name(backend) {
                return Err(RotationPolicyError::BackendName {
                    algorithm: self.algorithm,
                });
            }
        }
        check_time("active_for", self.active_for)?;
        check_time("longest_active", self.longest_active)?;
        check_time("margin", self.margin)?;
        // The next key is announced once this one signs, so that there is one next key at a time.
        let needed = times
            .activate_after_announce()
            .saturating_add(self.margin)
            .max(Duration::from_secs(1));
        if self.active_for < needed {
            return Err(RotationPolicyError::TooShort {
                algorithm: self.algorithm,
                name: "active_for",
                found: self.active_for,
                needed,
            });
        }
        if self.longest_active < self.active_for {
            return Err(RotationPolicyError::TooShort {
                algorithm: self.algorithm,
                name: "longest_active",
                found: self.longest_active,
                needed: self.active_for,
            });
        }
        Ok(())
    }

    /// How many keys of the lane are in the JWKS at once when all goes well: the one that signs,
    /// those announced ahead, those whose tokens live on, and the standby.
    fn published(&self, times: &RotationTimes) -> u64 {
        let around = self.lead(times).saturating_add(times.retire_after_stop());
        let rotating = around.as_secs().div_ceil(self.active_for.as_secs().max(1));
        rotating
            .saturating_add(1)
            .saturating_add(u64::from(self.standby.is_some()))
    }
}

/// What a key was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes its turn.
    Rotating,
    /// It stands by for an emergency.
    Standby,
}

impl Role {
    /// The word for it in a manifest: `rotating` or `standby`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotating => "rotating",
            Self::Standby => "standby",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this can be the name of a backend: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
pub(super) fn is_name(name: &str) -> bool {
    matches!(name.len(), 1..=64)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

pub(super) fn check_times(times: &RotationTimes) -> Result<(), RotationPolicyError> {
    for (name, time) in times.named() {
        check_time(name, time)?;
        if time.is_zero() && matches!(name, "lease" | "longest_lifetime") {
            return Err(RotationPolicyError::Time { name, found: time });
        }
    }
    Ok(())
}

fn check_time(name: &'static str, time: Duration) -> Result<(), RotationPolicyError> {
    if time.subsec_nanos() != 0 || time > LONGEST {
        return Err(RotationPolicyError::Time { name, found: time });
    }
    Ok(())
}

/// Why a policy cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationPolicyError {
    /// A time has a fraction of a second, is longer than ten years, or is nothing where it must be
    /// something.
    Time {
        /// The name of the time.
        name: &'static str,
        /// What it is.
        found: Duration,
    },
    /// The lease is no longer than 2ε, which replicas take off it: nothing would ever sign.
    ShortLease {
        /// The lease.
        found: Duration,
        /// 2ε.
        clock_errors: Duration,
    },
    /// There is no lane, so nothing could ever sign.
    NoLane,
    /// Two lanes have one algorithm.
    DuplicateLane {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The name of a backend is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    BackendName {
        /// The lane.
        algorithm: Algorithm,
    },
    /// A lane's keys would change faster than relying parties can follow.
    TooShort {
        /// The lane.
        algorithm: Algorithm,
        /// The name of the time.
        name: &'static str,
        /// What it is.
        found: Duration,
        /// What it must be at least.
        needed: Duration,
    },
    /// More keys than relying parties read would stand in the JWKS.
    TooManyKeys {
        /// How many.
        published: u64,
    },
}

impl fmt::Display for RotationPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { name, found } => write!(
                f,
                "rotation policy: `{name}` is {found:?}; it must be whole seconds, at most ten years, and `lease` and `longest_lifetime` at least one second"
            ),
            Self::ShortLease {
                found,
                clock_errors,
            } => write!(
                f,
                "rotation policy: `lease` is {} s and must be longer than two clock errors, {} s, which replicas take off it; raise `lease` or lower `clock_error`",
                found.as_secs(),
                clock_errors.as_secs()
            ),
            Self::NoLane => {
                f.write_str("rotation policy: there is no lane; name an algorithm and its backend")
            }
            Self::DuplicateLane { algorithm } => {
                write!(
                    f,
                    "rotation policy: there are two lanes for {algorithm}; an algorithm has one"
                )
            }
            Self::BackendName { algorithm } => write!(
                f,
                "rotation policy: a backend of lane {algorithm} must be named by 1 to 64 characters of A-Z a-z 0-9 . _ -"
            ),
            Self::TooShort {
                algorithm,
                name,
                found,
                needed,
            } => write!(
                f,
                "rotation policy: `{name}` of lane {algorithm} is {} s and must be at least {} s, so that the next key is known everywhere in time",
                found.as_secs(),
                needed.as_secs()
            ),
            Self::TooManyKeys { published } => write!(
                f,
                "rotation policy: {published} keys would be published at once, more than the {MOST_PUBLISHED} that relying parties read; let keys sign for longer"
            ),
        }
    }
}

impl std::error::Error for RotationPolicyError {}
