//! What a key is at each moment of its life.

use chancery_core::Algorithm;
use chancery_core::rotation::{Change, KeyState, Role};
use chancery_core::{KeySet, ScheduledKey};

use super::support::{DAY, HOUR, Service, policy, policy_with_standby};
use crate::support::{NOW, seconds, time};

#[test]
fn a_key_goes_through_its_life_to_the_second() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 29 * DAY);
    service.work_until(NOW + 31 * DAY);
    service.work_until(NOW + 62 * DAY);
    let key = service.key(2);
    let moments = *key.moments();
    let lead = 25 * HOUR + 90 + DAY;
    let provisioned = NOW + 30 * DAY - lead;
    assert_eq!(moments.provisioned_at, Some(time(provisioned)));
    let announce = provisioned + 30;
    assert_eq!(moments.announce, Some(time(announce)));
    assert_eq!(moments.observed_at, Some(time(announce + HOUR)));
    assert_eq!(moments.activate, Some(time(NOW + 30 * DAY)));
    assert_eq!(moments.sign_not_after, Some(time(NOW + 90 * DAY)));
    assert_eq!(moments.stop, Some(time(NOW + 60 * DAY)));
    let retire = NOW + 60 * DAY + 2 * HOUR + 11 * 60 + 10;
    for (at, state) in [
        (announce - 1, KeyState::Provisioned),
        (announce, KeyState::Announced),
        (announce + HOUR - 1, KeyState::Announced),
        (announce + HOUR, KeyState::Observed),
        (NOW + 30 * DAY - 1, KeyState::Observed),
        (NOW + 30 * DAY, KeyState::Active),
        (NOW + 60 * DAY - 1, KeyState::Active),
        (NOW + 60 * DAY, KeyState::Draining),
        (retire - 1, KeyState::Draining),
        (retire, KeyState::Destroyed),
    ] {
        assert_eq!(key.state(time(at)), state, "at {at}");
        assert_eq!(service.manifest.state(key.kid(), time(at)), Some(state));
    }
    assert_eq!(service.manifest.state("other", time(NOW)), None);
}

#[test]
fn a_key_whose_private_half_remains_is_retired_and_not_destroyed() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY);
    service.now = NOW + 31 * DAY;
    assert_eq!(service.state(1), KeyState::Retired);
    service.work();
    assert_eq!(service.state(1), KeyState::Destroyed);
}

#[test]
fn a_made_key_whose_lane_is_gone_never_was_published() {
    let mut service = Service::running(policy_with_standby());
    service.now = NOW + 28 * DAY;
    let provision = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&provision);
    let mut newer = service.policy.clone();
    newer.version = 2;
    newer.lanes[0].backend = "cloud".to_owned();
    service.change(&Change::SetPolicy(newer));
    assert_eq!(service.state(3), KeyState::Provisioned);
    assert!(service.manifest.schedule(service.key(3)).is_none());
    service.now += 30;
    assert_eq!(service.state(3), KeyState::Retired);
}

#[test]
fn schedules_make_key_sets_that_agree_with_the_states() {
    let mut service = Service::running(policy_with_standby());
    let mut now = NOW;
    while now < NOW + 65 * DAY {
        service.work_until(now);
        if now == NOW + 40 * DAY {
            service.change(&Change::Revoke {
                kid: service.active().unwrap(),
                without_successor: false,
            });
        }
        let schedules = service.manifest.schedules(time(now));
        let keys = schedules
            .iter()
            .map(|(key, schedule)| ScheduledKey::without_signer(key.jwk().clone(), *schedule))
            .collect();
        let set = KeySet::new(keys).unwrap();
        let mut published: Vec<_> = set
            .published(time(now))
            .iter()
            .map(|jwk| jwk.kid().to_owned())
            .collect();
        let mut expected = Vec::new();
        for key in service.manifest.keys() {
            let state = key.state(time(now));
            if state.is_published() {
                expected.push(key.kid().to_owned());
            }
            let is_active = service
                .manifest
                .schedule(key)
                .is_some_and(|schedule| schedule.is_active(time(now)));
            assert_eq!(is_active, state == KeyState::Active, "{state} at {now}");
        }
        published.sort();
        expected.sort();
        assert_eq!(published, expected, "at {now}");
        now += 10 * HOUR;
    }
}

#[test]
fn raised_limits_are_granted_once_every_replica_knows() {
    let mut service = Service::running(policy());
    let times = *service.manifest.times();
    let set = |service: &mut Service, max_age, lifetime| {
        let mut newer = service.policy.clone();
        newer.version += 1;
        newer.times = newer
            .times
            .with_max_age(seconds(max_age))
            .with_longest_lifetime(seconds(lifetime));
        service.policy = newer.clone();
        service.change(&Change::SetPolicy(newer));
    };
    let limits = |service: &Service, now| {
        (
            service.manifest.max_age(time(now)).as_secs(),
            service.manifest.longest_lifetime(time(now)).as_secs(),
        )
    };
    assert_eq!(limits(&service, NOW), (300, 3600));
    service.now = NOW + DAY;
    set(&mut service, 900, 7200);
    let known = service.now + times.lease.as_secs() + 60;
    assert_eq!(limits(&service, service.now), (300, 3600));
    assert_eq!(limits(&service, known - 1), (300, 3600));
    assert_eq!(limits(&service, known), (900, 7200));
    service.now = NOW + 2 * DAY;
    set(&mut service, 60, 600);
    assert_eq!(limits(&service, service.now), (60, 600));
}
