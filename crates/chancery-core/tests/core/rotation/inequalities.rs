//! Each inequality at its very second: the bound is accepted, one second less is refused.

use chancery_core::Algorithm;
use chancery_core::rotation::{
    Change, Inequality, Lane, ManifestError, Role, RotationPolicy, RotationTimes,
};
use serde_json::Value;

use super::support::{DAY, HOUR, Service, broken, days, distinct_times, jwk, policy, read, shift};
use crate::support::{NOW, seconds, time};

/// A service whose second key was announced and observed so late that it is scheduled for the
/// earliest moment. With `observed_after` seconds between the two.
fn second_key_at_its_bound(times: RotationTimes, observed_after: u64) -> (Service, u64, u64) {
    let lane = Lane::new(Algorithm::Rs256, "hsm").with_active_for(days(30), days(60));
    let mut service = Service::running(RotationPolicy::new(1).with_times(times).with_lane(lane));
    service.now = NOW + 40 * DAY;
    let provision = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&provision);
    let kid = service.kid(2);
    service.change(&Change::Announce {
        kids: vec![kid.clone()],
    });
    // It enters the JWKS once the change is in the store by every clock.
    let announce = service.now + 30;
    assert_eq!(service.key(2).moments().announce, Some(time(announce)));
    service.now = announce + observed_after;
    let observed = service.now;
    service.change(&Change::Observe { kid: kid.clone() });
    service.change(&Change::Schedule { kid });
    (service, announce, observed)
}

/// Moves the activation of the second key, and with it the end of the first.
fn takeover_moved(service: &Service, by: i64) -> Value {
    let mut json = service.json();
    shift(&mut json, 2, "activate", by);
    shift(&mut json, 1, "stop", by);
    json
}

#[test]
fn a_key_signs_once_everybody_knows_its_announcement() {
    let (service, announce, _) = second_key_at_its_bound(distinct_times(), 7);
    let bound = announce + 20_000 + 100_000 + 2 * 30;
    assert_eq!(service.key(2).moments().activate, Some(time(bound)));
    assert_eq!(service.key(1).moments().stop, Some(time(bound)));
    read(&service.json()).unwrap();
    assert_eq!(
        broken(read(&takeover_moved(&service, -1))),
        (
            Inequality::Activate,
            ("activate", time(bound - 1)),
            time(bound)
        )
    );
}

#[test]
fn a_key_signs_once_everybody_knows_its_observation() {
    let (service, _, observed) = second_key_at_its_bound(distinct_times(), 50_000);
    let bound = observed + 100_000 + 2 * 30;
    assert_eq!(service.key(2).moments().activate, Some(time(bound)));
    read(&service.json()).unwrap();
    assert_eq!(
        broken(read(&takeover_moved(&service, -1))),
        (
            Inequality::Activate,
            ("activate", time(bound - 1)),
            time(bound)
        )
    );
}

#[test]
fn a_cache_is_as_long_as_the_longer_of_max_age_and_refresh() {
    let times = distinct_times()
        .with_max_age(seconds(100_001))
        .with_refresh(seconds(2));
    let (service, announce, _) = second_key_at_its_bound(times, 0);
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(announce + 20_000 + 100_001 + 2 * 30))
    );
}

#[test]
fn a_key_stops_when_its_successor_begins() {
    let (service, announce, _) = second_key_at_its_bound(distinct_times(), 0);
    let takeover = announce + 120_060;
    for by in [-1, 1] {
        let mut json = service.json();
        shift(&mut json, 1, "stop", by);
        shift(&mut json, 1, "retire", 1);
        shift(&mut json, 1, "destroy", 1);
        let stop = takeover.checked_add_signed(by).unwrap();
        assert_eq!(
            broken(read(&json)),
            (Inequality::Stop, ("stop", time(stop)), time(takeover))
        );
    }
}

#[test]
fn a_key_is_published_until_its_last_token_has_expired() {
    let (service, ..) = second_key_at_its_bound(distinct_times(), 0);
    let stop = service.key(1).moments().stop.unwrap().as_secs();
    let bound = stop + 20_000 + 4 + 5_000 + 600 + 70 + 2 * 30;
    assert_eq!(service.key(1).moments().retire, Some(time(bound)));
    let mut json = service.json();
    shift(&mut json, 1, "retire", -1);
    assert_eq!(
        broken(read(&json)),
        (Inequality::Retire, ("retire", time(bound - 1)), time(bound))
    );
}

#[test]
fn a_private_half_stays_until_no_replica_signs_with_it() {
    let (service, ..) = second_key_at_its_bound(distinct_times(), 0);
    let stop = service.key(1).moments().stop.unwrap().as_secs();
    let bound = stop + 20_000 + 4 + 2 * 30;
    assert_eq!(service.key(1).moments().destroy, Some(time(bound)));
    let mut json = service.json();
    shift(&mut json, 1, "destroy", -1);
    assert_eq!(
        broken(read(&json)),
        (
            Inequality::Destroy,
            ("destroy", time(bound - 1)),
            time(bound)
        )
    );
}

#[test]
fn a_first_key_signs_once_its_absence_is_forgotten() {
    let times = distinct_times();
    let lane = Lane::new(Algorithm::Rs256, "hsm");
    let mut service = Service::new(RotationPolicy::new(1).with_times(times).with_lane(lane));
    service.now += 100;
    service.work();
    let bound = service.now + 8 + 2 * 30;
    assert_eq!(service.key(1).moments().activate, Some(time(bound)));
    let mut json = service.json();
    shift(&mut json, 1, "activate", -1);
    assert_eq!(
        broken(read(&json)),
        (
            Inequality::Bootstrap,
            ("activate", time(bound - 1)),
            time(bound)
        )
    );
}

#[test]
fn a_first_key_may_sign_at_once_but_not_before_it_is_announced() {
    let service = Service::running(policy());
    let mut json = service.json();
    assert_eq!(service.key(1).moments().activate, Some(time(NOW)));
    shift(&mut json, 1, "activate", -1);
    assert_eq!(
        read(&json).unwrap_err(),
        ManifestError::Order {
            kid: service.kid(1),
            earlier: ("announce", time(NOW)),
            later: ("activate", time(NOW - 1)),
        }
    );
}

#[test]
fn a_key_that_is_not_of_the_first_announcement_is_no_bootstrap_key() {
    let (service, announce, _) = second_key_at_its_bound(distinct_times(), 0);
    let mut json = service.json();
    json["keys"][1]["bootstrap"] = "observed".into();
    assert_eq!(
        broken(read(&json)),
        (
            Inequality::Bootstrap,
            ("the first announcement", time(NOW)),
            time(announce)
        )
    );
}

#[test]
fn raised_times_move_what_is_planned() {
    let (mut service, announce, _) = second_key_at_its_bound(distinct_times(), 0);
    let before = service.clone();
    service.now += 10;
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.times = newer.times.with_max_age(seconds(100_003));
    service.policy = newer.clone();
    service.change(&Change::SetPolicy(newer));
    let bound = announce + 20_000 + 100_003 + 2 * 30;
    assert_eq!(service.key(2).moments().activate, Some(time(bound)));
    assert_eq!(service.key(1).moments().stop, Some(time(bound)));
    assert_eq!(
        before.key(2).moments().activate,
        Some(time(bound - 3)),
        "the old plan would do by the old times alone"
    );
    assert_eq!(
        broken(read(&takeover_moved(&service, -1))),
        (
            Inequality::Times,
            ("activate", time(bound - 1)),
            time(bound)
        )
    );
}

#[test]
fn lowered_times_count_once_the_old_ones_have_elapsed() {
    let lane = Lane::new(Algorithm::Rs256, "hsm").with_active_for(days(30), days(60));
    let times = distinct_times();
    let mut service = Service::running(RotationPolicy::new(1).with_times(times).with_lane(lane));
    service.now = NOW + 40 * DAY;
    let lowered_at = service.now;
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.times = newer
        .times
        .with_refresh(seconds(10))
        .with_lease(seconds(70));
    service.policy = newer.clone();
    service.change(&Change::SetPolicy(newer));
    service.now += 1000;
    let provision = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&provision);
    let kid = service.kid(2);
    service.change(&Change::Announce {
        kids: vec![kid.clone()],
    });
    service.now += 30;
    service.change(&Change::Observe { kid: kid.clone() });
    service.change(&Change::Schedule { kid });
    // The JWKS without the key may have been cached up to the old lease after the change was in the
    // store, which is a clock error after it was made.
    let bound = lowered_at + 30 + 20_000 + 100_000 + 2 * 30;
    assert_eq!(service.key(2).moments().activate, Some(time(bound)));
    assert_eq!(
        broken(read(&takeover_moved(&service, -1))),
        (
            Inequality::Times,
            ("activate", time(bound - 1)),
            time(bound)
        )
    );
    // A key announced long after that waits by the new times only.
    let mut later = Service::running(service.policy.clone());
    later.manifest = service.manifest.clone();
    later.made = service.made;
    later.now = lowered_at + 30 * DAY;
    let provision = later.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    later.change(&provision);
    let kid = later.kid(3);
    later.change(&Change::Announce {
        kids: vec![kid.clone()],
    });
    later.now += 30;
    later.change(&Change::Observe { kid });
    assert_eq!(
        later.manifest.may_sign_from(later.key(3)),
        Ok(Some(time(later.now + 70 + 10 + 2 * 30)))
    );
}

#[test]
fn times_raised_later_do_not_count_for_what_was_done() {
    let (mut service, ..) = second_key_at_its_bound(distinct_times(), 0);
    // The second key signs to the second, and the first one is gone to the second.
    service.work_until(service.now + 5 * DAY);
    let before = service.json()["keys"].clone();
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.times = newer
        .times
        .with_refresh(seconds(200_000))
        .with_lease(seconds(40_000));
    service.policy = newer.clone();
    service.change(&Change::SetPolicy(newer));
    assert_eq!(service.json()["keys"], before);
    read(&service.json()).unwrap();
}

#[test]
fn raised_lifetimes_keep_keys_longer_that_still_drain() {
    let (mut service, ..) = second_key_at_its_bound(distinct_times(), 0);
    let stop = service.key(1).moments().stop.unwrap().as_secs();
    service.now = stop + 100;
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.times = newer
        .times
        .with_longest_lifetime(seconds(6_000))
        .with_leeway(seconds(700))
        .with_clock_lag(seconds(80))
        .with_signing_deadline(seconds(5));
    service.policy = newer.clone();
    service.change(&Change::SetPolicy(newer));
    let bound = stop + 20_000 + 5 + 6_000 + 700 + 80 + 2 * 30;
    assert_eq!(service.key(1).moments().retire, Some(time(bound)));
    assert_eq!(
        service.key(1).moments().destroy,
        Some(time(stop + 20_000 + 5 + 2 * 30))
    );
    let mut json = service.json();
    shift(&mut json, 1, "retire", -1);
    assert_eq!(
        broken(read(&json)),
        (Inequality::Retire, ("retire", time(bound - 1)), time(bound))
    );
}

/// The last tokens were signed when they lived for long, and meet relying parties of a long leeway.
#[test]
fn each_time_counts_at_its_longest() {
    let (mut service, ..) = second_key_at_its_bound(distinct_times(), 0);
    let stop = service.key(1).moments().stop.unwrap().as_secs();
    service.now = stop + 100;
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.times = newer
        .times
        .with_longest_lifetime(seconds(1_000))
        .with_leeway(seconds(900));
    service.policy = newer.clone();
    service.change(&Change::SetPolicy(newer));
    let bound = stop + 20_000 + 4 + 5_000 + 900 + 70 + 2 * 30;
    assert_eq!(service.key(1).moments().retire, Some(time(bound)));
    let mut json = service.json();
    shift(&mut json, 1, "retire", -1);
    assert_eq!(
        broken(read(&json)),
        (Inequality::Retire, ("retire", time(bound - 1)), time(bound))
    );
}

#[test]
fn a_hundred_keys_are_published_and_no_more() {
    let service = Service::running(policy());
    let mut json = service.json();
    let crowd = |json: &mut Value, count: u64| {
        let keys = json["keys"].as_array_mut().unwrap();
        for number in 2..=count {
            let mut key = keys[0].clone();
            key["jwk"] = serde_json::to_value(jwk(Algorithm::Rs256, number)).unwrap();
            for name in ["activate", "sign_not_after", "bootstrap"] {
                key.as_object_mut().unwrap().remove(name);
            }
            keys.push(key);
        }
    };
    crowd(&mut json, 100);
    assert_eq!(read(&json).unwrap().keys().len(), 100);
    let mut json = service.json();
    crowd(&mut json, 101);
    let error = read(&json).unwrap_err();
    assert_eq!(
        error,
        ManifestError::TooManyPublished {
            found: 101,
            at: time(NOW)
        }
    );
    assert_eq!(
        error.to_string(),
        "101 keys would be published from 2026-01-01T00:00:00Z (1767225600) on, more than the 100 that relying parties read (inequality 10)"
    );
}

#[test]
fn the_worked_example_to_the_second() {
    // Observed at once: 25 h 1 min after the announcement.
    let (service, announce, observed) = second_key_at_its_bound(RotationTimes::default(), 0);
    assert_eq!(announce, observed);
    let activate = announce + 25 * HOUR + 60;
    assert_eq!(service.key(2).moments().activate, Some(time(activate)));
    // It left the JWKS 2 h 11 min 10 s after it stopped.
    let retire = activate + 2 * HOUR + 11 * 60 + 10;
    assert_eq!(service.key(1).moments().stop, Some(time(activate)));
    assert_eq!(service.key(1).moments().retire, Some(time(retire)));
    // Observed late: 24 h 1 min after the observation.
    let (service, _, observed) = second_key_at_its_bound(RotationTimes::default(), 5 * HOUR);
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(observed + 24 * HOUR + 60))
    );
}

#[test]
fn an_error_names_the_inequality_and_both_times() {
    let (service, ..) = second_key_at_its_bound(RotationTimes::default(), 0);
    let error = read(&takeover_moved(&service, -1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "key {}: activate 2026-02-11T01:01:29Z (1770771689) comes before max(announce + lease, observed_at) + cache + 2 clock errors = 2026-02-11T01:01:30Z (1770771690) (inequality 1)",
            service.kid(2)
        )
    );
}
