//! Manifests as JSON: what comes back, and what is refused.

use chancery_core::rotation::{Change, Manifest, ManifestError};
use chancery_core::{Algorithm, JwkError};
use serde_json::{Value, json};

use super::support::{DAY, HOUR, Service, jwk, policy, policy_with_standby, read};
use crate::support::{NOW, time};

/// A manifest with keys in many states and a changed policy.
fn manifest() -> Service {
    let mut service = Service::running(policy_with_standby());
    service.work_until(NOW + 45 * DAY);
    service.policy.version = 2;
    service.policy.times.refresh *= 2;
    service.work_until(NOW + 58 * DAY);
    service.change(&Change::Revoke {
        kid: service.active().unwrap(),
        without_successor: false,
    });
    service
}

#[test]
fn a_manifest_comes_back_as_it_was() {
    let service = manifest();
    let json = service.manifest.to_json().unwrap();
    let again = Manifest::from_json(&json).unwrap();
    assert_eq!(again, service.manifest);
    assert_eq!(again.to_json().unwrap(), json);
}

#[test]
fn a_manifest_is_written_for_people() {
    let service = Service::running(policy());
    let text = String::from_utf8(service.manifest.to_json().unwrap()).unwrap();
    let kid = service.kid(1);
    let head = format!(
        "{{\n  \"version\": 1,\n  \"revision\": 4,\n  \"created_at\": {NOW},\n  \"changed_at\": {NOW},\n  \"policy\": {{\n    \"version\": 1,\n    \"nobody_has_fetched\": true,\n    \"lanes\": [\n      {{\n        \"algorithm\": \"RS256\",\n        \"backend\": \"hsm\",\n"
    );
    assert!(text.starts_with(&head), "{text}");
    let tail = format!(
        "    {{\n      \"revision\": 4,\n      \"at\": {NOW},\n      \"by\": \"replica\",\n      \"what\": \"observe\",\n      \"kid\": \"{kid}\"\n    }}\n  ]\n}}\n"
    );
    assert!(text.ends_with(&tail), "{text}");
    assert!(text.contains("      \"reference\": \"keys/1.pem\",\n      \"role\": \"rotating\",\n"));
}

#[test]
fn what_a_later_release_adds_survives_changes() {
    let mut service = manifest();
    let mut json = service.json();
    let extra = json!({"b": [1, 0.1, null, 18446744073709551615_u64], "a": {"deep": -1}});
    let places = [
        "",
        "/policy",
        "/policy/lanes/0",
        "/times/0",
        "/times/1",
        "/keys/0",
        "/keys/1/jwk",
        "/history/3",
    ];
    for place in places {
        json.pointer_mut(place).unwrap()["added_later"] = extra.clone();
    }
    service.manifest = read(&json).unwrap();
    service.policy.version = 3;
    service.policy.times.lease /= 2;
    service.work_until(NOW + 90 * DAY);
    let after = service.json();
    for place in places {
        assert_eq!(
            after.pointer(place).unwrap()["added_later"],
            extra,
            "{place}"
        );
    }
    let again = Manifest::from_json(&service.manifest.to_json().unwrap()).unwrap();
    assert_eq!(again, service.manifest);
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    let mut json = Service::running(policy()).json();
    for version in [0_u64, 2, u64::MAX] {
        json["version"] = version.into();
        assert_eq!(read(&json), Err(ManifestError::Version { found: version }));
    }
    json["version"] = "1".into();
    assert!(matches!(read(&json), Err(ManifestError::Member { .. })));
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let text = String::from_utf8(manifest().manifest.to_json().unwrap()).unwrap();
    for (member, name) in [
        ("\"revision\": ", "revision"),
        ("\"standby\": ", "standby"),
        ("\"clock_lag\": ", "clock_lag"),
        ("\"kty\": ", "kty"),
        ("\"announce\": ", "announce"),
        ("\"by\": ", "by"),
    ] {
        assert!(text.contains(member));
        let twice = text.replacen(member, &format!("\"{name}\": 1, {member}"), 1);
        assert_eq!(
            Manifest::from_json(twice.as_bytes()),
            Err(ManifestError::DuplicateMember {
                name: name.to_owned()
            })
        );
    }
    // Also inside what is not known, and however the name is escaped.
    let twice = text.replacen('{', r#"{"new": [{"a": 1, "\u0061": 2}],"#, 1);
    assert_eq!(
        Manifest::from_json(twice.as_bytes()),
        Err(ManifestError::DuplicateMember {
            name: "a".to_owned()
        })
    );
}

#[test]
fn a_manifest_cut_short_is_refused_at_every_byte() {
    let service = Service::running(policy());
    let json = service.manifest.to_json().unwrap();
    let end = json.len() - 1;
    for length in 0..end {
        assert!(
            Manifest::from_json(&json[..length]).is_err(),
            "{length} of {end} bytes"
        );
    }
    assert!(Manifest::from_json(&json[..end]).is_ok());
}

#[test]
fn a_manifest_that_is_too_long_is_neither_read_nor_written() {
    let service = Service::running(policy());
    let mut json = service.manifest.to_json().unwrap();
    json.resize(Manifest::MAX_LEN, b' ');
    assert_eq!(Manifest::from_json(&json).unwrap(), service.manifest);
    json.push(b' ');
    assert_eq!(
        Manifest::from_json(&json),
        Err(ManifestError::TooLarge {
            found: Manifest::MAX_LEN + 1
        })
    );
    // A member that fits only while the JSON has no spaces.
    let mut value = service.json();
    value["filler"] = vec![0; 3_000_000].into();
    let manifest = read(&value).unwrap();
    assert!(matches!(
        manifest.to_json(),
        Err(ManifestError::TooLarge { .. })
    ));
}

#[test]
fn secrets_are_refused_as_references() {
    let service = Service::running(policy());
    let der = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDd";
    let long = "r".repeat(1025);
    for reference in [
        "-----BEGIN PRIVATE KEY-----",
        "pkcs11:token=issuer;object=k?pin-value=1234",
        "pkcs11:token=issuer?PIN-VALUE=1234",
        "yubihsm:0x17?password=abc",
        r#"{"kty":"OKP","d":"AAAA"}"#,
        der,
        "",
        "two\nlines",
        "schlüssel.pem",
        long.as_str(),
    ] {
        let mut json = service.json();
        json["keys"][0]["reference"] = reference.into();
        match read(&json) {
            Err(error @ ManifestError::Reference { .. }) => {
                let text = format!("{error} {error:?}");
                assert!(reference.is_empty() || !text.contains(reference), "{text}");
            }
            other => panic!("{reference:?}: {other:?}"),
        }
    }
    let longest = "r".repeat(1024);
    for reference in [
        "keys/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs.pem",
        "pkcs11:token=issuer;object=NzbLsXh8;type=private?pin-source=file:/run/pin",
        "yubihsm:0x0017",
        longest.as_str(),
    ] {
        let mut json = service.json();
        json["keys"][0]["reference"] = reference.into();
        assert_eq!(read(&json).unwrap().keys()[0].reference(), reference);
    }
}

#[test]
fn keys_are_public_and_bear_their_thumbprints() {
    let service = Service::running(policy());
    let with = |member: &str, value: Value| {
        let mut json = service.json();
        json["keys"][0]["jwk"][member] = value;
        read(&json)
    };
    assert_eq!(
        with("d", "AQAB".into()),
        Err(ManifestError::Jwk {
            path: "keys[0].jwk".to_owned(),
            error: JwkError::Private { member: "d" },
        })
    );
    assert_eq!(
        with("kid", "mine".into()),
        Err(ManifestError::Kid {
            kid: "mine".to_owned(),
            thumbprint: service.kid(1),
        })
    );
    for member in ["kid", "alg"] {
        let mut json = service.json();
        json["keys"][0]["jwk"]
            .as_object_mut()
            .unwrap()
            .remove(member);
        assert!(
            matches!(read(&json), Err(ManifestError::Member { .. })),
            "{member}"
        );
    }
    let mut json = service.json();
    json["keys"] = vec![json["keys"][0].clone(), json["keys"][0].clone()].into();
    assert_eq!(
        read(&json),
        Err(ManifestError::DuplicateKid {
            kid: service.kid(1)
        })
    );
}

#[test]
fn an_error_says_where() {
    let json = manifest().json();
    for (place, value, path) in [
        ("/revision", json!(-1), "revision"),
        ("/changed_at", json!(1.5), "changed_at"),
        ("/changed_at", json!(253_402_300_800_u64), "changed_at"),
        ("/policy", json!([]), "policy"),
        (
            "/policy/nobody_has_fetched",
            json!(1),
            "policy.nobody_has_fetched",
        ),
        (
            "/policy/lanes/0/algorithm",
            json!("none"),
            "policy.lanes[0].algorithm",
        ),
        ("/times/1/lease", json!("1h"), "times[1].lease"),
        ("/times", json!([]), "times"),
        ("/keys/2/role", json!("spare"), "keys[2].role"),
        ("/keys/0/bootstrap", json!("later"), "keys[0].bootstrap"),
        ("/keys/1/announce", Value::Null, "keys[1].announce"),
        ("/keys/1", json!(1), "keys[1]"),
        ("/history/0/by", json!(7), "history[0].by"),
        ("/history", json!({}), "history"),
    ] {
        let mut json = json.clone();
        *json.pointer_mut(place).unwrap() = value;
        match read(&json) {
            Err(ManifestError::Member { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{place}: {other:?}"),
        }
    }
}

#[test]
fn records_and_history_hang_together() {
    let json = manifest().json();
    let revoked = json["changed_at"].as_u64().unwrap();
    for (place, value) in [
        ("/times/0/until", json!(NOW + 1)),
        ("/times/1/since", json!(NOW + 1)),
        ("/times/0/since", json!(NOW - 1)),
        ("/times/1/until", json!(revoked)),
        ("/history/1/revision", json!(0)),
        ("/history/1/at", json!(NOW - 1)),
        ("/history/1/kid", json!("nobody")),
        ("/history", json!([])),
        ("/revision", json!(3)),
        ("/changed_at", json!(revoked + 1)),
    ] {
        let mut json = json.clone();
        let pointer = place.rsplit_once('/').unwrap();
        json.pointer_mut(pointer.0).unwrap()[pointer.1] = value;
        assert!(
            matches!(read(&json), Err(ManifestError::Records { .. })),
            "{place}: {:?}",
            read(&json)
        );
    }
}

#[test]
fn moments_belong_together_and_are_in_order() {
    let mut service = Service::running(policy());
    service.work_until(NOW + 30 * DAY + 3 * HOUR);
    let json = service.json();
    for (key, moment) in [
        (0, "provisioned_at"),
        (1, "announce"),
        (1, "observed_at"),
        (1, "sign_not_after"),
        (1, "activate"),
        (0, "retire"),
        (0, "destroy"),
        (0, "activate"),
    ] {
        let mut json = json.clone();
        json["keys"][key].as_object_mut().unwrap().remove(moment);
        assert!(
            matches!(read(&json), Err(ManifestError::Incomplete { .. })),
            "{moment}: {:?}",
            read(&json)
        );
    }
    for (key, moment, at) in [
        (1, "announce", service.now + 1),
        (1, "observed_at", NOW),
        (1, "provisioned_at", NOW - 1),
        (1, "provisioned_at", service.now),
        (1, "sign_not_after", NOW),
        (0, "retire", NOW),
        (0, "destroyed_at", NOW),
        (0, "revoked_at", service.now + 1),
    ] {
        let mut json = json.clone();
        json["keys"][key][moment] = at.into();
        assert!(
            matches!(read(&json), Err(ManifestError::Order { .. })),
            "{moment}: {:?}",
            read(&json)
        );
    }
}

#[test]
fn moments_at_the_end_of_time_are_errors_and_no_panics() {
    let service = Service::running(policy());
    let end = 253_402_300_799_u64;
    let mut json = service.json();
    for moment in ["announce", "provisioned_at", "observed_at", "activate"] {
        json["keys"][0][moment] = end.into();
    }
    json["keys"][0]["sign_not_after"] = end.into();
    json["changed_at"] = end.into();
    json["history"][3]["at"] = end.into();
    let manifest = read(&json).unwrap();
    let policy = manifest.policy().clone();
    assert!(chancery_core::rotation::plan(&manifest, &policy, time(end)).is_err());
    let provision = Change::Provision {
        jwk: jwk(Algorithm::Rs256, 9),
        backend: "hsm".to_owned(),
        reference: "k".to_owned(),
        role: chancery_core::rotation::Role::Rotating,
    };
    let manifest = manifest.apply(&provision, "r", time(end)).unwrap();
    let kid = manifest.keys()[1].kid().to_owned();
    let announce = Change::Announce {
        kids: vec![kid.clone()],
    };
    assert_eq!(
        manifest.apply(&announce, "r", time(end)),
        Err(ManifestError::TooLate {
            kid,
            moment: "announce"
        })
    );
}
