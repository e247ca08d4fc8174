//! The manifest: what all replicas share, and what follows from it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::ManifestError;
use super::key::{KeyState, ManagedKey};
use super::policy::{Role, RotationPolicy};
use super::times::{RotationTimes, TimesRecord, Wait};
use crate::algorithm::Algorithm;
use crate::key_set::Schedule;
use crate::time::UnixTime;

/// The keys of an issuer with their moments, the policy in force, and what happened so far: all
/// that the replicas of an issuer share.
///
/// A manifest is a value. [`Manifest::apply`] makes the next one, and a store puts it in the place
/// of the one it was made from, or not at all (compare and swap). What a key is at a moment follows
/// from the manifest alone, so that replicas agree without talking.
///
/// It holds nothing secret: public keys, and where the private ones lie. It is always consistent:
/// whatever parses or comes out of a change has passed [`Manifest::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub(super) revision: u64,
    pub(super) created_at: UnixTime,
    pub(super) changed_at: UnixTime,
    pub(super) policy: RotationPolicy,
    pub(super) records: Vec<TimesRecord>,
    pub(super) keys: Vec<ManagedKey>,
    pub(super) history: Vec<HistoryEntry>,
    pub(super) unknown: Unknown,
}

/// Members of a later version of the manifest, which are kept and written back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Unknown {
    pub(super) manifest: Map<String, Value>,
    pub(super) policy: Map<String, Value>,
    pub(super) lanes: BTreeMap<Algorithm, Map<String, Value>>,
    /// One for each record of times.
    pub(super) records: Vec<Map<String, Value>>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    pub(super) revision: u64,
    pub(super) at: UnixTime,
    pub(super) by: String,
    pub(super) what: String,
    pub(super) kid: Option<String>,
    pub(super) unknown: Map<String, Value>,
}

impl HistoryEntry {
    /// The revision of the manifest that came of it.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }

    /// The name of the replica or person who did it.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// What, in a word: `create`, `policy`, `provision`, `announce`, `observe`, `schedule`,
    /// `switch`, `revoke`, `withdraw` or `destroy`. Later releases may add others.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// With which key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}

impl Manifest {
    /// The longest manifest that is read or written, in bytes of JSON: room for some eight thousand
    /// keys, such as ten years of two lanes with a new key every day.
    pub const MAX_LEN: usize = 16 * 1024 * 1024;

    /// The number of the change that made this manifest; the first is 1.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// When the first manifest was made.
    #[must_use]
    pub const fn created_at(&self) -> UnixTime {
        self.created_at
    }

    /// When this one was made.
    #[must_use]
    pub const fn changed_at(&self) -> UnixTime {
        self.changed_at
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &RotationPolicy {
        &self.policy
    }

    /// The times in force.
    #[must_use]
    pub const fn times(&self) -> &RotationTimes {
        &self.policy.times
    }

    /// All times that were ever in force, the oldest first.
    #[must_use]
    pub fn records(&self) -> &[TimesRecord] {
        &self.records
    }

    /// All keys there ever were, the oldest first.
    #[must_use]
    pub fn keys(&self) -> &[ManagedKey] {
        &self.keys
    }

    /// The key of this `kid`.
    #[must_use]
    pub fn key(&self, kid: &str) -> Option<&ManagedKey> {
        self.keys.iter().find(|key| key.kid() == kid)
    }

    /// All that was done, the oldest first.
    #[must_use]
    pub fn history(&self) -> &[HistoryEntry] {
        &self.history
    }

    /// What a key is at this moment; `None` where there is no such key.
    #[must_use]
    pub fn state(&self, kid: &str, now: UnixTime) -> Option<KeyState> {
        Some(self.key(kid)?.state(now))
    }

    /// The key that signs with this algorithm at this moment.
    #[must_use]
    pub fn active(&self, algorithm: Algorithm, now: UnixTime) -> Option<&ManagedKey> {
        self.lane_keys(algorithm)
            .find(|key| key.state(now) == KeyState::Active)
    }

    /// When a key is published and when it signs; `None` for one that was never announced.
    #[must_use]
    pub fn schedule(&self, key: &ManagedKey) -> Option<Schedule> {
        let moments = key.moments();
        Some(Schedule {
            announce: moments.announce?,
            activate: moments.activate,
            stop: moments.end(),
            retire: moments.out(),
        })
    }

    /// The keys that are in the JWKS or will be, with their schedules, in the order of the
    /// policy's lanes: what a [`KeySet`](crate::KeySet) is made of.
    #[must_use]
    pub fn schedules(&self, now: UnixTime) -> Vec<(&ManagedKey, Schedule)> {
        let mut schedules: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.moments.out().is_none_or(|out| now < out))
            .filter_map(|key| Some((key, self.schedule(key)?)))
            .collect();
        schedules.sort_by_key(|(key, _)| {
            self.policy
                .lanes
                .iter()
                .position(|lane| lane.algorithm == key.jwk.algorithm())
                .unwrap_or(usize::MAX)
        });
        schedules
    }

    /// When a key may sign at the earliest, by inequality 1 or 8; `None` while it was not
    /// observed.
    ///
    /// # Errors
    /// [`ManifestError::TooLate`] when that is after the year 9999.
    pub fn may_sign_from(&self, key: &ManagedKey) -> Result<Option<UnixTime>, ManifestError> {
        Ok(self.activation_bound(key, None)?.map(|bound| bound.at))
    }

    /// The keys of a lane that may sign from now on and do not yet: those to switch to in an
    /// emergency (inequality 7). A standby comes before a key that waits for its turn.
    ///
    /// # Errors
    /// [`ManifestError::TooLate`] when a key may sign only after the year 9999.
    pub fn successors(
        &self,
        algorithm: Algorithm,
        now: UnixTime,
    ) -> Result<Vec<&ManagedKey>, ManifestError> {
        let mut successors = Vec::new();
        for key in self
            .lane_keys(algorithm)
            .filter(|key| key.may_take_over(now))
        {
            if self.may_sign_from(key)?.is_some_and(|from| from <= now) {
                successors.push(key);
            }
        }
        successors.sort_by_key(|key| key.role == Role::Rotating);
        Ok(successors)
    }

    /// The `max-age` to serve the JWKS with at this moment. A raised one is served only once every
    /// replica has seen that activations were planned anew (inequality 9).
    #[must_use]
    pub fn max_age(&self, now: UnixTime) -> Duration {
        self.known_everywhere(now, |times| times.max_age)
    }

    /// The longest lifetime of a token that is signed at this moment. A raised one is granted only
    /// once every replica has seen that retirements were planned anew.
    #[must_use]
    pub fn longest_lifetime(&self, now: UnixTime) -> Duration {
        self.known_everywhere(now, |times| times.longest_lifetime)
    }

    /// The shortest of the times that replicas may still hold to be in force.
    fn known_everywhere(&self, now: UnixTime, time: Wait) -> Duration {
        let held = |record: &&TimesRecord| {
            let lag = record
                .times
                .lease
                .saturating_add(record.times.clock_errors());
            record
                .until
                .is_some_and(|until| until.checked_add(lag).is_none_or(|held| now < held))
        };
        self.records
            .iter()
            .rev()
            .filter(held)
            .map(|record| time(&record.times))
            .fold(time(self.times()), Duration::min)
    }

    pub(super) fn lane_keys(&self, algorithm: Algorithm) -> impl Iterator<Item = &ManagedKey> {
        self.keys
            .iter()
            .filter(move |key| key.jwk.algorithm() == algorithm)
    }

    /// Whether no key was ever announced, so that the next announcement is the first.
    pub(super) fn is_bootstrapping(&self) -> bool {
        self.keys.iter().all(|key| key.moments.announce.is_none())
    }

    /// The present moment as the manifest sees it: not before its last change.
    pub(super) fn effective(&self, now: UnixTime) -> Result<UnixTime, ManifestError> {
        if now < self.changed_at.saturating_sub(self.times().clock_errors()) {
            return Err(ManifestError::ClockWentBack {
                now,
                changed_at: self.changed_at,
            });
        }
        Ok(now.max(self.changed_at))
    }
}
