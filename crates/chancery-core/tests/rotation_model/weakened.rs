//! Each inequality is weakened, and some history breaks the property: so the check can fail.
//!
//! The manifest believes that the world is better than it is, or a replica does what the manifest
//! does not allow. One second is enough, except where a name and a comment say that there is room:
//! then nothing happens within that room, and something does one second beyond.

use chancery_core::rotation::{Change, ManifestError, RotationPolicy, RotationTimes};

use crate::explore::{Incident, Node, ORIGIN, Search, Turn};
use crate::property::{Counterexample, Hosted, Kind};
use crate::setting::{FIRST, adversary, fails, holds, policy, policy_with_standby, running};
use crate::world::{Disobedience, Parties, World, moment, seconds, ticks, tiny};

/// A turn, where the manifest is made for other times than those of the world.
fn believing(what: &str, believed: RotationTimes, real: RotationTimes) -> Counterexample {
    fails(what, running(policy(believed), &real), &adversary(&real, 5))
}

/// Keys in operation, and replicas that do not quite do what they should.
fn disobedient(policy: RotationPolicy, disobedience: Disobedience) -> Node {
    let times = policy.times;
    let mut start = running(policy, &times);
    start.world.disobedience = disobedience;
    start
}

fn switching(times: &RotationTimes) -> Search {
    adversary(times, 6).with_incident(Incident::Switch(FIRST), 10)
}

/// Times at which nothing covers for anything else in inequality 3.
fn exact() -> RotationTimes {
    tiny()
        .with_clock_error(seconds(0))
        .with_signing_deadline(seconds(0))
}

/// Inequality 1, H: relying parties keep a JWKS for a second longer.
#[test]
fn inequality_1_a_cache() {
    let found = believing("H - 1", tiny().with_refresh(seconds(1)), tiny());
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 1, C: replicas serve a `max-age` that is a second longer.
#[test]
fn inequality_1_a_max_age() {
    let times = tiny().with_max_age(seconds(2));
    let longer = Disobedience {
        max_age: 1,
        ..Disobedience::default()
    };
    let start = disobedient(policy(times), longer);
    let found = fails("C - 1", start, &adversary(&times, 5));
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 1, ε: clocks are off by a second more.
#[test]
fn inequality_1_a_clock_error() {
    let found = believing("ε - 1", tiny().with_clock_error(seconds(0)), tiny());
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 1, the announcement: a change takes a second longer than ε to be in the store.
///
/// That happens where a replica is stopped between the look at its clock and the write: the keeper
/// has to give up a write in time, and to treat one that may have come late as one that did.
#[test]
fn inequality_1_a_late_write() {
    let times = tiny();
    let mut late = adversary(&times, 5);
    for (_, delay) in &mut late.writes {
        *delay += 1;
    }
    let found = fails("a late write", running(policy(times), &times), &late);
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 1, the observation: it is dated a second before the probe was answered.
#[test]
fn inequality_1_an_observation() {
    let (start, mut search) = hosted_late(slow(), &slow());
    holds("a late static host", start.clone(), &search);
    search.predated = 1;
    let found = fails("a predated observation", start, &search);
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 1, H after the observation, on a static host.
#[test]
fn inequality_1_a_cache_of_a_static_host() {
    let (start, search) = hosted_late(slow().with_refresh(seconds(3)), &slow());
    let found = fails("H - 1, hosted", start, &search);
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// A turn on a static host to which the JWKS comes so late that the observation decides.
fn hosted_late(believed: RotationTimes, real: &RotationTimes) -> (Node, Search) {
    let mut start = running(policy(believed), real);
    start.world.is_hosted = true;
    start.hosted.push(Hosted {
        from: 0,
        kids: vec![0],
        revoked: Vec::new(),
        max_age: ticks(real.max_age),
    });
    let mut search = adversary(real, 6);
    search.writes.push((-start.world.clock_error, 0));
    search.publishing = vec![0, ticks(real.lease) + 3];
    (start, search)
}

/// Inequality 2: a key signs after its `stop`. There is room for a lease, since a replica that has
/// not heard of the stop signs on for as long; the guard is exact all the same.
#[test]
fn inequality_2_has_room_for_a_lease() {
    let times = tiny();
    let late = |late| Disobedience {
        late,
        ..Disobedience::default()
    };
    let lease = ticks(times.lease);
    let search = adversary(&times, 7);
    holds("stop + L", disobedient(policy(times), late(lease)), &search);
    let found = fails(
        "stop + L + 1",
        disobedient(policy(times), late(lease + 1)),
        &search,
    );
    assert_eq!(found.kind, Kind::Destroyed);
    let start = running(policy(times), &times).nominal(ORIGIN + 12);
    let (old, new) = (&start.manifest.keys()[0], &start.manifest.keys()[1]);
    let [old, new] = [old, new].map(|key| start.manifest.schedule(key).unwrap());
    let stop = old.stop.unwrap();
    assert!(old.is_active(stop.saturating_sub(seconds(1))) && !old.is_active(stop));
    assert!(new.is_active(stop) && !new.is_active(stop.saturating_sub(seconds(1))));
}

/// Inequality 3, each of T, G and r, where neither D nor ε makes room.
#[test]
fn inequality_3_by_exact_clocks() {
    let real = exact();
    let weakened = [
        ("G - 1", real.with_leeway(seconds(0))),
        ("r - 1", real.with_clock_lag(seconds(0))),
    ];
    for (what, believed) in weakened {
        let start = running(policy_with_standby(believed), &real);
        let found = fails(what, start, &switching(&real));
        assert_eq!(found.kind, Kind::AlreadyGone);
    }
    let longer = Disobedience {
        lifetime: 1,
        ..Disobedience::default()
    };
    let start = disobedient(policy_with_standby(real), longer);
    let found = fails("T - 1", start, &switching(&real));
    assert_eq!(found.kind, Kind::AlreadyGone);
}

/// Inequality 3 has room for D and for ε: `exp` counts from before the signature was begun, and a
/// replica that uses its lease for as long as can be has a clock that is behind by then.
#[test]
fn inequality_3_has_room_for_a_deadline_and_a_clock_error() {
    let times = tiny();
    let longer = |lifetime| Disobedience {
        lifetime,
        ..Disobedience::default()
    };
    let room = ticks(times.signing_deadline) + ticks(times.clock_error);
    let start = |by| disobedient(policy_with_standby(times), longer(by));
    holds("T - D - ε", start(room), &switching(&times));
    let found = fails("T - D - ε - 1", start(room + 1), &switching(&times));
    assert_eq!(found.kind, Kind::AlreadyGone);
}

/// Inequality 4, D: a signature takes a second longer.
#[test]
fn inequality_4_a_signing_deadline() {
    let believed = tiny().with_signing_deadline(seconds(0));
    let start = running(policy_with_standby(believed), &tiny());
    let found = fails("D - 1", start, &switching(&tiny()));
    assert_eq!(found.kind, Kind::Destroyed);
}

/// Inequality 4, L, where relying parties forget so fast that inequality 1 is not in the way.
#[test]
fn inequality_4_a_lease() {
    let mut start = running(
        policy_with_standby(tiny().with_refresh(seconds(9))),
        &tiny(),
    );
    start.world.disobedience.lease = 1;
    let found = fails("L - 1", start, &switching(&tiny()));
    assert_eq!(found.kind, Kind::Destroyed);
}

/// Inequality 5: a lease is used for a second longer.
#[test]
fn inequality_5_a_lease() {
    let longer = Disobedience {
        lease: 1,
        ..Disobedience::default()
    };
    let start = disobedient(policy(tiny()), longer);
    let found = fails("L - 1", start, &adversary(&tiny(), 5));
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 6: a key signs a second before its `activate`.
#[test]
fn inequality_6_a_signature_too_soon() {
    let early = Disobedience {
        early: 1,
        ..Disobedience::default()
    };
    let start = disobedient(policy(tiny()), early);
    let found = fails("activate - 1", start, &adversary(&tiny(), 5));
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// A lane that gets a key to stand by while it is in operation, and is switched to it at once.
fn standing_by(believed: RotationTimes, real: &RotationTimes) -> (Node, Search) {
    let mut first = policy(believed);
    first.lanes[0].active_for += seconds(60);
    first.lanes[0].longest_active += seconds(60);
    let mut second = first.clone();
    second.version = 2;
    second.lanes[0].standby = Some("two".to_owned());
    let mut search = adversary(real, 6);
    search.incidents = vec![
        Incident::Policy(Box::new(second), Turn::Never),
        Incident::Switch(FIRST),
    ];
    search.during = 30;
    let mut start = running(first, real);
    start.now = ORIGIN + 10;
    (start, search)
}

/// Inequalities 7 and 11: a key that stands by is switched to a second too soon.
#[test]
fn inequality_7_a_switch() {
    let (start, search) = standing_by(tiny(), &tiny());
    holds("a switch to a new standby", start, &search);
    let (start, search) = standing_by(tiny().with_refresh(seconds(1)), &tiny());
    let found = fails("a switch, H - 1", start, &search);
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequalities 7 and 11: such a switch or revocation is refused, to the second.
#[test]
fn inequality_7_is_kept_to_the_second() {
    let (start, search) = standing_by(tiny(), &tiny());
    let Some(Incident::Policy(second, _)) = search.incidents.first() else {
        panic!("no policy");
    };
    let mut node = start;
    let change = Change::SetPolicy(second.as_ref().clone());
    node.change(&change, node.now, 0, 0).unwrap();
    let node = node.nominal(ORIGIN + 18);
    let manifest = &node.manifest;
    let standby = manifest.keys().last().unwrap();
    let from = manifest.may_sign_from(standby).unwrap().unwrap();
    let too_soon = from.saturating_sub(seconds(1));
    let switch = Change::Switch {
        kid: standby.kid().to_owned(),
    };
    let revoke = Change::Revoke {
        kid: manifest.keys()[0].kid().to_owned(),
        without_successor: false,
    };
    for change in [switch, revoke] {
        assert!(matches!(
            manifest.apply(&change, "somebody", too_soon),
            Err(ManifestError::NoSuccessor { earliest, .. }) if earliest == Some(from)
        ));
        manifest.apply(&change, "somebody", from).unwrap();
    }
    assert!(manifest.successors(FIRST, too_soon).unwrap().is_empty());
}

/// Times at which a change can be made and be in the store while something is cached.
fn slow() -> RotationTimes {
    tiny()
        .with_refresh(seconds(4))
        .with_negative_cache(seconds(3))
}

/// The first keys of an issuer on a static host, which relying parties have asked for already.
fn hosted(believed: RotationTimes, real: &RotationTimes, depth: usize) -> (Node, Search) {
    let mut policy = policy(believed);
    policy.nobody_has_fetched = false;
    let mut world = World::of(real);
    world.is_hosted = true;
    let mut search = adversary(real, depth);
    // A clock that is behind, and a write that is fast.
    search.writes.push((-world.clock_error, 0));
    (Node::new(policy, world), search)
}

/// Inequality 8: a relying party remembers for a second longer that there was no document.
#[test]
fn inequality_8_a_negative_cache() {
    let (start, search) = hosted(slow(), &slow(), 5);
    holds("the first key", start, &search);
    let believed = slow().with_negative_cache(seconds(2));
    let (start, search) = hosted(believed, &slow(), 5);
    let found = fails("W - 1", start, &search);
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 8 counts on nobody remembering the answer 503 of a replica that has not heard of the
/// first keys: it is not ready, so a load balancer has to leave it out.
#[test]
fn inequality_8_counts_on_readiness() {
    let mut policy = policy(tiny());
    policy.nobody_has_fetched = false;
    let mut start = Node::new(policy, World::of(&tiny()));
    holds("the first key", start.clone(), &adversary(&tiny(), 5));
    start.world.remembers_unready = true;
    let found = fails(
        "an answer of an unready replica",
        start,
        &adversary(&tiny(), 5),
    );
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 9: relying parties keep a JWKS for longer from the moment on at which the policy that
/// says so is in the store, and not only once no replica signs by the old one.
#[test]
fn inequality_9_raised_before_every_replica_knows() {
    let times = tiny().with_lease(seconds(8));
    let mut next = policy(times.with_refresh(seconds(3)));
    next.version = 2;
    let next = Box::new(next);
    let turned =
        |turn| adversary(&times, 7).with_incident(Incident::Policy(next.clone(), turn), 40);
    let start = || running(policy(times), &times);
    holds("raised for all", start(), &turned(Turn::After));
    let found = fails("raised too soon", start(), &turned(Turn::Now));
    assert_eq!(found.kind, Kind::NotYetKnown);
}

/// Inequality 9: times are raised in the world and in no policy, so that nothing is planned anew.
#[test]
fn inequality_9_raised_without_a_plan() {
    let mut found = 0;
    for at in 0..12 {
        let mut start = running(policy(tiny()), &tiny());
        let raised = tiny().with_refresh(seconds(3));
        start
            .world
            .change_parties(ORIGIN + at, Parties::of(&raised));
        if let Err(example) = crate::explore::search(start, &adversary(&tiny(), 5)) {
            println!("raised without a plan: {example}");
            assert_eq!(example.kind, Kind::NotYetKnown);
            found += 1;
        }
    }
    assert!(found > 0);
}

/// Inequality 9: lowered times count at once, as if there had never been others.
#[test]
fn inequality_9_lowered_at_once() {
    let mut next = policy(tiny().with_refresh(seconds(1)));
    next.version = 2;
    let next = Box::new(next);
    let turned =
        |turn| adversary(&tiny(), 7).with_incident(Incident::Policy(next.clone(), turn), 40);
    let start = || running(policy(tiny()), &tiny());
    for turn in [Turn::Before, Turn::Now] {
        holds("lowered by then", start(), &turned(turn));
    }
    let found = fails("lowered and not true", start(), &turned(Turn::Never));
    assert_eq!(found.kind, Kind::NotYetKnown);
    // A manifest that has forgotten the old times: they were true until this moment.
    let mut forgetful = 0;
    for at in 0..12 {
        let short = tiny().with_refresh(seconds(1));
        let mut start = running(policy(short), &tiny());
        start.world.change_parties(ORIGIN + at, Parties::of(&short));
        if let Err(example) = crate::explore::search(start, &adversary(&tiny(), 5)) {
            println!("old times forgotten: {example}");
            forgetful += 1;
        }
    }
    assert!(forgetful > 0);
}

/// Inequality 11: once it was revoked, a key is in no JWKS any more within a lease, to the second.
#[test]
fn inequality_11_a_revoked_key_is_gone_within_a_lease() {
    let times = tiny();
    let last_answer = |disobedience| {
        let mut node = disobedient(policy_with_standby(times), disobedience);
        let kid = node.manifest.keys()[0].kid().to_owned();
        let change = Change::Revoke {
            kid,
            without_successor: false,
        };
        node.change(&change, ORIGIN + 3, 0, 0).unwrap();
        let [.., before, after] = &node.versions[..] else {
            panic!("no versions");
        };
        assert!(after.key(0).is_none_or(|key| key.revoked));
        let errors = node.world.clock_errors();
        let last = errors.into_iter().filter_map(|error| {
            let window = before.window(after.from, error, &node.world)?;
            Some(window.1)
        });
        last.max().unwrap() - after.from
    };
    assert_eq!(last_answer(Disobedience::default()), ticks(times.lease) - 1);
    let longer = Disobedience {
        lease: 1,
        ..Disobedience::default()
    };
    assert_eq!(last_answer(longer), ticks(times.lease));
    let node = running(policy_with_standby(times), &times);
    let change = Change::Revoke {
        kid: node.manifest.keys()[0].kid().to_owned(),
        without_successor: false,
    };
    let revoked = node
        .manifest
        .apply(&change, "somebody", moment(ORIGIN + 3))
        .unwrap();
    assert!(revoked.active(FIRST, moment(ORIGIN + 3)).is_some());
}
