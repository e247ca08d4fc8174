//! Changes of a manifest: each gives a new one that is checked, or an error.

use std::time::Duration;

use serde_json::Map;

use super::bounds::too_late;
use super::check::check_replica;
use super::error::ManifestError;
use super::key::{Bootstrap, KeyState, ManagedKey, Moments};
use super::manifest::{HistoryEntry, Manifest, Unknown};
use super::policy::{Role, RotationPolicy};
use super::times::TimesRecord;
use crate::jwk::Jwk;
use crate::time::UnixTime;

/// Something to be done to a manifest.
///
/// A change names what was done outside, such as a key that was made, or what is to be planned. The
/// moments follow from the policy and the inequalities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Puts a newer policy in force. What was planned is planned anew; lanes that are gone end.
    SetPolicy(RotationPolicy),
    /// Takes up a key that a backend has made.
    Provision {
        /// Its public half.
        jwk: Jwk,
        /// The name of the backend.
        backend: String,
        /// What the backend finds it by.
        reference: String,
        /// What it was made for.
        role: Role,
    },
    /// Puts keys into the JWKS, ε from now, so that the change is in the store by then. All of the
    /// very first keys are announced in one change and at once, and sign at once where the policy
    /// says that nobody has fetched.
    Announce {
        /// The keys.
        kids: Vec<String>,
    },
    /// Records that a key was fetched through the public URL of the issuer.
    Observe {
        /// The key.
        kid: String,
    },
    /// Plans when an observed key takes over from the one that signs: when that has signed for as
    /// long as the policy says, or as soon as inequality 1 or 8 allows.
    Schedule {
        /// The key.
        kid: String,
    },
    /// Lets another key take over now: one that may sign already (inequality 7).
    Switch {
        /// The key to switch to, one of [`Manifest::successors`].
        kid: String,
    },
    /// Takes a compromised key out of the JWKS at once; its live tokens fail. Where it signs, the
    /// first of [`Manifest::successors`] takes over in the same moment (inequality 11).
    Revoke {
        /// The key.
        kid: String,
        /// Revokes it also where no other key may sign yet, so that the lane signs nothing for a
        /// while.
        without_successor: bool,
    },
    /// Records that the private half of a key was destroyed.
    Destroy {
        /// The key.
        kid: String,
    },
}

impl Manifest {
    /// The first manifest, without a key yet.
    ///
    /// `by` names the replica or person in the history: 1 to 128 printable ASCII characters.
    ///
    /// # Errors
    /// [`ManifestError`] when the policy cannot be carried out or the name cannot be written.
    pub fn create(policy: RotationPolicy, by: &str, now: UnixTime) -> Result<Self, ManifestError> {
        let mut manifest = Self {
            revision: 1,
            created_at: now,
            changed_at: now,
            records: vec![TimesRecord {
                times: policy.times,
                since: now,
                until: None,
            }],
            policy,
            keys: Vec::new(),
            history: Vec::new(),
            unknown: Unknown {
                records: vec![Map::new()],
                ..Unknown::default()
            },
        };
        manifest.record(by, "create", None);
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest after a change, made now by the replica or person of this name. This one stays
    /// as it is.
    ///
    /// # Errors
    /// [`ManifestError`]: [`ClockWentBack`](ManifestError::ClockWentBack) when `now` is further
    /// behind the last change than clocks may differ; [`State`](ManifestError::State),
    /// [`NoLane`](ManifestError::NoLane), [`AlreadyWaiting`](ManifestError::AlreadyWaiting) when
    /// the change is out of date, for instance because another replica was first;
    /// [`NoSuccessor`](ManifestError::NoSuccessor) when nothing may take over; any other when the
    /// outcome would break a rule.
    pub fn apply(&self, change: &Change, by: &str, now: UnixTime) -> Result<Self, ManifestError> {
        check_replica(by)?;
        let now = self.effective(now)?;
        let mut next = self.clone();
        next.revision = next
            .revision
            .checked_add(1)
            .ok_or(ManifestError::NotASuccessor {
                problem: "there is no next revision",
            })?;
        next.changed_at = now;
        match change {
            Change::SetPolicy(policy) => next.set_policy(policy, by)?,
            Change::Provision {
                jwk,
                backend,
                reference,
                role,
            } => next.provision(jwk, backend, reference, *role, by)?,
            Change::Announce { kids } => next.announce(kids, by)?,
            Change::Observe { kid } => next.observe(kid, by)?,
            Change::Schedule { kid } => next.schedule_key(kid, by)?,
            Change::Switch { kid } => next.switch(kid, by)?,
            Change::Revoke {
                kid,
                without_successor,
            } => next.revoke(kid, *without_successor, by)?,
            Change::Destroy { kid } => next.destroy(kid, by)?,
        }
        next.check()?;
        self.check_change(&next)?;
        Ok(next)
    }

    fn set_policy(&mut self, policy: &RotationPolicy, by: &str) -> Result<(), ManifestError> {
        if policy.version <= self.policy.version {
            return Err(ManifestError::PolicyVersion {
                found: policy.version,
                current: self.policy.version,
            });
        }
        policy.check()?;
        let now = self.changed_at;
        if policy.times != self.policy.times {
            if let Some(last) = self.records.last_mut() {
                last.until = Some(now);
            }
            self.records.push(TimesRecord {
                times: policy.times,
                since: now,
                until: None,
            });
            self.unknown.records.push(Map::new());
        }
        self.policy = policy.clone();
        self.unknown
            .lanes
            .retain(|algorithm, _| policy.lane(*algorithm).is_some());
        self.record(by, "policy", None);
        for index in 0..self.keys.len() {
            let key = &self.keys[index];
            let lane = policy.lane(key.jwk.algorithm());
            let is_wanted = match lane {
                None => false,
                Some(lane) => {
                    !key.is_waiting() || lane.backend_of(key.role) == Some(key.backend.as_str())
                }
            };
            if !is_wanted {
                self.withdraw(index, by)?;
            }
        }
        for lane in &policy.lanes {
            self.replan(lane.algorithm)?;
        }
        Ok(())
    }

    fn provision(
        &mut self,
        jwk: &Jwk,
        backend: &str,
        reference: &str,
        role: Role,
        by: &str,
    ) -> Result<(), ManifestError> {
        let algorithm = jwk.algorithm();
        let wanted = self
            .policy
            .lane(algorithm)
            .and_then(|lane| lane.backend_of(role));
        if wanted != Some(backend) {
            return Err(ManifestError::NoLane {
                algorithm,
                role,
                backend: backend.to_owned(),
            });
        }
        if let Some(key) = self.waiting(algorithm, role) {
            return Err(ManifestError::AlreadyWaiting {
                kid: key.kid().to_owned(),
            });
        }
        self.keys.push(ManagedKey {
            jwk: jwk.clone(),
            backend: backend.to_owned(),
            reference: reference.to_owned(),
            role,
            bootstrap: None,
            moments: Moments {
                provisioned_at: Some(self.changed_at),
                ..Moments::default()
            },
            unknown: Map::new(),
            unknown_of_jwk: Map::new(),
        });
        self.record(by, "provision", Some(jwk.kid()));
        Ok(())
    }

    fn announce(&mut self, kids: &[String], by: &str) -> Result<(), ManifestError> {
        let now = self.changed_at;
        if kids.is_empty() {
            return Err(ManifestError::NotASuccessor {
                problem: "it announces no key",
            });
        }
        let bootstrap = match (self.is_bootstrapping(), self.policy.nobody_has_fetched) {
            (false, _) => None,
            (true, false) => Some(Bootstrap::Observed),
            (true, true) => Some(Bootstrap::AtOnce),
        };
        for kid in kids {
            let index = self.index_in(kid, &[KeyState::Provisioned], "announced")?;
            let announce = match bootstrap {
                // Nobody has a JWKS that lacks these keys.
                Some(_) => now,
                // What waits for the announcement counts on every replica having it in a lease.
                None => self.in_the_store(&self.keys[index], "announce")?,
            };
            let key = &mut self.keys[index];
            if key.moments.announce.is_some() {
                return Err(state(key, now, "announced again"));
            }
            key.moments.announce = Some(announce);
            key.bootstrap = bootstrap;
            self.record(by, "announce", Some(kid));
            if bootstrap == Some(Bootstrap::AtOnce) && self.keys[index].role == Role::Rotating {
                self.activate_at(index, now)?;
            }
        }
        Ok(())
    }

    fn observe(&mut self, kid: &str, by: &str) -> Result<(), ManifestError> {
        let states = [KeyState::Announced, KeyState::Active, KeyState::Draining];
        let index = self.index_in(kid, &states, "observed")?;
        let now = self.changed_at;
        let key = &mut self.keys[index];
        if key.moments.observed_at.is_some() {
            return Err(state(key, now, "observed again"));
        }
        key.moments.observed_at = Some(now);
        self.record(by, "observe", Some(kid));
        Ok(())
    }

    fn schedule_key(&mut self, kid: &str, by: &str) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let states = [KeyState::Announced, KeyState::Observed];
        let index = self.index_in(kid, &states, "scheduled")?;
        let key = &self.keys[index];
        let (true, Some(from)) = (key.is_waiting(), self.may_sign_from(key)?) else {
            return Err(state(key, now, "scheduled"));
        };
        let algorithm = key.jwk.algorithm();
        let lane = self.policy.lane(algorithm);
        let mut activate = from.max(self.earliest_takeover(index)?);
        let tail = self.tail(algorithm);
        if let (Some(tail), Some(lane)) = (tail, lane) {
            let moments = tail.moments();
            let signs_from = moments.activate.unwrap_or(now);
            let wanted = match key.role {
                // A key that stands by takes over only when the lane would sign nothing.
                Role::Standby => moments.sign_not_after,
                Role::Rotating if tail.backend != lane.backend => Some(now),
                Role::Rotating => {
                    let wanted = signs_from.checked_add(lane.active_for);
                    wanted.map(|stop| stop.min(moments.sign_not_after.unwrap_or(stop)))
                }
            };
            let after = signs_from.checked_add(Duration::from_secs(1));
            let (Some(wanted), Some(after)) = (wanted, after) else {
                return Err(too_late(key, "activate"));
            };
            activate = activate.max(wanted).max(after);
        }
        self.record(by, "schedule", Some(kid));
        self.activate_at(index, activate)
    }

    fn switch(&mut self, kid: &str, by: &str) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let index = self.index(kid)?;
        let key = &self.keys[index];
        if !key.may_take_over(now) {
            return Err(state(key, now, "switched to"));
        }
        let earliest = self.may_sign_from(key)?;
        if earliest.is_none_or(|earliest| now < earliest) {
            return Err(ManifestError::NoSuccessor {
                algorithm: key.jwk.algorithm(),
                earliest,
            });
        }
        let takeover = self.earliest_takeover(index)?;
        if key
            .moments
            .activate
            .is_some_and(|planned| planned <= takeover)
        {
            return Err(state(key, now, "switched to any sooner than planned"));
        }
        self.record(by, "switch", Some(kid));
        self.activate_at(index, takeover)
    }

    fn revoke(
        &mut self,
        kid: &str,
        without_successor: bool,
        by: &str,
    ) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let states = [
            KeyState::Provisioned,
            KeyState::Announced,
            KeyState::Observed,
            KeyState::Active,
            KeyState::Draining,
        ];
        let index = self.index_in(kid, &states, "revoked")?;
        let algorithm = self.keys[index].jwk.algorithm();
        let needs_successor = self.keys[index].state(now) == KeyState::Active
            && self.keys[index].moments.withdrawn_at.is_none();
        let moments = &mut self.keys[index].moments;
        moments.revoked_at = Some(now);
        moments.announce = moments.announce.filter(|&announce| announce <= now);
        if moments.activate.is_some_and(|activate| now < activate) {
            // It never signs, so it has no place among those that do.
            moments.activate = None;
            moments.sign_not_after = None;
            moments.stop = None;
        } else if moments.activate.is_some() || moments.stop.is_some() {
            moments.stop = Some(moments.stop.map_or(now, |stop| stop.min(now)));
        }
        moments.retire = moments.announce.map(|_| now);
        moments.destroy = moments.destroy.filter(|&destroy| destroy <= now);
        self.settle_destruction(index)?;
        self.record(by, "revoke", Some(kid));
        if needs_successor {
            let successor = match self.successors(algorithm, now)?.first() {
                Some(successor) => Some((successor.kid().to_owned(), now)),
                None => self.soonest(algorithm)?,
            };
            match successor {
                Some((kid, from)) if from <= now => {
                    let index = self.index(&kid)?;
                    self.record(by, "switch", Some(&kid));
                    return self.activate_at(index, now);
                }
                earliest if !without_successor => {
                    return Err(ManifestError::NoSuccessor {
                        algorithm,
                        earliest: earliest.map(|(_, from)| from),
                    });
                }
                // The key that was to take over does so as soon as it may.
                Some((kid, from)) => {
                    let index = self.index(&kid)?;
                    let planned = self.keys[index].moments.activate;
                    if planned.is_some_and(|planned| from < planned) {
                        return self.activate_at(index, from);
                    }
                }
                None => {}
            }
        }
        self.replan(algorithm)
    }

    fn destroy(&mut self, kid: &str, by: &str) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let index = self.index(kid)?;
        let key = &mut self.keys[index];
        if key.moments.destroyed_at.is_some() || key.moments.destroy.is_none_or(|due| now < due) {
            return Err(state(key, now, "destroyed now"));
        }
        key.moments.destroyed_at = Some(now);
        self.record(by, "destroy", Some(kid));
        Ok(())
    }

    pub(super) fn record(&mut self, by: &str, what: &str, kid: Option<&str>) {
        self.history.push(HistoryEntry {
            revision: self.revision,
            at: self.changed_at,
            by: by.to_owned(),
            what: what.to_owned(),
            kid: kid.map(str::to_owned),
            unknown: Map::new(),
        });
    }

    fn index(&self, kid: &str) -> Result<usize, ManifestError> {
        self.keys
            .iter()
            .position(|key| key.kid() == kid)
            .ok_or_else(|| ManifestError::UnknownKey {
                kid: kid.to_owned(),
            })
    }

    /// The place of a key that is in one of these states.
    fn index_in(
        &self,
        kid: &str,
        states: &[KeyState],
        change: &'static str,
    ) -> Result<usize, ManifestError> {
        let index = self.index(kid)?;
        let key = &self.keys[index];
        if !states.contains(&key.state(self.changed_at)) {
            return Err(state(key, self.changed_at, change));
        }
        Ok(index)
    }
}

fn state(key: &ManagedKey, now: UnixTime, change: &'static str) -> ManifestError {
    ManifestError::State {
        kid: key.kid().to_owned(),
        state: key.state(now),
        change,
    }
}
