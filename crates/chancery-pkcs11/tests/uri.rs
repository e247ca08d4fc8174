//! PKCS#11 URIs, as the RFC's examples and arbitrary ones.

// The lints let the tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic)]

use chancery_pkcs11::{ObjectType, Pkcs11Uri, Pkcs11UriError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

/// The path's attributes in the order in which they are written.
const PATH: [&str; 13] = [
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
    "slot-id",
    "manufacturer",
    "model",
    "serial",
    "token",
    "object",
    "type",
    "id",
];

/// The query's, without the PIN.
const QUERY: [&str; 2] = ["module-name", "module-path"];

fn parse(uri: &str) -> Pkcs11Uri {
    uri.parse().unwrap_or_else(|error| panic!("{uri}: {error}"))
}

fn refused(uri: &str) -> Pkcs11UriError {
    uri.parse::<Pkcs11Uri>().expect_err(uri)
}

/// The examples of RFC 7512 §3.
#[test]
fn examples_of_the_rfc() {
    for uri in [
        "pkcs11:",
        "pkcs11:object=my-pubkey;type=public",
        "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
         model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?\
         pin-source=file:/etc/token_pin",
        "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
        "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
        "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?\
         pin-value=the-pin",
        "pkcs11:slot-description=Sun%20Metaslot",
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;\
         library-description=Soft%20Token%20Library;library-version=1.23",
        "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca\
         %fe%04%05%06",
        "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
        "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;\
         type=cert",
        "pkcs11:object=my-certificate?x-vend-opt=1",
    ] {
        parse(uri);
    }
    // A vendor's attribute in the path matches nothing.
    let vendor = "pkcs11:token=my-token;object=my-certificate;type=cert;vendor-aaa=value-a";
    assert!(matches!(
        refused(vendor),
        Pkcs11UriError::UnknownAttribute { name } if name == "vendor-aaa"
    ));
    // A program is nothing to be run for a line of configuration.
    let program = "pkcs11:object=my-key?pin-source=%7C/usr/lib/pinomatic";
    assert!(matches!(refused(program), Pkcs11UriError::Value { .. }));
}

#[test]
fn values_are_decoded() {
    let uri = parse(
        "PKCS11:object=caf%c3%a9;id=%00%fFa;type=secret-key?module-name=hsm&module-path=/a?b",
    );
    assert_eq!(uri.object(), Some("café"));
    assert_eq!(uri.id(), Some([0, 0xff, b'a'].as_slice()));
    assert_eq!(uri.object_type(), Some(ObjectType::SecretKey));
    assert_eq!(uri.module_name(), Some("hsm"));
    assert_eq!(uri.module_path(), Some("/a?b"));
    assert!(uri.pin().is_none());
}

#[test]
fn what_is_malformed_is_refused() {
    for (uri, error) in [
        ("", "a PKCS#11 URI begins with `pkcs11:`"),
        ("pkcs12:", "a PKCS#11 URI begins with `pkcs11:`"),
        ("pkcs11:token", "an attribute of the PKCS#11 URI is not"),
        ("pkcs11:token=a;", "an attribute of the PKCS#11 URI is not"),
        ("pkcs11:=a", "an attribute of the PKCS#11 URI is not"),
        ("pkcs11:to ken=a", "an attribute of the PKCS#11 URI is not"),
        (
            "pkcs11:token=a;token=a",
            "the PKCS#11 URI has the attribute `token` twice",
        ),
        (
            "pkcs11:?pin-value=1&pin-value=1",
            "the PKCS#11 URI has the attribute `pin-value` twice",
        ),
        (
            "pkcs11:?pin-value=1&pin-source=/a",
            "the PKCS#11 URI has both",
        ),
        ("pkcs11:token=a b", "the value of `token`"),
        ("pkcs11:token=a/b", "the value of `token`"),
        ("pkcs11:token=%4", "the value of `token`"),
        ("pkcs11:token=%4g", "the value of `token`"),
        ("pkcs11:token=%ff", "the value of `token`"),
        ("pkcs11:token=é", "the value of `token`"),
        ("pkcs11:type=key", "the value of `type`"),
        ("pkcs11:slot-id=", "the value of `slot-id`"),
        ("pkcs11:slot-id=+1", "the value of `slot-id`"),
        (
            "pkcs11:slot-id=18446744073709551616",
            "the value of `slot-id`",
        ),
        (
            "pkcs11:library-version=1.",
            "the value of `library-version`",
        ),
        (
            "pkcs11:library-version=1.2.3",
            "the value of `library-version`",
        ),
        (
            "pkcs11:library-version=256",
            "the value of `library-version`",
        ),
        (
            "pkcs11:pin-value=1",
            "the PKCS#11 URI has the attribute `pin-value` in its path",
        ),
        (
            "pkcs11:?pin-source=https://a/pin",
            "`pin-source` of the PKCS#11 URI must be",
        ),
        (
            "pkcs11:?pin-source=file://host/pin",
            "`pin-source` of the PKCS#11 URI must be",
        ),
        (
            "pkcs11:?pin-source=",
            "`pin-source` of the PKCS#11 URI must be",
        ),
    ] {
        let said = refused(uri).to_string();
        assert!(said.starts_with(error), "{uri}: {said}");
    }
}

#[test]
fn the_pin_comes_from_a_file_or_the_uri() {
    let source = |uri: &str| format!("{}", parse(uri).pin().unwrap());
    for (uri, file) in [
        ("pkcs11:?pin-source=/run/pin", "/run/pin"),
        ("pkcs11:?pin-source=file:/run/pin", "/run/pin"),
        ("pkcs11:?pin-source=file:///run/pin", "/run/pin"),
        ("pkcs11:?pin-source=file://localhost/run/pin", "/run/pin"),
        ("pkcs11:?pin-source=run/a%20pin", "run/a pin"),
    ] {
        assert_eq!(source(uri), format!("the file {file}"), "{uri}");
    }
    assert_eq!(source("pkcs11:?pin-value=secret"), "a string");
}

#[test]
fn the_pin_is_never_shown() {
    let uri = parse("pkcs11:token=a?pin-value=hunter2&module-path=/b");
    assert_eq!(uri.to_string(), "pkcs11:token=a?module-path=/b");
    assert!(!format!("{uri:?} {:?}", uri.pin()).contains("hunter2"));
    for uri in [
        "pkcs11:pin-value=hunter2",
        "pkcs11:?pin-value=hunter2&pin-value=hunter2",
        "pkcs11:?pin-value=hunter2%",
        "pkcs11:?hunter2",
    ] {
        let error = refused(uri);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{uri}");
    }
}

/// An attribute's value: as it means, and as it may be written.
fn value(name: &'static str) -> BoxedStrategy<(String, String)> {
    let plain = |text: String| (text.clone(), text);
    match name {
        "slot-id" => any::<u64>()
            .prop_map(move |slot| plain(slot.to_string()))
            .boxed(),
        "library-version" => any::<(u8, u8)>()
            .prop_map(move |(major, minor)| plain(format!("{major}.{minor}")))
            .boxed(),
        "type" => prop_oneof!["public", "private", "cert", "secret-key", "data"]
            .prop_map(plain)
            .boxed(),
        "id" => vec(any::<u8>(), 0..20)
            .prop_map(|id| {
                let upper: String = id.iter().map(|byte| format!("%{byte:02X}")).collect();
                let lower = upper.to_lowercase();
                (upper, lower)
            })
            .boxed(),
        _ => (any::<String>(), any::<u64>())
            .prop_map(move |(text, choices)| {
                let mut canonical = String::new();
                let mut written = String::new();
                for (place, byte) in text.bytes().enumerate() {
                    let encoded = format!("%{byte:02X}");
                    let is_free = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                    // What is reserved may be written as it is in one component and not in the
                    // other; both accept it encoded.
                    match (is_free, choices >> (place % 64) & 1) {
                        (true, 0) => written.push(char::from(byte)),
                        (_, 0) => written.push_str(&encoded),
                        _ => written.push_str(&encoded.to_lowercase()),
                    }
                    let extra: &[u8] = if QUERY.contains(&name) { b"/?|" } else { b"&" };
                    if is_free || b":[]@!$'()*+,=".contains(&byte) || extra.contains(&byte) {
                        canonical.push(char::from(byte));
                    } else {
                        canonical.push_str(&encoded);
                    }
                }
                (canonical, written)
            })
            .boxed(),
    }
}

/// Some of the attributes, in any order: their canonical text and how they may be written.
fn component(
    names: &'static [&'static str],
    separator: char,
) -> impl Strategy<Value = (String, String)> {
    let names = subsequence(names, 0..=names.len());
    let attributes = names.prop_flat_map(|names| {
        names
            .into_iter()
            .map(|name| value(name).prop_map(move |(text, written)| (name, text, written)))
            .collect::<Vec<_>>()
    });
    let shuffled = attributes.prop_flat_map(|attributes| {
        let canonical = attributes.clone();
        (Just(canonical), Just(attributes).prop_shuffle())
    });
    shuffled.prop_map(move |(canonical, shuffled)| {
        let join = |attributes: Vec<String>| attributes.join(&separator.to_string());
        (
            join(
                canonical
                    .iter()
                    .map(|(name, text, _)| format!("{name}={text}"))
                    .collect(),
            ),
            join(
                shuffled
                    .iter()
                    .map(|(name, _, text)| format!("{name}={text}"))
                    .collect(),
            ),
        )
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_understood_and_written_canonically(
        (path, written_path) in component(&PATH, ';'),
        (query, written_query) in component(&QUERY, '&'),
        pin in any::<Option<u32>>(),
    ) {
        let mut written = format!("pkcs11:{written_path}");
        let pin = pin.map(|pin| format!("pin-value=secret{pin}"));
        let attributes: Vec<_> = [Some(written_query), pin.clone()].into_iter().flatten().collect();
        let attributes: Vec<_> =
            attributes.into_iter().filter(|attribute| !attribute.is_empty()).collect();
        if !attributes.is_empty() {
            written = format!("{written}?{}", attributes.join("&"));
        }
        let mut canonical = format!("pkcs11:{path}");
        if !query.is_empty() {
            canonical = format!("{canonical}?{query}");
        }
        let uri = parse(&written);
        prop_assert_eq!(uri.to_string(), canonical.as_str());
        prop_assert_eq!(uri.pin().is_some(), pin.is_some());
        let again = parse(&canonical);
        prop_assert_eq!(again.to_string(), canonical);
        if pin.is_none() {
            prop_assert_eq!(again, uri);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(pkcs11:)?[a-z%=;?&0-9/:|é ]{0,40}") {
        let _ = text.parse::<Pkcs11Uri>();
    }
}

#[test]
fn the_order_of_the_table_is_the_order_in_which_it_is_written() {
    let uri = "pkcs11:id=%01;type=data;object=o;token=t;serial=s;model=m;manufacturer=f;slot-id=1;\
               slot-description=d;slot-manufacturer=n;library-version=1;library-description=l;\
               library-manufacturer=b";
    let names: Vec<_> = parse(uri).to_string()["pkcs11:".len()..]
        .split(';')
        .map(|attribute| attribute.split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, PATH);
}
