//! Published vectors that no registry carries: Wycheproof's JOSE sets and the JOSE cookbook.

use std::path::PathBuf;

use chancery::software::{Engine, PrivateKey, SoftwareSigner, verify_jws};
use chancery::{Algorithm, Jwk, JwkError, JwkSet, Signer as _, SigningInput};
use serde_json::{Value, json};

use crate::support::{decode, encode};

const HMAC: &str = "HMAC and other symmetric keys are never used";
const ENCRYPTED: &str = "encrypted tokens (JWE) are no business of an issuer of signed ones";
const OTHER_ALGORITHM: &str = "the key says PS256 and the header PS384: a key has one algorithm";
const TYPO: &str = "the key's `alg` is spelled ES521, which nobody registered";

/// Valid tokens that are refused all the same, by the numbers of their tests.
const UNSUPPORTED: [(&str, &[u64], &str); 7] = [
    (
        "json_web_signature_test",
        &[1, 348, 352, 357, 358, 359, 372, 373, 376, 377],
        HMAC,
    ),
    ("json_web_signature_test", &[346, 350], OTHER_ALGORITHM),
    ("json_web_signature_test", &[347, 351], TYPO),
    ("json_web_key_test", &[2, 13, 14, 15], HMAC),
    ("json_web_crypto_test", &[1, 48], HMAC),
    ("json_web_crypto_test", &[50], ENCRYPTED),
    ("json_web_crypto_test", &[67], ENCRYPTED),
];

/// What became of a set's tokens.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    /// Invalid, and refused because of the token, although there was a usable key.
    refused_tokens: usize,
    /// Invalid, and refused together with all keys: private, symmetric, weak or for another use.
    refused_keys: usize,
    /// Valid, and on the list above.
    unsupported: usize,
}

#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn wycheproof_signatures() {
    let expected = Tally {
        accepted: 32,
        refused_tokens: 321,
        refused_keys: 34,
        unsupported: 14,
    };
    assert_eq!(wycheproof("json_web_signature_test"), expected);
}

#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn wycheproof_keys() {
    let expected = Tally {
        accepted: 1,
        refused_tokens: 0,
        refused_keys: 21,
        unsupported: 4,
    };
    assert_eq!(wycheproof("json_web_key_test"), expected);
}

#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn wycheproof_crypto() {
    let expected = Tally {
        accepted: 2,
        refused_tokens: 26,
        refused_keys: 51,
        unsupported: 4,
    };
    assert_eq!(wycheproof("json_web_crypto_test"), expected);
}

/// RFC 7520 §4.1.
#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn cookbook_rs256_comes_out_byte_exact() {
    let example = read("cookbook/jws/4_1.rsa_v15_signature.json");
    verify_example(&example, Algorithm::Rs256);
    sign_example(&example, Algorithm::Rs256);
}

/// RFC 7520 §4.2; PSS is salted, so that it can be verified only.
#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn cookbook_ps384_verifies() {
    verify_example(
        &read("cookbook/jws/4_2.rsa-pss_signature.json"),
        Algorithm::Ps384,
    );
}

/// RFC 7520 §4.3; the nonce is random, so that it can be verified only.
#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn cookbook_es512_verifies() {
    verify_example(
        &read("cookbook/jws/4_3.ecdsa_signature.json"),
        Algorithm::Es512,
    );
}

#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn cookbook_ed25519_comes_out_byte_exact() {
    let example = read("cookbook/curve25519_jws.json");
    verify_example(&example, Algorithm::EdDsa);
    sign_example(&example, Algorithm::EdDsa);
}

/// RFC 7520 §3: the public keys parse, and the private ones load and belong to them.
#[test]
#[ignore = "needs CHANCERY_VECTORS; cargo xtask test passes it on"]
fn cookbook_keys_load() {
    for (public, private, algorithm) in [
        (
            "3_1.ec_public_key.json",
            "3_2.ec_private_key.json",
            Algorithm::Es512,
        ),
        (
            "3_3.rsa_public_key.json",
            "3_4.rsa_private_key.json",
            Algorithm::Rs256,
        ),
    ] {
        let public = read(&format!("cookbook/jwk/{public}")).to_string();
        let private = read(&format!("cookbook/jwk/{private}")).to_string();
        let public = Jwk::from_json(public.as_bytes()).unwrap();
        assert_eq!(public.kid(), "bilbo.baggins@hobbiton.example");
        assert!(matches!(
            Jwk::from_json(private.as_bytes()),
            Err(JwkError::Private { .. })
        ));
        let key = PrivateKey::from_jwk_json(private.as_bytes()).unwrap();
        let signer = SoftwareSigner::new(&key, algorithm, Engine::AwsLcRs).unwrap();
        assert_eq!(signer.jwk().public_key(), public.public_key());
    }
}

fn wycheproof(name: &str) -> Tally {
    let set = read(&format!("wycheproof/{name}.json"));
    let mut tally = Tally::default();
    let mut tests = 0;
    for group in set["testGroups"].as_array().unwrap() {
        let keys = key_set(group);
        for test in group["tests"].as_array().unwrap() {
            tests += 1;
            let id = test["tcId"].as_u64().unwrap();
            let verified = keys
                .as_ref()
                .is_some_and(|keys| verify_jws(&token(test), keys).is_ok());
            let listed = UNSUPPORTED
                .iter()
                .find(|(set, ids, _)| *set == name && ids.contains(&id));
            match (test["result"].as_str().unwrap(), verified, listed) {
                ("invalid", false, None) if keys.is_some() => tally.refused_tokens += 1,
                ("invalid", false, None) => tally.refused_keys += 1,
                ("valid", true, None) => tally.accepted += 1,
                ("valid", false, Some(_)) => tally.unsupported += 1,
                (result, verified, listed) => panic!(
                    "{name} {id} is {result}; verified: {verified}; on the list: {listed:?}; {}",
                    test["comment"]
                ),
            }
        }
    }
    assert_eq!(Some(tests), set["numberOfTests"].as_u64());
    tally
}

/// The keys of a group as a relying party would have fetched them. Where there is no public half,
/// the key is symmetric or private, and given as it is.
fn key_set(group: &Value) -> Option<JwkSet> {
    let has_public_half = group["public"]
        .as_object()
        .is_some_and(|key| !key.is_empty());
    let keys = &group[if has_public_half { "public" } else { "private" }];
    let document = if keys.get("keys").is_some() {
        keys.clone()
    } else {
        json!({ "keys": [keys] })
    };
    let set = JwkSet::from_json(document.to_string().as_bytes()).ok()?;
    (!set.keys().is_empty()).then_some(set)
}

/// Some are not in compact form but JSON objects; a relying party would be handed their text.
fn token(test: &Value) -> String {
    match test.get("jws").or_else(|| test.get("jwe")) {
        Some(Value::String(compact)) => compact.clone(),
        Some(object) => object.to_string(),
        None => panic!("a test without a token: {test}"),
    }
}

/// Verifies the output of an example of the cookbook with the public half of its key.
fn verify_example(example: &Value, algorithm: Algorithm) {
    let input = &example["input"];
    let mut members = input["key"].clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        members.as_object_mut().unwrap().remove(private);
    }
    // The examples' keys name no algorithm.
    members["alg"] = json!(algorithm.name());
    // Where a header names no key, there is one alone.
    let keys = JwkSet::from_json(json!({ "keys": [members] }).to_string().as_bytes()).unwrap();
    assert!(keys.ignored().is_empty(), "{:?}", keys.ignored());
    let compact = example["output"]["compact"].as_str().unwrap();
    let verified = verify_jws(compact, &keys).unwrap();
    assert_eq!(
        verified.payload(),
        input["payload"].as_str().unwrap().as_bytes()
    );
    assert_eq!(verified.algorithm(), algorithm);

    let (signing_input, signature) = compact.rsplit_once('.').unwrap();
    let mut changed = decode(signature);
    changed[17] ^= 4;
    assert!(verify_jws(&format!("{signing_input}.{}", encode(&changed)), &keys).is_err());
}

/// Signs an example of the cookbook anew on both engines.
fn sign_example(example: &Value, algorithm: Algorithm) {
    let key = example["input"]["key"].to_string();
    let key = PrivateKey::from_jwk_json(key.as_bytes()).unwrap();
    let signing = &example["signing"];
    let input = signing["sig-input"].as_str().unwrap().as_bytes();
    for &engine in Engine::ALL {
        let signature = SoftwareSigner::new(&key, algorithm, engine)
            .unwrap()
            .sign(&SigningInput::new(algorithm, input))
            .unwrap();
        assert_eq!(
            encode(signature.as_bytes()),
            signing["sig"].as_str().unwrap(),
            "{engine}"
        );
    }
}

fn read(name: &str) -> Value {
    let folder = std::env::var_os("CHANCERY_VECTORS")
        .expect("CHANCERY_VECTORS must name the folder of published test vectors");
    let path = PathBuf::from(folder).join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
