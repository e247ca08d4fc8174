//! Two years of rotation in which everything comes late, and what that costs.

use std::time::{Duration, Instant};

use chancery_core::Algorithm;
use chancery_core::rotation::{Action, KeyState, Manifest, plan};
use proptest::prelude::*;

use super::support::{DAY, HOUR, Service, policy_with_standby, states};
use crate::support::{NOW, time};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Making, announcing, observing and planning a key may together be late by the margin, a day;
    /// then its turn still comes when it is due.
    #[test]
    fn a_lane_always_has_an_active_key(delays in prop::collection::vec(0..11 * HOUR, 64)) {
        let mut service = Service::running(policy_with_standby());
        let mut delays = delays.into_iter().cycle();
        let mut activations = 0;
        while service.now < NOW + 730 * DAY {
            let outcome = plan(&service.manifest, &service.policy, time(service.now)).unwrap();
            let Some(step) = outcome.steps().iter().find(|step| !step.action.is_passive()) else {
                panic!("nothing to do at {}", service.now);
            };
            let late = match step.action {
                // The probe and what follows it are late on top, by half an hour each.
                Action::Provision { .. } | Action::Announce { .. } => delays.next().unwrap_or(0),
                _ => delays.next().unwrap_or(0) / 24,
            };
            let at = (step.due.as_secs() + late).max(service.now);
            // At every moment on the way a key signs.
            for moment in (service.now..at).step_by(1800).chain([at - 1, at]) {
                let active = service.manifest.active(Algorithm::Rs256, time(moment));
                prop_assert!(active.is_some(), "dark at {}", moment - NOW);
            }
            service.now = at;
            let action = step.action.clone();
            activations += u32::from(matches!(action, Action::Schedule { .. }));
            service.carry_out(&action);
        }
        prop_assert!((23..=25).contains(&activations), "{activations} in two years");
        for pair in service.manifest.keys().windows(2) {
            if let [Some(first), Some(second)] = [pair[0].moments().activate, pair[1].moments().activate] {
                prop_assert_eq!(second.as_secs() - first.as_secs(), 30 * DAY);
            }
        }
    }
}

#[test]
fn keys_do_not_pile_up() {
    let mut service = Service::running(policy_with_standby());
    service.work_until(NOW + 3650 * DAY);
    let states = states(&service.manifest, service.now);
    let count = |state| states.get(&state).copied().unwrap_or_default();
    assert_eq!(count(KeyState::Active), 1);
    assert!(count(KeyState::Observed) + count(KeyState::Announced) <= 2);
    assert!(count(KeyState::Draining) <= 1);
    assert!(count(KeyState::Destroyed) >= 119);
    assert!(service.manifest.schedules(time(service.now)).len() <= 4);
}

/// An old manifest costs as much as a long one of its length would, and a short one next to
/// nothing. The bounds are far above what is measured, so that a busy machine does not fail them,
/// and far below what a quadratic step would cost.
#[test]
fn years_of_history_cost_little() {
    let mut service = Service::running(policy_with_standby());
    while service.manifest.keys().len() < 50 {
        service.work_until(service.now + 30 * DAY);
    }
    let time_of = |service: &Service| {
        let start = Instant::now();
        for _ in 0..100 {
            let plan = plan(&service.manifest, &service.policy, time(service.now)).unwrap();
            assert!(plan.next().is_some());
            for key in service.manifest.keys() {
                std::hint::black_box(key.state(time(service.now)));
            }
        }
        start.elapsed() / 100
    };
    let short = time_of(&service);
    println!("plan and states of 50 keys: {short:?}");
    assert!(short < Duration::from_millis(5), "{short:?}");
    while service.manifest.keys().len() < 500 {
        service.work_until(service.now + 30 * DAY);
    }
    let long = time_of(&service);
    println!("plan and states of 500 keys: {long:?}");
    assert!(long < Duration::from_millis(50), "{long:?}");
    let json = service.manifest.to_json().unwrap();
    let start = Instant::now();
    assert_eq!(Manifest::from_json(&json).unwrap(), service.manifest);
    println!("{} bytes read in {:?}", json.len(), start.elapsed());
}
