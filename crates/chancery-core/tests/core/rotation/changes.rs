//! What each change does, and when it is refused.

use chancery_core::Algorithm;
use chancery_core::rotation::{
    Bootstrap, Change, KeyState, Lane, Manifest, ManifestError, Role, RotationPolicy,
};

use super::support::{DAY, HOUR, Service, days, jwk, policy, policy_with_standby};
use crate::support::{NOW, time};

/// A service whose active key is the first and whose standby, the second, may take over.
fn with_ready_standby() -> Service {
    let mut service = Service::running(policy_with_standby());
    service.work_until(NOW + 3 * DAY);
    assert_eq!(service.state(1), KeyState::Active);
    assert_eq!(service.state(2), KeyState::Observed);
    service
}

fn revoke(kid: String) -> Change {
    Change::Revoke {
        kid,
        without_successor: false,
    }
}

#[test]
fn all_first_keys_are_announced_in_one_change() {
    let policy = RotationPolicy::new(1)
        .with_lane(Lane::new(Algorithm::Rs256, "hsm").with_standby("software"))
        .with_lane(Lane::new(Algorithm::Ps256, "hsm"))
        .nobody_has_fetched();
    let mut service = Service::new(policy);
    service.work();
    let announce: Vec<_> = service
        .manifest
        .history()
        .iter()
        .filter(|entry| entry.what() == "announce")
        .map(chancery_core::rotation::HistoryEntry::revision)
        .collect();
    assert_eq!(announce.len(), 3);
    assert!(announce.iter().all(|revision| *revision == announce[0]));
    for number in 1..=3 {
        assert_eq!(service.key(number).bootstrap(), Some(Bootstrap::AtOnce));
    }
    assert_eq!(service.state(1), KeyState::Active);
    assert_eq!(service.state(2), KeyState::Observed);
    assert_eq!(service.state(3), KeyState::Active);
}

#[test]
fn a_lane_that_comes_later_waits_for_caches() {
    let mut service = Service::running(policy());
    service.now += DAY;
    service.policy.version = 2;
    service
        .policy
        .lanes
        .push(Lane::new(Algorithm::Ps256, "hsm"));
    let announced = service.now + 30;
    service.work_until(NOW + 4 * DAY);
    let key = service.key(2);
    assert_eq!(key.jwk().algorithm(), Algorithm::Ps256);
    assert_eq!(key.bootstrap(), None);
    // Observed at the end of a lease, and then cached for a day.
    assert_eq!(
        key.moments().activate,
        Some(time(announced + 25 * HOUR + 60))
    );
}

#[test]
fn a_lane_that_is_gone_ends_in_order() {
    let mut service = Service::running(
        RotationPolicy::new(1)
            .with_lane(Lane::new(Algorithm::Rs256, "hsm"))
            .with_lane(Lane::new(Algorithm::Ps256, "hsm").with_standby("software")),
    );
    service.now += DAY;
    let ended = service.now;
    service.policy.version = 2;
    service.policy.lanes.pop();
    service.work();
    for number in [2, 3] {
        let moments = service.key(number).moments();
        assert_eq!(moments.withdrawn_at, Some(time(ended)));
        assert_eq!(moments.stop, Some(time(ended + 30)));
        assert_eq!(
            moments.retire,
            Some(time(ended + 30 + 2 * HOUR + 11 * 60 + 10))
        );
    }
    assert_eq!(service.state(2), KeyState::Active);
    service.now += 30;
    assert_eq!(service.state(2), KeyState::Draining);
    assert_eq!(service.state(3), KeyState::Draining);
    service.work_until(ended + DAY);
    assert_eq!(service.state(2), KeyState::Destroyed);
    assert_eq!(service.state(3), KeyState::Destroyed);
    // It comes back with keys of its own.
    service.policy.version = 3;
    service
        .policy
        .lanes
        .push(Lane::new(Algorithm::Ps256, "hsm"));
    service.work_until(ended + 4 * DAY);
    assert_eq!(service.state(4), KeyState::Active);
}

#[test]
fn a_scheduled_key_of_a_lane_that_is_gone_is_published_as_if_it_had_signed() {
    let mut service = Service::running(
        RotationPolicy::new(1)
            .with_lane(Lane::new(Algorithm::Rs256, "hsm"))
            .with_lane(Lane::new(Algorithm::Ps256, "hsm")),
    );
    service.work_until(NOW + 30 * DAY - 10);
    let kid = service.kid(4);
    assert_eq!(service.key(4).jwk().algorithm(), Algorithm::Ps256);
    assert_eq!(
        service.key(4).moments().activate,
        Some(time(NOW + 30 * DAY))
    );
    service.policy.version = 2;
    service.policy.lanes.pop();
    service.work();
    let key = service.manifest.key(&kid).unwrap();
    assert_eq!(key.moments().activate, None);
    assert_eq!(key.moments().stop, Some(time(service.now + 30)));
    assert_eq!(
        key.moments().retire,
        Some(time(service.now + 30 + 2 * HOUR + 11 * 60 + 10))
    );
    // Its predecessor was to stop before the thirty seconds were over, and does.
    assert_eq!(service.key(2).moments().stop, Some(time(NOW + 30 * DAY)));
}

#[test]
fn a_lane_that_moves_to_another_backend_rotates_at_once() {
    let mut service = Service::running(policy());
    service.now += 5 * DAY;
    let moved = service.now;
    service.policy.version = 2;
    service.policy.lanes[0].backend = "cloud".to_owned();
    service.work_until(moved + 3 * DAY);
    assert_eq!(service.key(2).backend(), "cloud");
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(moved + 30 + 25 * HOUR + 60))
    );
    assert_eq!(service.state(1), KeyState::Destroyed);
}

#[test]
fn a_waiting_key_in_a_backend_that_is_left_is_withdrawn() {
    let mut service = Service::running(policy_with_standby());
    service.work_until(NOW + 28 * DAY - HOUR / 2);
    assert_eq!(service.key(3).role(), Role::Rotating);
    assert_eq!(service.state(3), KeyState::Announced);
    service.policy.version = 2;
    service.policy.lanes[0].backend = "cloud".to_owned();
    service.policy.lanes[0].standby = None;
    service.work();
    for number in [2, 3] {
        assert_eq!(
            service.key(number).moments().withdrawn_at,
            Some(time(service.now))
        );
    }
    assert_eq!(service.key(4).backend(), "cloud");
}

#[test]
fn a_switch_leaves_every_replica_time_to_learn_of_it() {
    let mut service = with_ready_standby();
    service.now += 7;
    service.change(&Change::Switch {
        kid: service.kid(2),
    });
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(service.now + 30))
    );
    assert_eq!(service.key(1).moments().stop, Some(time(service.now + 30)));
    service.now += 30;
    assert_eq!(service.active(), Some(service.kid(2)));
    // The lane goes back to its own backend, and another key stands by.
    service.work_until(service.now + 3 * DAY);
    let active = service.active().unwrap();
    assert_eq!(service.manifest.key(&active).unwrap().backend(), "hsm");
    assert!(service.manifest.keys().iter().any(|key| {
        key.role() == Role::Standby && key.state(time(service.now)) == KeyState::Observed
    }));
}

#[test]
fn a_switch_needs_a_key_past_its_inequality() {
    let mut service = Service::running(policy());
    service.policy.version = 2;
    service.policy.lanes[0].standby = Some("software".to_owned());
    service.now += 10;
    let announced = service.now + 30;
    service.work();
    let switch = Change::Switch {
        kid: service.kid(2),
    };
    let none = |earliest| ManifestError::NoSuccessor {
        algorithm: Algorithm::Rs256,
        earliest,
    };
    assert_eq!(service.apply(&switch), Err(none(None)));
    service.work_until(announced + HOUR);
    let earliest = announced + 25 * HOUR + 60;
    service.now = earliest - 1;
    assert_eq!(
        service.apply(&switch),
        Err(none(Some(time(earliest)))),
        "one second too early"
    );
    service.now = earliest;
    service.change(&switch);
}

#[test]
fn a_revoked_key_is_out_at_once_and_its_standby_signs() {
    let mut service = with_ready_standby();
    service.change(&revoke(service.kid(1)));
    assert_eq!(service.state(1), KeyState::Revoked);
    assert_eq!(service.active(), Some(service.kid(2)));
    let schedule = service.manifest.schedule(service.key(1)).unwrap();
    assert!(!schedule.is_published(time(service.now)));
    assert!(!schedule.is_active(time(service.now)));
    // Another replica may learn of it only a clock error later.
    assert_eq!(
        service.key(1).moments().destroy,
        Some(time(service.now + 30 + HOUR + 10 + 60))
    );
    // Nothing brings it back.
    let again = service.apply(&revoke(service.kid(1)));
    assert!(
        matches!(again, Err(ManifestError::State { .. })),
        "{again:?}"
    );
}

#[test]
fn the_key_that_signs_is_not_revoked_without_a_successor_by_accident() {
    let mut service = Service::running(policy());
    service.now += 5;
    let change = revoke(service.kid(1));
    assert_eq!(
        service.apply(&change),
        Err(ManifestError::NoSuccessor {
            algorithm: Algorithm::Rs256,
            earliest: None,
        })
    );
    service.change(&Change::Revoke {
        kid: service.kid(1),
        without_successor: true,
    });
    assert_eq!(service.active(), None);
    let dark = service.now;
    // The next key comes as fast as the rules allow.
    service.work_until(dark + 30 + 25 * HOUR + 59);
    assert_eq!(service.active(), None);
    service.work_until(dark + 30 + 25 * HOUR + 60);
    assert_eq!(service.active(), Some(service.kid(2)));
}

#[test]
fn the_next_key_takes_over_early_from_a_revoked_one() {
    let mut service = Service::running(policy());
    // The next key was announced a day and 25 h 1 min before the end.
    service.work_until(NOW + 30 * DAY - 20 * HOUR);
    assert_eq!(service.state(2), KeyState::Observed);
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(NOW + 30 * DAY))
    );
    service.change(&revoke(service.kid(1)));
    assert_eq!(service.active(), Some(service.kid(2)));

    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY - 26 * HOUR);
    let from = service
        .manifest
        .may_sign_from(service.key(2))
        .unwrap()
        .unwrap();
    assert!(time(service.now) < from && from < time(NOW + 30 * DAY));
    assert_eq!(
        service.apply(&revoke(service.kid(1))),
        Err(ManifestError::NoSuccessor {
            algorithm: Algorithm::Rs256,
            earliest: Some(from),
        })
    );
    service.change(&Change::Revoke {
        kid: service.kid(1),
        without_successor: true,
    });
    assert_eq!(service.key(2).moments().activate, Some(from));
}

#[test]
fn a_scheduled_key_that_is_revoked_leaves_its_predecessor_in_place() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY - 20 * HOUR);
    assert!(service.key(1).moments().stop.is_some());
    service.change(&revoke(service.kid(2)));
    let moments = service.key(1).moments();
    assert_eq!(
        (moments.stop, moments.retire, moments.destroy),
        (None, None, None)
    );
    assert_eq!(service.active(), Some(service.kid(1)));
    // Another successor is made at once, and the first key signs until then.
    service.work_until(NOW + 32 * DAY);
    assert_eq!(service.active(), Some(service.kid(3)));
}

#[test]
fn a_standby_takes_over_when_rotation_stalls() {
    let policy = RotationPolicy::new(1).with_lane(
        Lane::new(Algorithm::Rs256, "hsm")
            .with_standby("software")
            .with_active_for(days(30), days(40)),
    );
    let mut service = Service::running(policy);
    // The backend of the lane makes no key any more.
    let stalled = |service: &mut Service| {
        for action in service.due() {
            if action.name() == "schedule" {
                service.carry_out(&action);
            }
        }
    };
    let due = NOW + 40 * DAY - HOUR - 60;
    service.now = due - 1;
    stalled(&mut service);
    assert_eq!(service.key(2).moments().activate, None);
    service.now = due;
    stalled(&mut service);
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(NOW + 40 * DAY))
    );
    service.now = NOW + 40 * DAY;
    assert_eq!(service.active(), Some(service.kid(2)));
}

#[test]
fn a_key_that_ran_into_its_end_is_retired_from_there() {
    let mut service = Service::running(policy());
    let end = NOW + 60 * DAY;
    service.now = end + 30 * DAY;
    assert_eq!(service.state(1), KeyState::Draining);
    let dark = service.now;
    service.work_until(dark + 2 * DAY);
    let activate = dark + 30 + 25 * HOUR + 60;
    assert_eq!(service.key(2).moments().activate, Some(time(activate)));
    let moments = service.key(1).moments();
    assert_eq!(moments.end(), Some(time(end)));
    assert_eq!(moments.stop, Some(time(activate)));
    // Its last token died weeks ago, so it goes when that is written.
    let scheduled = dark + 30 + HOUR;
    assert_eq!(moments.retire, Some(time(scheduled)));
    assert_eq!(moments.destroy, Some(time(scheduled)));
    assert_eq!(service.state(1), KeyState::Destroyed);
}

#[test]
fn the_loser_of_a_race_is_told_that_it_lost() {
    let mut service = Service::running(policy());
    service.now = NOW + 28 * DAY;
    let mine = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    let theirs = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&mine);
    let kid = service.kid(2);
    assert_eq!(
        service.apply(&theirs),
        Err(ManifestError::AlreadyWaiting { kid: kid.clone() })
    );
    let announce = Change::Announce {
        kids: vec![kid.clone()],
    };
    service.change(&announce);
    assert_eq!(
        service.apply(&announce),
        Err(ManifestError::State {
            kid,
            state: KeyState::Provisioned,
            change: "announced again",
        })
    );
}

#[test]
fn a_key_is_never_used_again() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 40 * DAY);
    assert_eq!(service.state(1), KeyState::Destroyed);
    let again = Change::Provision {
        jwk: jwk(Algorithm::Rs256, 1),
        backend: "hsm".to_owned(),
        reference: "keys/again".to_owned(),
        role: Role::Rotating,
    };
    assert_eq!(
        service.apply(&again),
        Err(ManifestError::DuplicateKid {
            kid: service.kid(1)
        })
    );
}

#[test]
fn a_key_that_the_policy_does_not_want_is_refused() {
    let mut service = Service::running(policy());
    for (algorithm, backend, role) in [
        (Algorithm::Ps256, "hsm", Role::Rotating),
        (Algorithm::Rs256, "cloud", Role::Rotating),
        (Algorithm::Rs256, "hsm", Role::Standby),
    ] {
        let change = service.provision(algorithm, backend, role);
        assert_eq!(
            service.apply(&change),
            Err(ManifestError::NoLane {
                algorithm,
                role,
                backend: backend.to_owned(),
            })
        );
    }
}

#[test]
fn a_clock_may_go_back_by_what_clocks_differ_and_no_further() {
    let mut service = Service::running(policy());
    service.now = NOW + 28 * DAY;
    let provision = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&provision);
    let announce = Change::Announce {
        kids: vec![service.kid(2)],
    };
    let changed_at = service.now;
    service.now = changed_at - 61;
    assert_eq!(
        service.apply(&announce),
        Err(ManifestError::ClockWentBack {
            now: time(changed_at - 61),
            changed_at: time(changed_at),
        })
    );
    service.now = changed_at - 60;
    service.change(&announce);
    assert_eq!(
        service.key(2).moments().announce,
        Some(time(changed_at + 30))
    );
    assert_eq!(service.manifest.changed_at(), time(changed_at));
}

#[test]
fn a_private_half_is_destroyed_in_its_time_and_once() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY);
    let destroy = Change::Destroy {
        kid: service.kid(1),
    };
    let due = NOW + 30 * DAY + HOUR + 10 + 60;
    service.now = due - 1;
    assert!(matches!(
        service.apply(&destroy),
        Err(ManifestError::State { .. })
    ));
    service.now = due;
    service.change(&destroy);
    // Its public half stays.
    assert_eq!(service.state(1), KeyState::Draining);
    assert!(matches!(
        service.apply(&destroy),
        Err(ManifestError::State { .. })
    ));
}

#[test]
fn replicas_have_names_that_can_be_written() {
    let service = Service::running(policy());
    let announce = Change::Announce { kids: Vec::new() };
    let long = "r".repeat(129);
    for name in ["", "a\nb", "é", long.as_str()] {
        assert_eq!(
            service.manifest.apply(&announce, name, time(NOW)),
            Err(ManifestError::Replica)
        );
        assert_eq!(
            Manifest::create(policy(), name, time(NOW)),
            Err(ManifestError::Replica)
        );
    }
}

#[test]
fn equal_moments_leave_one_key_active() {
    // Switch, switch and revoke within one second, with clocks that never differ.
    let times = chancery_core::rotation::RotationTimes::default()
        .with_clock_error(std::time::Duration::ZERO);
    let mut service = Service::running(policy_with_standby().with_times(times));
    service.work_until(NOW + 30 * DAY - 20 * HOUR);
    let [next, standby] = [service.kid(3), service.kid(2)];
    service.change(&Change::Switch { kid: standby });
    service.change(&Change::Switch { kid: next });
    assert_eq!(service.active(), Some(service.kid(2)));
    service.now += 1;
    assert_eq!(service.active(), Some(service.kid(3)));
    service.change(&Change::Revoke {
        kid: service.kid(3),
        without_successor: true,
    });
    assert_eq!(service.active(), None);
}
