//! Session tags and the source identity within AWS's limits.

use chancery_core::{Claims, TokenPolicy, TokenRequest};
use chancery_federation::aws::{
    SessionTags, SessionTagsError, SourceIdentity, SourceIdentityError,
};
use chancery_federation::{Binding, Bindings, RelyingParty};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tag(key: &str, value: &str) -> Result<SessionTags, SessionTagsError> {
    SessionTags::new().with_tag(key, value)
}

/// The claim's JSON as it stands in a token.
fn rendered(tags: &SessionTags) -> String {
    let claims = Claims::new("s")
        .with_private_claim(SessionTags::CLAIM, tags)
        .unwrap();
    claims.private_claim(SessionTags::CLAIM).unwrap().to_owned()
}

#[test]
fn the_claim_is_the_one_that_aws_documents() {
    let tags = SessionTags::new()
        .with_transitive_tag("Project", "Automation")
        .unwrap()
        .with_tag("Department", "Engineering")
        .unwrap();
    assert_eq!(
        rendered(&tags),
        r#"{"principal_tags":{"Project":["Automation"],"Department":["Engineering"]},"transitive_tag_keys":["Project"]}"#
    );
    assert_eq!(
        rendered(&tag("a", "").unwrap()),
        r#"{"principal_tags":{"a":[""]}}"#
    );
    assert_eq!(
        SessionTags::from_json(&rendered(&tags)).map(|read| read.len()),
        Ok(2)
    );
    assert_eq!(
        tags.iter().collect::<Vec<_>>(),
        [
            ("Project", "Automation", true),
            ("Department", "Engineering", false)
        ]
    );
}

/// Readers that take no account of case differ on these: U+017F is an S where both are made capital
/// letters, U+0131 an I.
#[test]
fn a_key_is_there_already_whatever_its_case() {
    for (one, other) in [
        ("space", "SPACE"),
        ("space", "\u{17f}pace"),
        ("organizationId", "organ\u{131}zationId"),
        ("straße", "STRASSE"),
        ("k", "\u{212a}"),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let twice = tag(one, "1").unwrap().with_tag(other, "2");
            let key = other.to_owned();
            assert_eq!(twice, Err(SessionTagsError::Twice { key }));
        }
    }
    assert!(tag("space", "1").unwrap().with_tag("späce", "2").is_ok());
}

#[test]
fn lengths_are_counted_in_characters() {
    assert!(tag(&"ä".repeat(128), &"ß".repeat(256)).is_ok());
    assert!(matches!(
        tag(&"ä".repeat(129), ""),
        Err(SessionTagsError::KeyLength { len: 129, .. })
    ));
    assert!(matches!(
        tag("", "x"),
        Err(SessionTagsError::KeyLength { len: 0, .. })
    ));
    assert!(matches!(
        tag("a", &"ß".repeat(257)),
        Err(SessionTagsError::ValueLength { len: 257, .. })
    ));
}

#[test]
fn characters_are_those_of_the_documentation() {
    for allowed in [
        "azAZ09",
        " _.:/=+-@",
        "é",
        "Ω",
        "日本",
        "Ⅷ",
        "½",
        "\u{a0}",
        "\u{3000}",
        "٣",
    ] {
        assert!(tag(allowed, allowed).is_ok(), "{allowed}");
    }
    for refused in [
        "a*", "?", "a,b", "\"", "\\", "a\tb", "\n", "\0", "%", "$", "(", "😀", "a\u{301}",
        "\u{93e}", "\u{200b}",
    ] {
        assert!(
            matches!(tag(refused, ""), Err(SessionTagsError::KeyCharacter { .. })),
            "{refused:?}"
        );
        assert!(
            matches!(
                tag("k", refused),
                Err(SessionTagsError::ValueCharacter { .. })
            ),
            "{refused:?}"
        );
    }
    assert!(matches!(
        tag("k", "ab*"),
        Err(SessionTagsError::ValueCharacter { position: 2, .. })
    ));
}

#[test]
fn reserved_and_repeated_keys_are_refused() {
    for reserved in ["aws:x", "AWS:x", "Aws:"] {
        assert!(matches!(
            tag(reserved, ""),
            Err(SessionTagsError::Reserved { .. })
        ));
    }
    for allowed in ["aws", "awsome:x", "x:aws:"] {
        assert!(tag(allowed, "").is_ok());
    }
    for (one, other) in [("Project", "project"), ("Ä", "ä"), ("a", "a")] {
        assert!(matches!(
            tag(one, "").unwrap().with_transitive_tag(other, ""),
            Err(SessionTagsError::Twice { .. })
        ));
    }
}

#[test]
fn fifty_tags_fit() {
    let mut tags = SessionTags::new();
    for number in 0..50 {
        tags = tags.with_tag(format!("k{number}"), "v").unwrap();
    }
    assert!(accepts(&rendered(&tags)));
    assert_eq!(
        tags.clone().with_tag("k50", "v"),
        Err(SessionTagsError::TooMany)
    );
    let mut value: Value = serde_json::from_str(&rendered(&tags)).unwrap();
    value["principal_tags"]["k50"] = json!(["v"]);
    assert_eq!(
        SessionTags::from_json(&value.to_string()),
        Err(SessionTagsError::TooMany)
    );
    assert!(!accepts(&value.to_string()));
}

#[test]
fn other_shapes_are_refused() {
    for (json, place) in [
        ("[]", ""),
        ("7", ""),
        ("{", ""),
        ("{}", "principal_tags"),
        (r#"{"principal_tags":[]}"#, "principal_tags"),
        (r#"{"principal_tags":{"a":"b"}}"#, "a"),
        (r#"{"principal_tags":{"a":[]}}"#, "a"),
        (r#"{"principal_tags":{"a":["b","c"]}}"#, "a"),
        (r#"{"principal_tags":{"a":[1]}}"#, "a"),
        (
            r#"{"principal_tags":{"a":["b"]},"transitive_tag_keys":"a"}"#,
            "transitive_tag_keys",
        ),
        (
            r#"{"principal_tags":{"a":["b"]},"transitive_tag_keys":[1]}"#,
            "transitive_tag_keys",
        ),
        (r#"{"principal_tags":{"a":["b"]},"other":1}"#, "other"),
    ] {
        assert_eq!(
            SessionTags::from_json(json),
            Err(SessionTagsError::Shape {
                place: place.to_owned()
            }),
            "{json}"
        );
        assert!(!accepts(json), "{json}");
    }
    let other_case = r#"{"principal_tags":{"a":["b"]},"transitive_tag_keys":["A"]}"#;
    assert!(!accepts(other_case));
    assert_eq!(
        SessionTags::from_json(other_case),
        Err(SessionTagsError::NoSuchTag {
            key: "A".to_owned()
        })
    );
    // No tags at all are no tags.
    assert!(SessionTags::from_json(r#"{"principal_tags":{}}"#).is_ok());
}

#[test]
fn source_identities_are_those_that_aws_takes() {
    for good in ["ab", "Admin", "a_b+c=d,e.f@g-h", &"a".repeat(64)] {
        assert_eq!(SourceIdentity::parse(good).unwrap().as_str(), good);
    }
    for (bad, error) in [
        ("", SourceIdentityError::Length { len: 0 }),
        ("a", SourceIdentityError::Length { len: 1 }),
        (&"a".repeat(65), SourceIdentityError::Length { len: 65 }),
        ("aws:me", SourceIdentityError::Character { position: 3 }),
        ("two words", SourceIdentityError::Character { position: 3 }),
        ("é", SourceIdentityError::Character { position: 0 }),
    ] {
        assert_eq!(SourceIdentity::parse(bad), Err(error), "{bad}");
    }
}

/// What the check says that is made for each token.
fn accepts(json: &str) -> bool {
    let value: Value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(_) => return false,
    };
    let claims = Claims::new("job:4711")
        .with_audience("aws")
        .with_private_claim(SessionTags::CLAIM, &value)
        .unwrap();
    let bindings = Bindings::new([Binding::new("aws", RelyingParty::AWS).allow_session_tags()]);
    let url = chancery_core::IssuerUrl::parse("https://id.example.com").unwrap();
    bindings
        .terms(&TokenRequest::new(
            &url,
            &claims,
            std::time::Duration::from_secs(900),
        ))
        .is_ok()
}

proptest! {
    /// The fast check of canonical JSON and the slow one agree.
    #[test]
    fn the_check_for_each_token_agrees_with_the_builder(
        tags in prop::collection::vec(
            ("[a-cA-C:]{0,3}|aws:a|[^a]{1,2}", "[a-z @*ä\"]{0,4}|[a-z]{250,260}"),
            0..6,
        ),
        transitive in prop::collection::vec(0_usize..8, 0..3),
    ) {
        let mut object = serde_json::Map::new();
        for (key, value) in &tags {
            object.insert(key.clone(), json!([value]));
        }
        let keys: Vec<&String> = transitive
            .iter()
            .filter_map(|index| tags.get(*index))
            .map(|(key, _)| key)
            .collect();
        let mut claim = json!({"principal_tags": object});
        if !keys.is_empty() {
            claim["transitive_tag_keys"] = json!(keys);
        }
        let built = SessionTags::from_json(&claim.to_string());
        prop_assert_eq!(accepts(&claim.to_string()), built.is_ok(), "{} {:?}", claim, built);
        if let Ok(built) = built {
            prop_assert!(accepts(&rendered(&built)));
            prop_assert_eq!(
                serde_json::from_str::<Value>(&rendered(&built)).unwrap()["principal_tags"].clone(),
                claim["principal_tags"].clone()
            );
        }
    }
}

#[test]
fn members_that_are_there_twice_are_refused() {
    for json in [
        r#"{"principal_tags":{"org":["a"],"org":["b"]}}"#,
        r#"{"principal_tags":{"org":["a"]},"principal_tags":{"org":["b"]}}"#,
        r#"{"principal_tags":{"org":["a"],"\u006frg":["b"]}}"#,
    ] {
        assert_eq!(
            SessionTags::from_json(json),
            Err(SessionTagsError::RepeatedMember),
            "{json}"
        );
    }
    assert!(SessionTags::from_json(r#"{"principal_tags":{"org":["a"],"team":["a"]}}"#).is_ok());
}

/// Keys of all lengths around those at which the check reads several characters at once.
#[test]
fn a_key_in_another_case_is_the_same_key_wherever_the_cases_differ() {
    let claim = |keys: [&str; 2]| json!({"principal_tags": {keys[0]: ["x"], keys[1]: ["y"]}});
    for len in 1..=24 {
        let key = "k".repeat(len);
        for position in 0..len {
            let with = |letter: &str| {
                let mut other = key.clone();
                other.replace_range(position..=position, letter);
                other
            };
            assert!(!accepts(&claim([&key, &with("K")]).to_string()), "{key}");
            for other in ["l", "@", "_", " ", "=", "+", ":"] {
                let other = with(other);
                assert!(accepts(&claim([&key, &other]).to_string()), "{other}");
            }
        }
        let longer = format!("{key} ");
        assert!(accepts(&claim([&key, &longer]).to_string()), "{longer:?}");
    }
}
