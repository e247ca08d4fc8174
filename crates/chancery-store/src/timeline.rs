//! The keys of an issuer over time, drawn.

use std::time::Duration;

use chancery_core::UnixTime;
use chancery_core::rotation::{KeyState, Moments};

use crate::status::words::between;
use crate::status::{KeyStatus, Status};

mod axis;
mod svg;

impl Status {
    /// The keys over time: those that still matter, from the first one's beginning to the last step
    /// that is planned, and no further than two turns of the slowest lane to either side of now.
    pub fn timeline(&self) -> Timeline<'_> {
        let reach = self.turn.saturating_mul(2);
        let began = self
            .present_keys()
            .filter_map(|key| key.moments.provisioned_at)
            .min();
        let ends = self.present_keys().flat_map(|key| {
            let Moments {
                activate,
                stop,
                retire,
                destroy,
                destroyed_at,
                ..
            } = key.moments;
            [
                activate,
                key.expected_stop,
                stop,
                retire,
                destroy,
                destroyed_at,
            ]
        });
        let from = began
            .unwrap_or(self.now)
            .max(self.now.saturating_sub(reach));
        let until = ends.flatten().fold(self.now, UnixTime::max);
        let until = until.min(later(self.now, reach));
        // A little air at both ends.
        let air = between(from, until) / 40;
        Timeline {
            status: self,
            from: from.saturating_sub(air),
            until: later(until, air),
        }
    }
}

/// The keys of an issuer over time: a row for each key, the phases of its life, and a line for now.
#[derive(Clone, Copy, Debug)]
#[must_use = "to_svg() draws it"]
pub struct Timeline<'a> {
    status: &'a Status,
    from: UnixTime,
    until: UnixTime,
}

impl Timeline<'_> {
    /// Draws this stretch of time instead, with the keys that lived in it; a minute at least.
    pub fn between(mut self, from: UnixTime, until: UnixTime) -> Self {
        self.from = from;
        self.until = until;
        self
    }

    /// Draws it as an SVG image of its own, which refers to nothing outside and is told apart
    /// without colours. The same status gives the same bytes.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let until = self.until.max(later(self.from, Duration::from_secs(60)));
        svg::draw(self.status, self.from, until)
    }
}

/// A stretch of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    kind: Kind,
    from: UnixTime,
    until: UnixTime,
}

/// What a key is in a stretch of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    State(KeyState),
    /// It signs on if its successor is late.
    Reserve,
}

impl Kind {
    /// What the legend shows, in this order.
    const ALL: [Self; 6] = [
        Self::State(KeyState::Provisioned),
        Self::State(KeyState::Announced),
        Self::State(KeyState::Observed),
        Self::State(KeyState::Active),
        Self::Reserve,
        Self::State(KeyState::Draining),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::State(state) => state.name(),
            Self::Reserve => "reserve",
        }
    }

    /// What the legend says of it.
    const fn meaning(self) -> &'static str {
        match self {
            Self::State(KeyState::Provisioned) => "made",
            Self::State(KeyState::Announced) => "announced",
            Self::State(KeyState::Observed) => "observed by relying parties",
            Self::State(KeyState::Active) => "signs",
            Self::Reserve => "may sign on, if its successor is late",
            Self::State(_) => "signs no longer, its tokens live",
        }
    }
}

/// The phases of a key in their order. What has no end yet lasts until `horizon`.
fn phases(key: &KeyStatus, now: UnixTime, horizon: UnixTime) -> Vec<Phase> {
    let moments = &key.moments;
    let end = moments.end();
    let out = moments.out();
    let first = |moments: &[Option<UnixTime>]| moments.iter().flatten().min().copied();
    let mut phases = Vec::new();
    let mut push = |kind, from: Option<UnixTime>, until: Option<UnixTime>| {
        let until = until.unwrap_or(horizon);
        if let Some(from) = from
            && from < until
        {
            phases.push(Phase { kind, from, until });
        }
    };
    let state = Kind::State;
    push(
        state(KeyState::Provisioned),
        moments.provisioned_at,
        first(&[moments.announce, end]),
    );
    let Some(announce) = moments.announce else {
        return phases;
    };
    let waits_until = first(&[moments.activate, end]);
    // A key that signs at once is observed while it does.
    let observed = moments.observed_at;
    push(
        state(KeyState::Announced),
        Some(announce),
        first(&[observed, waits_until]),
    );
    push(state(KeyState::Observed), observed, waits_until);
    // It signs until it is to stop by the policy, and if that has passed, until now at least.
    let expected = key.expected_stop.map(|expected| expected.max(now));
    let stops = first(&[expected, end]);
    push(state(KeyState::Active), moments.activate, stops);
    if expected.is_some() {
        push(Kind::Reserve, moments.activate.and(stops), end);
    } else {
        push(state(KeyState::Draining), end, out);
    }
    phases
}

fn later(moment: UnixTime, by: Duration) -> UnixTime {
    moment.checked_add(by).unwrap_or(UnixTime::MAX)
}
