//! The exhaustive search: all histories of a few changes, each made by any clock and with any delay.
//!
//! The plan says what is due; who does it, by which clock, how late, and how long the write takes is
//! the adversary's choice, and so is when something happens that no plan knows of. Which replica
//! was stale or stopped meanwhile is not enumerated: the property is checked for all of them.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chancery_core::Algorithm;
use chancery_core::rotation::{Action, Change, Manifest, ManifestError, RotationPolicy, plan};

use crate::property::{Counterexample, Happened, Hosted};
use crate::version::Version;
use crate::world::{Parties, Tick, World, jwk, moment, tick, ticks as ticks_of};

/// Where time begins.
pub(crate) const ORIGIN: Tick = 1_000;

/// What the adversary may choose from, and how far the search goes.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// The errors of the clocks by which changes are made, each with how long the write takes.
    pub(crate) writes: Vec<(Tick, Tick)>,
    /// How much later than due a step is done.
    pub(crate) lateness: Vec<Tick>,
    /// How many changes are made in all.
    pub(crate) depth: usize,
    /// What happens besides, each once, in this order.
    pub(crate) incidents: Vec<Incident>,
    /// The ticks in which the first incident may happen, from the beginning of the search on.
    pub(crate) during: Tick,
    /// Whether a key may be observed before the plan asks for it.
    pub(crate) probes_early: bool,
    /// How much later than it could be the JWKS is put on the static host.
    pub(crate) publishing: Vec<Tick>,
    /// By how much an observation is dated before the probe was answered. It never should be.
    pub(crate) predated: Tick,
}

/// What no plan knows of.
#[derive(Clone, Debug)]
pub(crate) enum Incident {
    /// The operator switches to the first successor there is.
    Switch(Algorithm),
    /// The key that signs is compromised.
    Revoke(Algorithm, bool),
    /// The operator brings a new policy, with what becomes of relying parties.
    Policy(Box<RotationPolicy>, Turn),
}

/// When relying parties begin to behave as a new policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// They do already: the policy follows.
    Before,
    /// As soon as no replica follows the old policy any more.
    After,
    /// At once when the policy is in the store.
    Now,
    /// They get better before, and worse after.
    Mixed,
    /// They never do.
    Never,
}

/// A history so far.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) now: Tick,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) versions: Vec<Arc<Version>>,
    pub(crate) destroyed: Vec<(usize, Tick)>,
    pub(crate) hosted: Vec<Hosted>,
    pub(crate) world: World,
    pub(crate) depth: usize,
    /// Whether every lane is to have a key that signs, once it had one.
    pub(crate) stays_lit: bool,
    incidents: usize,
    /// Stands for everything before the manifest.
    past: u64,
}

/// How much was searched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) histories: usize,
}

impl Node {
    /// A new manifest, at the beginning of time.
    pub(crate) fn new(policy: RotationPolicy, world: World) -> Self {
        let manifest = Manifest::create(policy, "replica", moment(ORIGIN)).unwrap();
        let version = Version::new(&manifest, ORIGIN, format!("t={ORIGIN}: revision 1 is made"));
        Self {
            now: ORIGIN,
            manifest: Arc::new(manifest),
            versions: vec![Arc::new(version)],
            destroyed: Vec::new(),
            hosted: Vec::new(),
            world,
            depth: 0,
            stays_lit: true,
            incidents: 0,
            past: 0,
        }
    }

    /// Does what is due without an adversary, up to this moment, which may pass.
    pub(crate) fn nominal(mut self, until: Tick) -> Self {
        while let Some((at, action)) = self.planned(0, 0).into_iter().next() {
            if at > until {
                break;
            }
            self = self.carry_out(&action, at, 0, 0).unwrap();
        }
        self.now = self.now.max(until);
        self.depth = 0;
        self
    }

    /// What is due first by a clock of this error, and when it is done.
    fn planned(&self, error: Tick, lateness: Tick) -> Vec<(Tick, Action)> {
        let policy = self.manifest.policy();
        let now = moment(self.now + error);
        let plan = match plan(&self.manifest, policy, now) {
            Ok(plan) => plan,
            // Only a clock that is worse than the manifest believes is refused.
            Err(ManifestError::ClockWentBack { .. })
                if self.world.clock_error > ticks_of(self.manifest.times().clock_error) =>
            {
                return Vec::new();
            }
            Err(error) => panic!("{error}"),
        };
        let next = plan.steps().iter().find(|step| !step.action.is_passive());
        let Some(next) = next else {
            return Vec::new();
        };
        let at = self.now.max(tick(next.due) - error) + lateness;
        // By then more may be due.
        let plan = chancery_core::rotation::plan(&self.manifest, policy, moment(at + error));
        let plan = plan.unwrap();
        let due = plan.due(moment(at + error));
        due.map(|step| (at, step.action.clone())).collect()
    }

    /// The node after a step was done at this moment, by a clock of this error, and took so long.
    fn carry_out(
        &self,
        action: &Action,
        at: Tick,
        error: Tick,
        delay: Tick,
    ) -> Result<Self, ManifestError> {
        let mut node = self.clone();
        let number = self.manifest.keys().len();
        let change = match action {
            Action::Provision {
                algorithm,
                backend,
                role,
            } => Change::Provision {
                jwk: jwk(*algorithm, number),
                backend: backend.clone(),
                reference: format!("key-{number}"),
                role: *role,
            },
            Action::Probe { kid } => Change::Observe { kid: kid.clone() },
            Action::Destroy { kid } => {
                node.destroyed.push((self.id(kid), at));
                Change::Destroy { kid: kid.clone() }
            }
            other => other.change().unwrap(),
        };
        node.change(&change, at, error, delay)?;
        Ok(node)
    }

    /// Changes the manifest, by a clock of this error, and so that it takes so long.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        at: Tick,
        error: Tick,
        delay: Tick,
    ) -> Result<(), ManifestError> {
        let manifest = self.manifest.apply(change, "replica", moment(at + error))?;
        let what: Vec<String> = manifest.history()[self.manifest.history().len()..]
            .iter()
            .map(|entry| match entry.kid() {
                Some(kid) => format!(
                    "{} key {}",
                    entry.what(),
                    manifest
                        .keys()
                        .iter()
                        .position(|key| key.kid() == kid)
                        .unwrap()
                ),
                None => entry.what().to_owned(),
            })
            .collect();
        let from = at + delay;
        let note = format!(
            "t={at}: a replica with its clock at {error:+} makes revision {} ({}), dated {}, in the store from t={from}",
            manifest.revision(),
            what.join(", "),
            tick(manifest.changed_at()),
        );
        // The register takes only what was made from what is in it.
        assert_eq!(manifest.revision(), self.manifest.revision() + 1);
        self.past = self.hash(false);
        self.versions
            .push(Arc::new(Version::new(&manifest, from, note)));
        self.manifest = Arc::new(manifest);
        self.now = from;
        self.depth += 1;
        Ok(())
    }

    /// The ways on from here.
    fn moves(&self, search: &Search) -> Vec<Self> {
        let mut moves = Vec::new();
        let mut last = self.now;
        for &(error, delay) in &search.writes {
            for &lateness in &search.lateness {
                let mut planned = self.planned(error, lateness);
                if search.probes_early {
                    planned.extend(self.early_probes(error, lateness));
                }
                for (at, action) in planned {
                    last = last.max(at);
                    // Who has the manifest and is furthest ahead answers with the key first.
                    let mut error = error;
                    if let Action::Probe { kid } = &action {
                        if !self.is_seen(kid, at) {
                            continue;
                        }
                        error -= search.predated;
                    }
                    moves.push(self.carry_out(&action, at, error, delay).unwrap());
                }
            }
        }
        if self.world.is_hosted {
            moves.extend(self.publications(search));
        }
        if let Some(incident) = search.incidents.get(self.incidents) {
            for at in self.now..=last.min(ORIGIN + search.during) {
                for &(error, delay) in &search.writes {
                    moves.extend(self.incident(incident, at, error, delay));
                }
            }
        }
        moves
    }

    /// What a replica that has read the manifest puts on the static host, as soon as it differs from
    /// what lies there, or later.
    fn publications(&self, search: &Search) -> Vec<Self> {
        let mut publications = Vec::new();
        for &(error, delay) in &search.writes {
            let kids_at = |at: Tick| -> Vec<usize> {
                let keys = self.manifest.keys().iter().enumerate();
                keys.filter(|(_, key)| {
                    let schedule = self.manifest.schedule(key);
                    schedule.is_some_and(|schedule| schedule.is_published(moment(at + error)))
                })
                .map(|(id, _)| id)
                .collect()
            };
            let last = self.hosted.last().map_or(&[][..], |hosted| &hosted.kids);
            let moments = self.manifest.keys().iter().flat_map(|key| {
                let moments = key.moments();
                [moments.announce, moments.out()]
            });
            let mut ticks: Vec<Tick> = moments
                .flatten()
                .map(|moment| tick(moment) - error)
                .filter(|at| *at > self.now)
                .chain([self.now])
                .collect();
            ticks.sort_unstable();
            let Some(at) = ticks.into_iter().find(|at| kids_at(*at) != last) else {
                continue;
            };
            for late in &search.publishing {
                let at = at + late;
                let kids = kids_at(at);
                let revoked = |id: &usize| {
                    let moments = self.manifest.keys()[*id].moments();
                    moments.revoked_at.is_some()
                };
                // A key that is there stays until the manifest lets it go.
                let drops = last.iter().any(|id| {
                    let out = self.manifest.keys()[*id].moments().out();
                    !kids.contains(id) && out.is_none_or(|out| moment(at + error) < out)
                });
                if drops || kids.is_empty() {
                    continue;
                }
                let mut node = self.clone();
                node.past = self.hash(true);
                node.hosted.push(Hosted {
                    from: at + delay,
                    max_age: ticks_of(self.manifest.max_age(moment(at + error))),
                    revoked: (0..self.manifest.keys().len()).filter(revoked).collect(),
                    kids,
                });
                node.now = at + delay;
                node.depth += 1;
                publications.push(node);
            }
        }
        publications
    }

    fn early_probes(&self, error: Tick, lateness: Tick) -> Vec<(Tick, Action)> {
        let mut probes = Vec::new();
        for key in self.manifest.keys() {
            let moments = key.moments();
            if let (Some(announce), None, None) =
                (moments.announce, moments.observed_at, moments.stop)
            {
                let at = self.now.max(tick(announce) - error) + lateness;
                let kid = key.kid().to_owned();
                probes.push((at, Action::Probe { kid }));
            }
        }
        probes
    }

    fn is_seen(&self, kid: &str, at: Tick) -> bool {
        let id = self.id(kid);
        if self.world.is_hosted {
            let hosted = self.hosted.iter().rfind(|hosted| hosted.from <= at);
            return hosted.is_some_and(|hosted| hosted.kids.contains(&id));
        }
        let announce = self.manifest.keys()[id].moments().announce;
        announce.is_some_and(|announce| tick(announce) <= at + self.world.clock_error)
    }

    fn incident(&self, incident: &Incident, at: Tick, error: Tick, delay: Tick) -> Option<Self> {
        let mut node = self.clone();
        node.incidents += 1;
        let now = moment(at + error).max(self.manifest.changed_at());
        match incident {
            Incident::Switch(algorithm) => {
                let successors = self.manifest.successors(*algorithm, now).unwrap();
                let kid = successors.first()?.kid().to_owned();
                node.change(&Change::Switch { kid }, at, error, delay)
                    .ok()?;
            }
            Incident::Revoke(algorithm, without_successor) => {
                let active = self.manifest.active(*algorithm, now)?;
                // Two keys of a lane never begin in one second, so a key that is revoked in the
                // second in which it began leaves the lane without one for the rest of it.
                if active.moments().activate == Some(now) {
                    return None;
                }
                let change = Change::Revoke {
                    kid: active.kid().to_owned(),
                    without_successor: *without_successor,
                };
                node.change(&change, at, error, delay).ok()?;
            }
            Incident::Policy(policy, turn) => {
                let change = Change::SetPolicy(policy.as_ref().clone());
                let old = ticks_of(self.manifest.times().lease);
                node.change(&change, at, error, delay).unwrap();
                let new = Parties::of(&policy.times);
                let after = node.now + old;
                match turn {
                    Turn::Before => node.world.change_parties(at, new),
                    Turn::Now => node.world.change_parties(node.now, new),
                    Turn::After => node.world.change_parties(after, new),
                    Turn::Mixed => {
                        let better = node.world.parties(at).min(&new);
                        node.world.change_parties(at, better);
                        node.world.change_parties(after, new);
                    }
                    Turn::Never => {}
                }
            }
        }
        Some(node)
    }

    fn id(&self, kid: &str) -> usize {
        let mut keys = self.manifest.keys().iter();
        keys.position(|key| key.kid() == kid).unwrap()
    }

    /// Two nodes of one hash have the same past and future.
    fn hash(&self, with_now: bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.past.hash(&mut hasher);
        self.incidents.hash(&mut hasher);
        self.destroyed.hash(&mut hasher);
        for hosted in &self.hosted {
            (hosted.from, &hosted.kids).hash(&mut hasher);
        }
        self.versions.last().unwrap().from.hash(&mut hasher);
        tick(self.manifest.changed_at()).hash(&mut hasher);
        self.manifest.policy().version.hash(&mut hasher);
        for key in self.manifest.keys() {
            let moments = key.moments();
            for moment in [
                moments.provisioned_at,
                moments.announce,
                moments.observed_at,
                moments.activate,
                moments.stop,
                moments.sign_not_after,
                moments.retire,
                moments.destroy,
                moments.destroyed_at,
                moments.withdrawn_at,
                moments.revoked_at,
            ] {
                moment.hash(&mut hasher);
            }
        }
        if with_now {
            self.now.hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn check(&self) -> Result<(), Box<Counterexample>> {
        let happened = Happened {
            versions: &self.versions,
            destroyed: &self.destroyed,
            hosted: &self.hosted,
            longest_kept: 1_000,
        };
        happened.check(&self.world)?;
        if self.stays_lit {
            happened.check_lit(self.now, &self.world)?;
        }
        Ok(())
    }
}

/// Searches all histories that begin with this node. The first one that breaks the property ends the
/// search.
pub(crate) fn search(start: Node, search: &Search) -> Result<Found, Box<Counterexample>> {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let mut stack = vec![start];
    while let Some(node) = stack.pop() {
        if !seen.insert(node.hash(true)) {
            continue;
        }
        found.states += 1;
        if node.depth >= search.depth {
            found.histories += 1;
            node.check()?;
            continue;
        }
        stack.extend(node.moves(search));
    }
    Ok(found)
}
