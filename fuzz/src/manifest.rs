//! Key manifests that somebody else wrote.

use chancery_core::rotation::{Action, Change, Manifest, plan};
use chancery_core::{KeySet, ScheduledKey, UnixTime};

/// Parses the bytes as a manifest. What parses comes back as it was, and whatever its moments are,
/// it has states, schedules and a plan, whose changes give manifests that come back too.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::from_json(data) else {
        return;
    };
    check(&manifest);
    let mut moments: Vec<UnixTime> = manifest
        .keys()
        .iter()
        .flat_map(|key| {
            [
                key.moments().activate,
                key.moments().end(),
                key.moments().out(),
            ]
        })
        .flatten()
        .collect();
    moments.extend([manifest.changed_at(), UnixTime::EPOCH, UnixTime::MAX]);
    for now in moments {
        follow(&manifest, now);
    }
}

fn follow(manifest: &Manifest, now: UnixTime) {
    let keys: Vec<_> = manifest
        .schedules(now)
        .into_iter()
        .map(|(key, schedule)| ScheduledKey::without_signer(key.jwk().clone(), schedule))
        .collect();
    // More than a hundred may wait to be published one after the other.
    if (1..=100).contains(&keys.len()) {
        KeySet::new(keys).expect("the schedules of a manifest make a set of keys");
    }
    let _ = (manifest.max_age(now), manifest.longest_lifetime(now));
    for lane in &manifest.policy().lanes {
        let active = manifest.keys().iter().filter(|key| {
            key.jwk().algorithm() == lane.algorithm && key.state(now).name() == "active"
        });
        assert!(active.count() <= 1, "two keys sign at {now}");
        let _ = manifest.successors(lane.algorithm, now);
    }
    let Ok(plan) = plan(manifest, manifest.policy(), now) else {
        return;
    };
    for step in plan.due(now).take(4) {
        let change = match &step.action {
            Action::Probe { kid } => Some(Change::Observe { kid: kid.clone() }),
            Action::Destroy { kid } => Some(Change::Destroy { kid: kid.clone() }),
            action => action.change(),
        };
        if let Some(next) = change.and_then(|change| manifest.apply(&change, "fuzzer", now).ok()) {
            check(&next);
        }
    }
    for key in manifest.keys().iter().take(4) {
        let revoke = Change::Revoke {
            kid: key.kid().to_owned(),
            without_successor: true,
        };
        if let Ok(next) = manifest.apply(&revoke, "fuzzer", now) {
            check(&next);
        }
    }
}

fn check(manifest: &Manifest) {
    let json = manifest.to_json().expect("it is no longer than it was");
    let again = Manifest::from_json(&json).expect("a rendered manifest");
    assert_eq!(again, *manifest);
    assert_eq!(again.to_json().expect("again"), json);
}
