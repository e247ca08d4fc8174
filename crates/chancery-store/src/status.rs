//! How the keys of an issuer are, for people.

use std::collections::HashMap;
use std::time::Duration;

use chancery_core::rotation::{
    Action, HistoryEntry, KeyState, ManagedKey, Manifest, ManifestError, Moments, Role,
    RotationPolicy, Step, plan,
};
use chancery_core::{Algorithm, UnixTime};

mod table;
pub(crate) mod words;

/// How the keys of an issuer are at a moment, what comes next and why, and what needs attention.
///
/// [`Keeper::status`](crate::Keeper::status) tells it of a running replica; [`Status::new`] makes
/// it of a manifest alone, such as an operator's copy of the file. It shows as a table that fits a
/// terminal, with each `kid` cut to eight characters, or whole with `{:#}`;
/// [`timeline`](Self::timeline) draws it.
///
/// ```
/// use chancery_core::rotation::{Change, Lane, Manifest, Role, RotationPolicy};
/// use chancery_core::{Algorithm, Jwk, UnixTime};
/// use chancery_store::Status;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = RotationPolicy::new(1).with_lane(Lane::new(Algorithm::EdDsa, "software"));
/// let Some(now) = UnixTime::from_secs(1_800_000_000) else { unreachable!() };
/// let manifest = Manifest::create(policy.clone(), "a person", now)?;
///
/// let status = Status::new(&manifest, &policy, now);
/// assert!(status.to_string().contains("lane EdDSA signs nothing"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The moment.
    pub now: UnixTime,
    /// The revision of the manifest; none where a replica has read none yet.
    pub revision: Option<u64>,
    /// The lanes of the policy in force.
    pub lanes: Vec<LaneStatus>,
    /// All keys there ever were: by lane, and in each the oldest first.
    pub keys: Vec<KeyStatus>,
    /// What comes next, the first one due first, with the reasons.
    pub steps: Vec<Step>,
    /// What a running replica knows besides.
    pub replica: Option<ReplicaStatus>,
    /// Why nothing can be planned by the given policy; the steps are then those by the manifest's.
    pub plan_error: Option<ManifestError>,
    /// The lease of the times in force.
    lease: Duration,
    /// How long a key signs, in the lane where that is longest.
    pub(crate) turn: Duration,
}

/// How a lane is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LaneStatus {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key that signs.
    pub active: Option<String>,
    /// When the next key begins to sign, where that is planned.
    pub next_active: Option<UnixTime>,
    /// The keys to which [`Keeper::switch`](crate::Keeper::switch) could switch now, the first one
    /// first.
    pub successors: Vec<String>,
}

/// How a key is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The `kid`.
    pub kid: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The name of the backend in which its private half lies, or lay.
    pub backend: String,
    /// What it was made for.
    pub role: Role,
    /// What it is.
    pub state: KeyState,
    /// Since when it is so.
    pub since: UnixTime,
    /// The moments it goes through.
    pub moments: Moments,
    /// When it is to stop by the policy, as long as its successor is not planned.
    pub expected_stop: Option<UnixTime>,
    /// What comes next for it, with the reason.
    pub next: Option<Step>,
    /// Whether its signer is open in this replica; none without a replica.
    pub is_open: Option<bool>,
    /// What was done with it, the oldest first.
    pub history: Vec<HistoryEntry>,
}

/// What a running replica knows of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// Its name.
    pub name: String,
    /// Whether it can do its work: see [`Keeper::is_ready`](crate::Keeper::is_ready).
    pub is_ready: bool,
    /// When its lease runs out, or ran out; none before it has read a manifest.
    pub lease_until: Option<UnixTime>,
    /// Whether the lease holds.
    pub has_lease: bool,
    /// What did not succeed in its last step, with the causes.
    pub troubles: Vec<String>,
}

impl Status {
    /// The status by a manifest alone, and by the policy that the replicas are given: the
    /// manifest's own, or a newer one that is not in force yet.
    #[must_use]
    pub fn new(manifest: &Manifest, policy: &RotationPolicy, now: UnixTime) -> Self {
        let (steps, plan_error) = steps(manifest, policy, now);
        let lanes = &manifest.policy().lanes;
        let place = |algorithm| {
            let place = lanes.iter().position(|lane| lane.algorithm == algorithm);
            place.unwrap_or(usize::MAX)
        };
        let mut keys: Vec<KeyStatus> = key_statuses(manifest, &steps, now);
        keys.sort_by_key(|key| (place(key.algorithm), key.algorithm, key.began_at()));
        Self {
            now,
            revision: Some(manifest.revision()),
            lanes: lanes
                .iter()
                .map(|lane| LaneStatus::new(manifest, lane.algorithm, now))
                .collect(),
            keys,
            steps,
            replica: None,
            plan_error,
            lease: manifest.times().lease,
            turn: lanes
                .iter()
                .map(|lane| lane.active_for)
                .max()
                .unwrap_or_default(),
        }
    }

    /// The status of a replica that has read no manifest yet.
    pub(crate) fn without_manifest(now: UnixTime) -> Self {
        Self {
            now,
            revision: None,
            lanes: Vec::new(),
            keys: Vec::new(),
            steps: Vec::new(),
            replica: None,
            plan_error: None,
            lease: Duration::ZERO,
            turn: Duration::ZERO,
        }
    }

    /// Adds what a replica knows: the keys that are open in it, and how it is itself.
    pub(crate) fn with_replica(mut self, replica: ReplicaStatus, open: &[String]) -> Self {
        for key in &mut self.keys {
            key.is_open = Some(open.contains(&key.kid));
        }
        self.replica = Some(replica);
        self
    }

    /// The keys that still matter. One that is out of the JWKS and whose private half is gone is
    /// left out once it has been so for as long as keys sign.
    pub fn present_keys(&self) -> impl Iterator<Item = &KeyStatus> {
        let shown_since = self.now.saturating_sub(self.turn);
        self.keys
            .iter()
            .filter(move |key| key.over_since().is_none_or(|over| shown_since <= over))
    }

    /// What needs attention, a sentence each; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.revision.is_none() {
            problems.push("no manifest has been read yet".to_owned());
        }
        if let Some(replica) = &self.replica {
            problems.extend(self.lease_problem(replica));
        }
        for lane in &self.lanes {
            let algorithm = lane.algorithm;
            match (&lane.active, lane.next_active) {
                (Some(_), _) => {}
                (None, Some(next)) => problems.push(format!(
                    "lane {algorithm} signs nothing until {}",
                    next.to_rfc3339()
                )),
                (None, None) => problems.push(format!(
                    "lane {algorithm} signs nothing, and no key of it is planned to"
                )),
            }
        }
        for key in &self.keys {
            if key.state == KeyState::Active && key.is_open == Some(false) {
                problems.push(format!(
                    "key {} signs, but not here: its signer in backend {} is not open",
                    key.kid, key.backend
                ));
            }
        }
        if let Some(error) = &self.plan_error {
            problems.push(format!("nothing new can be planned: {error}"));
        }
        problems.extend(self.overdue());
        if let Some(replica) = &self.replica {
            problems.extend(
                replica
                    .troubles
                    .iter()
                    .map(|trouble| format!("in the last step: {trouble}")),
            );
        }
        problems
    }

    fn lease_problem(&self, replica: &ReplicaStatus) -> Option<String> {
        let until = replica.lease_until?;
        if replica.has_lease {
            return None;
        }
        let why = if until <= self.now {
            format!("the lease ran out at {}", until.to_rfc3339())
        } else {
            "the clock went back to before the lease was granted".to_owned()
        };
        Some(format!(
            "{why}: nothing is signed here, and documents are answered by status 503"
        ))
    }

    /// The steps that somebody should have done by now. A keeper at work does them within seconds,
    /// or says in its troubles what holds it up.
    fn overdue(&self) -> impl Iterator<Item = String> {
        self.steps.iter().filter_map(|step| {
            let patience = step.due.checked_add(self.lease)?;
            let is_late = patience < self.now
                && !step.action.is_passive()
                && !matches!(step.action, Action::SetPolicy(_));
            is_late.then(|| {
                format!(
                    "`{}` has been due since {} and is not done: is a keeper running?",
                    step.action.name(),
                    step.due.to_rfc3339()
                )
            })
        })
    }
}

impl LaneStatus {
    fn new(manifest: &Manifest, algorithm: Algorithm, now: UnixTime) -> Self {
        let kid = |key: &ManagedKey| key.kid().to_owned();
        Self {
            algorithm,
            active: manifest.active(algorithm, now).map(kid),
            next_active: manifest
                .keys()
                .iter()
                .filter(|key| key.jwk().algorithm() == algorithm)
                .filter_map(|key| key.moments().activate)
                .filter(|&activate| now < activate)
                .min(),
            // A moment after the year 9999 is none.
            successors: manifest
                .successors(algorithm, now)
                .map(|keys| keys.into_iter().map(kid).collect())
                .unwrap_or_default(),
        }
    }
}

impl KeyStatus {
    /// Since when the key is out of the JWKS with its private half gone.
    fn over_since(&self) -> Option<UnixTime> {
        let destroyed = self.moments.destroyed_at?;
        let is_out = !self.state.is_published() && self.state != KeyState::Provisioned;
        is_out.then(|| destroyed.max(self.moments.out().unwrap_or(destroyed)))
    }

    /// When it began to sign, or is to, or was made: what keys of a lane are sorted by.
    fn began_at(&self) -> UnixTime {
        let Moments {
            activate,
            provisioned_at,
            ..
        } = self.moments;
        activate.or(provisioned_at).unwrap_or(UnixTime::MAX)
    }
}

fn key_statuses(manifest: &Manifest, steps: &[Step], now: UnixTime) -> Vec<KeyStatus> {
    let mut next: HashMap<&str, &Step> = HashMap::new();
    for step in steps {
        for kid in step.action.kids() {
            next.entry(kid).or_insert(step);
        }
    }
    let mut history: HashMap<&str, Vec<HistoryEntry>> = HashMap::new();
    for entry in manifest.history() {
        if let Some(kid) = entry.kid() {
            history.entry(kid).or_default().push(entry.clone());
        }
    }
    let key_status = |key: &ManagedKey| KeyStatus {
        kid: key.kid().to_owned(),
        algorithm: key.jwk().algorithm(),
        backend: key.backend().to_owned(),
        role: key.role(),
        state: key.state(now),
        since: since(key, now),
        moments: *key.moments(),
        expected_stop: expected_stop(manifest, key),
        next: next.get(key.kid()).map(|&step| step.clone()),
        is_open: None,
        history: history.remove(key.kid()).unwrap_or_default(),
    };
    manifest.keys().iter().map(key_status).collect()
}

/// The plan by the given policy; where there is none, that by the manifest's own, and why.
fn steps(
    manifest: &Manifest,
    policy: &RotationPolicy,
    now: UnixTime,
) -> (Vec<Step>, Option<ManifestError>) {
    match plan(manifest, policy, now) {
        Ok(plan) => (plan.steps().to_vec(), None),
        Err(error) => {
            let not_before = now.max(manifest.changed_at());
            let steps = plan(manifest, manifest.policy(), not_before)
                .map(|plan| plan.steps().to_vec())
                .unwrap_or_default();
            (steps, Some(error))
        }
    }
}

/// When the key came to the state it is in.
fn since(key: &ManagedKey, now: UnixTime) -> UnixTime {
    let moments = key.moments();
    let out = moments.out().or(moments.stop);
    let since = match key.state(now) {
        KeyState::Provisioned => moments.provisioned_at,
        KeyState::Announced => moments.announce,
        KeyState::Observed => moments.observed_at,
        KeyState::Active => moments.activate,
        KeyState::Draining => moments.end(),
        KeyState::Retired => out,
        KeyState::Destroyed => moments.destroyed_at.max(out),
        KeyState::Revoked => moments.revoked_at,
    };
    since.unwrap_or(now)
}

fn expected_stop(manifest: &Manifest, key: &ManagedKey) -> Option<UnixTime> {
    let moments = key.moments();
    if moments.stop.is_some() || moments.revoked_at.is_some() {
        return None;
    }
    let lane = manifest.policy().lane(key.jwk().algorithm())?;
    let expected = moments.activate?.checked_add(lane.active_for)?;
    Some(
        moments
            .sign_not_after
            .map_or(expected, |latest| latest.min(expected)),
    )
}
