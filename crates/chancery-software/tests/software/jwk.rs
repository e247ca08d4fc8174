//! Private JSON Web Keys.

use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::*;

#[test]
fn every_kind_of_private_jwk_loads_and_signs() {
    for name in [
        "rfc7515-a2.jwk.json",
        "rfc7515-a3.jwk.json",
        "rfc8037-a.jwk.json",
    ] {
        let key = PrivateKey::from_jwk_json(&data(name)).expect(name);
        assert_signs(&key, name);
        // The same key by way of PKCS#8 is the same.
        let der = key.to_pkcs8_der().unwrap();
        let again = PrivateKey::from_pkcs8_der(&der).unwrap();
        assert_eq!(again.to_pkcs8_der().unwrap(), der);
    }
}

#[test]
fn a_jwk_with_alg_signs_with_that_alone() {
    let jwk = with("rfc7515-a2.jwk.json", r#""alg":"PS256""#);
    let key = PrivateKey::from_jwk_json(jwk.as_bytes()).unwrap();
    for &engine in Engine::ALL {
        assert!(SoftwareSigner::new(&key, Algorithm::Ps256, engine).is_ok());
        let error = SoftwareSigner::new(&key, Algorithm::Rs256, engine).unwrap_err();
        assert!(matches!(error, KeyError::Algorithm { .. }));
        assert!(error.to_string().contains("for PS256 by its `alg`"));
    }
}

#[test]
fn other_members_are_passed_over() {
    let jwk = with(
        "rfc8037-a.jwk.json",
        r#""kid":"1","use":"sig","key_ops":["sign","verify"],"x5c":["AA=="],"ext":{"d":true}"#,
    );
    assert!(PrivateKey::from_jwk_json(jwk.as_bytes()).is_ok());
}

#[test]
fn a_missing_member_is_named() {
    for (file, names) in [
        ("rfc7515-a3.jwk.json", &["kty", "crv", "x", "y", "d"][..]),
        ("rfc8037-a.jwk.json", &["kty", "crv", "x", "d"]),
        (
            "rfc7515-a2.jwk.json",
            &["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"],
        ),
    ] {
        let whole = String::from_utf8(data(file)).unwrap();
        for missing in names {
            // Renamed, it is a member like any other.
            let jwk = whole.replacen(&format!("\"{missing}\":"), "\"other\":", 1);
            assert_ne!(jwk, whole);
            match PrivateKey::from_jwk_json(jwk.as_bytes()).unwrap_err() {
                KeyError::JwkMember { name } => assert_eq!(name, *missing),
                other => panic!("{file} without {missing}: {other}"),
            }
        }
    }
}

#[test]
fn a_member_that_is_repeated_or_wrong_is_named() {
    let cases = [
        (r#""d":"AA","d":"AA""#, "d"),
        (r#""kty":"EC""#, "kty"),
        (r#""key_ops":["sign"],"key_ops":["sign"]"#, "key_ops"),
    ];
    for (members, expected) in cases {
        let jwk = with("rfc8037-a.jwk.json", members);
        assert!(matches!(
            PrivateKey::from_jwk_json(jwk.as_bytes()),
            Err(KeyError::JwkMember { name }) if name == expected
        ));
    }
    let whole = String::from_utf8(data("rfc8037-a.jwk.json")).unwrap();
    for (from, to, expected) in [
        ("yuf2A", "yuf2", "d"),    // A byte short.
        ("yuf2A", "yuf2B", "d"),   // Stray trailing bits.
        ("yuf2A", "yuf2A=", "d"),  // Padding.
        ("_9WmC6", "/9WmC6", "d"), // The other alphabet.
        ("PcHURo", "PcHUR", "x"),
        ("\"Ed25519\"", "\"Ed25518\"", "crv"),
        ("\"OKP\"", "\"PKO\"", "kty"),
    ] {
        let jwk = whole.replacen(from, to, 1);
        assert_ne!(jwk, whole);
        match PrivateKey::from_jwk_json(jwk.as_bytes()).unwrap_err() {
            KeyError::JwkMember { name } => assert_eq!(name, expected),
            other => panic!("{to}: {other}"),
        }
    }
    let cut = [
        ("OKP", "Ed25519", 31),
        ("EC", "P-256", 33),
        ("EC", "P-384", 32),
    ];
    for (kty, crv, len) in cut {
        let octets = Base64UrlUnpadded::encode_string(&vec![1; len]);
        let jwk = format!(r#"{{"kty":"{kty}","crv":"{crv}","d":"{octets}"}}"#);
        assert!(matches!(
            PrivateKey::from_jwk_json(jwk.as_bytes()),
            Err(KeyError::JwkMember { name: "d" })
        ));
    }
    let jwk = with("rfc8037-a.jwk.json", r#""alg":"HS256""#);
    assert!(matches!(
        PrivateKey::from_jwk_json(jwk.as_bytes()),
        Err(KeyError::JwkMember { name: "alg" })
    ));
}

#[test]
fn a_public_half_of_another_key_is_refused() {
    // The x of RFC 7515 A.3 with a y of the other sign is on the curve, and another key's; the
    // Ed25519 point is that of RFC 8032 §7.1, test 2.
    for (file, from, to, algorithm) in [
        (
            "rfc8037-a.jwk.json",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
            Algorithm::EdDsa,
        ),
        (
            "rfc7515-a3.jwk.json",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "OA67MeRCZIJ40yASRhFGC0yWopJW9NtSdbnc13p3GlI",
            Algorithm::Es256,
        ),
    ] {
        let jwk = String::from_utf8(data(file)).unwrap().replace(from, to);
        let key = PrivateKey::from_jwk_json(jwk.as_bytes()).expect(file);
        for &engine in Engine::ALL {
            let error = SoftwareSigner::new(&key, algorithm, engine).unwrap_err();
            assert!(
                matches!(
                    error,
                    KeyError::Rejected { .. } | KeyError::PublicKeyMismatch | KeyError::Probe
                ),
                "{engine}: {error:?}"
            );
        }
    }
}

#[test]
fn keys_for_other_purposes_are_refused() {
    let cases = [
        (r#""use":"enc""#, "use"),
        (r#""key_ops":["verify"]"#, "key_ops"),
        (r#""key_ops":[]"#, "key_ops"),
    ];
    for (members, expected) in cases {
        let jwk = with("rfc7515-a3.jwk.json", members);
        assert!(matches!(
            PrivateKey::from_jwk_json(jwk.as_bytes()),
            Err(KeyError::JwkPurpose { member }) if member == expected
        ));
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for jwk in [
        r#"{"kty":"oct","k":"aGVsbG8"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}"#,
        r#"{"kty":"OKP","crv":"Ed448","x":"AA","d":"AA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA","d":"AA"}"#,
        r#"{"kty":"RSA","oth":[]}"#,
    ] {
        assert!(matches!(
            PrivateKey::from_jwk_json(jwk.as_bytes()),
            Err(KeyError::UnsupportedKey { .. })
        ));
    }
}

#[test]
fn garbage_gives_errors_that_quote_nothing() {
    for name in ["rfc7515-a3.jwk.json", "rfc7515-a2.jwk.json"] {
        let whole = String::from_utf8(data(name)).unwrap();
        let whole = whole.trim();
        let mut shown = String::new();
        for len in 0..whole.len() {
            let error = PrivateKey::from_jwk_json(&whole.as_bytes()[..len]).unwrap_err();
            assert!(matches!(error, KeyError::JwkSyntax { .. }));
            shown += &format!("{error} {error:?}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.as_bytes().to_vec();
            flipped[at] ^= 1;
            if let Err(error) = PrivateKey::from_jwk_json(&flipped) {
                shown += &format!("{error} {error:?}");
            }
        }
        // A private member where something else is expected.
        let d = whole.split("\"d\":\"").nth(1).unwrap();
        let d = &d[..d.find('"').unwrap()];
        for misplaced in [
            format!("\"{d}\""),
            format!("[\"{d}\"]"),
            format!(r#"{{"key_ops":"{d}"}}"#),
            format!(r#"{{"kty":"{d}"}}"#),
            format!(r#"{{"{d}"}}"#),
            format!(r#"{{"d":"\u0041{d}"}}"#),
        ] {
            let error = PrivateKey::from_jwk_json(misplaced.as_bytes()).unwrap_err();
            shown += &format!("{error} {error:?}");
        }
        for window in d.as_bytes().windows(6) {
            let window = std::str::from_utf8(window).unwrap();
            assert!(!shown.contains(window), "{window} is shown");
        }
    }
    for json in ["", "null", "[]", "1", "\"d\"", "{\"kty\":1}", "{} {}"] {
        assert!(matches!(
            PrivateKey::from_jwk_json(json.as_bytes()),
            Err(KeyError::JwkSyntax { .. })
        ));
    }
}

/// A JWK with more members, at its end.
fn with(name: &str, members: &str) -> String {
    let jwk = String::from_utf8(data(name)).unwrap();
    let open = jwk.trim().strip_suffix('}').unwrap();
    format!("{open},{members}}}")
}
