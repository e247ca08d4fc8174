//! What holds for all input.

use chancery_core::{
    Algorithm, Claims, IssueError, IssuerUrl, Jwk, PrivateClaimError, PublicKey, Signature,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::signature::to_der;
use crate::support::{
    ISSUER, NOW, Parts, REGISTERED, always, builder, decode, encode, issuer, jwk, seconds,
};

/// Any JSON. Fractions are halves, which every parser reads exactly.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 2.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((any_name(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Any name of a claim, with registered ones and their like among them.
fn any_name() -> impl Strategy<Value = String> {
    let registered = proptest::sample::select(&REGISTERED[..]);
    prop_oneof![
        4 => any::<String>(),
        2 => "[a-z_]{0,8}",
        1 => registered.clone().prop_map(str::to_owned),
        1 => (registered, any::<char>()).prop_map(|(name, other)| format!("{name}{other}")),
    ]
}

/// A text that is neither empty nor has control characters.
fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("empty or control characters", |text| {
        !text.is_empty() && !text.chars().any(char::is_control)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn claims_come_back_from_the_payload_as_they_went_in(
        subject in any_text(),
        audiences in vec(any_text(), 1..4),
        nonce in proptest::option::of(any_text()),
        methods in vec(any_text(), 0..3),
        email in proptest::option::of((any_text(), any::<bool>())),
        lifetime in 1..=3600_u64,
        private in btree_map(any_name(), any_json(), 0..6),
    ) {
        let mut claims = Claims::new(&subject).with_lifetime(seconds(lifetime)).with_token_id("1");
        let mut expected = Map::new();
        expected.insert("iss".into(), json!(ISSUER));
        expected.insert("sub".into(), json!(subject));
        expected.insert("aud".into(), match audiences.as_slice() {
            [one] => json!(one),
            several => json!(several),
        });
        expected.insert("iat".into(), json!(NOW - 5));
        expected.insert("nbf".into(), json!(NOW - 5));
        expected.insert("exp".into(), json!(NOW + lifetime));
        expected.insert("jti".into(), json!("1"));
        for audience in &audiences {
            claims = claims.with_audience(audience);
        }
        if let Some(nonce) = nonce {
            claims = claims.with_nonce(&nonce);
            expected.insert("nonce".into(), json!(nonce));
        }
        if !methods.is_empty() {
            expected.insert("amr".into(), json!(methods));
        }
        for method in methods {
            claims = claims.with_authentication_method(method);
        }
        if let Some((address, verified)) = email {
            claims = claims.with_email(&address, verified);
            expected.insert("email".into(), json!(address));
            expected.insert("email_verified".into(), json!(verified));
        }
        let private: Map<String, Value> = private
            .into_iter()
            .filter(|(name, _)| !REGISTERED.contains(&name.as_str()))
            .collect();
        claims = claims.with_private_claims(&private).unwrap();
        expected.extend(private);

        let issuer = builder(vec![always(Algorithm::Es256, "es256")])
            .allow_several_audiences()
            .build()
            .unwrap();
        let token = issuer.issue(&claims).unwrap();
        let parts = Parts::of(token.as_str());
        prop_assert!(parts.is_signed_by(&jwk(Algorithm::Es256, "es256")));
        prop_assert_eq!(Value::Object(parts.payload.0.into_iter().collect()), Value::Object(expected));
    }

    #[test]
    fn no_private_claim_overrides_a_registered_one(
        groups in vec(vec((any_name(), any_json()), 0..5), 0..3),
    ) {
        let mut claims = Claims::new("subject").with_audience("audience").with_token_id("1");
        let mut taken = Vec::new();
        for group in groups {
            let members: Map<String, Value> = group.into_iter().collect();
            let names: Vec<String> = members.keys().cloned().collect();
            let is_registered = names.iter().any(|name| REGISTERED.contains(&name.as_str()));
            let is_duplicate = names.iter().any(|name| taken.contains(name));
            match claims.clone().with_private_claims(&members) {
                Ok(more) => {
                    prop_assert!(!is_registered && !is_duplicate);
                    claims = more;
                    taken.extend(names);
                }
                Err(PrivateClaimError::Registered { .. }) => prop_assert!(is_registered),
                Err(PrivateClaimError::Duplicate { .. }) => prop_assert!(is_duplicate),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
        let token = issuer().issue(&claims).unwrap();
        // Taking the token apart fails on a member that is there twice.
        let payload = Parts::of(token.as_str()).payload;
        prop_assert_eq!(payload.text("iss"), ISSUER);
        prop_assert_eq!(payload.text("sub"), "subject");
        prop_assert_eq!(payload.text("aud"), "audience");
        prop_assert_eq!(payload.text("jti"), "1");
        prop_assert_eq!(payload.number("iat"), NOW - 5);
        prop_assert_eq!(payload.number("nbf"), NOW - 5);
        prop_assert_eq!(payload.number("exp"), NOW + 900);
        prop_assert_eq!(payload.0.len(), 7 + taken.len());
    }

    #[test]
    fn any_text_in_a_claim_is_written_right_or_refused(text in any::<String>()) {
        let claims = Claims::new(&text).with_audience("audience");
        match issuer().issue(&claims) {
            Ok(token) => {
                let payload = Parts::of(token.as_str()).payload;
                prop_assert_eq!(payload.text("sub"), text.as_str());
                prop_assert!(!text.is_empty() && !text.chars().any(char::is_control));
            }
            Err(IssueError::Claims(_)) => {
                prop_assert!(text.is_empty() || text.chars().any(char::is_control));
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn a_url_is_refused_or_kept_byte_for_byte(
        text in prop_oneof![
            any::<String>(),
            any::<String>().prop_map(|rest| format!("https://{rest}")),
            "https?://[a-z0-9.:\\[\\]@-]{0,20}(/[!-~]{0,6}){0,4}",
            "https://[a-z]{1,5}\\.example(:[0-9]{0,6})?(/([a-z%.]|%[0-9A-F]{2}){0,6}){0,4}",
        ],
    ) {
        for parsed in [IssuerUrl::parse(&text), IssuerUrl::parse_allowing_loopback_http(&text)] {
            let Ok(url) = parsed else { continue };
            prop_assert_eq!(url.as_str(), &text);
            prop_assert_eq!(format!("{}{}", url.origin(), url.path()), text.clone());
            prop_assert!(url.path().is_empty() || url.path().starts_with('/'));
            prop_assert!(!text.contains(['?', '#', '\\', '"', ' ']));
            prop_assert!(!url.origin().contains('@'));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            for path in [url.discovery_path(), url.metadata_path(), url.inserted_discovery_path()] {
                prop_assert!(path.starts_with('/') && !path.contains("//"));
                prop_assert!(!path.ends_with('/'));
            }
        }
    }

    #[test]
    fn signatures_survive_der_and_back(
        algorithm in proptest::sample::select(vec![Algorithm::Es256, Algorithm::Es384, Algorithm::Es512]),
        bytes in vec(any::<u8>(), 132),
        zeros in 0..33_usize,
    ) {
        let length = match algorithm {
            Algorithm::Es256 => 64,
            Algorithm::Es384 => 96,
            _ => 132,
        };
        let mut jose = bytes[..length].to_vec();
        // Short numbers are rare at random and where conversions go wrong.
        jose[..zeros.min(length / 2 - 1)].fill(0);
        let is_zero = |half: &[u8]| half.iter().all(|&byte| byte == 0);
        prop_assume!(!is_zero(&jose[..length / 2]) && !is_zero(&jose[length / 2..]));
        let signature = Signature::from_der(algorithm, &to_der(&jose)).unwrap();
        prop_assert_eq!(signature.as_bytes(), jose);
    }

    #[test]
    fn der_is_read_in_one_spelling_only(
        mut der in vec(any::<u8>(), 64).prop_map(|jose| to_der(&jose)),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let place = place.index(der.len());
        der[place] = byte;
        if let Ok(signature) = Signature::from_der(Algorithm::Es256, &der) {
            prop_assert_eq!(to_der(signature.as_bytes()), der);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_key_and_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Jwk::from_json(&bytes).is_err());
        let _ = chancery_core::JwkSet::from_json(&bytes);
        for algorithm in Algorithm::all() {
            let _ = Signature::from_der(algorithm, &bytes);
            let _ = Signature::new(algorithm, &bytes);
        }
    }

    #[test]
    fn ed25519_keys_that_parse_render_to_what_they_were(bytes in any::<[u8; 32]>()) {
        let text = encode(&bytes);
        prop_assert_eq!(decode(&text), bytes);
        let json = json!({"kty": "OKP", "crv": "Ed25519", "x": text}).to_string();
        if let Ok(jwk) = Jwk::from_json(json.as_bytes()) {
            prop_assert_eq!(jwk.public_key(), &PublicKey::Ed25519(bytes));
            let again = serde_json::to_vec(&jwk).unwrap();
            prop_assert_eq!(Jwk::from_json(&again).unwrap().thumbprint(), jwk.thumbprint());
        }
    }
}
