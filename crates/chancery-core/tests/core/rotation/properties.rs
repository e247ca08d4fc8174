//! What holds whatever happens, and in whatever order.

use std::time::Duration;

use chancery_core::rotation::{
    Change, KeyState, Lane, Manifest, ManifestError, RotationPolicy, RotationTimes, plan,
};
use chancery_core::{Algorithm, KeySet, ScheduledKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{DAY, HOUR, Service, states};
use crate::support::{seconds, time};

/// Something that happens to a service.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Wait(u64),
    /// The clock goes back.
    Back(u64),
    /// One of the steps that are due is carried out.
    Step(prop::sample::Index),
    /// All that is due is carried out.
    Work,
    Switch(prop::sample::Index),
    Revoke(prop::sample::Index, bool),
    Schedule(prop::sample::Index),
    Policy(Box<RotationPolicy>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop_oneof![
            Just(0_u64), 0..100_u64, 0..2 * HOUR, 0..3 * DAY, 0..40 * DAY,
        ].prop_map(Event::Wait),
        1 => (0..100_u64).prop_map(Event::Back),
        4 => index().prop_map(Event::Step),
        8 => Just(Event::Work),
        1 => index().prop_map(Event::Switch),
        1 => (index(), any::<bool>()).prop_map(|(key, without)| Event::Revoke(key, without)),
        1 => index().prop_map(Event::Schedule),
        1 => any_policy().prop_map(|policy| Event::Policy(Box::new(policy))),
    ]
}

fn any_policy() -> impl Strategy<Value = RotationPolicy> {
    let times = [
        0..600_u64,
        0..2 * DAY,
        1..2 * HOUR,
        0..61,
        0..20,
        1..2 * HOUR,
        0..600,
        0..600,
        0..600,
    ];
    let lane = |algorithm| {
        (
            any::<bool>(),
            any::<Option<bool>>(),
            0..2 * DAY,
            6 * HOUR..20 * DAY,
            0..20 * DAY,
        )
            .prop_map(move |(backend, standby, margin, active_for, longest)| {
                let name = |other| if other { "cloud" } else { "hsm" };
                let mut lane = Lane::new(algorithm, name(backend)).with_margin(seconds(margin));
                if let Some(standby) = standby {
                    lane = lane.with_standby(name(standby));
                }
                lane.active_for = seconds(active_for);
                lane.longest_active = seconds(longest);
                lane
            })
    };
    (
        times,
        lane(Algorithm::Rs256),
        prop::option::of(lane(Algorithm::Ps256)),
        any::<bool>(),
    )
        .prop_map(|(times, first, second, nobody)| {
            let [
                max_age,
                refresh,
                lease,
                error,
                deadline,
                lifetime,
                leeway,
                lag,
                negative,
            ] = times.map(Duration::from_secs);
            let times = RotationTimes::default()
                .with_max_age(max_age)
                .with_refresh(refresh)
                // Replicas take two clock errors off it.
                .with_lease(lease + 2 * error)
                .with_clock_error(error)
                .with_signing_deadline(deadline)
                .with_longest_lifetime(lifetime)
                .with_leeway(leeway)
                .with_clock_lag(lag)
                .with_negative_cache(negative);
            let mut policy = RotationPolicy::new(1).with_times(times);
            policy.nobody_has_fetched = nobody;
            for mut lane in [Some(first), second].into_iter().flatten() {
                // Long enough to be carried out.
                lane.active_for += lane.lead(&times);
                lane.longest_active += lane.active_for;
                policy = policy.with_lane(lane);
            }
            policy
        })
}

/// Whether the change was refused for what it asked, and not because it made a manifest that
/// breaks a rule.
fn is_honest(error: &ManifestError) -> bool {
    matches!(
        error,
        ManifestError::State { .. }
            | ManifestError::NoSuccessor { .. }
            | ManifestError::ClockWentBack { .. }
    )
}

fn check(service: &Service) {
    let manifest = &service.manifest;
    manifest.check().unwrap();
    let json = manifest.to_json().unwrap();
    assert_eq!(&Manifest::from_json(&json).unwrap(), manifest);
    // One key of a lane signs at a time, also in the future.
    let moments = manifest.keys().iter().flat_map(|key| {
        let moments = key.moments();
        [moments.activate, moments.end(), Some(time(service.now))]
    });
    for moment in moments.flatten() {
        for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
            let active = manifest.keys().iter().filter(|key| {
                key.jwk().algorithm() == algorithm && key.state(moment) == KeyState::Active
            });
            assert!(active.count() <= 1, "at {moment}");
        }
    }
    let keys = manifest
        .schedules(time(service.now))
        .into_iter()
        .map(|(key, schedule)| ScheduledKey::without_signer(key.jwk().clone(), schedule))
        .collect::<Vec<_>>();
    if !keys.is_empty() {
        KeySet::new(keys).unwrap();
    }
}

fn run(policy: RotationPolicy, events: Vec<Event>) {
    let mut service = Service::new(policy);
    for event in events {
        let manifest = &service.manifest;
        let kid = |index: prop::sample::Index| {
            (!manifest.keys().is_empty()).then(|| index.get(manifest.keys()).kid().to_owned())
        };
        let change = match event {
            Event::Wait(wait) => {
                service.now += wait;
                None
            }
            Event::Back(back) => {
                service.now -= back;
                None
            }
            Event::Step(index) => {
                let outcome = plan(&service.manifest, &service.policy, time(service.now));
                if let Err(error) = &outcome {
                    assert!(is_honest(error), "{error}");
                    continue;
                }
                let due = service.due();
                if !due.is_empty() {
                    service.carry_out(index.get(&due));
                }
                None
            }
            Event::Work => {
                if plan(&service.manifest, &service.policy, time(service.now)).is_ok() {
                    service.work();
                }
                None
            }
            Event::Switch(index) => kid(index).map(|kid| Change::Switch { kid }),
            Event::Revoke(index, without_successor) => kid(index).map(|kid| Change::Revoke {
                kid,
                without_successor,
            }),
            Event::Schedule(index) => kid(index).map(|kid| Change::Schedule { kid }),
            Event::Policy(mut policy) => {
                policy.version = service.policy.version + 1;
                service.policy = *policy;
                None
            }
        };
        if let Some(change) = change
            && let Err(error) = service.apply(&change)
        {
            assert!(is_honest(&error), "{change:?}: {error}");
        }
        check(&service);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_manifest_is_right(
        policy in any_policy(),
        events in vec(any_event(), 1..40),
    ) {
        run(policy, events);
    }

    #[test]
    fn a_service_left_alone_lights_its_lanes_again(
        policy in any_policy(),
        events in vec(any_event(), 1..25),
    ) {
        let mut service = Service::new(policy);
        for event in events {
            match event {
                Event::Wait(wait) => service.now += wait,
                Event::Policy(mut policy) => {
                    policy.version = service.policy.version + 1;
                    service.policy = *policy;
                }
                Event::Revoke(index, _) if !service.manifest.keys().is_empty() => {
                    let kid = index.get(service.manifest.keys()).kid().to_owned();
                    let _ = service.apply(&Change::Revoke { kid, without_successor: true });
                }
                Event::Work => service.work(),
                _ => {}
            }
        }
        // By then all old times have elapsed, and each step is done when it is due.
        service.work_until(service.now + 8 * DAY);
        for lane in &service.policy.lanes {
            let active = service.manifest.active(lane.algorithm, time(service.now));
            prop_assert!(active.is_some(), "{} is dark: {:?}", lane.algorithm, states(&service.manifest, service.now));
        }
    }
}
