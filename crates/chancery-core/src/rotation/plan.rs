//! What comes next, and why.

use std::time::Duration;

use super::bounds::too_late;
use super::change::Change;
use super::error::ManifestError;
use super::key::{Bootstrap, ManagedKey};
use super::manifest::Manifest;
use super::policy::{Lane, Role, RotationPolicy};
use crate::algorithm::Algorithm;
use crate::time::UnixTime;

/// What comes next, by the manifest and by the policy of this replica.
///
/// A plan is a function of both and of the time. Whoever carries out a step plans again
/// afterwards; a step that failed or came late is in the next plan again.
///
/// # Errors
/// [`ManifestError::ClockWentBack`] when `now` is further behind the last change than clocks may
/// differ, [`ManifestError::PolicyConflict`] when the policy differs from the manifest's under the
/// same version, [`ManifestError::Policy`] when a newer one cannot be carried out.
pub fn plan(
    manifest: &Manifest,
    policy: &RotationPolicy,
    now: UnixTime,
) -> Result<Plan, ManifestError> {
    let now = manifest.effective(now)?;
    let mut planner = Planner {
        manifest,
        now,
        steps: Vec::new(),
    };
    if policy.version > manifest.policy.version {
        policy.check()?;
        // What else is to be done follows from the new policy.
        planner.push(
            manifest.changed_at,
            Action::SetPolicy(policy.clone()),
            format!(
                "policy version {} is newer than version {}, which is in force",
                policy.version, manifest.policy.version
            ),
        );
    } else {
        if policy.version == manifest.policy.version && *policy != manifest.policy {
            return Err(ManifestError::PolicyConflict {
                version: policy.version,
            });
        }
        planner.lanes()?;
    }
    planner.moments();
    // A stable sort: steps of one moment stay in the order of the lanes and of the keys.
    planner.steps.sort_by_key(|step| step.due);
    Ok(Plan {
        steps: planner.steps,
    })
}

/// The steps that follow from a manifest, by the moments at which they are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Step>,
}

impl Plan {
    /// All steps, the first one due first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps that are to be done now, as opposed to those that are due later and those that
    /// come by themselves.
    pub fn due(&self, now: UnixTime) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(move |step| step.due <= now && !step.action.is_passive())
    }

    /// When the first step is due; that may have been. `None` where nothing is planned.
    #[must_use]
    pub fn next(&self) -> Option<UnixTime> {
        self.steps.first().map(|step| step.due)
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it is due.
    pub due: UnixTime,
    /// What is to be done, or happens.
    pub action: Action,
    /// Why, for people.
    pub reason: String,
}

/// What is to be done, or happens by itself when its moment comes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Put this replica's policy in force: [`Change::SetPolicy`].
    SetPolicy(RotationPolicy),
    /// Make a key: [`KeyBackend::create`](super::KeyBackend::create), then [`Change::Provision`].
    Provision {
        /// The algorithm.
        algorithm: Algorithm,
        /// The name of the backend.
        backend: String,
        /// What it is for.
        role: Role,
    },
    /// Put keys into the JWKS, all in one change: [`Change::Announce`].
    Announce {
        /// The keys.
        kids: Vec<String>,
    },
    /// Fetch the JWKS through the public URL of the issuer, and when the key is in it,
    /// [`Change::Observe`].
    Probe {
        /// The key.
        kid: String,
    },
    /// Plan when the key takes over: [`Change::Schedule`].
    Schedule {
        /// The key.
        kid: String,
    },
    /// Destroy the private half: [`KeyBackend::destroy`](super::KeyBackend::destroy), then
    /// [`Change::Destroy`].
    Destroy {
        /// The key.
        kid: String,
    },
    /// The key begins to sign.
    Activates {
        /// The key.
        kid: String,
    },
    /// The key signs no longer.
    Stops {
        /// The key.
        kid: String,
    },
    /// The key leaves the JWKS.
    Retires {
        /// The key.
        kid: String,
    },
}

impl Action {
    /// A word for it, such as `provision`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetPolicy(_) => "set policy",
            Self::Provision { .. } => "provision",
            Self::Announce { .. } => "announce",
            Self::Probe { .. } => "probe",
            Self::Schedule { .. } => "schedule",
            Self::Destroy { .. } => "destroy",
            Self::Activates { .. } => "activates",
            Self::Stops { .. } => "stops",
            Self::Retires { .. } => "retires",
        }
    }

    /// The keys it is about; none where they are not made yet.
    #[must_use]
    pub fn kids(&self) -> &[String] {
        match self {
            Self::SetPolicy(_) | Self::Provision { .. } => &[],
            Self::Announce { kids } => kids,
            Self::Probe { kid }
            | Self::Schedule { kid }
            | Self::Destroy { kid }
            | Self::Activates { kid }
            | Self::Stops { kid }
            | Self::Retires { kid } => std::slice::from_ref(kid),
        }
    }

    /// Whether it happens by itself when its moment comes.
    #[must_use]
    pub const fn is_passive(&self) -> bool {
        matches!(
            self,
            Self::Activates { .. } | Self::Stops { .. } | Self::Retires { .. }
        )
    }

    /// The change that carries it out, where that needs nothing but the manifest.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        match self {
            Self::SetPolicy(policy) => Some(Change::SetPolicy(policy.clone())),
            Self::Announce { kids } => Some(Change::Announce { kids: kids.clone() }),
            Self::Schedule { kid } => Some(Change::Schedule { kid: kid.clone() }),
            _ => None,
        }
    }
}

struct Planner<'a> {
    manifest: &'a Manifest,
    now: UnixTime,
    steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    fn push(&mut self, due: UnixTime, action: Action, reason: String) {
        self.steps.push(Step {
            due,
            action,
            reason,
        });
    }

    /// What the lanes need.
    fn lanes(&mut self) -> Result<(), ManifestError> {
        let mut announcements: Vec<(UnixTime, &'a ManagedKey)> = Vec::new();
        let manifest = self.manifest;
        for lane in &manifest.policy.lanes {
            self.lane(lane, &mut announcements)?;
        }
        if manifest.is_bootstrapping() {
            // The very first keys go together: a JWKS with some of them only would be remembered.
            let is_complete = manifest
                .policy
                .lanes
                .iter()
                .all(|lane| manifest.waiting(lane.algorithm, Role::Rotating).is_some());
            if is_complete {
                let kids = announcements
                    .iter()
                    .map(|(_, key)| key.kid().to_owned())
                    .collect();
                self.push(
                    manifest.changed_at,
                    Action::Announce { kids },
                    "the first key of every lane is made".to_owned(),
                );
            }
            return Ok(());
        }
        announcements.sort_by_key(|(due, _)| *due);
        let overdue = announcements
            .iter()
            .take_while(|(due, _)| *due <= self.now)
            .count();
        let later = announcements.split_off(overdue);
        if let Some(&(due, _)) = announcements.first() {
            let kids = announcements
                .iter()
                .map(|(_, key)| key.kid().to_owned())
                .collect();
            self.push(
                due,
                Action::Announce { kids },
                "made, and to be known before it is needed".to_owned(),
            );
        }
        for (due, key) in later {
            self.push(
                due,
                Action::Announce {
                    kids: vec![key.kid().to_owned()],
                },
                "made ahead of its time".to_owned(),
            );
        }
        Ok(())
    }

    fn lane(
        &mut self,
        lane: &'a Lane,
        announcements: &mut Vec<(UnixTime, &'a ManagedKey)>,
    ) -> Result<(), ManifestError> {
        let manifest = self.manifest;
        let algorithm = lane.algorithm;
        let tail = manifest.tail(algorithm);
        let next = manifest.waiting(algorithm, Role::Rotating);
        let standby = manifest.waiting(algorithm, Role::Standby);
        let (begin, why) = self.begin(lane, tail)?;
        match next {
            None => self.push(
                begin,
                Action::Provision {
                    algorithm,
                    backend: lane.backend.clone(),
                    role: Role::Rotating,
                },
                why,
            ),
            Some(key) => self.advance(key, begin, announcements, |planner, observed| {
                planner.push(
                    observed,
                    Action::Schedule {
                        kid: key.kid().to_owned(),
                    },
                    "observed through the public URL, so its turn can be planned".to_owned(),
                );
            }),
        }
        let now = manifest.changed_at;
        match (standby, &lane.standby) {
            (None, Some(backend)) => self.push(
                now,
                Action::Provision {
                    algorithm,
                    backend: backend.clone(),
                    role: Role::Standby,
                },
                "a key has to stand by for an emergency".to_owned(),
            ),
            (Some(key), _) => {
                let due = self.rescue_due(lane, tail, next);
                self.advance(key, now, announcements, |planner, _| {
                    if let Some(due) = due {
                        planner.push(
                            due,
                            Action::Schedule {
                                kid: key.kid().to_owned(),
                            },
                            format!("lane {algorithm} would sign nothing: its next key is late"),
                        );
                    }
                });
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// When the next key of a lane has to be made, and why then.
    fn begin(
        &self,
        lane: &Lane,
        tail: Option<&ManagedKey>,
    ) -> Result<(UnixTime, String), ManifestError> {
        let changed_at = self.manifest.changed_at;
        let algorithm = lane.algorithm;
        let Some((tail, activate)) = tail.and_then(|tail| Some((tail, tail.moments.activate?)))
        else {
            return Ok((
                changed_at,
                format!("lane {algorithm} has no key that signs"),
            ));
        };
        if tail.backend != lane.backend {
            let why = format!(
                "{} lies in backend {}, and lane {algorithm} is now in {}",
                tail.kid(),
                tail.backend,
                lane.backend
            );
            return Ok((changed_at, why));
        }
        let stop = activate
            .checked_add(lane.active_for)
            .ok_or_else(|| too_late(tail, "stop"))?;
        // It may have been activated when keys signed for a shorter time.
        let stop = stop.min(tail.moments.sign_not_after.unwrap_or(stop));
        let why = format!(
            "{} is to stop at {}, and its successor has to be known by then",
            tail.kid(),
            stop.to_rfc3339()
        );
        Ok((stop.saturating_sub(lane.lead(self.manifest.times())), why))
    }

    /// The step that a waiting key needs next; `observed` adds what comes once it was observed.
    fn advance(
        &mut self,
        key: &'a ManagedKey,
        begin: UnixTime,
        announcements: &mut Vec<(UnixTime, &'a ManagedKey)>,
        observed: impl FnOnce(&mut Self, UnixTime),
    ) {
        let moments = key.moments();
        match (moments.announce, moments.observed_at) {
            (None, _) => {
                let made = moments.provisioned_at.unwrap_or(begin);
                announcements.push((begin.max(made), key));
            }
            (Some(announce), None) if key.bootstrap == Some(Bootstrap::AtOnce) => {
                observed(self, announce);
            }
            (Some(_), None) => {}
            (Some(_), Some(observed_at)) => observed(self, observed_at),
        }
    }

    /// When the standby has to be scheduled, because the lane would sign nothing otherwise; `None`
    /// while that is not so.
    fn rescue_due(
        &self,
        lane: &Lane,
        tail: Option<&ManagedKey>,
        next: Option<&ManagedKey>,
    ) -> Option<UnixTime> {
        if next.is_some_and(|next| next.moments.observed_at.is_some()) {
            return None;
        }
        let Some(tail) = tail else {
            // A lane that never signed waits for its own first key.
            let has_signed = self
                .manifest
                .lane_keys(lane.algorithm)
                .any(|key| key.moments.activate.is_some());
            return has_signed.then_some(self.manifest.changed_at);
        };
        let times = self.manifest.times();
        let notice = times.lease.saturating_add(times.clock_errors());
        let due = tail.moments.sign_not_after?.saturating_sub(notice);
        (due <= self.now).then_some(due)
    }

    /// What the keys go through by their moments, what is to be observed, and what is to be
    /// destroyed.
    fn moments(&mut self) {
        for key in &self.manifest.keys {
            let moments = key.moments();
            if moments.destroyed_at.is_some() && moments.out().is_none_or(|out| out <= self.now) {
                continue;
            }
            let kid = || key.kid().to_owned();
            if moments.revoked_at.is_none() {
                self.probe(key);
                let end = moments.stop.and(moments.end());
                for (moment, action, reason) in [
                    (
                        moments.activate,
                        Action::Activates { kid: kid() },
                        "every relying party knows it by then",
                    ),
                    (
                        end,
                        Action::Stops { kid: kid() },
                        "its successor takes over",
                    ),
                    (
                        moments.retire,
                        Action::Retires { kid: kid() },
                        "its last token has expired everywhere by then",
                    ),
                ] {
                    if let Some(due) = moment
                        && self.now < due
                    {
                        self.push(due, action, reason.to_owned());
                    }
                }
            }
            if let Some(due) = moments.destroy
                && moments.destroyed_at.is_none()
            {
                self.push(
                    due,
                    Action::Destroy { kid: kid() },
                    "no replica can use its private half any more by then".to_owned(),
                );
            }
        }
    }

    /// A key that was announced has to be observed. Earlier than a lease after its announcement,
    /// that gains nothing (inequality 1), and some replica may not have it yet; the very first
    /// keys are observed as soon as possible.
    fn probe(&mut self, key: &ManagedKey) {
        let moments = key.moments();
        let (Some(announce), None, None) = (moments.announce, moments.observed_at, moments.stop)
        else {
            return;
        };
        let wait = match key.bootstrap {
            Some(_) => Duration::ZERO,
            None => self.manifest.times().lease,
        };
        let due = announce.checked_add(wait).unwrap_or(UnixTime::MAX);
        self.push(
            due,
            Action::Probe {
                kid: key.kid().to_owned(),
            },
            "announced; it counts once it was fetched through the public URL".to_owned(),
        );
    }
}
