//! Compact JSON Web Signatures (RFC 7515), verified with the keys of a set.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::{Algorithm, Jwk, JwkSet, Signature};
use serde_core::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::verify_error::{MAX_TOKEN_LEN, VerifyError};
use crate::verifying_key::VerifyingKey;

/// Verifies a compact JWS with the one key of the set that its `kid` names (RFC 7515 §5.2).
///
/// The algorithm is the key's. A header without `kid` is accepted where the set holds exactly one
/// key. `crit` and `b64` are refused; `jku`, `jwk`, `x5u` and `x5c` are never looked at. What the
/// payload says is not checked: that is for a [`Verifier`](crate::Verifier).
///
/// ```
/// # #[cfg(any(feature = "aws-lc-rs", feature = "ring"))] {
/// use chancery_core::JwkSet;
///
/// // RFC 8037 §A.4, with the key of §A.2.
/// let keys = JwkSet::from_json(
///     br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
/// )?;
/// let jws = chancery_software::verify_jws(
///     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PG\
///      cvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
///     &keys,
/// )?;
/// assert_eq!(jws.payload(), b"Example of Ed25519 signing");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VerifyError`], one variant for each reason.
pub fn verify_jws(compact: &str, keys: &JwkSet) -> Result<VerifiedJws, VerifyError> {
    if compact.len() > MAX_TOKEN_LEN {
        return Err(VerifyError::TooLong { len: compact.len() });
    }
    let mut segments = compact.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) else {
        return Err(VerifyError::Segments);
    };
    let signing_input = &compact[..header.len() + 1 + payload.len()];
    let header = parse_object(&decode(header, "header")?).ok_or(VerifyError::Header)?;
    let payload = decode(payload, "payload")?;
    let signature = decode(signature, "signature")?;

    for name in ["crit", "b64"] {
        if header.contains_key(name) {
            return Err(VerifyError::Critical { name });
        }
    }
    let name = text(&header, "alg")?.ok_or(VerifyError::HeaderParameter { name: "alg" })?;
    let jwk = choose(keys, text(&header, "kid")?, name)?;
    let algorithm = jwk.algorithm();
    if name != algorithm.name() {
        return Err(VerifyError::Algorithm {
            expected: algorithm,
        });
    }
    let token_type = text(&header, "typ")?.map(str::to_owned);
    let signature = Signature::new(algorithm, &signature).map_err(|_| VerifyError::Signature)?;
    VerifyingKey::new(jwk)?.verify(signing_input.as_bytes(), &signature)?;
    Ok(VerifiedJws {
        kid: jwk.kid().to_owned(),
        algorithm,
        token_type,
        payload,
    })
}

/// A JWS whose signature was verified. What its payload says was not.
#[derive(Clone)]
pub struct VerifiedJws {
    kid: String,
    algorithm: Algorithm,
    token_type: Option<String>,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// The `kid` of the key that verified it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm of the key that verified it.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `typ` of the header, as it stands there.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// The bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Shows kid, alg and the length of the payload, which may hold what is nobody else's business.
impl fmt::Debug for VerifiedJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJws")
            .field("kid", &self.kid)
            .field("alg", &self.algorithm.name())
            .field("payload_len", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Parses a JSON object, and refuses one that has a member twice: parsers differ on which one
/// counts (RFC 7515 §4, RFC 7519 §4).
pub(crate) fn parse_object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice::<DistinctMembers>(json)
        .ok()
        .map(|object| object.0)
}

fn decode(segment: &str, name: &'static str) -> Result<Vec<u8>, VerifyError> {
    Base64UrlUnpadded::decode_vec(segment).map_err(|_| VerifyError::Base64 { segment: name })
}

fn text<'a>(
    header: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, VerifyError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(VerifyError::HeaderParameter { name }),
    }
}

/// The key of that name. Where keys of several algorithms share it, the algorithm tells which.
fn choose<'a>(
    keys: &'a JwkSet,
    kid: Option<&str>,
    algorithm: &str,
) -> Result<&'a Jwk, VerifyError> {
    match (kid, keys.keys()) {
        (Some(kid), all) => {
            let mut named = all.iter().filter(|jwk| jwk.kid() == kid);
            let first = named.next().ok_or(VerifyError::UnknownKid)?;
            let is_meant = |jwk: &&Jwk| jwk.algorithm().name() == algorithm;
            Ok(Some(first)
                .filter(is_meant)
                .or_else(|| named.find(is_meant))
                .unwrap_or(first))
        }
        // A key that was passed over might be the one that is meant.
        (None, [only]) if keys.ignored().is_empty() => Ok(only),
        (None, _) => Err(VerifyError::KidMissing),
    }
}

struct DistinctMembers(Map<String, Value>);

impl<'de> Deserialize<'de> for DistinctMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctMembersVisitor)
    }
}

struct DistinctMembersVisitor;

impl<'de> Visitor<'de> for DistinctMembersVisitor {
    type Value = DistinctMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistinctMembers, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(DistinctMembers(members))
    }
}
