//! What comes next, and when.

use chancery_core::Algorithm;
use chancery_core::rotation::{Action, Lane, ManifestError, Role, RotationPolicy, plan};

use super::support::{DAY, HOUR, Service, days, policy, policy_with_standby};
use crate::support::{NOW, time};

/// The names of the steps with the seconds from now until they are due.
fn steps(service: &Service) -> Vec<(&'static str, i64)> {
    let plan = plan(&service.manifest, &service.policy, time(service.now)).unwrap();
    plan.steps()
        .iter()
        .map(|step| {
            let due = step.due.as_secs().checked_signed_diff(service.now).unwrap();
            (step.action.name(), due)
        })
        .collect()
}

#[test]
fn a_new_service_makes_all_its_keys_first() {
    let policy = RotationPolicy::new(1)
        .with_lane(Lane::new(Algorithm::Rs256, "hsm").with_standby("software"))
        .with_lane(Lane::new(Algorithm::Ps256, "hsm"));
    let mut service = Service::new(policy);
    assert_eq!(
        service.due(),
        [
            (Algorithm::Rs256, "hsm", Role::Rotating),
            (Algorithm::Rs256, "software", Role::Standby),
            (Algorithm::Ps256, "hsm", Role::Rotating),
        ]
        .map(|(algorithm, backend, role)| Action::Provision {
            algorithm,
            backend: backend.to_owned(),
            role,
        })
    );
    // Nothing is announced while a lane has no key, for a JWKS with one lane would be remembered.
    let first = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&first);
    assert!(!steps(&service).iter().any(|(name, _)| *name == "announce"));
    let other = service.provision(Algorithm::Ps256, "hsm", Role::Rotating);
    service.change(&other);
    let announce = service
        .due()
        .into_iter()
        .find(|action| action.name() == "announce");
    assert_eq!(
        announce,
        Some(Action::Announce {
            kids: vec![service.kid(1), service.kid(2)]
        })
    );
}

#[test]
fn the_next_key_is_made_when_its_successor_needs_it() {
    let mut service = Service::running(policy());
    let lead = 25 * HOUR + 90 + DAY;
    let due = NOW + 30 * DAY - lead;
    assert_eq!(steps(&service), [("provision", (due - NOW) as i64)]);
    service.now = due;
    service.carry_out(&service.due()[0].clone());
    assert_eq!(steps(&service), [("announce", 0)]);
    service.carry_out(&service.due()[0].clone());
    // A probe counts from the end of the lease on.
    assert_eq!(steps(&service), [("probe", 30 + HOUR as i64)]);
    service.now += 30 + HOUR;
    service.carry_out(&service.due()[0].clone());
    assert_eq!(steps(&service), [("schedule", 0)]);
    service.carry_out(&service.due()[0].clone());
    let next = (lead - HOUR - 30) as i64;
    assert_eq!(
        steps(&service)[..4],
        [
            ("stops", next),
            ("activates", next),
            ("destroy", next + HOUR as i64 + 70),
            ("retires", next + 2 * HOUR as i64 + 670),
        ]
    );
    assert_eq!(service.due(), []);
}

/// What a key was activated with counts for it, also where those that follow sign for longer.
#[test]
fn a_key_of_shorter_turns_is_followed_before_it_ends() {
    let short = Lane::new(Algorithm::Rs256, "hsm").with_active_for(days(3), days(3));
    let long = Lane::new(Algorithm::Rs256, "hsm").with_active_for(days(30), days(60));
    let mut service = Service::running(RotationPolicy::new(1).with_lane(short));
    service.policy = RotationPolicy::new(2).with_lane(long);
    for hour in 0..100 {
        service.work_until(NOW + hour * HOUR);
        assert!(service.active().is_some(), "dark after {hour} h");
    }
}

#[test]
fn a_standby_is_made_at_once_and_waits() {
    let mut service = Service::running(policy_with_standby());
    service.work_until(NOW + DAY);
    assert!(steps(&service).iter().all(|(name, _)| *name == "provision"));
    assert_eq!(service.due(), []);
}

#[test]
fn planning_twice_gives_the_same() {
    let mut service = Service::running(policy_with_standby());
    for _ in 0..200 {
        service.now += 9 * HOUR;
        let plans =
            [0, 1].map(|_| plan(&service.manifest, &service.policy, time(service.now)).unwrap());
        assert_eq!(plans[0], plans[1]);
        let again =
            chancery_core::rotation::Manifest::from_json(&service.manifest.to_json().unwrap())
                .unwrap();
        assert_eq!(
            plan(&again, &service.policy, time(service.now)).unwrap(),
            plans[0]
        );
        service.work();
    }
}

#[test]
fn after_weeks_of_downtime_the_rest_is_made_up() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 28 * DAY - HOUR / 2);
    // The next key is made and announced, and then nothing runs for three weeks.
    let active = service.active();
    service.now += 21 * DAY;
    assert_eq!(
        service.active(),
        active,
        "it signs on while there is no other"
    );
    service.work();
    assert_eq!(
        service.key(2).moments().activate,
        Some(time(service.now + 24 * HOUR + 60))
    );
    assert_eq!(
        service.key(1).moments().stop,
        service.key(2).moments().activate
    );
}

#[test]
fn a_clock_that_went_back_gets_no_plan() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 40 * DAY);
    let changed_at = service.manifest.changed_at().as_secs();
    let at = |now| plan(&service.manifest, &service.policy, time(now));
    assert!(at(changed_at - 60).is_ok());
    assert_eq!(
        at(changed_at - 61),
        Err(ManifestError::ClockWentBack {
            now: time(changed_at - 61),
            changed_at: time(changed_at),
        })
    );
}

#[test]
fn reasons_are_for_people() {
    let service = Service::running(policy());
    let plan = plan(&service.manifest, &service.policy, time(NOW)).unwrap();
    assert_eq!(
        plan.steps()[0].reason,
        format!(
            "{} is to stop at 2026-01-31T00:00:00Z, and its successor has to be known by then",
            service.kid(1)
        )
    );
}
