//! The earliest moment of each step, by the inequalities.

use super::error::{Inequality, ManifestError};
use super::key::{Bootstrap, ManagedKey};
use super::manifest::Manifest;
use super::times::{RotationTimes, TimesRecord, Wait};
use crate::time::UnixTime;

/// The earliest moment of a step, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) at: UnixTime,
    /// What it would be by the times alone that were in force when its wait began.
    pub(super) by_own_times: UnixTime,
    pub(super) inequality: Inequality,
    pub(super) made_of: &'static str,
}

/// Where `done` is given, the step was done then, and times that came into force later do not
/// count.
impl Manifest {
    /// What `activate` must not come before; `None` while the key was not observed.
    pub(super) fn activation_bound(
        &self,
        key: &ManagedKey,
        done: Option<UnixTime>,
    ) -> Result<Option<Bound>, ManifestError> {
        let moments = key.moments();
        let bound = match (key.bootstrap, moments.announce, moments.observed_at) {
            (Some(Bootstrap::AtOnce), Some(announce), _) => Some(Bound {
                at: announce,
                by_own_times: announce,
                inequality: Inequality::Bootstrap,
                made_of: "announce",
            }),
            (Some(Bootstrap::Observed), Some(_), Some(observed)) => self.bound(
                &[(observed, RotationTimes::bootstrap_after_observation)],
                Inequality::Bootstrap,
                "observed_at + negative cache + 2 clock errors",
                done,
            ),
            (None, Some(announce), Some(observed)) => self.bound(
                &[
                    (announce, RotationTimes::activate_after_announce),
                    (observed, RotationTimes::activate_after_observation),
                ],
                Inequality::Activate,
                "max(announce + lease, observed_at) + cache + 2 clock errors",
                done,
            ),
            (_, _, _) => return Ok(None),
        };
        bound.map(Some).ok_or_else(|| too_late(key, "activate"))
    }

    /// What `retire` must not come before, where the key signs until `end`.
    pub(super) fn retirement_bound(
        &self,
        key: &ManagedKey,
        end: UnixTime,
        done: Option<UnixTime>,
    ) -> Result<Bound, ManifestError> {
        self.bound(
            &[(end, RotationTimes::retire_after_stop)],
            Inequality::Retire,
            "the end of signing + lease + signing deadline + longest lifetime + leeway + clock lag + 2 clock errors",
            done,
        )
        .ok_or_else(|| too_late(key, "retire"))
    }

    /// What `destroy` must not come before, where the key signs until `end`.
    pub(super) fn destruction_bound(
        &self,
        key: &ManagedKey,
        end: UnixTime,
        done: Option<UnixTime>,
    ) -> Result<Bound, ManifestError> {
        self.bound(
            &[(end, RotationTimes::destroy_after_stop)],
            Inequality::Destroy,
            "the end of signing + lease + signing deadline + 2 clock errors",
            done,
        )
        .ok_or_else(|| too_late(key, "destroy"))
    }

    /// The latest of several waits.
    fn bound(
        &self,
        waits: &[(UnixTime, Wait)],
        inequality: Inequality,
        made_of: &'static str,
        done: Option<UnixTime>,
    ) -> Option<Bound> {
        let mut at = UnixTime::EPOCH;
        let mut by_own_times = UnixTime::EPOCH;
        for &(moment, wait) in waits {
            at = at.max(earliest(&self.records, moment, wait, done)?);
            by_own_times = by_own_times.max(moment.checked_add(wait(self.times_at(moment)))?);
        }
        Some(Bound {
            at,
            by_own_times,
            inequality,
            made_of,
        })
    }

    /// The times that were in force at a moment.
    fn times_at(&self, moment: UnixTime) -> &RotationTimes {
        self.records
            .iter()
            .rev()
            .find(|record| record.since <= moment)
            .or(self.records.first())
            .map_or(&self.policy.times, |record| &record.times)
    }
}

/// The earliest moment for a step that has to wait for so long after `moment`, by all the times
/// that were in force (inequality 9); `None` after the year 9999.
///
/// Times that have been replaced count from their end, where that came before `moment`: what was
/// last served under them has to expire. They end ε after they were replaced, when the change must
/// be in the store. Each of them
/// is as long as it ever became later: what was signed while tokens lived for longer meets relying
/// parties of a longer leeway. Times that came into force later count from `moment`, as
/// if they had been known then: a step that was planned is planned anew.
pub(super) fn earliest(
    records: &[TimesRecord],
    moment: UnixTime,
    wait: Wait,
    done: Option<UnixTime>,
) -> Option<UnixTime> {
    let mut earliest = moment;
    let mut longest: Option<RotationTimes> = None;
    for (index, record) in records.iter().enumerate().rev() {
        if index > 0 && done.is_some_and(|done| done <= record.since) {
            continue;
        }
        let times = longest.map_or(record.times, |later| record.times.longest(&later));
        longest = Some(times);
        let from = match record.until {
            Some(until) => moment.min(until.checked_add(times.clock_error)?),
            None => moment,
        };
        earliest = earliest.max(from.checked_add(wait(&times))?);
    }
    Some(earliest)
}

pub(super) fn too_late(key: &ManagedKey, moment: &'static str) -> ManifestError {
    ManifestError::TooLate {
        kid: key.kid().to_owned(),
        moment,
    }
}
