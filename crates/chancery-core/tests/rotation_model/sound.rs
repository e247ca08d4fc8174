//! Nothing is weakened, and no history breaks the property.

use std::time::Instant;

use chancery_core::Algorithm;
use chancery_core::rotation::{Lane, RotationPolicy, RotationTimes};

use crate::explore::{Node, ORIGIN, Search, search};
use crate::world::{World, seconds, ticks, tiny};

const ALGORITHM: Algorithm = Algorithm::Rs256;

fn policy(times: RotationTimes) -> RotationPolicy {
    let mut lane = Lane::new(ALGORITHM, "one").with_margin(seconds(0));
    let lead = lane.lead(&times);
    lane.active_for = lead + seconds(1);
    lane.longest_active = lane.active_for + seconds(60);
    RotationPolicy::new(1).with_times(times).with_lane(lane)
}

fn adversary(times: &RotationTimes, depth: usize) -> Search {
    let error = ticks(times.clock_error);
    Search {
        clocks: if error == 0 { vec![0] } else { vec![-error, 0, error] },
        delays: if error == 0 { vec![0] } else { vec![0, error] },
        lateness: vec![0, 1],
        depth,
        incidents: vec![],
        during: 0,
        probes_early: false,
    }
}

#[test]
fn a_turn() {
    let times = tiny();
    let began = Instant::now();
    let start = Node::new(policy(times).nobody_has_fetched(), World::of(&times)).nominal(ORIGIN);
    let found = search(start, &adversary(&times, 4));
    match found {
        Ok(found) => println!("{found:?} in {:?}", began.elapsed()),
        Err(example) => panic!("{example}"),
    }
}
