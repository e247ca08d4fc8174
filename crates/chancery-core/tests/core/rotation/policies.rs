//! Policies that cannot be carried out, and how one replaces another.

use std::time::Duration;

use chancery_core::Algorithm;
use chancery_core::rotation::{
    Change, Lane, ManifestError, RotationPolicy, RotationPolicyError, RotationTimes, plan,
};

use super::support::{HOUR, Service, days, policy};
use crate::support::{NOW, seconds, time};

fn with_lane(lane: Lane) -> RotationPolicy {
    RotationPolicy::new(1).with_lane(lane)
}

fn lane() -> Lane {
    Lane::new(Algorithm::Rs256, "hsm")
}

#[test]
fn the_defaults_can_be_carried_out() {
    policy().check().unwrap();
}

#[test]
fn a_policy_needs_lanes_one_for_each_algorithm() {
    assert_eq!(
        RotationPolicy::new(1).check(),
        Err(RotationPolicyError::NoLane)
    );
    assert_eq!(
        with_lane(lane()).with_lane(lane()).check(),
        Err(RotationPolicyError::DuplicateLane {
            algorithm: Algorithm::Rs256
        })
    );
}

#[test]
fn a_key_signs_for_longer_than_its_successor_needs() {
    // L + H + 2ε and the margin.
    let needed = seconds(25 * HOUR + 60 + 100);
    let lane = lane().with_margin(seconds(100));
    let active_for = |time| with_lane(lane.clone().with_active_for(time, days(60)));
    active_for(needed).check().unwrap();
    assert_eq!(
        active_for(needed - seconds(1)).check(),
        Err(RotationPolicyError::TooShort {
            algorithm: Algorithm::Rs256,
            name: "active_for",
            found: needed - seconds(1),
            needed,
        })
    );
    assert_eq!(
        with_lane(lane.with_active_for(days(30), days(29))).check(),
        Err(RotationPolicyError::TooShort {
            algorithm: Algorithm::Rs256,
            name: "longest_active",
            found: days(29),
            needed: days(30),
        })
    );
}

#[test]
fn times_are_whole_seconds_and_no_more_than_ten_years() {
    let times = RotationTimes::default();
    for (times, name) in [
        (times.with_leeway(Duration::from_millis(1500)), "leeway"),
        (times.with_refresh(days(3651)), "refresh"),
        (times.with_lease(Duration::ZERO), "lease"),
        (
            times.with_longest_lifetime(Duration::ZERO),
            "longest_lifetime",
        ),
        (times.with_clock_error(Duration::MAX), "clock_error"),
    ] {
        match policy().with_times(times).check() {
            Err(RotationPolicyError::Time { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(
        with_lane(lane().with_margin(Duration::from_nanos(1))).check(),
        Err(RotationPolicyError::Time { name: "margin", .. })
    ));
}

/// The minute of lease that somebody may choose is what two clocks may be apart by default.
#[test]
fn something_is_left_of_the_lease() {
    let minute = Duration::from_secs(60);
    let times = RotationTimes::default().with_lease(minute);
    let refused = policy().with_times(times).check();
    assert_eq!(
        refused,
        Err(RotationPolicyError::ShortLease {
            found: minute,
            clock_errors: minute,
        })
    );
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("`lease` is 60 s"), "{text}");
    let times = times.with_lease(minute + Duration::from_secs(1));
    policy().with_times(times).check().unwrap();
}

#[test]
fn backends_have_plain_names() {
    let long = "b".repeat(65);
    for name in ["", "a b", "hsm/1", "hsmé", long.as_str()] {
        let refused = Err(RotationPolicyError::BackendName {
            algorithm: Algorithm::Rs256,
        });
        assert_eq!(
            with_lane(Lane::new(Algorithm::Rs256, name)).check(),
            refused
        );
        assert_eq!(with_lane(lane().with_standby(name)).check(), refused);
    }
    with_lane(Lane::new(Algorithm::Rs256, "Hsm_1.a-b"))
        .check()
        .unwrap();
}

#[test]
fn a_policy_that_would_publish_too_many_keys_is_refused() {
    // Tokens that live ten years under keys that change every three days.
    let times = RotationTimes::default().with_longest_lifetime(days(3650));
    let lane = lane().with_active_for(days(3), days(6));
    match with_lane(lane).with_times(times).check() {
        Err(RotationPolicyError::TooManyKeys { published }) => assert!(published > 1000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_newer_policy_is_put_in_force_and_an_older_one_is_not() {
    let service = Service::running(policy());
    let at = |version: u64, active_for| {
        let mut policy = with_lane(lane().with_active_for(active_for, days(90)));
        policy.version = version;
        policy.nobody_has_fetched()
    };
    // Older: the manifest's is followed.
    let steps = plan(&service.manifest, &at(0, days(50)), time(NOW)).unwrap();
    assert_eq!(
        steps,
        plan(&service.manifest, &service.policy, time(NOW)).unwrap()
    );
    // The same version with another content.
    assert_eq!(
        plan(&service.manifest, &at(1, days(50)), time(NOW)),
        Err(ManifestError::PolicyConflict { version: 1 })
    );
    for version in [0, 1] {
        assert_eq!(
            service.manifest.apply(
                &Change::SetPolicy(at(version, days(50))),
                "replica",
                time(NOW)
            ),
            Err(ManifestError::PolicyVersion {
                found: version,
                current: 1
            })
        );
    }
    // Newer.
    let newer = at(2, days(50));
    let steps = plan(&service.manifest, &newer, time(NOW)).unwrap();
    let step = steps.due(time(NOW)).next().unwrap();
    assert_eq!(step.action.change(), Some(Change::SetPolicy(newer.clone())));
    let manifest = service
        .manifest
        .apply(&Change::SetPolicy(newer.clone()), "replica", time(NOW))
        .unwrap();
    assert_eq!(*manifest.policy(), newer);
    // One that cannot be carried out is not planned.
    let mut broken = newer;
    broken.version = 3;
    broken.lanes.clear();
    assert_eq!(
        plan(&manifest, &broken, time(NOW)),
        Err(ManifestError::Policy(RotationPolicyError::NoLane))
    );
}
