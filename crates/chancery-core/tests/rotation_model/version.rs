//! A manifest as long as it is the one in the store, and all that any replica may do by it.

use chancery_core::Schedule;
use chancery_core::rotation::Manifest;

use crate::world::{NEVER, Tick, World, moment, tick, ticks};

/// What replicas need of a manifest, and when it was in the store.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) revision: u64,
    /// How many keys there ever were.
    pub(crate) made: usize,
    /// From this tick on it may be read.
    pub(crate) from: Tick,
    /// How long after it was read it may be relied on, by one clock: L − 2ε.
    lease: Tick,
    /// The clocks from which on other limits hold, with the longest lifetime and `max-age`.
    limits: Vec<(Tick, Limits)>,
    /// The keys that are not long gone.
    keys: Vec<(usize, KeyView)>,
    /// When the first key was announced that is in the JWKS.
    first_announce: Tick,
    /// Who made it, when, and how.
    pub(crate) note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) longest_lifetime: Tick,
    pub(crate) max_age: Tick,
}

/// A key as a manifest has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyView {
    pub(crate) schedule: Option<Schedule>,
    pub(crate) revoked: bool,
    pub(crate) lane: usize,
}

/// When a replica of one clock error may rely on a version: true time, both ends included.
pub(crate) type Window = (Tick, Tick);

impl Version {
    pub(crate) fn new(manifest: &Manifest, from: Tick, note: String) -> Self {
        let times = manifest.times();
        let keys: Vec<(usize, KeyView)> = manifest
            .keys()
            .iter()
            .enumerate()
            .filter(|(_, key)| {
                let moments = key.moments();
                let gone = moments
                    .out()
                    .map(|out| tick(out) + 10 * ticks(times.clock_error) + 10);
                // Of a revoked key it has to be known that it is meant to be missing.
                moments.revoked_at.is_some() || gone.is_none_or(|gone| from < gone)
            })
            .map(|(index, key)| {
                let view = KeyView {
                    schedule: manifest.schedule(key),
                    revoked: key.moments().revoked_at.is_some(),
                    lane: manifest
                        .keys()
                        .iter()
                        .position(|other| other.jwk().algorithm() == key.jwk().algorithm())
                        .unwrap_or(index),
                };
                (index, view)
            })
            .collect();
        let announced = keys
            .iter()
            .filter(|(_, key)| !key.revoked)
            .filter_map(|(_, key)| key.schedule);
        Self {
            revision: manifest.revision(),
            made: manifest.keys().len(),
            from,
            lease: ticks(times.lease) - 2 * ticks(times.clock_error),
            limits: limits(manifest),
            first_announce: announced
                .map(|schedule| tick(schedule.announce))
                .min()
                .unwrap_or(NEVER),
            keys,
            note,
        }
    }

    /// The key of this number; `None` where the manifest does not have it, or it is long gone.
    pub(crate) fn key(&self, id: usize) -> Option<&KeyView> {
        let index = self.keys.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.keys[index].1)
    }

    pub(crate) fn keys(&self) -> &[(usize, KeyView)] {
        &self.keys
    }

    /// When some replica whose clock is off by `error` may rely on this version, which the next one
    /// replaces at `until`.
    ///
    /// The replica that can do so for longest read it last, in the very tick in which it was
    /// replaced, by a clock that was ahead by as much as it can be.
    pub(crate) fn window(&self, until: Tick, error: Tick, world: &World) -> Option<Window> {
        let lease = self.lease.max(0) + world.disobedience.lease;
        let spare = world.clock_error + lease - error - 1;
        (spare >= 0).then(|| (self.from, (until + spare).min(NEVER)))
    }

    /// A window in parts within which the limits are the same: those of the replica that read the
    /// version last.
    pub(crate) fn parts(
        &self,
        until: Tick,
        (from, to): Window,
        world: &World,
    ) -> Vec<(Tick, Tick, Limits)> {
        let mut parts = Vec::new();
        for (index, &(since, limits)) in self.limits.iter().enumerate() {
            let next = self.limits.get(index + 1).map_or(NEVER, |next| next.0);
            // Who reads at `t` reads the clock `t + error` at most; after `until` nobody reads.
            let begin = since - world.clock_error;
            if until < begin {
                break;
            }
            let end = next - world.clock_error - 1;
            let end = if until <= end { NEVER } else { end };
            let (begin, end) = (begin.max(from), end.min(to));
            if begin <= end {
                parts.push((begin, end, limits));
            }
        }
        parts
    }

    /// From when to when a replica of this clock error answers without the key, though it answers
    /// with another one. A revoked key is meant to be missing.
    pub(crate) fn lacks(&self, id: usize, error: Tick, (from, to): Window) -> Vec<Window> {
        let from = from.max(self.first_announce - error);
        let mut lacks = Vec::new();
        match self.key(id) {
            Some(key) if key.revoked => {}
            Some(KeyView {
                schedule: Some(schedule),
                ..
            }) => {
                lacks.push((from, to.min(tick(schedule.announce) - error - 1)));
                if let Some(retire) = schedule.retire {
                    lacks.push((from.max(tick(retire) - error), to));
                }
            }
            _ => lacks.push((from, to)),
        }
        lacks.retain(|(from, to)| from <= to);
        lacks
    }

    /// When a replica of this clock error answers that there is no document, though its lease is
    /// valid.
    pub(crate) fn answers_nothing(&self, error: Tick, (from, to): Window) -> Option<Window> {
        let to = to.min(self.first_announce - error - 1);
        (from <= to).then_some((from, to))
    }

    /// From when to when a replica of this clock error signs with the key.
    pub(crate) fn signs(
        &self,
        id: usize,
        error: Tick,
        (from, to): Window,
        world: &World,
    ) -> Option<Window> {
        let schedule = self.key(id)?.schedule?;
        let Schedule {
            announce,
            activate: Some(activate),
            stop,
            retire,
        } = schedule
        else {
            return None;
        };
        let begin = (tick(activate) - world.disobedience.early).max(tick(announce));
        let end = stop.map_or(NEVER, |stop| tick(stop) + world.disobedience.late);
        let end = end.min(retire.map_or(NEVER, tick));
        let (from, to) = (from.max(begin - error), to.min(end - error - 1));
        (from <= to).then_some((from, to))
    }
}

/// The limits with which a key set follows the manifest, by the clock at which it was read.
fn limits(manifest: &Manifest) -> Vec<(Tick, Limits)> {
    let mut clocks = vec![0];
    for record in manifest.records() {
        if let Some(until) = record.until {
            let error = ticks(record.times.clock_error);
            let known = tick(until) + ticks(record.times.lease) + 2 * error;
            clocks.extend([tick(until), known, known + error]);
        }
    }
    clocks.sort_unstable();
    clocks.dedup();
    let mut limits: Vec<(Tick, Limits)> = Vec::new();
    for clock in clocks {
        let found = Limits {
            longest_lifetime: ticks(manifest.longest_lifetime(moment(clock))),
            max_age: ticks(manifest.max_age(moment(clock))),
        };
        if limits.last().is_none_or(|(_, last)| *last != found) {
            limits.push((clock, found));
        }
    }
    limits
}
