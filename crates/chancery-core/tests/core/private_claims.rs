//! The service's own claims: any shape that serializes, and no registered name.

use std::collections::{BTreeMap, HashMap};

use chancery_core::{Claims, PrivateClaimError};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{ISSUER, REGISTERED, claims, issuer, payload};

fn registered(name: &str) -> PrivateClaimError {
    PrivateClaimError::Registered {
        name: name.to_owned(),
    }
}

pub(crate) fn duplicate(name: &str) -> PrivateClaimError {
    PrivateClaimError::Duplicate {
        name: name.to_owned(),
    }
}

#[track_caller]
pub(crate) fn refuses<T: Serialize + ?Sized>(group: &T, expected: PrivateClaimError) {
    assert_eq!(claims().with_private_claims(group).unwrap_err(), expected);
}

/// A map of whatever is put in, duplicates included.
pub(crate) struct Pairs<K, V>(pub(crate) Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Pairs<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[test]
fn values_of_every_shape_come_back_as_they_went_in() {
    #[derive(Serialize)]
    struct Build {
        id: u64,
        tags: Vec<&'static str>,
        parent: Option<Box<Build>>,
        state: State,
    }
    #[derive(Serialize)]
    enum State {
        Running,
        Failed { code: i32 },
    }
    let build = Build {
        id: u64::MAX,
        tags: vec!["a\"b", "c\\d", "e\nf", "\u{7f}\u{85}", "🦀"],
        parent: Some(Box::new(Build {
            id: 0,
            tags: vec![],
            parent: None,
            state: State::Running,
        })),
        state: State::Failed { code: -1 },
    };
    let claims = claims()
        .with_private_claim("build", &build)
        .and_then(|claims| claims.with_private_claim("null", &()))
        .and_then(|claims| claims.with_private_claim("large", &u128::MAX))
        .and_then(|claims| claims.with_private_claim("half", &0.5))
        .and_then(|claims| claims.with_private_claim("text", "x"))
        .unwrap();
    let payload = payload(&issuer(), &claims);
    assert_eq!(payload.find("build"), Some(&json!(build)));
    assert_eq!(payload.find("null"), Some(&Value::Null));
    assert_eq!(payload.find("half"), Some(&json!(0.5)));
    assert_eq!(payload.find("text"), Some(&json!("x")));
}

/// AWS session tags are such nested claims.
#[test]
fn registered_names_are_free_inside_a_nested_value() {
    let nested = json!({"sub": "x", "https://aws.amazon.com/tags": {"iss": ["y"]}});
    let claims = claims().with_private_claim("nested", &nested).unwrap();
    let payload = payload(&issuer(), &claims);
    assert_eq!(payload.find("nested"), Some(&nested));
    assert_eq!(payload.text("sub"), "job:4711");
}

#[test]
fn a_registered_name_is_refused_as_a_single_claim() {
    for name in REGISTERED {
        assert_eq!(
            claims().with_private_claim(name, &1).unwrap_err(),
            registered(name)
        );
    }
}

#[test]
fn a_registered_name_is_refused_in_a_map() {
    for name in REGISTERED {
        refuses(&BTreeMap::from([("a", 1), (name, 2)]), registered(name));
        refuses(&HashMap::from([(name.to_owned(), 2)]), registered(name));
        refuses(&json!({"a": 1, name: {}}), registered(name));
        refuses(&Some(json!({name: null})), registered(name));
        refuses(&Box::new(json!({name: 1})), registered(name));
    }
}

#[test]
fn a_registered_name_is_refused_in_a_struct() {
    #[derive(Serialize)]
    struct Own {
        run: u32,
        sub: &'static str,
    }
    #[derive(Serialize)]
    struct Renamed {
        #[serde(rename = "iss")]
        issuer: &'static str,
    }
    #[derive(Serialize)]
    #[serde(tag = "aud")]
    enum Tagged {
        Run { id: u32 },
    }
    refuses(&Own { run: 1, sub: "x" }, registered("sub"));
    refuses(&Renamed { issuer: "x" }, registered("iss"));
    refuses(&Tagged::Run { id: 1 }, registered("aud"));
}

#[test]
fn a_registered_name_is_refused_in_what_is_flattened() {
    #[derive(Serialize)]
    struct Outer {
        run: u32,
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    #[derive(Serialize)]
    struct Inner {
        stack: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        exp: Option<u64>,
    }
    let outer = |exp, rest: Value| Outer {
        run: 1,
        inner: Inner { stack: 2, exp },
        rest: serde_json::from_value(rest).unwrap(),
    };
    refuses(&outer(Some(1), json!({})), registered("exp"));
    refuses(&outer(None, json!({"jti": 1})), registered("jti"));
    refuses(&outer(None, json!({"run": 1})), duplicate("run"));
    let claims = claims()
        .with_private_claims(&outer(None, json!({"rest": 3})))
        .unwrap();
    assert_eq!(
        claims.private_names().collect::<Vec<_>>(),
        ["run", "stack", "rest"]
    );
}

#[test]
fn private_claims_are_found_by_how_they_begin_and_by_what_they_are() {
    let claims = claims()
        .with_private_claim("run", &"[not an array]")
        .and_then(|claims| claims.with_private_claim("https://a/x", &json!({"y": [1]})))
        .and_then(|claims| claims.with_private_claim("https://b/x", &json!(["é"])))
        .and_then(|claims| claims.with_private_claim("https://a/\"", &1))
        .and_then(|claims| claims.with_private_claim("empty", &json!({})))
        .unwrap();
    let begins = |prefix| {
        claims
            .private_claims_starting_with(prefix)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        begins("https://a/"),
        [("https://a/x", r#"{"y":[1]}"#), (r#"https://a/\""#, "1")]
    );
    assert_eq!(begins("https://b/x"), [("https://b/x", r#"["é"]"#)]);
    assert_eq!(begins("https://b/x/"), []);
    assert_eq!(begins("").len(), 5);
    let nested: Vec<_> = claims.nested_private_claims().collect();
    assert_eq!(
        nested,
        [
            ("https://a/x", r#"{"y":[1]}"#),
            ("https://b/x", r#"["é"]"#),
            ("empty", "{}")
        ]
    );
    assert_eq!(Claims::new("a").nested_private_claims().count(), 0);
}

#[test]
fn a_registered_name_is_refused_behind_a_newtype() {
    #[derive(Serialize)]
    struct Newtype(BTreeMap<&'static str, u32>);
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Transparent {
        members: Newtype,
    }
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Key(&'static str);
    refuses(&Newtype(BTreeMap::from([("sub", 1)])), registered("sub"));
    refuses(
        &Transparent {
            members: Newtype(BTreeMap::from([("nbf", 1)])),
        },
        registered("nbf"),
    );
    refuses(&BTreeMap::from([(Key("iat"), 1)]), registered("iat"));
    refuses(&BTreeMap::from([(Some("sub"), 1)]), registered("sub"));
}

#[test]
fn a_registered_name_is_refused_as_an_enum_variant() {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Claim {
        Sub(&'static str),
        Run(u32),
    }
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(rename_all = "snake_case")]
    enum Name {
        AuthTime,
        Run,
    }
    refuses(&Claim::Sub("x"), registered("sub"));
    refuses(
        &BTreeMap::from([(Name::AuthTime, 1)]),
        registered("auth_time"),
    );
    let claims = claims().with_private_claims(&Claim::Run(7)).unwrap();
    assert_eq!(payload(&issuer(), &claims).number("run"), 7);
    let claims = crate::support::claims()
        .with_private_claims(&BTreeMap::from([(Name::Run, 8)]))
        .unwrap();
    assert_eq!(payload(&issuer(), &claims).number("run"), 8);
}

/// JSON that is passed through unread can spell a name in many ways.
#[test]
fn a_registered_name_in_disguise_is_refused() {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    for name in [r#""s\u0075b""#, r#""\u0073\u0075\u0062""#] {
        let group = Pairs(vec![(raw(name), 1)]);
        assert!(claims().with_private_claims(&group).is_err(), "{name}");
    }
    // The same goes for two spellings of one name.
    let group = Pairs(vec![(raw(r#""run""#), 1), (raw(r#""r\u0075n""#), 2)]);
    assert!(claims().with_private_claims(&group).is_err());
}

#[test]
fn raw_json_is_a_value_and_no_group_of_claims() {
    let raw = RawValue::from_string(r#"{"sub": "x"}"#.to_owned()).unwrap();
    refuses(&raw, PrivateClaimError::NotAnObject);
    let claims = claims().with_private_claim("raw", &raw).unwrap();
    assert_eq!(
        payload(&issuer(), &claims).find("raw"),
        Some(&json!({"sub": "x"}))
    );
}

#[test]
fn a_name_that_only_resembles_a_registered_one_is_free() {
    let mut claims = claims();
    let names = [
        "Sub", "sub ", " sub", "su", "subj", "ſub", "sub\u{0}", "ѕub",
    ];
    for (index, name) in names.into_iter().enumerate() {
        claims = claims.with_private_claim(name, &index).unwrap();
    }
    let payload = payload(&issuer(), &claims);
    assert_eq!(payload.text("sub"), "job:4711");
    for (index, name) in names.into_iter().enumerate() {
        assert_eq!(payload.find(name), Some(&json!(index)));
    }
}

#[test]
fn a_name_is_refused_the_second_time() {
    assert_eq!(
        claims()
            .with_private_claim("run", &1)
            .and_then(|claims| claims.with_private_claim("run", &1))
            .unwrap_err(),
        duplicate("run")
    );
    assert_eq!(
        claims()
            .with_private_claim("run", &1)
            .and_then(|claims| claims.with_private_claims(&json!({"a": 1, "run": 1})))
            .unwrap_err(),
        duplicate("run")
    );
    refuses(&Pairs(vec![("a", 1), ("b", 2), ("a", 3)]), duplicate("a"));
    // A name that has to be escaped is still the same name.
    refuses(
        &Pairs(vec![("a\"\n", 1), ("a\"\n", 2)]),
        duplicate(r#"a\"\n"#),
    );
}

#[test]
fn names_of_any_characters_are_escaped() {
    let names = [
        r#"a"b"#,
        r"a\b",
        r#"","iss":"x"#,
        "line\nbreak",
        "\u{0}\u{7f}\u{85}",
        "日本",
        "",
        "https://aws.amazon.com/tags",
    ];
    let claims = claims()
        .with_private_claims(&Pairs(names.iter().map(|name| (name, 1)).collect()))
        .unwrap();
    let payload = payload(&issuer(), &claims);
    assert_eq!(payload.text("iss"), ISSUER);
    for name in names {
        assert_eq!(payload.number(name), 1);
    }
}

#[test]
fn keys_that_are_no_strings_are_refused() {
    refuses(&BTreeMap::from([(1, 1)]), PrivateClaimError::NameNotAString);
    refuses(
        &BTreeMap::from([(true, 1)]),
        PrivateClaimError::NameNotAString,
    );
    refuses(
        &BTreeMap::from([([1, 2], 1)]),
        PrivateClaimError::NameNotAString,
    );
    refuses(
        &BTreeMap::from([((), 1)]),
        PrivateClaimError::NameNotAString,
    );
    refuses(
        &Pairs(vec![(json!({"a": 1}), 1)]),
        PrivateClaimError::NameNotAString,
    );
}

#[test]
fn a_group_must_be_a_map_or_a_struct() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Tuple(u32, u32);
    #[derive(Serialize)]
    enum Variant {
        Unit,
        Tuple(u32, u32),
        Struct { a: u32 },
    }
    let group = |refused: Result<Claims, _>| refused.unwrap_err();
    for error in [
        group(claims().with_private_claims(&1)),
        group(claims().with_private_claims(&1.5)),
        group(claims().with_private_claims(&true)),
        group(claims().with_private_claims(&'a')),
        group(claims().with_private_claims("a")),
        group(claims().with_private_claims(&())),
        group(claims().with_private_claims(&None::<Value>)),
        group(claims().with_private_claims(&[1])),
        group(claims().with_private_claims(&vec![("a", 1)])),
        group(claims().with_private_claims(&("a", 1))),
        group(claims().with_private_claims(&Value::Null)),
        group(claims().with_private_claims(&json!("a"))),
        group(claims().with_private_claims(&Unit)),
        group(claims().with_private_claims(&Tuple(1, 2))),
        group(claims().with_private_claims(&Variant::Unit)),
        group(claims().with_private_claims(&Variant::Tuple(1, 2))),
        group(claims().with_private_claims(&Variant::Struct { a: 1 })),
        group(claims().with_private_claims(&1_i128)),
        group(claims().with_private_claims(&1_u128)),
    ] {
        assert_eq!(error, PrivateClaimError::NotAnObject);
    }
}

#[test]
fn an_empty_group_adds_nothing() {
    let claims = claims().with_private_claims(&json!({})).unwrap();
    assert_eq!(claims.private_names().count(), 0);
    assert_eq!(payload(&issuer(), &claims).0.len(), 7);
}

#[test]
fn a_value_is_nested_as_deep_as_relying_parties_read() {
    let nested = |depth| {
        (0..depth).fold(json!("[[[{{{\"[\\"), |inner, level| match level % 2 {
            0 => json!([inner, "]"]),
            _ => json!({"a[{": inner, "b": "}\""}),
        })
    };
    let deepest = claims().with_private_claim("deep", &nested(63)).unwrap();
    let found = payload(&issuer(), &deepest);
    assert_eq!(found.find("deep"), Some(&nested(63)));
    let too_deep = PrivateClaimError::TooDeep {
        name: "deep".to_owned(),
    };
    assert_eq!(
        claims()
            .with_private_claim("deep", &nested(64))
            .unwrap_err(),
        too_deep
    );
    refuses(&json!({"deep": nested(64)}), too_deep);
    // Beside one another there may be as many as there are.
    let wide = vec![json!([{}]); 1000];
    assert!(claims().with_private_claim("wide", &wide).is_ok());
}

pub(crate) struct Failing;

impl Serialize for Failing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("the database is gone"))
    }
}

#[test]
fn a_value_that_fails_to_serialize_is_an_error() {
    let failed = |name: Option<&str>| PrivateClaimError::Serialize {
        name: name.map(str::to_owned),
        message: "the database is gone".to_owned(),
    };
    assert_eq!(
        claims().with_private_claim("a", &Failing).unwrap_err(),
        failed(Some("a"))
    );
    refuses(&Failing, failed(None));
    refuses(&BTreeMap::from([("a", Failing)]), failed(Some("a")));
    refuses(&BTreeMap::from([("a", [[Failing]])]), failed(Some("a")));
    refuses(&Pairs(vec![(Failing, 1)]), failed(None));
    // A map in a value needs names as well.
    assert!(
        claims()
            .with_private_claim("a", &BTreeMap::from([([1], 1)]))
            .is_err()
    );
}

/// A careless `Serialize` that goes on after an error.
pub(crate) struct Careless(pub(crate) fn(&mut dyn MapWriter));

pub(crate) trait MapWriter {
    fn entry(&mut self, name: &str, value: u32);
    fn name(&mut self, name: &str);
    fn value(&mut self, value: u32);
}

struct Swallowing<M>(M);

impl<M: SerializeMap> MapWriter for Swallowing<M> {
    fn entry(&mut self, name: &str, value: u32) {
        drop(self.0.serialize_entry(name, &value));
    }

    fn name(&mut self, name: &str) {
        drop(self.0.serialize_key(name));
    }

    fn value(&mut self, value: u32) {
        drop(self.0.serialize_value(&value));
    }
}

impl Serialize for Careless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Swallowing(serializer.serialize_map(None)?);
        (self.0)(&mut map);
        map.0.end()
    }
}

#[test]
fn an_error_that_a_careless_type_swallows_is_an_error_still() {
    refuses(
        &Careless(|map| {
            map.entry("sub", 1);
            map.entry("a", 2);
        }),
        registered("sub"),
    );
    refuses(
        &Careless(|map| {
            map.name("sub");
            map.value(1);
        }),
        registered("sub"),
    );
    for careless in [
        Careless(|map| map.name("a")),
        Careless(|map| map.value(1)),
        Careless(|map| {
            map.name("a");
            map.name("b");
            map.value(1);
        }),
        Careless(|map| {
            map.name("a");
            map.value(1);
            map.value(2);
        }),
    ] {
        assert!(matches!(
            claims().with_private_claims(&careless),
            Err(PrivateClaimError::Serialize { .. })
        ));
    }
}

#[test]
fn claims_are_used_again_and_again() {
    let issuer = issuer();
    let claims = claims().with_private_claim("run", &1).unwrap();
    let copy = claims.clone().with_private_claim("step", &2).unwrap();
    for _ in 0..3 {
        assert_eq!(payload(&issuer, &claims).find("step"), None);
        assert_eq!(payload(&issuer, &copy).number("step"), 2);
    }
}
