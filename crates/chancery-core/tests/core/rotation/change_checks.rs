//! A change that no `apply` makes, and how it is refused.

use chancery_core::Algorithm;
use chancery_core::rotation::{Change, Inequality, Manifest, ManifestError, Role};
use serde_json::{Value, json};

use super::support::{DAY, HOUR, Service, policy, read, shift};
use crate::support::{NOW, time};

/// A manifest whose second key is scheduled, and the JSON of one that records nothing but a probe
/// an hour later.
fn scheduled() -> (Manifest, Value) {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY - 20 * HOUR);
    let manifest = service.manifest.clone();
    service.now += HOUR;
    let mut json = service.json();
    json["changed_at"] = service.now.into();
    json["revision"] = (manifest.revision() + 1).into();
    json["history"].as_array_mut().unwrap().push(json!({
        "revision": manifest.revision() + 1,
        "at": service.now,
        "by": "somebody",
        "what": "something",
    }));
    manifest.check_change(&read(&json).unwrap()).unwrap();
    (manifest, json)
}

fn refused(tamper: impl FnOnce(&mut Value)) -> ManifestError {
    let (manifest, mut json) = scheduled();
    tamper(&mut json);
    let next = read(&json).unwrap_or_else(|error| panic!("it must be consistent: {error}"));
    manifest.check_change(&next).unwrap_err()
}

#[test]
fn revisions_follow_one_another() {
    let error = refused(|json| {
        let revision = json["revision"].as_u64().unwrap() + 1;
        json["revision"] = revision.into();
        let last = json["history"].as_array_mut().unwrap().last_mut().unwrap();
        last["revision"] = revision.into();
    });
    assert_eq!(
        error,
        ManifestError::NotASuccessor {
            problem: "it is not the next revision"
        }
    );
}

#[test]
fn the_history_only_grows() {
    let error = refused(|json| json["history"][1]["by"] = "somebody else".into());
    assert_eq!(
        error,
        ManifestError::NotASuccessor {
            problem: "its history is another one"
        }
    );
}

#[test]
fn no_key_is_forgotten() {
    let (manifest, mut json) = scheduled();
    let keys = json["keys"].as_array_mut().unwrap();
    keys.pop();
    let first = keys[0].as_object_mut().unwrap();
    for name in ["stop", "retire", "destroy"] {
        first.remove(name);
    }
    json["history"]
        .as_array_mut()
        .unwrap()
        .retain(|entry| entry["kid"] != json!(manifest.keys()[1].kid()));
    let next = read(&json).unwrap();
    assert!(matches!(
        manifest.check_change(&next),
        Err(ManifestError::NotASuccessor { .. })
    ));
}

#[test]
fn what_a_key_is_does_not_change() {
    for (member, value) in [
        ("backend", "cloud"),
        ("reference", "keys/other.pem"),
        ("role", "standby"),
    ] {
        let error = refused(|json| json["keys"][1][member] = value.into());
        assert!(
            matches!(error, ManifestError::Altered { what, .. } if what == member),
            "{error:?}"
        );
    }
}

/// A replica may learn of it a clock error later.
#[test]
fn an_announcement_is_dated_ahead() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 20 * DAY);
    let provision = service.provision(Algorithm::Rs256, "hsm", Role::Rotating);
    service.change(&provision);
    let before = service.manifest.clone();
    service.change(&Change::Announce {
        kids: vec![service.kid(2)],
    });
    assert_eq!(
        service.key(2).moments().announce,
        Some(time(service.now + 30))
    );
    let mut json = service.json();
    shift(&mut json, 2, "announce", -1);
    let error = before.check_change(&read(&json).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            ManifestError::BackDated { moment: ("announce", _), earliest, .. }
                if earliest == time(service.now + 30)
        ),
        "{error}"
    );
    // It is announced once, also before that moment.
    let again = service.apply(&Change::Announce {
        kids: vec![service.kid(2)],
    });
    assert!(matches!(again, Err(ManifestError::State { .. })));
    // A key that is revoked before it was announced never enters the JWKS.
    service.change(&Change::Revoke {
        kid: service.kid(2),
        without_successor: false,
    });
    assert_eq!(service.key(2).moments().announce, None);
    assert_eq!(service.manifest.schedule(service.key(2)), None);
}

/// The private half of a key that is revoked while it signs outlives every replica's use of it.
#[test]
fn a_revoked_key_is_not_destroyed_under_a_replica_that_signs() {
    let mut service = Service::running(policy());
    service.now += 5;
    let before = service.manifest.clone();
    service.change(&Change::Revoke {
        kid: service.kid(1),
        without_successor: true,
    });
    let mut json = service.json();
    shift(&mut json, 1, "destroy", -1);
    let error = before.check_change(&read(&json).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            ManifestError::Inequality { inequality: Inequality::Destroy, ref bound, .. }
                if bound.1 == time(service.now + 30 + HOUR + 10 + 60)
        ),
        "{error}"
    );
}

#[test]
fn only_the_first_keys_sign_at_once_and_only_where_the_policy_says_so() {
    let mut service = Service::new(policy());
    let provision = service.due()[0].clone();
    service.carry_out(&provision);
    let before = service.manifest.clone();
    let announce = service.due()[0].clone();
    service.carry_out(&announce);
    before.check_change(&service.manifest).unwrap();
    let mut json = service.json();
    json["keys"][0]["bootstrap"] = "at_once".into();
    json["keys"][0]["activate"] = NOW.into();
    json["keys"][0]["sign_not_after"] = (NOW + DAY).into();
    let error = before.check_change(&read(&json).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            ManifestError::Altered {
                what: "bootstrap",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn what_has_passed_does_not_change() {
    for (moment, by) in [("provisioned_at", -1), ("announce", 1), ("observed_at", 1)] {
        let error = refused(|json| shift(json, 2, moment, by));
        assert!(
            matches!(error, ManifestError::Altered { what, .. } if what == moment),
            "{error:?}"
        );
    }
    let error = refused(|json| {
        json["keys"][0]
            .as_object_mut()
            .unwrap()
            .remove("observed_at");
    });
    assert!(
        matches!(
            error,
            ManifestError::Altered {
                what: "observed_at",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn nothing_is_dated_back() {
    let error = refused(|json| {
        let before = json["changed_at"].as_u64().unwrap() - 1;
        let first = &mut json["keys"][0];
        first["revoked_at"] = before.into();
    });
    assert!(
        matches!(
            error,
            ManifestError::BackDated {
                moment: ("revoked_at", _),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn an_end_is_planned_so_far_ahead_that_it_can_be_kept() {
    let (manifest, json) = scheduled();
    let now = json["changed_at"].as_u64().unwrap();
    let end_in = |seconds: u64| {
        let mut json = json.clone();
        let stop = now + seconds;
        json["keys"][0]["stop"] = stop.into();
        json["keys"][1]["activate"] = stop.into();
        let next = read(&json).unwrap_or_else(|error| panic!("{error}"));
        manifest.check_change(&next)
    };
    // The second key may sign from some hours before its turn on.
    let from = manifest
        .may_sign_from(&manifest.keys()[1])
        .unwrap()
        .unwrap();
    assert!(from.as_secs() <= now);
    end_in(30).unwrap();
    assert!(matches!(
        end_in(29),
        Err(ManifestError::BackDated {
            moment: ("the end of signing", _),
            ..
        })
    ));
}

#[test]
fn a_new_key_has_only_been_made() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY - 2 * DAY - 2 * HOUR);
    let before = service.manifest.clone();
    service.now = NOW + 30 * DAY - 2 * DAY;
    let provision = service.due()[0].clone();
    service.carry_out(&provision);
    let mut json = service.json();
    json["keys"][1]["announce"] = service.now.into();
    let next = read(&json).unwrap();
    assert!(matches!(
        before.check_change(&next),
        Err(ManifestError::Altered { .. })
    ));
}

#[test]
fn the_policy_goes_forward() {
    let error = refused(|json| json["policy"]["version"] = 0.into());
    assert!(
        matches!(error, ManifestError::NotASuccessor { .. }),
        "{error:?}"
    );
    let error = refused(|json| json["policy"]["lanes"][0]["margin"] = 5.into());
    assert_eq!(error, ManifestError::PolicyConflict { version: 1 });
    let error = refused(|json| {
        json["policy"]["version"] = 2.into();
        json["times"][0]["leeway"] = 301.into();
        json["keys"][0]["retire"] = (json["keys"][0]["retire"].as_u64().unwrap() + 1).into();
    });
    assert!(
        matches!(error, ManifestError::NotASuccessor { .. }),
        "{error:?}"
    );
}

#[test]
fn a_change_that_was_applied_passes() {
    let mut service = Service::running(policy());
    service.now += DAY;
    let before = service.manifest.clone();
    service.change(&Change::Revoke {
        kid: service.kid(1),
        without_successor: true,
    });
    before.check_change(&service.manifest).unwrap();
}
