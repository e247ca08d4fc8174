//! The registered claims: how they are written and what is refused.

use chancery_core::{Algorithm, Claims, ClaimsError, IssueError, TokenType};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, Object, Parts, always, builder, claims, decode, issuer, payload, seconds, time,
};

#[track_caller]
fn refuses(claims: &Claims, expected: ClaimsError) {
    let issuer = builder(vec![always(Algorithm::Es256, "es256")])
        .allow_several_audiences()
        .build()
        .unwrap();
    match issuer.issue(claims) {
        Err(IssueError::Claims(error)) => assert_eq!(error, expected),
        other => panic!("{other:?}"),
    }
}

type Setter = fn(Claims, &str) -> Claims;

/// Every claim that holds a text, and how it is set.
const TEXTS: [(&str, Setter); 13] = [
    ("sub", |_, text| Claims::new(text).with_audience("aud")),
    ("sub", |_, text| {
        Claims::logout_of_subject(text).with_audience("aud")
    }),
    ("aud", |claims, text| claims.with_audience(text)),
    ("jti", |claims, text| claims.with_token_id(text)),
    ("azp", |claims, text| claims.with_authorized_party(text)),
    ("nonce", |claims, text| claims.with_nonce(text)),
    ("acr", |claims, text| {
        claims.with_authentication_context(text)
    }),
    ("amr", |claims, text| {
        claims
            .with_authentication_method("pwd")
            .with_authentication_method(text)
    }),
    ("name", |claims, text| claims.with_name(text)),
    ("email", |claims, text| claims.with_email(text, true)),
    ("client_id", |claims, text| claims.into_access_token(text)),
    ("scope", |claims, text| claims.with_scope(text)),
    ("sid", |claims, text| claims.with_session_id(text)),
];

#[test]
fn a_token_has_exactly_the_claims_it_was_given_and_those_filled_in() {
    let payload = payload(&issuer(), &claims().with_token_id("1"));
    let expected = json!({
        "iss": ISSUER,
        "sub": "job:4711",
        "aud": "sts.example.com",
        "iat": NOW - 5,
        "nbf": NOW - 5,
        "exp": NOW + 900,
        "jti": "1",
    });
    assert_eq!(Value::Object(payload.0.into_iter().collect()), expected);
}

#[test]
fn every_registered_claim_is_written_as_its_specification_has_it() {
    let claims = claims()
        .with_lifetime(seconds(60))
        .with_not_before(time(NOW + 1))
        .with_token_id("token-1")
        .with_authorized_party("client")
        .with_nonce("n-0S6_WzA2Mj")
        .with_auth_time(time(NOW - 30))
        .with_authentication_context("urn:mace:incommon:iap:silver")
        .with_authentication_method("pwd")
        .with_authentication_method("otp")
        .with_name("Ada Lovelace")
        .with_email("ada@example.com", false)
        .with_scope("read write")
        .with_session_id("session-1")
        .into_access_token("client-1");
    let payload = payload(&issuer(), &claims);
    let expected = json!({
        "iss": ISSUER,
        "sub": "job:4711",
        "aud": "sts.example.com",
        "iat": NOW - 5,
        "nbf": NOW + 1,
        "exp": NOW + 60,
        "jti": "token-1",
        "azp": "client",
        "nonce": "n-0S6_WzA2Mj",
        "auth_time": NOW - 30,
        "acr": "urn:mace:incommon:iap:silver",
        "amr": ["pwd", "otp"],
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "email_verified": false,
        "scope": "read write",
        "sid": "session-1",
        "client_id": "client-1",
    });
    assert_eq!(Value::Object(payload.0.into_iter().collect()), expected);
}

#[test]
fn an_address_is_written_with_whether_it_was_verified() {
    for verified in [true, false] {
        let payload = payload(&issuer(), &claims().with_email("a@example.com", verified));
        assert_eq!(payload.find("email_verified"), Some(&json!(verified)));
    }
}

#[test]
fn one_audience_is_a_string() {
    let payload = payload(&issuer(), &claims());
    assert_eq!(payload.find("aud"), Some(&json!("sts.example.com")));
}

#[test]
fn several_audiences_are_an_array_where_the_issuer_allows_them() {
    let claims = claims().with_audience("b").with_audience("c");
    assert!(matches!(
        issuer().issue(&claims),
        Err(IssueError::Claims(ClaimsError::SeveralAudiences {
            found: 3
        }))
    ));
    let issuer = builder(vec![always(Algorithm::Es256, "es256")])
        .allow_several_audiences()
        .build()
        .unwrap();
    let several = payload(&issuer, &claims);
    assert_eq!(
        several.find("aud"),
        Some(&json!(["sts.example.com", "b", "c"]))
    );
    // Allowed to have several, one is a string all the same.
    let one = payload(&issuer, &crate::support::claims());
    assert_eq!(one.find("aud"), Some(&json!("sts.example.com")));
}

#[test]
fn a_token_without_an_audience_is_refused() {
    for (claims, token_type) in [
        (Claims::new("a"), TokenType::Jwt),
        (
            Claims::new("a").into_access_token("c"),
            TokenType::AccessToken,
        ),
        (Claims::logout_of_session("s"), TokenType::Logout),
    ] {
        refuses(
            &claims,
            ClaimsError::Missing {
                claim: "aud",
                token_type,
            },
        );
    }
}

#[test]
fn an_empty_text_is_refused_in_every_claim() {
    for (claim, set) in TEXTS {
        refuses(&set(claims(), ""), ClaimsError::Empty { claim });
    }
}

#[test]
fn a_hash_of_nothing_is_refused() {
    refuses(
        &claims().with_access_token_hash(""),
        ClaimsError::Empty { claim: "at_hash" },
    );
    refuses(
        &claims().with_code_hash(""),
        ClaimsError::Empty { claim: "c_hash" },
    );
}

#[test]
fn control_characters_are_refused_in_every_claim_with_their_place() {
    let controls = (0..0x20).chain(0x7f..0xa0).map(char::from);
    for control in controls {
        for (claim, set) in TEXTS {
            // The place is counted in bytes: é has two.
            for (text, position) in [
                (format!("{control}"), 0),
                (format!("ab{control}c"), 2),
                (format!("é\"{control}"), 3),
                (format!("{}{control}", "x".repeat(2000)), 2000),
            ] {
                refuses(
                    &set(claims(), &text),
                    ClaimsError::ControlCharacter { claim, position },
                );
            }
        }
    }
}

#[test]
fn unicode_quotes_and_backslashes_come_back_as_they_went_in() {
    let texts = [
        r#"""#,
        r"\",
        r#"\""#,
        r"\u0000",
        r"\n",
        r#"","iss":"https://evil.example","x":""#,
        "</script>",
        "é",
        "Łódź 日本語 🦀",
        "\u{2028}\u{2029}",
        "\u{feff}\u{a0}\u{10ffff}",
        "a\u{301}",
    ];
    for text in texts {
        for (claim, set) in TEXTS {
            let issuer = builder(vec![always(Algorithm::Es256, "es256")])
                .allow_several_audiences()
                .build()
                .unwrap();
            let payload = payload(&issuer, &set(claims(), text));
            let value = payload.find(claim).unwrap();
            let value = value.as_array().map_or(value, |all| all.last().unwrap());
            assert_eq!(value, text, "{claim}");
            assert_eq!(payload.text("iss"), ISSUER);
        }
    }
}

#[test]
fn payloads_of_every_length_are_encoded_whole() {
    let issuer = issuer();
    for length in (1..1700).chain([4095, 4096, 4097, 20_000]) {
        let subject = "abcdefg".repeat(length / 7 + 1);
        let subject = &subject[..length];
        let claims = Claims::new(subject).with_audience("aud");
        let payload = payload(&issuer, &claims);
        assert_eq!(payload.text("sub"), subject);
        assert_eq!(payload.number("exp"), NOW + 900);
    }
}

#[test]
fn a_token_longer_than_verifiers_read_is_refused() {
    let issuer = issuer();
    for (length, fits) in [(48_000, true), (49_000, false), (10_000_000, false)] {
        let claims = Claims::new("a".repeat(length)).with_audience("aud");
        match issuer.issue(&claims) {
            Ok(token) => assert!(fits && token.as_str().len() <= 65_536),
            Err(IssueError::Claims(ClaimsError::TooLarge { len, longest })) => {
                assert_eq!(longest, 65_536);
                assert!(!fits && len > 65_536);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn token_ids_have_128_random_bits_and_differ() {
    let issuer = issuer();
    let mut seen = std::collections::HashSet::new();
    let mut union = [0_u8; 16];
    let mut intersection = [0xff_u8; 16];
    for _ in 0..1000 {
        let payload = payload(&issuer, &claims());
        let id = payload.text("jti").to_owned();
        assert_eq!(id.len(), 22);
        let bytes = decode(&id);
        for index in 0..16 {
            union[index] |= bytes[index];
            intersection[index] &= bytes[index];
        }
        assert!(seen.insert(id));
    }
    // Every bit is seen set and seen clear: no version or variant takes some of the 128 away.
    assert_eq!((union, intersection), ([0xff; 16], [0; 16]));
}

#[test]
fn a_token_id_of_the_service_replaces_the_random_one() {
    let payload = payload(&issuer(), &claims().with_token_id("build-17"));
    assert_eq!(payload.text("jti"), "build-17");
}

/// The access token, the code and their hashes of OpenID Connect Core §A.3, §A.4 and §A.6; for
/// the longer hashes, the values come from Python's hashlib.
#[test]
fn access_token_and_code_are_hashed_by_the_hash_of_the_algorithm() {
    let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
    let by_sha_256 = ("77QmUPtjPfzWtF2AnpK9RQ", "LDktKdoQak3Pk0cnXxCltA");
    let by_sha_384 = (
        "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs",
        "Mq-knyaEMtWGfnBi2POEZb1kiLx10_DF",
    );
    let by_sha_512 = (
        "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM",
        "E9z1C-c0Az4eTEzE0Nm3OQ3BS2BhMgxuP7x5JAQj1_4",
    );
    for algorithm in Algorithm::all() {
        let (at_hash, c_hash) = match algorithm.name() {
            "ES256" | "RS256" | "PS256" => by_sha_256,
            "ES384" | "RS384" | "PS384" => by_sha_384,
            _ => by_sha_512,
        };
        let issuer = builder(vec![always(algorithm, "key")]).build().unwrap();
        let claims = claims()
            .with_access_token_hash(access_token)
            .with_code_hash(code);
        let payload = payload(&issuer, &claims);
        assert_eq!(payload.text("at_hash"), at_hash, "{algorithm}");
        assert_eq!(payload.text("c_hash"), c_hash, "{algorithm}");
    }
}

#[test]
fn the_header_has_algorithm_type_and_kid_and_nothing_else() {
    for algorithm in Algorithm::all() {
        let issuer = builder(vec![always(algorithm, "key 1")]).build().unwrap();
        for (claims, typ) in [
            (claims(), "JWT"),
            (claims().into_access_token("client"), "at+jwt"),
            (
                Claims::logout_of_subject("a").with_audience("b"),
                "logout+jwt",
            ),
        ] {
            let token = issuer.issue(&claims).unwrap();
            let expected = [("alg", algorithm.name()), ("typ", typ), ("kid", "key 1")]
                .map(|(name, value)| (name.to_owned(), json!(value)));
            assert_eq!(
                Parts::of(token.as_str()).header,
                Object(expected.to_vec()),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn an_access_token_has_what_rfc_9068_requires() {
    let token = issuer()
        .issue(&claims().into_access_token("client-1"))
        .unwrap();
    let parts = Parts::of(token.as_str());
    assert_eq!(parts.header.text("typ"), "at+jwt");
    for claim in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        assert!(parts.payload.find(claim).is_some(), "{claim}");
    }
    assert_eq!(parts.payload.text("client_id"), "client-1");
}

#[test]
fn an_access_token_needs_a_subject() {
    refuses(
        &Claims::logout_of_session("s")
            .with_audience("a")
            .into_access_token("client"),
        ClaimsError::Missing {
            claim: "sub",
            token_type: TokenType::AccessToken,
        },
    );
}

#[test]
fn a_logout_token_has_what_back_channel_logout_requires() {
    let issuer = issuer();
    let subject = Claims::logout_of_subject("user").with_audience("rp");
    let session = Claims::logout_of_session("session").with_audience("rp");
    let both = Claims::logout_of_subject("user")
        .with_session_id("session")
        .with_audience("rp");
    for (claims, sub, sid) in [
        (subject, Some("user"), None),
        (session, None, Some("session")),
        (both, Some("user"), Some("session")),
    ] {
        let token = issuer.issue(&claims).unwrap();
        let parts = Parts::of(token.as_str());
        assert_eq!(parts.header.text("typ"), "logout+jwt");
        let text = |name| parts.payload.find(name).and_then(Value::as_str);
        assert_eq!((text("sub"), text("sid")), (sub, sid));
        for claim in ["iss", "aud", "iat", "exp", "jti"] {
            assert!(parts.payload.find(claim).is_some(), "{claim}");
        }
        assert_eq!(
            parts.payload.find("events"),
            Some(&json!({"http://schemas.openid.net/event/backchannel-logout": {}}))
        );
    }
}

#[test]
fn a_logout_token_must_not_have_a_nonce() {
    refuses(
        &Claims::logout_of_subject("user")
            .with_audience("rp")
            .with_nonce("n"),
        ClaimsError::Forbidden {
            claim: "nonce",
            token_type: TokenType::Logout,
        },
    );
}

#[test]
fn only_logout_tokens_have_events() {
    let issuer = issuer();
    for claims in [
        claims(),
        Claims::logout_of_subject("a")
            .with_audience("b")
            .into_access_token("client"),
    ] {
        assert_eq!(payload(&issuer, &claims).find("events"), None);
    }
}

#[test]
fn what_was_set_can_be_read() {
    let claims = claims()
        .with_audience("b")
        .with_lifetime(seconds(7))
        .with_authorized_party("client")
        .with_signing_algorithm(Algorithm::Es384);
    assert_eq!(claims.subject(), Some("job:4711"));
    assert_eq!(claims.audiences(), ["sts.example.com", "b"]);
    assert_eq!(claims.lifetime(), Some(seconds(7)));
    assert_eq!(claims.authorized_party(), Some("client"));
    assert_eq!(claims.signing_algorithm(), Some(Algorithm::Es384));
    assert_eq!(claims.token_type(), TokenType::Jwt);
    assert_eq!(Claims::logout_of_session("s").subject(), None);
}
