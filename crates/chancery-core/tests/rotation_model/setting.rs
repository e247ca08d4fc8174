//! The policies and adversaries that the searches begin with.

use std::time::{Duration, Instant};

use chancery_core::Algorithm;
use chancery_core::rotation::{Lane, RotationPolicy, RotationTimes};

use crate::explore::{Found, Incident, Node, ORIGIN, Search, search};
use crate::property::Counterexample;
use crate::world::{World, seconds, ticks};

pub(crate) const FIRST: Algorithm = Algorithm::Rs256;
pub(crate) const SECOND: Algorithm = Algorithm::Ps256;

/// A lane whose keys sign for as short as the times allow.
pub(crate) fn lane(algorithm: Algorithm, times: &RotationTimes) -> Lane {
    let lane = Lane::new(algorithm, "one").with_margin(seconds(0));
    let lead = lane.lead(times) + times.clock_error;
    lane.with_active_for(lead + seconds(1), lead + seconds(61))
}

/// One lane. Nobody has fetched before its first key signs.
pub(crate) fn policy(times: RotationTimes) -> RotationPolicy {
    RotationPolicy::new(1)
        .with_times(times)
        .with_lane(lane(FIRST, &times))
        .nobody_has_fetched()
}

/// One lane with a key that stands by.
pub(crate) fn policy_with_standby(times: RotationTimes) -> RotationPolicy {
    let mut policy = policy(times);
    policy.lanes[0].standby = Some("two".to_owned());
    policy
}

/// For so many changes, clocks and delays at their worst: a change that is in the store as long as
/// can be after the moment it is dated by, or as long as can be before it.
pub(crate) fn adversary(times: &RotationTimes, depth: usize) -> Search {
    let error = ticks(times.clock_error);
    let writes = if error == 0 {
        vec![(0, 0)]
    } else {
        vec![(-error, error), (error, 0)]
    };
    Search {
        writes,
        lateness: vec![0],
        depth,
        incidents: Vec::new(),
        during: 0,
        probes_early: false,
        publishing: vec![0],
        predated: 0,
    }
}

impl Search {
    /// All clocks and delays, and not only the worst.
    pub(crate) fn with_all_writes(mut self) -> Self {
        let worst = self.writes.iter().map(|write| write.0).max().unwrap_or(0);
        let delays = |clock| (0..=worst).map(move |delay| (clock, delay));
        self.writes = (-worst..=worst).flat_map(delays).collect();
        self
    }

    pub(crate) fn with_lateness(mut self, lateness: Vec<i64>) -> Self {
        self.lateness = lateness;
        self
    }

    pub(crate) fn with_incident(mut self, incident: Incident, during: i64) -> Self {
        self.incidents.push(incident);
        self.during = during;
        self
    }

    pub(crate) const fn with_early_probes(mut self) -> Self {
        self.probes_early = true;
        self
    }
}

/// The world as these times say, with the first keys made and signing.
pub(crate) fn running(policy: RotationPolicy, real: &RotationTimes) -> Node {
    Node::new(policy, World::of(real)).nominal(ORIGIN)
}

/// Searches, and says how much.
pub(crate) fn run(what: &str, start: Node, how: &Search) -> Result<Found, Box<Counterexample>> {
    let began = Instant::now();
    let found = search(start, how)?;
    println!(
        "{what}: {} states, {} histories, {:.1} s",
        found.states,
        found.histories,
        began.elapsed().as_secs_f32()
    );
    // A search that goes nowhere would find nothing.
    assert!(found.histories > 0, "{what}: no history was searched");
    Ok(found)
}

/// Searches where nothing may be found.
pub(crate) fn holds(what: &str, start: Node, how: &Search) -> Found {
    match run(what, start, how) {
        Ok(found) => found,
        Err(example) => panic!("{what}: {example}"),
    }
}

/// Searches where something must be found, and shows it.
pub(crate) fn fails(what: &str, start: Node, how: &Search) -> Counterexample {
    match run(what, start, how) {
        Ok(found) => panic!("{what}: no counterexample in {found:?}"),
        Err(example) => {
            println!("{what}: {example}");
            *example
        }
    }
}

/// A time, and how to set it.
pub(crate) type Time = (
    &'static str,
    fn(RotationTimes, Duration) -> RotationTimes,
    u64,
    u64,
);

/// Every time that matters once keys sign, with a short and a long value.
pub(crate) const TIMES: [Time; 8] = [
    ("max_age", RotationTimes::with_max_age, 1, 6),
    ("refresh", RotationTimes::with_refresh, 2, 6),
    ("lease", RotationTimes::with_lease, 4, 8),
    ("clock_error", RotationTimes::with_clock_error, 1, 2),
    (
        "signing_deadline",
        RotationTimes::with_signing_deadline,
        0,
        4,
    ),
    (
        "longest_lifetime",
        RotationTimes::with_longest_lifetime,
        2,
        6,
    ),
    ("leeway", RotationTimes::with_leeway, 0, 4),
    ("clock_lag", RotationTimes::with_clock_lag, 0, 4),
];
