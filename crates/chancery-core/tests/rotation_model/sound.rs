//! Nothing is weakened, and no history breaks the property.

use crate::explore::{Incident, Node, Turn};
use crate::setting::{
    FIRST, SECOND, TIMES, adversary, holds, lane, policy, policy_with_standby, running,
};
use crate::world::{World, seconds, tiny};

/// A key is made, announced, observed and scheduled, and its predecessor destroyed.
#[test]
fn a_turn() {
    let times = tiny();
    let adversary = adversary(&times, 6).with_all_writes();
    holds("a turn", running(policy(times), &times), &adversary);
}

/// Steps may be late; the writes are at their worst.
#[test]
fn a_turn_that_is_late() {
    let times = tiny();
    let adversary = adversary(&times, 5).with_lateness(vec![0, 1, 6]);
    holds("a late turn", running(policy(times), &times), &adversary);
}

/// However soon a key is observed: then the announcement decides.
#[test]
fn a_turn_that_is_observed_at_once() {
    let times = tiny();
    let adversary = adversary(&times, 5).with_all_writes().with_early_probes();
    holds(
        "observed at once",
        running(policy(times), &times),
        &adversary,
    );
}

#[test]
fn a_turn_by_other_times() {
    for (what, times) in [
        ("exact clocks", tiny().with_clock_error(seconds(0))),
        (
            "exact clocks and no deadline",
            tiny()
                .with_clock_error(seconds(0))
                .with_signing_deadline(seconds(0)),
        ),
        ("no deadline", tiny().with_signing_deadline(seconds(0))),
        ("bad clocks", tiny().with_clock_error(seconds(2))),
        (
            "bad clocks and no deadline",
            tiny()
                .with_clock_error(seconds(2))
                .with_signing_deadline(seconds(0)),
        ),
        ("the shortest lease", tiny().with_lease(seconds(3))),
        ("a long max-age", tiny().with_max_age(seconds(7))),
        ("long tokens", tiny().with_longest_lifetime(seconds(30))),
        (
            "nothing is cached",
            tiny()
                .with_max_age(seconds(0))
                .with_refresh(seconds(0))
                .with_negative_cache(seconds(0)),
        ),
    ] {
        holds(what, running(policy(times), &times), &adversary(&times, 5));
    }
}

/// Another key takes over at any moment, for no reason or because the one that signs is compromised.
#[test]
fn emergencies() {
    let times = tiny();
    for (what, policy, incident) in [
        (
            "switch",
            policy_with_standby(times),
            Incident::Switch(FIRST),
        ),
        (
            "revoke",
            policy_with_standby(times),
            Incident::Revoke(FIRST, false),
        ),
        (
            "revoke and go dark",
            policy(times),
            Incident::Revoke(FIRST, true),
        ),
    ] {
        let goes_dark = matches!(incident, Incident::Revoke(_, true));
        let how = adversary(&times, 6).with_incident(incident, 40);
        let mut start = running(policy, &times);
        start.stays_lit = !goes_dark;
        holds(what, start, &how);
    }
}

/// Lanes come, go, and move to another backend, at any moment of a turn.
#[test]
fn new_lanes() {
    let times = tiny();
    let one = policy(times);
    let mut two = policy(times).with_lane(lane(SECOND, &times));
    let mut moved = policy(times);
    moved.lanes[0].backend = "two".to_owned();
    let standing_by = policy_with_standby(times);
    for (what, old, new) in [
        ("a lane is added", &one, &two),
        ("a lane is moved", &one, &moved),
        ("a standby is wanted", &one, &standing_by),
        ("a standby is not wanted", &standing_by, &one),
    ] {
        let mut new = new.clone();
        new.version = 2;
        let how =
            adversary(&times, 7).with_incident(Incident::Policy(Box::new(new), Turn::Now), 16);
        holds(what, running(old.clone(), &times), &how);
    }
    // A lane that goes has nothing that signs.
    two.version = 2;
    let mut one = policy(times);
    one.version = 3;
    let how = adversary(&times, 6).with_incident(Incident::Policy(Box::new(one), Turn::Now), 16);
    let mut start = running(two, &times);
    start.stays_lit = false;
    holds("a lane is removed", start, &how);
}

/// The first key of all, on a static host and from replicas, and the turn after it.
#[test]
fn the_first_key_on_a_static_host() {
    let times = tiny();
    let mut policy = policy(times);
    policy.nobody_has_fetched = false;
    let mut world = World::of(&times);
    world.is_hosted = true;
    holds(
        "a static host",
        Node::new(policy, world),
        &adversary(&times, 12),
    );
}

/// Every time is raised and lowered, at every moment of a turn.
#[test]
fn new_times() {
    for (name, with, short, long) in TIMES {
        let short = with(tiny(), seconds(short));
        let long = with(tiny(), seconds(long));
        for (what, old, new, turn) in [
            // What the operator says of the world is true before it gets worse ...
            ("raised", short, long, Turn::After),
            // ... and after it got better.
            ("lowered", long, short, Turn::Before),
        ] {
            // Clocks stay as good as the better policy says.
            let real = old.with_clock_error(short.clock_error);
            let mut next = policy(new);
            next.version = 2;
            let how = adversary(&real, 6).with_incident(Incident::Policy(Box::new(next), turn), 40);
            holds(&format!("{name} {what}"), running(policy(old), &real), &how);
        }
    }
}

/// One time is raised while another is lowered: tokens that were signed by the one are accepted by
/// the other.
#[test]
fn new_times_of_which_some_are_longer_and_some_are_shorter() {
    let long_tokens = tiny()
        .with_longest_lifetime(seconds(8))
        .with_clock_lag(seconds(0));
    let long_leeway = tiny().with_clock_lag(seconds(8));
    for (what, old, new) in [
        (
            "shorter tokens and a longer leeway",
            long_tokens,
            long_leeway,
        ),
        (
            "longer tokens and a shorter leeway",
            long_leeway,
            long_tokens,
        ),
    ] {
        let mut next = policy_with_standby(new);
        next.version = 2;
        let mut how = adversary(&old, 5);
        how.incidents = vec![
            Incident::Switch(FIRST),
            Incident::Policy(Box::new(next), Turn::Mixed),
        ];
        how.during = 10;
        holds(what, running(policy_with_standby(old), &old), &how);
    }
}
