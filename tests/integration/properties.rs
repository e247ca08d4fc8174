//! What holds for all input, from claims to a verified token, with real keys.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use chancery::software::{Engine, SoftwareSigner, VerifiedToken, Verifier};
use chancery::{Algorithm, Claims, Issuer, Jwk, PrivateClaimError, PublicKey, Signer as _};
use jsonwebtoken::jwk::{Jwk as ForeignJwk, ThumbprintHash};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{AUDIENCE, ISSUER, key_set, published, signer, url};

/// What the issuer fills in or checks, and every other name with a meaning of its own.
const REGISTERED: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "azp",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "at_hash",
    "c_hash",
    "name",
    "email",
    "email_verified",
    "client_id",
    "scope",
    "sid",
    "events",
];

/// The last has a leading zero, which is no part of the number.
const EXPONENTS: &[&[u8]] = &[&[3], &[1, 0, 1], &[0, 1, 0, 1]];

static ISSUERS: LazyLock<Vec<Issuer>> = LazyLock::new(|| {
    let mut issuers = Vec::new();
    for &engine in Engine::ALL {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let keys = key_set([signer(algorithm, engine)]);
            issuers.push(Issuer::builder(url(ISSUER), keys).build().unwrap());
        }
    }
    issuers
});

/// Issues on one of the issuers and verifies from its published document.
fn round_trip(index: usize, claims: &Claims) -> VerifiedToken {
    let issuer = &ISSUERS[index % ISSUERS.len()];
    let token = issuer.issue(claims).unwrap();
    Verifier::new(ISSUER, AUDIENCE, published(issuer))
        .verify(token.as_str())
        .unwrap()
}

/// Any JSON. Fractions are halves, which every parser reads exactly.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 2.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("empty or control characters", |text| {
        !text.is_empty() && !text.chars().any(char::is_control)
    })
}

/// Names that are registered, nearly so, or nothing of the kind.
fn any_name() -> impl Strategy<Value = String> {
    let registered = proptest::sample::select(&REGISTERED[..]);
    prop_oneof![
        2 => any::<String>(),
        1 => registered.clone().prop_map(str::to_owned),
        1 => registered.clone().prop_map(str::to_uppercase),
        1 => (registered, any::<char>()).prop_map(|(name, other)| format!("{other}{name}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn claims_come_back_verified_as_they_went_in(
        index in any::<usize>(),
        subject in any_text(),
        nonce in proptest::option::of(any_text()),
        email in proptest::option::of((any_text(), any::<bool>())),
        scope in proptest::option::of(any_text()),
        lifetime in 60..=3600_u64,
        private in btree_map(any_name(), any_json(), 0..6),
    ) {
        let mut claims = Claims::new(&subject)
            .with_audience(AUDIENCE)
            .with_lifetime(Duration::from_secs(lifetime));
        let mut expected = Map::new();
        expected.insert("iss".into(), json!(ISSUER));
        expected.insert("sub".into(), json!(subject));
        expected.insert("aud".into(), json!(AUDIENCE));
        if let Some(nonce) = nonce {
            claims = claims.with_nonce(&nonce);
            expected.insert("nonce".into(), json!(nonce));
        }
        if let Some((email, verified)) = email {
            claims = claims.with_email(&email, verified);
            expected.insert("email".into(), json!(email));
            expected.insert("email_verified".into(), json!(verified));
        }
        if let Some(scope) = scope {
            claims = claims.with_scope(&scope);
            expected.insert("scope".into(), json!(scope));
        }
        for (name, value) in private.into_iter().filter(|(name, _)| !REGISTERED.contains(&name.as_str())) {
            claims = claims.with_private_claim(&name, &value).unwrap();
            expected.insert(name, value);
        }
        let token = round_trip(index, &claims);
        let mut found = token.claims().clone();
        let times = ["iat", "nbf", "exp"].map(|name| found.remove(name).unwrap().as_u64().unwrap());
        prop_assert_eq!(times[1], times[0]);
        prop_assert_eq!(times[2] - times[0], lifetime + 5);
        prop_assert_eq!(found.remove("jti").unwrap().as_str().unwrap().len(), 22);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_private_claim_overrides_a_registered_one(
        index in any::<usize>(),
        private in btree_map(any_name(), any_json(), 0..6),
        registered in proptest::sample::select(&REGISTERED[..]),
        value in any_json(),
    ) {
        let claims = Claims::new("job:42").with_audience(AUDIENCE);
        let mut with_registered: BTreeMap<String, Value> = private.clone();
        with_registered.insert(registered.to_owned(), value);
        let refused = claims.clone().with_private_claims(&with_registered).unwrap_err();
        prop_assert!(matches!(refused, PrivateClaimError::Registered { .. }), "{}", refused);

        // Whatever is accepted leaves the issuer's own alone.
        if let Ok(claims) = claims.with_private_claims(&private) {
            let token = round_trip(index, &claims);
            prop_assert_eq!(token.claims().len(), 7 + private.len());
            prop_assert_eq!(&token.claims()["iss"], ISSUER);
            prop_assert_eq!(&token.claims()["sub"], "job:42");
            prop_assert_eq!(&token.claims()["aud"], AUDIENCE);
            for name in private.keys() {
                prop_assert!(!REGISTERED.contains(&name.as_str()));
            }
        }
    }

    #[test]
    fn rsa_thumbprints_agree_with_jsonwebtoken(
        mut modulus in vec(any::<u8>(), 256..=512),
        exponent in proptest::sample::select(EXPONENTS),
    ) {
        modulus[0] |= 0x80;
        modulus[255] |= 1;
        *modulus.last_mut().unwrap() |= 1;
        let key = PublicKey::Rsa { modulus, exponent: exponent.to_vec() };
        assert_same_thumbprint(&Jwk::new(Algorithm::Rs256, key).unwrap());
    }

    #[test]
    fn ed25519_thumbprints_agree_with_jsonwebtoken(point in any::<[u8; 32]>()) {
        // About every second string of bytes is a point.
        if let Ok(jwk) = Jwk::new(Algorithm::EdDsa, PublicKey::Ed25519(point)) {
            assert_same_thumbprint(&jwk);
        }
    }
}

#[test]
fn ec_thumbprints_agree_with_jsonwebtoken() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        // Enough for coordinates with leading zeros.
        for _ in 0..400 {
            let signer = SoftwareSigner::generate(algorithm, Engine::AwsLcRs).unwrap();
            assert_same_thumbprint(signer.jwk());
        }
    }
}

fn assert_same_thumbprint(jwk: &Jwk) {
    let published = serde_json::to_value(jwk).unwrap();
    let foreign: ForeignJwk = serde_json::from_value(published).unwrap();
    assert_eq!(
        jwk.thumbprint(),
        foreign.thumbprint(ThumbprintHash::SHA256).unwrap()
    );
    assert_eq!(jwk.thumbprint(), jwk.kid());
}
