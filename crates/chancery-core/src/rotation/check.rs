//! What must hold of every manifest.

use std::collections::{BTreeMap, HashSet};

use super::bounds::Bound;
use super::error::{Inequality, ManifestError};
use super::key::{Bootstrap, ManagedKey, reference_problem};
use super::manifest::Manifest;
use super::policy::{MOST_PUBLISHED, check_times, is_name};
use crate::time::UnixTime;

impl Manifest {
    /// Checks that the manifest is consistent and that every inequality holds.
    ///
    /// A manifest that was parsed, or that came out of [`Manifest::apply`], has been checked.
    ///
    /// # Errors
    /// [`ManifestError`]: the first thing that is wrong, where, and what it is measured against.
    pub fn check(&self) -> Result<(), ManifestError> {
        self.policy.check()?;
        self.check_records()?;
        let mut kids = HashSet::with_capacity(self.keys.len());
        let bootstrap = self
            .keys
            .iter()
            .filter_map(|key| key.moments.announce)
            .min();
        for key in &self.keys {
            if !kids.insert(key.kid()) {
                return Err(ManifestError::DuplicateKid {
                    kid: key.kid().to_owned(),
                });
            }
            check_identity(key)?;
            self.check_moments(key)?;
            self.check_waits(key)?;
            if let (Some(_), Some(announce), Some(first)) =
                (key.bootstrap, key.moments.announce, bootstrap)
                && first < announce
            {
                return Err(inequality(
                    Inequality::Bootstrap,
                    key,
                    ("the first announcement", first),
                    ("the announcement of this bootstrap key", announce),
                ));
            }
        }
        self.check_history(&kids)?;
        self.check_lanes()?;
        self.check_published()
    }

    fn check_records(&self) -> Result<(), ManifestError> {
        let problem = |problem| Err(ManifestError::Records { problem });
        let mut since = Some(self.created_at);
        for record in &self.records {
            check_times(&record.times)?;
            if since != Some(record.since) || record.until.is_some_and(|end| end < record.since) {
                return problem(
                    "the records of times must follow on one another from `created_at`",
                );
            }
            since = record.until;
        }
        match self.records.last() {
            Some(last) if last.until.is_none() && last.times == self.policy.times => {
                if self.changed_at < last.since {
                    return problem("times are in force from after `changed_at` on");
                }
            }
            _ => return problem("the last record of times must be in force"),
        }
        Ok(())
    }

    fn check_history(&self, kids: &HashSet<&str>) -> Result<(), ManifestError> {
        let problem = |problem| Err(ManifestError::Records { problem });
        let mut last = (0, self.created_at);
        for entry in &self.history {
            check_replica(&entry.by)?;
            if entry.kid().is_some_and(|kid| !kids.contains(kid)) {
                return problem("the history names a key that is not there");
            }
            if entry.revision < last.0 || entry.at < last.1 {
                return problem("the history goes back");
            }
            last = (entry.revision, entry.at);
        }
        if self.history.is_empty() || last != (self.revision, self.changed_at) {
            return problem("the history must end with `revision` and `changed_at`");
        }
        Ok(())
    }

    /// Moments that belong together, and their order.
    fn check_moments(&self, key: &ManagedKey) -> Result<(), ManifestError> {
        let moments = key.moments();
        let at_once = key.bootstrap == Some(Bootstrap::AtOnce);
        let announced = moments.announce.is_some();
        let ended = moments.stop.is_some() || moments.revoked_at.is_some();
        for (is_there, moment, needed, needs) in [
            (
                true,
                "jwk",
                moments.provisioned_at.is_some(),
                "provisioned_at",
            ),
            (key.bootstrap.is_some(), "bootstrap", announced, "announce"),
            (
                moments.observed_at.is_some(),
                "observed_at",
                announced,
                "announce",
            ),
            (
                moments.activate.is_some(),
                "activate",
                announced,
                "announce",
            ),
            (
                moments.activate.is_some() && !at_once,
                "activate",
                moments.observed_at.is_some(),
                "observed_at",
            ),
            (
                moments.activate.is_some(),
                "activate",
                moments.sign_not_after.is_some(),
                "sign_not_after",
            ),
            (
                moments.sign_not_after.is_some(),
                "sign_not_after",
                moments.activate.is_some(),
                "activate",
            ),
            (
                moments.stop.is_some(),
                "stop",
                moments.activate.or(moments.withdrawn_at).is_some(),
                "activate",
            ),
            (
                moments.stop.is_some() && announced,
                "stop",
                moments.out().is_some(),
                "retire",
            ),
            (moments.retire.is_some(), "retire", ended, "stop"),
            (ended, "stop", moments.destroy.is_some(), "destroy"),
            (moments.destroy.is_some(), "destroy", ended, "stop"),
            (
                moments.destroyed_at.is_some(),
                "destroyed_at",
                moments.destroy.is_some(),
                "destroy",
            ),
            (
                moments.withdrawn_at.is_some(),
                "withdrawn_at",
                moments.stop.is_some(),
                "stop",
            ),
        ] {
            if is_there && !needed {
                return Err(ManifestError::Incomplete {
                    kid: key.kid().to_owned(),
                    moment,
                    needs,
                });
            }
        }
        let created = ("created_at", Some(self.created_at));
        let changed = ("changed_at", Some(self.changed_at));
        let provisioned = ("provisioned_at", moments.provisioned_at);
        let announce = ("announce", moments.announce);
        let observed = ("observed_at", moments.observed_at);
        let activate = ("activate", moments.activate);
        let stop = ("stop", moments.stop);
        let end = ("the end of signing", moments.end());
        let destroy = ("destroy", moments.destroy);
        let destroyed = ("destroyed_at", moments.destroyed_at);
        let withdrawn = ("withdrawn_at", moments.withdrawn_at);
        let revoked = ("revoked_at", moments.revoked_at);
        for (earlier, later) in [
            (created, provisioned),
            (provisioned, announce),
            (provisioned, stop),
            (provisioned, withdrawn),
            (provisioned, revoked),
            (provisioned, changed),
            (announce, observed),
            (announce, activate),
            (announce, end),
            (observed, changed),
            (activate, stop),
            (activate, ("sign_not_after", moments.sign_not_after)),
            (activate, revoked),
            (withdrawn, stop),
            (withdrawn, changed),
            (revoked, changed),
            (end, ("retire", moments.retire)),
            (end, destroy),
            (destroy, destroyed),
            (destroyed, changed),
        ] {
            if let ((name, Some(moment)), (later_name, Some(later_moment))) = (earlier, later)
                && later_moment < moment
            {
                return Err(ManifestError::Order {
                    kid: key.kid().to_owned(),
                    earlier: (name, moment),
                    later: (later_name, later_moment),
                });
            }
        }
        Ok(())
    }

    /// Inequalities 1, 3, 4, 8 and 9.
    fn check_waits(&self, key: &ManagedKey) -> Result<(), ManifestError> {
        let moments = key.moments();
        if let Some(activate) = moments.activate
            && let Some(bound) = self.activation_bound(key, Some(activate))?
        {
            check_bound(key, ("activate", activate), bound)?;
        }
        let Some(end) = moments.end() else {
            return Ok(());
        };
        // The tokens of a revoked key are meant to fail.
        if let Some(retire) = moments.retire
            && moments.revoked_at.is_none()
        {
            let bound = self.retirement_bound(key, end, Some(retire))?;
            check_bound(key, ("retire", retire), bound)?;
        }
        if let Some(destroy) = moments.destroy {
            let bound = self.destruction_bound(key, end, Some(destroy))?;
            check_bound(key, ("destroy", destroy), bound)?;
        }
        Ok(())
    }

    /// Inequality 2: in each lane one key signs after the other.
    fn check_lanes(&self) -> Result<(), ManifestError> {
        let mut lanes: BTreeMap<_, Vec<(UnixTime, &ManagedKey)>> = BTreeMap::new();
        for key in &self.keys {
            if let Some(activate) = key.moments.activate {
                let lane = lanes.entry(key.jwk.algorithm()).or_default();
                lane.push((activate, key));
            }
        }
        for mut lane in lanes.into_values() {
            lane.sort_by_key(|(activate, _)| *activate);
            for (index, (activate, key)) in lane.iter().enumerate() {
                let moments = key.moments();
                let end = moments.end().unwrap_or(UnixTime::MAX);
                let stop = moments.stop.unwrap_or(UnixTime::MAX);
                // A key may end otherwise than by its successor.
                let has_ended = moments.revoked_at.is_some()
                    || moments.withdrawn_at.is_some()
                    || moments.sign_not_after.is_some_and(|latest| latest <= stop);
                let follows = match lane.get(index + 1) {
                    Some((next, _)) => {
                        activate < next && end <= *next && (has_ended || stop == *next)
                    }
                    None => has_ended || moments.stop.is_none(),
                };
                if !follows {
                    let bound = match lane.get(index + 1) {
                        Some((next, other)) => (format!("the activate of {}", other.kid()), *next),
                        None => ("the activate of a successor".to_owned(), UnixTime::MAX),
                    };
                    let moment = match moments.stop {
                        Some(stop) => ("stop", stop),
                        None => ("the end of signing", end),
                    };
                    return Err(ManifestError::Inequality {
                        inequality: Inequality::Stop,
                        kid: key.kid().to_owned(),
                        moment,
                        bound,
                    });
                }
            }
        }
        Ok(())
    }

    /// Inequality 10.
    fn check_published(&self) -> Result<(), ManifestError> {
        if self.keys.len() <= MOST_PUBLISHED {
            return Ok(());
        }
        let mut steps: Vec<(UnixTime, bool)> = Vec::new();
        for key in &self.keys {
            let moments = key.moments();
            if let Some(announce) = moments.announce {
                steps.push((announce, true));
                steps.extend(moments.out().map(|out| (out, false)));
            }
        }
        // Where one leaves when another enters, the one that leaves goes first.
        steps.sort_unstable();
        let mut published = 0_usize;
        for (at, enters) in steps {
            if enters {
                published += 1;
            } else {
                published = published.saturating_sub(1);
            }
            if published > MOST_PUBLISHED {
                return Err(ManifestError::TooManyPublished {
                    found: published,
                    at,
                });
            }
        }
        Ok(())
    }
}

fn check_identity(key: &ManagedKey) -> Result<(), ManifestError> {
    let thumbprint = key.jwk.thumbprint();
    let kid = key.kid().to_owned();
    if kid != thumbprint {
        return Err(ManifestError::Kid { kid, thumbprint });
    }
    if !is_name(&key.backend) {
        return Err(ManifestError::Reference {
            kid,
            problem: "its backend must be named by 1 to 64 characters of A-Z a-z 0-9 . _ -",
        });
    }
    match reference_problem(&key.reference) {
        Some(problem) => Err(ManifestError::Reference { kid, problem }),
        None => Ok(()),
    }
}

/// A replica is named in the history by 1 to 128 printable ASCII characters.
pub(super) fn check_replica(name: &str) -> Result<(), ManifestError> {
    let is_printable = name.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    if !matches!(name.len(), 1..=128) || !is_printable {
        return Err(ManifestError::Replica);
    }
    Ok(())
}

pub(super) fn check_bound(
    key: &ManagedKey,
    moment: (&'static str, UnixTime),
    bound: Bound,
) -> Result<(), ManifestError> {
    if bound.at <= moment.1 {
        return Ok(());
    }
    // By the times of its own it would be right: then it is the change of times that was not
    // followed.
    let of_times = moment.0 == "activate" && bound.by_own_times <= moment.1;
    let inequality_broken = if of_times {
        Inequality::Times
    } else {
        bound.inequality
    };
    Err(inequality(
        inequality_broken,
        key,
        moment,
        (bound.made_of, bound.at),
    ))
}

fn inequality(
    inequality: Inequality,
    key: &ManagedKey,
    moment: (&'static str, UnixTime),
    bound: (&str, UnixTime),
) -> ManifestError {
    ManifestError::Inequality {
        inequality,
        kid: key.kid().to_owned(),
        moment,
        bound: (bound.0.to_owned(), bound.1),
    }
}
