//! What goes wrong, and when.

use std::time::Duration;

use chancery::Algorithm;

use crate::random::Random;
use crate::times::{ALGORITHMS, FARTHEST_AHEAD, times};

/// Something that goes wrong, or that an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A process is killed and started anew.
    Kill,
    /// A process is stopped for a moment.
    Pause,
    /// A process is stopped for longer than its lease.
    Freeze,
    /// The same, in the middle of a change of the manifest.
    FreezeWriter,
    /// A replica does not reach what it shares with the others, for longer than its lease.
    CutOff,
    /// The same, for longer than it takes a new key to sign.
    LongCutOff,
    /// A clock goes wrong within ε.
    ShiftClock,
    /// A clock goes back by more than 2ε, and is set right again.
    JumpBack,
    /// The store can be read and not written.
    ReadOnly,
    /// The store is locked by somebody who does nothing.
    Lock,
    /// An operator lets the next key take over.
    Switch,
    /// An operator revokes the key that signs.
    Revoke,
}

/// Each kind once, and twice those that are over soon.
const DECK: [Kind; 14] = [
    Kind::Kill,
    Kind::Kill,
    Kind::Pause,
    Kind::Freeze,
    Kind::FreezeWriter,
    Kind::CutOff,
    Kind::LongCutOff,
    Kind::ShiftClock,
    Kind::ShiftClock,
    Kind::JumpBack,
    Kind::ReadOnly,
    Kind::Lock,
    Kind::Switch,
    Kind::Revoke,
];

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Kill,
        Self::Pause,
        Self::Freeze,
        Self::FreezeWriter,
        Self::CutOff,
        Self::LongCutOff,
        Self::ShiftClock,
        Self::JumpBack,
        Self::ReadOnly,
        Self::Lock,
        Self::Switch,
        Self::Revoke,
    ];

    /// What it is called in the sum.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kills",
            Self::Pause => "short stops",
            Self::Freeze => "stops longer than the lease",
            Self::FreezeWriter => "stops in the middle of a change",
            Self::CutOff => "cut off from the store",
            Self::LongCutOff => "cut off for long",
            Self::ShiftClock => "clock shifts",
            Self::JumpBack => "clocks set back",
            Self::ReadOnly => "store read-only",
            Self::Lock => "store locked",
            Self::Switch => "emergency switches",
            Self::Revoke => "revocations",
        }
    }

    /// How long it lasts, in milliseconds.
    fn lasts(self, random: &mut Random) -> u64 {
        let seconds = |time: Duration| time.as_secs() * 1000;
        let lease = seconds(times().lease);
        let lead = seconds(times().activate_after_announce());
        match self {
            Self::Kill => random.within(0..2000),
            Self::Pause => random.within(200..2500),
            Self::Freeze | Self::FreezeWriter => random.within(lease + 500..lease + 3000),
            Self::CutOff => random.within(lease + 2000..lease + 4000),
            Self::LongCutOff => random.within(lead + 4000..lead + 6000),
            Self::ShiftClock | Self::Switch | Self::Revoke => 0,
            Self::JumpBack => random.within(3000..5000),
            Self::ReadOnly | Self::Lock => random.within(3000..9000),
        }
    }
}

/// Something that will go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// Which replica meets it.
    pub(crate) replica: usize,
    /// Which lane, where it meets one.
    pub(crate) algorithm: Algorithm,
    /// How far a clock is set ahead, in milliseconds, where one is.
    pub(crate) ahead_by: i64,
}

/// All that goes wrong in this time: what, where and when follows from the seed. Each kind comes up
/// before any does again.
pub(crate) fn plan(seed: u64, time: Duration, replicas: usize) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let mut faults = Vec::new();
    let mut at = Duration::from_millis(2000);
    loop {
        let mut deck = DECK;
        random.shuffle(&mut deck);
        for kind in deck {
            if at >= time {
                return faults;
            }
            let ahead_by = random.within(0..u64::try_from(FARTHEST_AHEAD.as_millis()).unwrap_or(0));
            faults.push(Fault {
                at,
                kind,
                lasts: Duration::from_millis(kind.lasts(&mut random)),
                replica: usize::try_from(random.within(0..replicas as u64)).unwrap_or(0),
                algorithm: ALGORITHMS[usize::from(random.within(0..2) == 1)],
                ahead_by: ahead_by.cast_signed(),
            });
            at += Duration::from_millis(random.within(2800..4100));
        }
    }
}
