//! Parsing JWKs and JWK Sets, and their thumbprints.

use chancery_core::{
    Algorithm, Curve, Jwk, JwkError, JwkSet, KeyType, PublicKey, PublicKeyError, UnknownAlgorithm,
};
use serde_json::{Value, json};

use crate::support::{ED25519, P256, P384, P521, RSA, decode, encode, jwk, source};

/// 2048 bits, the product of two primes of the form k·M + (65537^a mod M), M the product of the
/// first 126 primes: what the generator of CVE-2017-15361 made.
const ROCA: &str = "zVOSnOuZIY3ePZeECAlHvZr_aul931t32fNrYHT3ciR-JVtw3sKzoZ2yG2O4nvt8xWHlUD8krmTTWJRIxmDszq8d5ssZ9QIPeKV7sRtnRFlDka3rscuOmOu269UYo3fGqGNyjQcNkxN-lUuWUdPHIdMNu8Ojm-0tk0a43z7SHZgi3eaWZ2jXQbXASMc6ZS32IIQZFLOdFrDAUSK4n9dW6dwJt-HO9Zwi8w2V6bKfvL2yEJJV9zw19jXEdas2jdcqxI3DIl7p2DekJRP7ubfMooKFmnTYpFTX4-e-s4HaI9DPrJm1ftXeewQh5VYWlvFJMKQc8OZtQippW3ABuaM9LQ";

const KEYS: [&str; 5] = [P256, P384, P521, RSA, ED25519];

fn members(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn with(json: &str, name: &str, value: Value) -> Value {
    let mut members = members(json);
    members[name] = value;
    members
}

fn parse(members: &Value) -> Result<Jwk, JwkError> {
    Jwk::from_json(members.to_string().as_bytes())
}

#[track_caller]
fn refuses(members: &Value, expected: JwkError) {
    assert_eq!(parse(members).unwrap_err(), expected);
}

#[test]
fn thumbprints_are_those_of_the_rfcs_and_of_another_implementation() {
    for (json, thumbprint) in [
        // RFC 7638 §3.1 and RFC 8037 §A.3.
        (RSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ED25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        // Python's json and hashlib.
        (P256, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"),
        (P384, "-W6Wzot_wuerYbKBVKfGEks3iY2EALna-hBqObnPuJE"),
        (P521, "u5YUSjQ2-2chBi51NSk3t3g7IM4o2KYcnPqPtCNGd3U"),
    ] {
        let jwk = Jwk::from_json(json.as_bytes()).unwrap();
        assert_eq!(jwk.thumbprint(), thumbprint);
        assert_eq!(jwk.kid(), thumbprint);
        let renamed = jwk.with_kid("another").unwrap();
        assert_eq!(renamed.kid(), "another");
        assert_eq!(renamed.thumbprint(), thumbprint);
    }
}

#[test]
fn a_missing_algorithm_is_taken_from_the_key() {
    for (json, algorithm) in [
        (P256, Algorithm::Es256),
        (P384, Algorithm::Es384),
        (P521, Algorithm::Es512),
        (RSA, Algorithm::Rs256),
        (ED25519, Algorithm::EdDsa),
    ] {
        let jwk = Jwk::from_json(json.as_bytes()).unwrap();
        assert_eq!(jwk.algorithm(), algorithm);
        assert_eq!(jwk.public_key().key_type(), algorithm.key_type());
    }
}

#[test]
fn a_rendered_key_parses_to_itself() {
    for algorithm in Algorithm::all() {
        let jwk = jwk(algorithm, "key 1");
        let json = serde_json::to_vec(&jwk).unwrap();
        assert_eq!(Jwk::from_json(&json).unwrap(), jwk, "{algorithm}");
    }
}

#[test]
fn an_algorithm_of_another_kind_of_key_is_refused() {
    for json in KEYS {
        let key_type = Jwk::from_json(json.as_bytes())
            .unwrap()
            .public_key()
            .key_type();
        for algorithm in Algorithm::all() {
            let parsed = parse(&with(json, "alg", json!(algorithm.name())));
            if algorithm.key_type() == key_type {
                assert_eq!(parsed.unwrap().algorithm(), algorithm);
            } else {
                let mismatch = JwkError::KeyType {
                    algorithm,
                    found: key_type,
                };
                assert_eq!(parsed.unwrap_err(), mismatch);
                let jwk = Jwk::from_json(json.as_bytes()).unwrap();
                assert_eq!(jwk.with_algorithm(algorithm).unwrap_err(), mismatch);
            }
        }
    }
}

#[test]
fn unknown_algorithms_are_refused() {
    for alg in ["none", "HS256", "RSA-OAEP", "es256", "ES256K", "", "Ed448"] {
        refuses(
            &with(P256, "alg", json!(alg)),
            JwkError::Member { name: "alg" },
        );
        assert_eq!(alg.parse::<Algorithm>(), Err(UnknownAlgorithm));
    }
    for alg in [json!(1), Value::Null, json!(["ES256"])] {
        refuses(&with(P256, "alg", alg), JwkError::Member { name: "alg" });
    }
}

#[test]
fn private_members_are_refused_in_every_key() {
    for json in KEYS {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            for value in [json!("AQ"), json!(""), Value::Null, json!([])] {
                refuses(&with(json, member, value), JwkError::Private { member });
            }
        }
    }
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0"});
    refuses(&symmetric, JwkError::Private { member: "k" });
    // The private key of RFC 8037 §A.1; the error does not show it.
    let private = with(
        ED25519,
        "d",
        json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),
    );
    let error = parse(&private).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("nWGxne"));
}

#[test]
fn no_rendered_key_has_a_private_member() {
    for algorithm in Algorithm::all() {
        let rendered = serde_json::to_value(jwk(algorithm, "key")).unwrap();
        for name in rendered.as_object().unwrap().keys() {
            assert!(
                ["kty", "use", "alg", "kid", "crv", "x", "y", "n", "e"].contains(&name.as_str()),
                "{name}"
            );
        }
    }
}

#[test]
fn keys_that_are_not_for_signatures_are_refused() {
    for purpose in [json!("enc"), json!("SIG"), json!(""), json!(1), Value::Null] {
        refuses(
            &with(P256, "use", purpose),
            JwkError::Purpose { member: "use" },
        );
    }
    for operations in [
        json!(["encrypt"]),
        json!(["sign"]),
        json!([]),
        json!("verify"),
    ] {
        refuses(
            &with(P256, "key_ops", operations),
            JwkError::Purpose { member: "key_ops" },
        );
    }
    assert!(parse(&with(P256, "use", json!("sig"))).is_ok());
    assert!(parse(&with(P256, "key_ops", json!(["verify"]))).is_ok());
    assert!(parse(&with(P256, "key_ops", json!(["sign", "verify"]))).is_ok());
}

#[test]
fn unknown_kinds_of_key_and_curve_are_refused() {
    refuses(&json!({}), JwkError::Member { name: "kty" });
    for kty in [json!("ec"), json!("AKP"), json!(""), json!(1)] {
        refuses(&with(P256, "kty", kty), JwkError::Member { name: "kty" });
    }
    for curve in ["secp256k1", "P-256 ", "p-256", "Ed25519"] {
        refuses(
            &with(P256, "crv", json!(curve)),
            JwkError::Member { name: "crv" },
        );
    }
    for curve in ["X25519", "Ed448", "P-256"] {
        refuses(
            &with(ED25519, "crv", json!(curve)),
            JwkError::Member { name: "crv" },
        );
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for json in ["", "{", "nonsense", "{}x", "\u{feff}{}"] {
        assert!(matches!(
            Jwk::from_json(json.as_bytes()),
            Err(JwkError::Json(_))
        ));
    }
    assert!(matches!(
        Jwk::from_json(b"{\"kty\":\"\xff\"}"),
        Err(JwkError::Json(_))
    ));
    for json in ["[]", "null", "1", "\"x\""] {
        assert_eq!(
            Jwk::from_json(json.as_bytes()).unwrap_err(),
            JwkError::NotAnObject
        );
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        Jwk::from_json(deep.as_bytes()),
        Err(JwkError::Json(_))
    ));
}

#[test]
fn members_that_are_missing_or_no_strings_are_refused() {
    for (json, names) in [
        (P256, &["crv", "x", "y"][..]),
        (RSA, &["n", "e"]),
        (ED25519, &["crv", "x"]),
    ] {
        for name in names {
            let mut without = members(json);
            without.as_object_mut().unwrap().remove(*name);
            refuses(&without, JwkError::Member { name });
            for value in [json!(1), Value::Null, json!(["AQ"])] {
                refuses(&with(json, name, value), JwkError::Member { name });
            }
        }
    }
}

#[test]
fn base64url_that_is_not_canonical_is_refused() {
    for (json, name) in [
        (P256, "x"),
        (P256, "y"),
        (ED25519, "x"),
        (RSA, "n"),
        (RSA, "e"),
    ] {
        let text = members(json)[name].as_str().unwrap().to_owned();
        let mut spoilt = vec![
            format!("{text}="),
            format!("{text} "),
            format!("{text}\n"),
            format!(" {text}"),
            format!("{}+", &text[1..]),
            format!("{}/", &text[1..]),
            format!("{}é", &text[1..]),
        ];
        // The last character of 32 bytes carries four bits; the two others must be zero.
        if !decode(&text).len().is_multiple_of(3) {
            let last = text.chars().next_back().unwrap();
            let next = char::from_u32(u32::from(last) + 1).unwrap();
            spoilt.push(format!("{}{next}", &text[..text.len() - 1]));
        }
        for text in spoilt {
            refuses(&with(json, name, json!(text)), JwkError::Member { name });
        }
    }
}

#[test]
fn coordinates_of_the_wrong_length_are_refused() {
    for (json, name) in [
        (P256, "x"),
        (P256, "y"),
        (P384, "x"),
        (P521, "y"),
        (ED25519, "x"),
    ] {
        let good = decode(members(json)[name].as_str().unwrap());
        let mut longer = good.clone();
        longer.insert(0, 0);
        for bytes in [&good[1..], &longer, &[]] {
            refuses(
                &with(json, name, json!(encode(bytes))),
                JwkError::Member { name },
            );
        }
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for (json, curve) in [
        (P256, Curve::P256),
        (P384, Curve::P384),
        (P521, Curve::P521),
    ] {
        for name in ["x", "y"] {
            let mut bytes = decode(members(json)[name].as_str().unwrap());
            *bytes.last_mut().unwrap() ^= 1;
            refuses(
                &with(json, name, json!(encode(&bytes))),
                JwkError::PublicKey(PublicKeyError::NotOnCurve { curve }),
            );
            let zero = vec![0; curve.coordinate_len()];
            refuses(
                &with(json, name, json!(encode(&zero))),
                JwkError::PublicKey(PublicKeyError::NotOnCurve { curve }),
            );
            // Beyond the field.
            let ones = vec![0xff; curve.coordinate_len()];
            refuses(
                &with(json, name, json!(encode(&ones))),
                JwkError::PublicKey(PublicKeyError::NotOnCurve { curve }),
            );
        }
    }
    // A point of one curve is none of another of the same length.
    let mixed = with(P384, "x", members(P384)["y"].clone());
    assert!(parse(&mixed).is_err());
}

#[test]
fn ed25519_points_that_are_no_keys_are_refused() {
    let mut two = [0; 32];
    two[0] = 2;
    let mut not_reduced = [0xff; 32];
    not_reduced[31] = 0x7f;
    let mut one = [0; 32];
    one[0] = 1;
    for point in [two, not_reduced, one, [0; 32], [0xff; 32]] {
        refuses(
            &with(ED25519, "x", json!(encode(&point))),
            JwkError::PublicKey(PublicKeyError::Ed25519Point),
        );
    }
}

#[test]
fn rsa_keys_have_2048_to_4096_bits() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xa5; bits.div_ceil(8)];
        bytes[0] = match bits % 8 {
            0 => 0x80,
            rest => 1 << (rest - 1),
        };
        *bytes.last_mut().unwrap() |= 1;
        with(RSA, "n", json!(encode(&bytes)))
    };
    for bits in [2048, 2049, 3072, 4095, 4096] {
        let jwk = parse(&modulus(bits)).unwrap();
        assert_eq!(jwk.signature_len(), bits.div_ceil(8));
    }
    for bits in [8, 512, 1024, 2047, 4097, 8192] {
        refuses(
            &modulus(bits),
            JwkError::PublicKey(PublicKeyError::RsaSize { bits }),
        );
    }
    refuses(
        &with(RSA, "n", json!("")),
        JwkError::PublicKey(PublicKeyError::RsaSize { bits: 0 }),
    );
}

#[test]
fn rsa_exponents_are_odd_and_neither_one_nor_huge() {
    for exponent in [&[3][..], &[17], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert!(parse(&with(RSA, "e", json!(encode(exponent)))).is_ok());
    }
    for exponent in [
        &[][..],
        &[0],
        &[1],
        &[2],
        &[1, 0, 0],
        &[2, 0, 0, 0, 1],
        &[0xff; 9],
        &[0xff; 256],
    ] {
        refuses(
            &with(RSA, "e", json!(encode(exponent))),
            JwkError::PublicKey(PublicKeyError::RsaNumbers),
        );
    }
    let mut even = decode(members(RSA)["n"].as_str().unwrap());
    *even.last_mut().unwrap() &= 0xfe;
    refuses(
        &with(RSA, "n", json!(encode(&even))),
        JwkError::PublicKey(PublicKeyError::RsaNumbers),
    );
}

/// Some issuers write the sign byte of ASN.1 before n. It changes neither key nor thumbprint.
#[test]
fn leading_zeros_of_rsa_numbers_are_dropped() {
    let jwk = Jwk::from_json(RSA.as_bytes()).unwrap();
    let zeroed = |name: &str| {
        let mut bytes = vec![0, 0];
        bytes.extend(decode(members(RSA)[name].as_str().unwrap()));
        with(RSA, name, json!(encode(&bytes)))
    };
    for members in [zeroed("n"), zeroed("e")] {
        assert_eq!(parse(&members).unwrap(), jwk);
    }
}

#[test]
fn keys_of_the_broken_generator_are_refused() {
    refuses(
        &with(RSA, "n", json!(ROCA)),
        JwkError::PublicKey(PublicKeyError::Roca),
    );
}

#[test]
fn kids_that_would_need_care_elsewhere_are_refused() {
    let long = "x".repeat(256);
    let jwk = Jwk::from_json(P256.as_bytes()).unwrap();
    for kid in ["", "a\"b", "a\\b", "a\nb", "a\u{0}", "a\u{7f}", "é", &long] {
        assert_eq!(jwk.clone().with_kid(kid).unwrap_err(), JwkError::Kid);
        refuses(&with(P256, "kid", json!(kid)), JwkError::Kid);
    }
    for kid in [json!(1), Value::Null] {
        refuses(&with(P256, "kid", kid), JwkError::Member { name: "kid" });
    }
    for kid in ["a", "2026-11/α".trim_end_matches('α'), " ", &long[..255]] {
        assert_eq!(jwk.clone().with_kid(kid).unwrap().kid(), kid);
    }
}

#[test]
fn a_key_made_of_numbers_is_checked_too() {
    let off_curve = PublicKey::Ec {
        curve: Curve::P256,
        point: [&[4], [1; 64].as_slice()].concat(),
    };
    assert_eq!(
        Jwk::new(Algorithm::Es256, off_curve).unwrap_err(),
        JwkError::PublicKey(PublicKeyError::NotOnCurve { curve: Curve::P256 })
    );
    for point in [
        vec![],
        vec![4],
        vec![2; 33],
        vec![4; 64],
        vec![4; 66],
        vec![5; 65],
    ] {
        let encoding = PublicKey::Ec {
            curve: Curve::P256,
            point,
        };
        assert_eq!(
            Jwk::new(Algorithm::Es256, encoding).unwrap_err(),
            JwkError::PublicKey(PublicKeyError::PointEncoding { curve: Curve::P256 })
        );
    }
    for numbers in [(vec![], vec![]), (vec![0; 300], vec![3]), (vec![], vec![3])] {
        let (modulus, exponent) = numbers;
        let empty = PublicKey::Rsa { modulus, exponent };
        assert!(Jwk::new(Algorithm::Rs256, empty).is_err());
    }
    let key = Jwk::from_json(P256.as_bytes())
        .unwrap()
        .public_key()
        .clone();
    assert_eq!(
        Jwk::new(Algorithm::EdDsa, key.clone()).unwrap_err(),
        JwkError::KeyType {
            algorithm: Algorithm::EdDsa,
            found: KeyType::Ec(Curve::P256)
        }
    );
    assert!(Jwk::new(Algorithm::Es256, key).is_ok());
}

fn set(keys: &Value) -> Result<JwkSet, JwkError> {
    JwkSet::from_json(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn a_set_passes_over_keys_it_cannot_use_and_remembers_why() {
    let set = set(&json!([
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"},
        members(P256),
        with(RSA, "use", json!("enc")),
        null,
        with(P384, "x", json!("AQ")),
        members(ED25519),
        with(RSA, "n", json!(ROCA)),
    ]))
    .unwrap();
    let kids: Vec<&str> = set.keys().iter().map(Jwk::kid).collect();
    assert_eq!(
        kids,
        [
            "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        ]
    );
    assert_eq!(
        set.ignored(),
        [
            (0, JwkError::Member { name: "kty" }),
            (2, JwkError::Purpose { member: "use" }),
            (3, JwkError::NotAnObject),
            (4, JwkError::Member { name: "x" }),
            (6, JwkError::PublicKey(PublicKeyError::Roca)),
        ]
    );
}

#[test]
fn a_set_with_a_private_key_is_refused_whole() {
    let private = with(P256, "d", json!("AQ"));
    assert_eq!(
        set(&json!([members(ED25519), private])).unwrap_err(),
        JwkError::Private { member: "d" }
    );
}

#[test]
fn a_set_with_two_keys_of_one_kid_and_algorithm_is_refused() {
    let duplicate = JwkError::DuplicateKid {
        kid: "a".to_owned(),
    };
    let keys = json!([
        with(RSA, "kid", json!("a")),
        with(P384, "kid", json!("b")),
        with(
            &with(&source(Algorithm::Rs512), "alg", json!("RS256")).to_string(),
            "kid",
            json!("a")
        ),
    ]);
    assert_eq!(set(&keys).unwrap_err(), duplicate);
    // RFC 7517 §4.5 allows it to keys of different kinds.
    let keys = vec![jwk(Algorithm::Es256, "a"), jwk(Algorithm::Rs256, "a")];
    assert_eq!(JwkSet::new(keys).unwrap().keys().len(), 2);
    // Nameless, the same key twice has one thumbprint.
    assert!(set(&json!([members(P256), members(P256)])).is_err());
}

#[test]
fn a_set_needs_an_array_of_keys() {
    for json in [
        "{}",
        "[]",
        "null",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"Keys":[]}"#,
    ] {
        assert_eq!(
            JwkSet::from_json(json.as_bytes()).unwrap_err(),
            JwkError::Member { name: "keys" }
        );
    }
    assert!(matches!(
        JwkSet::from_json(b"nonsense"),
        Err(JwkError::Json(_))
    ));
    assert!(set(&json!([])).unwrap().keys().is_empty());
}

/// Whoever serves a hostile JWKS must not keep the parser busy for long.
#[test]
fn a_set_of_a_hundred_thousand_keys_is_parsed_in_good_time() {
    let key = jwk(Algorithm::EdDsa, "x");
    // Comparing each kid with each would take minutes.
    let usable = (0..100_000)
        .map(|index| key.clone().with_kid(format!("{index:0>200}")).unwrap())
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(JwkSet::new(usable).unwrap().keys().len(), 100_000);
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}
