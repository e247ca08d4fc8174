//! What the targets share: a clock that stands, a signer that signs nothing, strict reading.

use std::fmt;
use std::sync::{Arc, LazyLock};

use chancery_core::{
    Clock, Jwk, KeySet, Schedule, ScheduledKey, SignError, Signature, Signer, SigningInput,
    UnixTime,
};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

/// The signature of every fake.
pub(crate) const FAKE_SIGNATURE: [u8; 64] = [0x5a; 64];

/// The public key of RFC 8037 §A.2.
pub(crate) const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A clock that stands at [`NOW`].
#[derive(Debug)]
pub(crate) struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(NOW).expect("2026 lies before the year 9999")
    }
}

#[derive(Debug)]
struct FakeSigner(Jwk);

impl Signer for FakeSigner {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        Ok(Signature::new(self.0.algorithm(), &FAKE_SIGNATURE)?)
    }
}

/// A set of one key that signs nothing.
pub(crate) fn fake_keys() -> KeySet {
    static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
        let jwk = Jwk::from_json(ED25519.as_bytes()).expect("the key of RFC 8037 is one");
        let signer = Arc::new(FakeSigner(jwk));
        KeySet::new(vec![ScheduledKey::new(signer, Schedule::ALWAYS)]).expect("one key is a set")
    });
    KEYS.clone()
}

/// Reads an object; one that has a member twice is none.
pub(crate) fn parse_object(json: &[u8]) -> Option<Map<String, Value>> {
    struct Unique(Map<String, Value>);

    impl<'de> Deserialize<'de> for Unique {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;

            impl<'de> Visitor<'de> for Members {
                type Value = Unique;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                    let mut members = Map::new();
                    while let Some((name, value)) = map.next_entry::<String, Value>()? {
                        if members.insert(name, value).is_some() {
                            return Err(A::Error::custom("a member is there twice"));
                        }
                    }
                    Ok(Unique(members))
                }
            }

            deserializer.deserialize_map(Members)
        }
    }

    serde_json::from_slice(json)
        .ok()
        .map(|Unique(members)| members)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes base64url without padding, sharing nothing with the code under test.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, index| {
            number << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for index in 0..=group.len() {
            text.push(char::from(ALPHABET[number >> (18 - 6 * index) & 63]));
        }
    }
    text
}

/// Decodes base64url without padding; `None` where [`encode`] would not give the text back.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut pending, mut bits) = (0_usize, 0);
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|&character| character == byte)?;
        pending = (pending << 6 | value) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((pending >> bits & 0xff).try_into().ok()?);
        }
    }
    (encode(&bytes) == text).then_some(bytes)
}
