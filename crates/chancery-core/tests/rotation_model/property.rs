//! What must hold, whatever the replicas do: checked for all replicas and relying parties at once.
//!
//! What a replica does follows from the version it read last, its clock, and the time. So the
//! versions and the moments from which they lay in the store say all that any replica may do: each
//! of them signs and answers in intervals of true time, one for each version and clock error. That
//! covers stale snapshots, replicas that were stopped or killed anywhere, and clocks that wander,
//! for any number of replicas; a relying party may have asked any of them at any time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::version::{Limits, Version, Window};
use crate::world::{NEVER, Tick, World, tick};

/// What happened to the store, the private keys and the static host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) versions: &'a [Arc<Version>],
    /// When a backend was told to destroy the private half of a key.
    pub(crate) destroyed: &'a [(usize, Tick)],
    /// What lay on the static host, from when on.
    pub(crate) hosted: &'a [Hosted],
    /// No answer is remembered for longer than this.
    pub(crate) longest_kept: Tick,
}

/// A JWKS on the static host.
#[derive(Clone, Debug)]
pub(crate) struct Hosted {
    pub(crate) from: Tick,
    pub(crate) kids: Vec<usize>,
    /// Those that are missing because they were revoked.
    pub(crate) revoked: Vec<usize>,
    pub(crate) max_age: Tick,
}

/// A token that a relying party could not verify, or a signature that could not be made.
#[derive(Clone, Debug)]
pub(crate) struct Counterexample {
    pub(crate) kind: Kind,
    pub(crate) key: usize,
    trace: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A relying party has a JWKS from before the key was in it.
    NotYetKnown,
    /// A relying party fetched a JWKS from which the key was gone.
    AlreadyGone,
    /// The private half was destroyed while a replica could sign with it.
    Destroyed,
    /// A replica whose lease is valid has no key to sign with.
    Dark,
}

/// Signing, by a replica with this version and clock error, in true time.
#[derive(Clone, Copy, Debug)]
struct Signed {
    version: usize,
    error: Tick,
    window: Window,
    longest_lifetime: Tick,
}

/// An answer without the key.
struct Lack {
    window: Window,
    /// How long it is remembered.
    kept: Tick,
    who: String,
}

impl Happened<'_> {
    /// Checks the property for every key that signs.
    pub(crate) fn check(&self, world: &World) -> Result<(), Box<Counterexample>> {
        let mut ids: Vec<usize> = self
            .versions
            .iter()
            .flat_map(|version| version.keys())
            .filter(|(_, key)| {
                key.schedule
                    .is_some_and(|schedule| schedule.activate.is_some())
            })
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().try_for_each(|id| self.check_key(id, world))
    }

    /// Checks that until this tick each lane that has signed once has a key that signs, for every
    /// replica.
    pub(crate) fn check_lit(&self, now: Tick, world: &World) -> Result<(), Box<Counterexample>> {
        for (index, version) in self.versions.iter().enumerate() {
            let mut lanes: BTreeMap<usize, Vec<(Tick, Tick)>> = BTreeMap::new();
            for (_, key) in version.keys() {
                if let Some(schedule) = key.schedule
                    && let Some(activate) = schedule.activate
                {
                    let turns = lanes.entry(key.lane).or_default();
                    turns.push((tick(activate), schedule.stop.map_or(NEVER, tick)));
                }
            }
            for (lane, mut turns) in lanes {
                turns.sort_unstable();
                for error in world.clock_errors() {
                    let Some((from, to)) = version.window(self.until(index), error, world) else {
                        continue;
                    };
                    let mut clock = (from + error).max(turns[0].0);
                    for &(activate, stop) in &turns {
                        if activate <= clock {
                            clock = clock.max(stop);
                        }
                    }
                    if clock <= to.min(now) + error {
                        let who = self.who(index, clock - error, error, world);
                        let mut trace = self.notes();
                        trace.push(format!(
                            "t={}: {who} has no key to sign with in the lane of {}",
                            clock - error,
                            name(lane)
                        ));
                        let kind = Kind::Dark;
                        return Err(Box::new(Counterexample {
                            kind,
                            key: lane,
                            trace,
                        }));
                    }
                }
            }
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.versions.iter().map(|version| version.note.clone());
        notes.collect()
    }

    fn check_key(&self, id: usize, world: &World) -> Result<(), Box<Counterexample>> {
        let signed = self.signed(id, world);
        let (Some(first), Some(end)) = (
            signed.iter().map(|signed| signed.window.0).min(),
            signed.iter().map(|signed| signed.window.1).max(),
        ) else {
            return Ok(());
        };
        for &(destroyed, at) in self.destroyed {
            if destroyed == id
                && let Some(signed) = signed.iter().find(|signed| {
                    at <= signed.window.1 + world.parties(signed.window.1).signing_deadline
                })
            {
                let against = format!("t={at}: a backend is told to destroy the key");
                return Err(self.found(Kind::Destroyed, id, *signed, against, world));
            }
        }
        let accepted = signed.iter().map(|signed| self.accepted_for(signed, world));
        let end = end + accepted.max().unwrap_or(0);
        for lack in self.lacks(id, (first, end), world) {
            for signed in &signed {
                let (from, to) = signed.window;
                let (lack_from, lack_to) = lack.window;
                // A JWKS that was fetched before, and is still relied on.
                if (from - lack_to).max(0) <= (to - lack_from).min(lack.kept) {
                    let fetched = lack_to.min(to);
                    let at = from.max(fetched);
                    let against = format!(
                        "t={fetched}: a relying party asks {}, and relies on the answer until t={}",
                        lack.who,
                        fetched + lack.kept
                    );
                    let signed = Signed {
                        window: (at, to),
                        ..*signed
                    };
                    return Err(self.found(Kind::NotYetKnown, id, signed, against, world));
                }
                // A JWKS that is fetched later, while the token is accepted.
                let accepted = self.accepted_for(signed, world);
                if (lack_from - to).max(0) <= (lack_to - from).min(accepted) {
                    let at = to.min(lack_to);
                    let against = format!(
                        "t={}: a relying party that accepts the token until t={} asks {}",
                        lack_from.max(at),
                        at + accepted,
                        lack.who
                    );
                    let signed = Signed {
                        window: (at, at),
                        ..*signed
                    };
                    return Err(self.found(Kind::AlreadyGone, id, signed, against, world));
                }
            }
        }
        Ok(())
    }

    /// When any replica may sign with the key.
    fn signed(&self, id: usize, world: &World) -> Vec<Signed> {
        let mut signed = Vec::new();
        let begin = self.versions.partition_point(|version| version.made <= id);
        for (index, version) in self.versions.iter().enumerate().skip(begin) {
            let gone = version.key(id).is_none();
            for error in world.clock_errors() {
                let until = self.until(index);
                let Some(window) = version.window(until, error, world) else {
                    continue;
                };
                let Some(window) = version.signs(id, error, window, world) else {
                    continue;
                };
                for (from, to, limits) in version.parts(until, window, world) {
                    signed.push(Signed {
                        version: index,
                        error,
                        window: (from, to),
                        longest_lifetime: limits.longest_lifetime + world.disobedience.lifetime,
                    });
                }
            }
            if gone && !signed.is_empty() {
                break;
            }
        }
        signed
    }

    /// For how long after it was signed a relying party may accept a token.
    fn accepted_for(&self, signed: &Signed, world: &World) -> Tick {
        let valid = signed.error + signed.longest_lifetime;
        let (from, to) = signed.window;
        let leeway = world.longest_leeway(from, to.min(NEVER / 2) + valid);
        valid + world.longest_leeway(from, to.min(NEVER / 2) + valid + leeway)
    }

    /// The answers without the key that somebody may get, as far as they may matter to tokens that
    /// are accepted in this time.
    fn lacks(&self, id: usize, (first, end): Window, world: &World) -> Vec<Lack> {
        let mut lacks = Vec::new();
        let mut add = |window: Window, max_age: Option<Tick>, who: &dyn Fn(Tick) -> String| {
            for (from, to, parties) in world.stretches(window) {
                let kept = max_age.map_or(0, |max_age| max_age.max(parties.refresh));
                let kept = kept.max(parties.negative_cache);
                if first <= to + kept && from <= end {
                    lacks.push(Lack {
                        window: (from, to),
                        kept,
                        who: who(if to < NEVER / 2 { to } else { from }),
                    });
                }
            }
        };
        if world.is_hosted {
            let first = self.hosted.first().map_or(NEVER, |hosted| hosted.from);
            add((0, first - 1), None, &|_| {
                "the host, which has no document".to_owned()
            });
            for (index, hosted) in self.hosted.iter().enumerate() {
                let until = self.hosted.get(index + 1).map_or(NEVER, |next| next.from);
                if !hosted.kids.contains(&id) && !hosted.revoked.contains(&id) {
                    add((hosted.from, until - 1), Some(hosted.max_age), &|_| {
                        format!("the host, which lacks {}", name(id))
                    });
                }
            }
            return lacks;
        }
        for (index, version) in self.versions.iter().enumerate() {
            if end < version.from {
                break;
            }
            let until = self.until(index);
            let longest = version.window(until, -world.clock_error, world);
            if longest.is_none_or(|(_, to)| to + self.longest_kept < first) {
                continue;
            }
            for error in world.clock_errors() {
                let Some(window) = version.window(until, error, world) else {
                    continue;
                };
                let who = |at| self.who(index, at, error, world);
                for (from, to, Limits { max_age, .. }) in version.parts(until, window, world) {
                    let max_age = max_age + world.disobedience.max_age;
                    for lack in version.lacks(id, error, (from, to)) {
                        add(lack, Some(max_age), &|at| {
                            format!("{} which lacks {}", who(at), name(id))
                        });
                    }
                }
                if world.remembers_unready
                    && let Some(nothing) = version.answers_nothing(error, window)
                {
                    add(nothing, None, &|at| {
                        format!("{} which has no key yet", who(at))
                    });
                }
            }
        }
        lacks
    }

    /// Until when a version was the one in the store.
    fn until(&self, index: usize) -> Tick {
        self.versions.get(index + 1).map_or(NEVER, |next| next.from)
    }

    /// The replica that does so at this moment, and read last by the clock that is furthest ahead.
    fn who(&self, index: usize, at: Tick, error: Tick, world: &World) -> String {
        let read = self.until(index).min(at);
        format!(
            "a replica with revision {}, read at t={read} with its clock at {:+}, and its clock now at {error:+},",
            self.versions[index].revision, world.clock_error
        )
    }

    fn found(
        &self,
        kind: Kind,
        key: usize,
        signed: Signed,
        against: String,
        world: &World,
    ) -> Box<Counterexample> {
        let (at, to) = signed.window;
        let by = self.who(signed.version, at, signed.error, world);
        let when = match kind {
            Kind::Destroyed => format!(
                "until t={to}, and {} longer,",
                world.parties(to).signing_deadline
            ),
            Kind::NotYetKnown | Kind::AlreadyGone | Kind::Dark => format!("at t={at}"),
        };
        let until = at + signed.error + signed.longest_lifetime;
        let mut trace = self.notes();
        trace.push(format!("{when} {by} signs with {}, exp={until}", name(key)));
        trace.push(against);
        Box::new(Counterexample { kind, key, trace })
    }
}

/// What a key is called in a trace: its place in the manifest.
pub(crate) fn name(id: usize) -> String {
    format!("key {id}")
}

/// Shows who did what when.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}, {}:", self.kind, name(self.key))?;
        self.trace
            .iter()
            .try_for_each(|line| writeln!(f, "  {line}"))
    }
}
