//! What really happens, as opposed to what a manifest believes: clocks, writes, relying parties.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chancery_core::rotation::RotationTimes;
use chancery_core::{Algorithm, Jwk, PublicKey, UnixTime};

/// True time, in seconds.
pub(crate) type Tick = i64;

/// Later than anything that happens.
pub(crate) const NEVER: Tick = 1 << 40;

/// The moment that a clock shows.
pub(crate) fn moment(clock: Tick) -> UnixTime {
    UnixTime::from_secs(u64::try_from(clock).unwrap()).unwrap()
}

pub(crate) fn tick(moment: UnixTime) -> Tick {
    moment.as_secs().try_into().unwrap()
}

pub(crate) fn ticks(duration: Duration) -> Tick {
    duration.as_secs().try_into().unwrap()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A public key, another one for each number. Nobody has its private half.
pub(crate) fn jwk(algorithm: Algorithm, number: usize) -> Jwk {
    // To check a key takes longer than all else that is done with it here.
    static MADE: Mutex<BTreeMap<(Algorithm, usize), Jwk>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let jwk = made.entry((algorithm, number)).or_insert_with(|| {
        let mut modulus = vec![0xc5; 256];
        modulus[100..108].copy_from_slice(&(number as u64).to_be_bytes());
        let exponent = vec![1, 0, 1];
        Jwk::new(algorithm, PublicKey::Rsa { modulus, exponent }).unwrap()
    });
    jwk.clone()
}

/// The smallest times at which every term of every inequality can be told from none.
pub(crate) fn tiny() -> RotationTimes {
    RotationTimes::default()
        .with_max_age(seconds(1))
        .with_refresh(seconds(2))
        .with_lease(seconds(5))
        .with_clock_error(seconds(1))
        .with_signing_deadline(seconds(1))
        .with_longest_lifetime(seconds(2))
        .with_leeway(seconds(1))
        .with_clock_lag(seconds(1))
        .with_negative_cache(seconds(1))
}

/// What is true of the world. Where it is no worse than the manifest believes, no relying party may
/// ever meet a token that it cannot verify.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// How far the clock of a replica is off, at worst, to either side. It may wander.
    pub(crate) clock_error: Tick,
    /// How long a change takes to be in the store once its clock was read; later, it is lost.
    pub(crate) write_delay: Tick,
    /// How relying parties behave, from when on.
    parties: Vec<(Tick, Parties)>,
    /// How the replicas disobey.
    pub(crate) disobedience: Disobedience,
    /// Whether relying parties fetch the JWKS from a static host, and not from the replicas.
    pub(crate) is_hosted: bool,
    /// Whether they remember the answer 503 of a replica whose lease is valid and that knows of no
    /// announced key yet, as they remember that there is no document.
    pub(crate) remembers_unready: bool,
}

/// How relying parties behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parties {
    /// R. A JWKS is kept at least as long as its `max-age`, and at worst as long as this.
    pub(crate) refresh: Tick,
    /// W.
    pub(crate) negative_cache: Tick,
    /// G + r.
    pub(crate) leeway: Tick,
    /// D, which is no matter of theirs but changes with the policy as well.
    pub(crate) signing_deadline: Tick,
}

/// By how much replicas do what the manifest does not allow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disobedience {
    /// A lease is used for so much longer.
    pub(crate) lease: Tick,
    /// `exp` lies so much further ahead.
    pub(crate) lifetime: Tick,
    /// `max-age` is so much longer.
    pub(crate) max_age: Tick,
    /// A key signs so much before `activate`.
    pub(crate) early: Tick,
    /// A key signs so much after `stop`.
    pub(crate) late: Tick,
}

impl Parties {
    pub(crate) fn of(times: &RotationTimes) -> Self {
        Self {
            refresh: ticks(times.refresh),
            negative_cache: ticks(times.negative_cache),
            leeway: ticks(times.leeway) + ticks(times.clock_lag),
            signing_deadline: ticks(times.signing_deadline),
        }
    }

    /// The better of two, in each respect.
    pub(crate) fn min(&self, other: &Self) -> Self {
        Self {
            refresh: self.refresh.min(other.refresh),
            negative_cache: self.negative_cache.min(other.negative_cache),
            leeway: self.leeway.min(other.leeway),
            signing_deadline: self.signing_deadline.min(other.signing_deadline),
        }
    }
}

impl World {
    /// The world that is exactly as bad as these times say.
    pub(crate) fn of(times: &RotationTimes) -> Self {
        Self {
            clock_error: ticks(times.clock_error),
            write_delay: ticks(times.clock_error),
            parties: vec![(0, Parties::of(times))],
            disobedience: Disobedience::default(),
            is_hosted: false,
            remembers_unready: false,
        }
    }

    /// From this moment on relying parties behave otherwise.
    pub(crate) fn change_parties(&mut self, from: Tick, parties: Parties) {
        let at = self.parties.partition_point(|(since, _)| *since <= from);
        self.parties.insert(at, (from, parties));
    }

    /// So they do from this moment on, and nothing comes of what was to change after it.
    pub(crate) fn change_parties_for_good(&mut self, from: Tick, parties: Parties) {
        self.parties.retain(|(since, _)| *since <= from);
        self.change_parties(from, parties);
    }

    pub(crate) fn parties(&self, at: Tick) -> &Parties {
        let index = self.parties.partition_point(|(since, _)| *since <= at);
        &self.parties[index.saturating_sub(1)].1
    }

    /// The stretches of an interval in which relying parties behave the same.
    pub(crate) fn stretches(&self, (from, to): (Tick, Tick)) -> Vec<(Tick, Tick, Parties)> {
        let mut stretches = Vec::new();
        for (index, &(since, parties)) in self.parties.iter().enumerate() {
            let until = self.parties.get(index + 1).map_or(NEVER, |next| next.0);
            let (begin, end) = (from.max(since), to.min(until - 1));
            if begin <= end {
                stretches.push((begin, end, parties));
            }
        }
        stretches
    }

    /// The longest leeway that a token meets in this time.
    pub(crate) fn longest_leeway(&self, from: Tick, to: Tick) -> Tick {
        let stretches = self.stretches((from, to));
        let leeway = stretches.iter().map(|(_, _, parties)| parties.leeway);
        leeway.max().unwrap_or(0)
    }

    /// The errors that clocks are tried with: all, or where those are many, none and the worst.
    pub(crate) fn clock_errors(&self) -> Vec<Tick> {
        let error = self.clock_error;
        if error <= 2 {
            (-error..=error).collect()
        } else {
            vec![-error, 0, error]
        }
    }
}
