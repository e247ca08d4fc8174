//! The values of the service's own claims: JSON as serde_json writes it, or an error.

use std::collections::BTreeMap;

use chancery_core::{Claims, PrivateClaimError};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::ser::{Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::private_claims::{Careless, Failing, Pairs, duplicate, refuses};
use crate::properties::any_json;
use crate::support::{claims, decode, issuer};

/// The value as it stands in the payload, byte for byte.
fn rendered<T: Serialize + ?Sized>(value: &T) -> Result<String, PrivateClaimError> {
    let claims = claims().with_private_claim("value", value)?;
    let token = issuer().issue(&claims).unwrap();
    let payload = token.as_str().split('.').nth(1).unwrap();
    let payload = String::from_utf8(decode(payload)).unwrap();
    let (_, behind) = payload.split_once(r#","value":"#).unwrap();
    Ok(behind.strip_suffix('}').unwrap().to_owned())
}

#[track_caller]
fn refuses_value<T: Serialize + ?Sized>(value: &T) -> PrivateClaimError {
    // Alone, and where its error could be swallowed by what is around it.
    let alone = claims().with_private_claim("a", value).unwrap_err();
    let inside = Swallowed(value);
    assert_eq!(
        claims().with_private_claim("a", &inside).unwrap_err(),
        alone
    );
    assert_eq!(
        claims()
            .with_private_claims(&Pairs(vec![("a", &inside)]))
            .unwrap_err(),
        alone
    );
    alone
}

/// An array, a map and a struct that go on after what is in them has failed.
struct Swallowed<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Swallowed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(1))?;
        drop(array.serialize_element(&SwallowedInMap(self.0)));
        drop(array.serialize_element(&1));
        array.end()
    }
}

struct SwallowedInMap<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for SwallowedInMap<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        drop(map.serialize_entry("a", &SwallowedInStruct(self.0)));
        drop(map.serialize_entry("b", &1));
        map.end()
    }
}

struct SwallowedInStruct<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for SwallowedInStruct<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct_variant("Enum", 0, "Variant", 2)?;
        drop(fields.serialize_field("a", self.0));
        drop(fields.serialize_field("b", &1));
        fields.end()
    }
}

fn is_serialize(error: &PrivateClaimError) -> bool {
    matches!(error, PrivateClaimError::Serialize { name: Some(name), .. } if name == "a")
}

/// Poses as one of serde_json's own types, whose text it writes as it is.
struct Posing {
    token: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Serialize for Posing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct(self.token, self.fields.len())?;
        for (name, value) in &self.fields {
            fields.serialize_field(name, value)?;
        }
        fields.end()
    }
}

const RAW_VALUE: &str = "$serde_json::private::RawValue";
const NUMBER: &str = "$serde_json::private::Number";

#[test]
fn raw_json_that_injects_members_is_refused() {
    for token in [RAW_VALUE, NUMBER] {
        for text in [
            r#"1,"iss":"https://evil"#,
            r#"1,"iss":"https://evil.example""#,
            "1}",
            "1 2",
            "",
            " ",
            "[1",
            "]",
            "{\"a\"}",
            "\"a",
            "nul",
            r#""\ud800""#,
            "01",
            "1e",
            "NaN",
        ] {
            let fields = vec![(token, json!(text))];
            let error = refuses_value(&Posing { token, fields });
            assert!(is_serialize(&error), "{token} {text}: {error}");
        }
    }
    for text in ["true", "[1]", " 1", "1 ", "\"1\""] {
        let fields = vec![(NUMBER, json!(text))];
        let token = NUMBER;
        assert!(is_serialize(&refuses_value(&Posing { token, fields })));
    }
}

#[test]
fn structs_that_only_resemble_those_of_serde_json_are_refused() {
    let unknown = "$serde_json::private::Other";
    let one = json!("1");
    for (token, fields) in [
        (unknown, vec![(unknown, one.clone())]),
        (unknown, vec![]),
        (RAW_VALUE, vec![]),
        (RAW_VALUE, vec![("a", one.clone())]),
        (RAW_VALUE, vec![(NUMBER, one.clone())]),
        (RAW_VALUE, vec![(RAW_VALUE, json!(1))]),
        (RAW_VALUE, vec![(RAW_VALUE, json!(["1"]))]),
        (RAW_VALUE, vec![(RAW_VALUE, one.clone()), (RAW_VALUE, one)]),
    ] {
        assert!(is_serialize(&refuses_value(&Posing { token, fields })));
    }
}

#[test]
fn raw_json_and_numbers_of_any_precision_stay_as_they_are() {
    for text in ["1", "-0.50E+3", "1e999", "123456789012345678901234567890"] {
        let fields = vec![(NUMBER, json!(text))];
        let token = NUMBER;
        // Without the feature of that name, serde_json takes no number that is too large for it.
        match rendered(&Posing { token, fields }) {
            Ok(number) => assert_eq!(number, text),
            Err(error) => assert_eq!(text, "1e999", "{error}"),
        }
    }
    for text in [
        r#"{"a" : [1.50, "\u00e9\n", {}, null, true, -7], "b":{"a":1}}"#,
        "[ ]",
        "0.10",
        "\"\"",
    ] {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(rendered(&raw).unwrap(), text);
        assert_eq!(rendered(&[&raw]).unwrap(), format!("[{text}]"));
    }
}

#[test]
fn raw_json_is_no_deeper_and_repeats_no_name() {
    let raw = |text: String| RawValue::from_string(text).unwrap();
    let nested = |depth| raw("[".repeat(depth) + &"]".repeat(depth));
    assert!(claims().with_private_claim("a", &nested(63)).is_ok());
    assert!(claims().with_private_claim("a", &[nested(62)]).is_ok());
    let too_deep = PrivateClaimError::TooDeep {
        name: "a".to_owned(),
    };
    assert_eq!(refuses_value(&nested(64)), too_deep);
    assert_eq!(
        claims().with_private_claim("a", &[nested(63)]).unwrap_err(),
        too_deep
    );
    let text = r#"[{"a":{"run":1,"b":2,"r\u0075n":3}}]"#;
    assert_eq!(refuses_value(&raw(text.to_owned())), duplicate("run"));
}

#[test]
fn parts_of_a_nested_map_out_of_turn_are_refused() {
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
        Careless(|map| {
            map.entry("a", 1);
            map.name("b");
        }),
    ] {
        assert!(is_serialize(&refuses_value(&careless)));
    }
}

#[test]
fn an_error_inside_a_value_is_an_error_whatever_its_type_makes_of_it() {
    assert_eq!(
        refuses_value(&Failing),
        PrivateClaimError::Serialize {
            name: Some("a".to_owned()),
            message: "the database is gone".to_owned(),
        }
    );
    let repeats = Careless(|map| {
        map.entry("sub", 1);
        map.entry("sub", 2);
    });
    assert_eq!(refuses_value(&repeats), duplicate("sub"));
}

/// Leaves an array, or a name, unfinished.
struct Unfinished(bool);

impl Serialize for Unfinished {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            drop(serializer.serialize_seq(None)?);
        } else {
            serializer.serialize_map(None)?.serialize_key("a")?;
        }
        Err(S::Error::custom("unfinished"))
    }
}

/// Catches the panic of what is in it.
struct Catching;

impl Serialize for Catching {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Panicking;
        impl Serialize for Panicking {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let _array = serializer.serialize_seq(None)?;
                std::panic::resume_unwind(Box::new(()))
            }
        }
        let mut array = serializer.serialize_seq(None)?;
        let element = std::panic::AssertUnwindSafe(|| array.serialize_element(&Panicking));
        assert!(std::panic::catch_unwind(element).is_err());
        array.end()
    }
}

#[test]
fn a_value_that_is_not_finished_is_refused() {
    for unfinished in [Unfinished(true), Unfinished(false)] {
        assert!(is_serialize(&refuses_value(&unfinished)));
    }
    assert!(is_serialize(&refuses_value(&Catching)));
}

#[test]
fn a_number_that_json_does_not_have_is_refused() {
    let not_a_number = PrivateClaimError::NotANumber {
        name: "a".to_owned(),
    };
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(refuses_value(&number), not_a_number);
        assert_eq!(refuses_value(&Some([number])), not_a_number);
        assert_eq!(refuses_value(&Pairs(vec![(number, 1)])), not_a_number);
    }
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(refuses_value(&number), not_a_number);
    }
}

#[test]
fn a_name_is_refused_the_second_time_in_a_nested_object() {
    #[derive(Serialize)]
    struct Outer {
        run: u32,
        #[serde(flatten)]
        rest: BTreeMap<String, u32>,
    }
    let outer = Outer {
        run: 1,
        rest: BTreeMap::from([("run".to_owned(), 2)]),
    };
    assert_eq!(refuses_value(&outer), duplicate("run"));
    // However many names there are, and whatever stands between them.
    for count in [2, 31, 32, 33, 34, 500] {
        for first in [0, count - 2] {
            let mut names: Vec<_> = (0..count).map(|index| format!("name{index}")).collect();
            let nested = |names: &[String]| {
                let member = |name: &String| (name.clone(), json!({name.as_str(): [{}]}));
                Pairs(names.iter().map(member).collect())
            };
            assert!(rendered(&nested(&names)).is_ok());
            let group = claims().with_private_claims(&nested(&names)).unwrap();
            assert_eq!(group.private_names().count(), count);
            names[count - 1] = names[first].clone();
            let expected = duplicate(&names[first]);
            assert_eq!(refuses_value(&nested(&names)), expected);
            refuses(&nested(&names), expected);
        }
    }
}

#[test]
fn private_claims_take_no_more_than_65_536_bytes() {
    // With its name, `,"a":""` around it.
    let text = |length: usize| "x".repeat(length - 7);
    let full = claims().with_private_claim("a", &text(65_536)).unwrap();
    assert_eq!(full.private_names().count(), 1);
    let too_large = |refused: Result<Claims, _>| {
        assert_eq!(refused.err(), Some(PrivateClaimError::TooLarge));
    };
    too_large(claims().with_private_claim("a", &text(65_537)));
    too_large(claims().with_private_claim(&"x".repeat(65_532), &1));
    too_large(claims().with_private_claims(&json!({"a": text(60_000), "b": text(5_600)})));
    too_large(full.with_private_claim("b", &1));
    too_large(claims().with_private_claim("a", &"\n".repeat(40_000)));
    too_large(claims().with_private_claim("a", &vec![0; 40_000]));
    too_large(claims().with_private_claim("a", &RawText("x".repeat(70_000))));
}

struct RawText(String);

impl Serialize for RawText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("\"{}\"", self.0);
        RawValue::from_string(text).unwrap().serialize(serializer)
    }
}

/// Yields names without end, which only a bound on what is written can stop.
struct Endless;

impl Serialize for Endless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for index in 0_u64.. {
            map.serialize_entry(&index.to_string(), &[()])?;
        }
        map.end()
    }
}

#[test]
fn a_map_with_too_many_names_is_refused_early() {
    let start = std::time::Instant::now();
    let names = (0..100_000).map(|index| (format!("{index}"), 1)).collect();
    refuses(&Pairs(names), PrivateClaimError::TooLarge);
    refuses(&Endless, PrivateClaimError::TooLarge);
    assert_eq!(refuses_value(&Endless), PrivateClaimError::TooLarge);
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn each_character_is_escaped_wherever_it_stands() {
    for length in 1..20 {
        for position in 0..length {
            let text = |character| {
                let others = |index| if index == position { character } else { '~' };
                (0..length).map(others).collect::<String>()
            };
            let texts: Vec<String> = (0..=0x80_u8).map(|byte| text(byte.into())).collect();
            assert_eq!(
                rendered(&texts).unwrap(),
                serde_json::to_string(&texts).unwrap()
            );
        }
    }
}

#[derive(Clone, Debug, Serialize)]
enum Variant {
    Unit,
    Newtype(Option<Box<Variant>>),
    Tuple(i8, f32),
    Struct { text: String, unit: () },
    EmptyTuple(),
    EmptyStruct {},
}

#[derive(Clone, Debug, Serialize)]
struct Newtype(u16);

#[derive(Clone, Debug, Serialize)]
struct Unit;

/// Each of the shapes that serde knows.
#[derive(Clone, Debug, Serialize)]
struct Shapes {
    numbers: (i128, u128, i64, u64, f32, f64),
    more_numbers: (i32, u32, i16, u16, i8, u8, bool),
    character: char,
    bytes: Bytes,
    texts: Vec<String>,
    names: BTreeMap<String, Newtype>,
    integer_names: (BTreeMap<i64, Unit>, BTreeMap<u128, bool>),
    other_names: (BTreeMap<bool, ()>, BTreeMap<char, u8>),
    variants: Vec<Variant>,
}

#[derive(Clone, Debug)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

fn any_variant() -> impl Strategy<Value = Variant> {
    prop_oneof![
        Just(Variant::Unit),
        Just(Variant::Newtype(None)),
        Just(Variant::Newtype(Some(Box::new(Variant::Unit)))),
        (any::<i8>(), any::<f32>()).prop_map(|(number, float)| Variant::Tuple(number, float)),
        any::<String>().prop_map(|text| Variant::Struct { text, unit: () }),
        Just(Variant::EmptyTuple()),
        Just(Variant::EmptyStruct {}),
    ]
}

fn any_shapes() -> impl Strategy<Value = Shapes> {
    let names = (
        btree_map(any::<String>(), any::<u16>().prop_map(Newtype), 0..4),
        (
            btree_map(any::<i64>(), Just(Unit), 0..4),
            btree_map(any::<u128>(), any::<bool>(), 0..4),
        ),
        (
            btree_map(any::<bool>(), Just(()), 0..3),
            btree_map(any::<char>(), any::<u8>(), 0..4),
        ),
    );
    let texts = (
        any::<char>(),
        vec(any::<u8>(), 0..4).prop_map(Bytes),
        vec(any::<String>(), 0..4),
    );
    let numbers = any::<(i128, u128, i64, u64, f32, f64)>();
    let more_numbers = any::<(i32, u32, i16, u16, i8, u8, bool)>();
    let variants = vec(any_variant(), 0..6);
    (numbers, more_numbers, texts, names, variants).prop_map(
        |(numbers, more_numbers, (character, bytes, texts), names, variants)| {
            let (names, integer_names, other_names) = names;
            Shapes {
                numbers,
                more_numbers,
                character,
                bytes,
                texts,
                names,
                integer_names,
                other_names,
                variants,
            }
        },
    )
}

proptest! {
    #[test]
    fn json_is_written_as_serde_json_writes_it(value in any_json()) {
        prop_assert_eq!(rendered(&value).unwrap(), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn every_shape_is_written_as_serde_json_writes_it(value in any_shapes()) {
        prop_assert_eq!(rendered(&value).unwrap(), serde_json::to_string(&value).unwrap());
    }
}
