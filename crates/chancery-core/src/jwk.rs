//! The public JSON Web Key, and sets of them.

use std::collections::HashSet;
use std::fmt;

use der::{Decode as _, Reader as _, SliceReader};
use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Curve, HashAlgorithm, KeyType};
use crate::base64url;
use crate::public_key::{PublicKey, PublicKeyError};

/// Members that only a private or symmetric JWK has (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037
/// §2, RFC 9964).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A public signature key as a relying party sees it: key, `alg` and `kid` (RFC 7517 §4).
///
/// The type has no place for a private member. Its point is on its curve, its RSA modulus has
/// 2048 to 4096 bits, and its `kid` is the RFC 7638 thumbprint unless the operator named one.
///
/// ```
/// use chancery_core::{Algorithm, Jwk};
///
/// // The key of RFC 8037 §A.2; its thumbprint stands in §A.3.
/// let jwk = Jwk::from_json(
///     br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(jwk.algorithm(), Algorithm::EdDsa);
/// assert_eq!(jwk.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), chancery_core::JwkError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk {
    kid: String,
    algorithm: Algorithm,
    public_key: PublicKey,
    certificate_chain: Vec<Vec<u8>>,
}

impl Jwk {
    /// Makes the JWK of a public key; its `kid` is the SHA-256 thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`JwkError::KeyType`] when the algorithm does not go with the key, [`JwkError::PublicKey`]
    /// when the key is weak or malformed.
    pub fn new(algorithm: Algorithm, public_key: PublicKey) -> Result<Self, JwkError> {
        if algorithm.key_type() != public_key.key_type() {
            return Err(JwkError::KeyType {
                algorithm,
                found: public_key.key_type(),
            });
        }
        let public_key = public_key.validated().map_err(JwkError::PublicKey)?;
        Ok(Self {
            kid: thumbprint(&public_key),
            algorithm,
            public_key,
            certificate_chain: Vec::new(),
        })
    }

    /// Names the key otherwise than by its thumbprint.
    ///
    /// Some relying parties keep the keys of all their issuers in one map: choose a `kid` that no
    /// other issuer uses, and never use one twice.
    ///
    /// # Errors
    /// [`JwkError::Kid`] unless the name has 1 to 255 printable ASCII characters, without `"` and
    /// `\`.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, JwkError> {
        let kid = kid.into();
        let allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\';
        if kid.is_empty() || kid.len() > 255 || !kid.bytes().all(allowed) {
            return Err(JwkError::Kid);
        }
        self.kid = kid;
        Ok(self)
    }

    /// Attaches a certificate chain, rendered as `x5c` (RFC 7517 §4.7): DER certificates, the one
    /// of this key first.
    ///
    /// # Errors
    /// [`JwkError::Certificate`] when one is not an X.509 certificate in DER, or the first does
    /// not certify this key.
    pub fn with_certificate_chain(mut self, chain: Vec<Vec<u8>>) -> Result<Self, JwkError> {
        for (index, certificate) in chain.iter().enumerate() {
            let spki =
                subject_public_key(certificate).map_err(|_| JwkError::Certificate { index })?;
            if index == 0 && !self.is_certified_by(spki) {
                return Err(JwkError::Certificate { index });
            }
        }
        self.certificate_chain = chain;
        Ok(self)
    }

    /// Parses a public JWK.
    ///
    /// Where `alg` is missing it is taken from the curve; for RSA it is RS256, the default of
    /// OpenID Connect Core §2. [`Jwk::with_algorithm`] mends that where an issuer means another.
    ///
    /// # Errors
    /// [`JwkError`] when the JSON is not an object of a known kind of key, the key is weak or
    /// malformed, `use` or `key_ops` exclude signatures, `alg` does not go with the key, or there
    /// is a private member: a private key that was published is to be withdrawn, not parsed.
    pub fn from_json(json: &[u8]) -> Result<Self, JwkError> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(members)) => Self::from_members(&members),
            Ok(_) => Err(JwkError::NotAnObject),
            Err(error) => Err(JwkError::Json(JsonError(error.to_string()))),
        }
    }

    /// The same key under another algorithm that it can have, such as PS256 for an RSA key.
    ///
    /// # Errors
    /// [`JwkError::KeyType`] when the algorithm does not go with the key.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, JwkError> {
        if algorithm.key_type() != self.public_key.key_type() {
            return Err(JwkError::KeyType {
                algorithm,
                found: self.public_key.key_type(),
            });
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    /// The key's identifier, as it stands in the header of every token.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm of this key.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The attached certificates in DER, this key's own first; empty where there are none.
    #[must_use]
    pub fn certificate_chain(&self) -> &[Vec<u8>] {
        &self.certificate_chain
    }

    /// The SHA-256 thumbprint of the key in base64url, whatever its `kid` (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.public_key)
    }

    /// The length in bytes of every signature that the key makes.
    #[must_use]
    pub fn signature_len(&self) -> usize {
        self.public_key.signature_len()
    }

    pub(crate) fn from_members(members: &Map<String, Value>) -> Result<Self, JwkError> {
        if let Some(member) = PRIVATE_MEMBERS
            .into_iter()
            .find(|&member| members.contains_key(member))
        {
            return Err(JwkError::Private { member });
        }
        check_purpose(members)?;
        let public_key = match text(members, "kty")? {
            "EC" => ec_key(members)?,
            "RSA" => PublicKey::Rsa {
                modulus: octets(members, "n")?,
                exponent: octets(members, "e")?,
            },
            "OKP" if text(members, "crv")? == "Ed25519" => {
                let x = octets(members, "x")?;
                PublicKey::Ed25519(x.try_into().map_err(|_| JwkError::Member { name: "x" })?)
            }
            "OKP" => return Err(JwkError::Member { name: "crv" }),
            _ => return Err(JwkError::Member { name: "kty" }),
        };
        let algorithm = match members.get("alg") {
            Some(Value::String(name)) => {
                name.parse().map_err(|_| JwkError::Member { name: "alg" })?
            }
            Some(_) => return Err(JwkError::Member { name: "alg" }),
            None => match public_key.key_type() {
                KeyType::Ec(curve) => curve.algorithm(),
                KeyType::Rsa => Algorithm::Rs256,
                KeyType::Ed25519 => Algorithm::EdDsa,
            },
        };
        let mut jwk = Self::new(algorithm, public_key)?;
        if members.contains_key("kid") {
            jwk = jwk.with_kid(text(members, "kid")?)?;
        }
        if let Some(chain) = members.get("x5c") {
            jwk = jwk.with_certificate_chain(certificates(chain)?)?;
        }
        Ok(jwk)
    }

    fn is_certified_by(&self, subject_public_key: &[u8]) -> bool {
        match &self.public_key {
            PublicKey::Ec { point, .. } => subject_public_key == point.as_slice(),
            PublicKey::Ed25519(point) => subject_public_key == point.as_slice(),
            PublicKey::Rsa { modulus, exponent } => rsa_numbers(subject_public_key)
                .is_ok_and(|(n, e)| n == modulus.as_slice() && e == exponent.as_slice()),
        }
    }
}

/// Shows `kid` and `alg`.
impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("kid", &self.kid)
            .field("alg", &self.algorithm.name())
            .finish_non_exhaustive()
    }
}

/// Renders the members in the order `kty`, `use`, `alg`, `kid`, key, `x5c`.
impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let kty = match self.public_key {
            PublicKey::Ec { .. } => "EC",
            PublicKey::Rsa { .. } => "RSA",
            PublicKey::Ed25519(_) => "OKP",
        };
        map.serialize_entry("kty", kty)?;
        map.serialize_entry("use", "sig")?;
        map.serialize_entry("alg", self.algorithm.name())?;
        map.serialize_entry("kid", &self.kid)?;
        match &self.public_key {
            PublicKey::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.coordinate_len());
                map.serialize_entry("crv", curve.name())?;
                map.serialize_entry("x", &base64url::encode(x))?;
                map.serialize_entry("y", &base64url::encode(y))?;
            }
            PublicKey::Rsa { modulus, exponent } => {
                map.serialize_entry("n", &base64url::encode(modulus))?;
                map.serialize_entry("e", &base64url::encode(exponent))?;
            }
            PublicKey::Ed25519(point) => {
                map.serialize_entry("crv", "Ed25519")?;
                map.serialize_entry("x", &base64url::encode(point))?;
            }
        }
        if !self.certificate_chain.is_empty() {
            let chain: Vec<String> = self
                .certificate_chain
                .iter()
                .map(|certificate| base64url::encode_standard(certificate))
                .collect();
            map.serialize_entry("x5c", &chain)?;
        }
        map.end()
    }
}

/// The hash over the required members in lexicographic order (RFC 7638 §3.2).
fn thumbprint(public_key: &PublicKey) -> String {
    let canonical = match public_key {
        PublicKey::Ec { curve, point } => {
            let (x, y) = point[1..].split_at(curve.coordinate_len());
            format!(
                r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                base64url::encode(x),
                base64url::encode(y)
            )
        }
        PublicKey::Rsa { modulus, exponent } => format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            base64url::encode(exponent),
            base64url::encode(modulus)
        ),
        PublicKey::Ed25519(point) => format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
            base64url::encode(point)
        ),
    };
    base64url::encode(
        HashAlgorithm::Sha256
            .digest(canonical.as_bytes())
            .as_bytes(),
    )
}

fn check_purpose(members: &Map<String, Value>) -> Result<(), JwkError> {
    match members.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err(JwkError::Purpose { member: "use" }),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(_) => Err(JwkError::Purpose { member: "key_ops" }),
    }
}

fn ec_key(members: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let curve = match text(members, "crv")? {
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        "P-521" => Curve::P521,
        _ => return Err(JwkError::Member { name: "crv" }),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = octets(members, name)?;
        if coordinate.len() != curve.coordinate_len() {
            return Err(JwkError::Member { name });
        }
        point.extend_from_slice(&coordinate);
    }
    Ok(PublicKey::Ec { curve, point })
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwkError> {
    members
        .get(name)
        .and_then(Value::as_str)
        .ok_or(JwkError::Member { name })
}

fn octets(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(text(members, name)?).ok_or(JwkError::Member { name })
}

fn certificates(chain: &Value) -> Result<Vec<Vec<u8>>, JwkError> {
    chain
        .as_array()
        .ok_or(JwkError::Member { name: "x5c" })?
        .iter()
        .map(|certificate| {
            certificate
                .as_str()
                .and_then(base64url::decode_standard)
                .ok_or(JwkError::Member { name: "x5c" })
        })
        .collect()
}

/// The bits of `subjectPublicKey` in a DER certificate (RFC 5280 §4.1).
fn subject_public_key(certificate: &[u8]) -> Result<&[u8], der::Error> {
    let mut reader = SliceReader::new(certificate)?;
    let key = reader.sequence(|certificate| {
        let key = certificate.sequence(|tbs| {
            // version (where present), serialNumber, signature, issuer, validity and subject
            // stand before the key.
            if tbs.peek_tag()?.is_context_specific() {
                tbs.tlv_bytes()?;
            }
            for _ in 0..5 {
                tbs.tlv_bytes()?;
            }
            let key = tbs.sequence(|spki| {
                spki.tlv_bytes()?;
                let bits = der::asn1::BitStringRef::decode(spki)?;
                bits.as_bytes().ok_or_else(|| {
                    der::ErrorKind::Value {
                        tag: der::Tag::BitString,
                    }
                    .into()
                })
            })?;
            while !tbs.is_finished() {
                tbs.tlv_bytes()?;
            }
            Ok(key)
        })?;
        certificate.tlv_bytes()?;
        certificate.tlv_bytes()?;
        Ok(key)
    })?;
    reader.finish(key)
}

/// n and e of a PKCS#1 `RSAPublicKey` (RFC 8017 §A.1.1).
fn rsa_numbers(der: &[u8]) -> Result<(&[u8], &[u8]), der::Error> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|key| {
        let n = der::asn1::UintRef::decode(key)?;
        let e = der::asn1::UintRef::decode(key)?;
        Ok((n.as_bytes(), e.as_bytes()))
    })?;
    reader.finish(numbers)
}

/// A parsed JWK Set (RFC 7517 §5).
///
/// As the RFC asks, keys of unknown kinds are passed over, not fatal; they are kept as
/// [`JwkSet::ignored`] for whoever wonders why a token does not verify.
#[derive(Clone, Debug)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    ignored: Vec<(usize, JwkError)>,
}

impl JwkSet {
    /// Parses a JWKS document.
    ///
    /// # Errors
    /// [`JwkError`] when the JSON has no array `keys`, a key in it is private, or two usable keys of
    /// one algorithm share a `kid`.
    pub fn from_json(json: &[u8]) -> Result<Self, JwkError> {
        let document: Value = serde_json::from_slice(json)
            .map_err(|error| JwkError::Json(JsonError(error.to_string())))?;
        let entries = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(JwkError::Member { name: "keys" })?;
        let mut keys = Vec::new();
        let mut ignored = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let parsed = match entry {
                Value::Object(members) => Jwk::from_members(members),
                _ => Err(JwkError::NotAnObject),
            };
            match parsed {
                Ok(jwk) => keys.push(jwk),
                Err(error @ JwkError::Private { .. }) => return Err(error),
                Err(error) => ignored.push((index, error)),
            }
        }
        let mut set = Self::new(keys)?;
        set.ignored = ignored;
        Ok(set)
    }

    /// Makes a set of keys.
    ///
    /// # Errors
    /// [`JwkError::DuplicateKid`] when two keys of one algorithm share a `kid`. Keys of different
    /// algorithms may (RFC 7517 §4.5).
    pub fn new(keys: Vec<Jwk>) -> Result<Self, JwkError> {
        let mut names = HashSet::new();
        for jwk in &keys {
            if !names.insert((jwk.kid(), jwk.algorithm())) {
                return Err(JwkError::DuplicateKid {
                    kid: jwk.kid.clone(),
                });
            }
        }
        Ok(Self {
            keys,
            ignored: Vec::new(),
        })
    }

    /// The usable keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The entries that are no usable key: each one's place in `keys`, from 0, and the reason.
    #[must_use]
    pub fn ignored(&self) -> &[(usize, JwkError)] {
        &self.ignored
    }
}

/// Renders `{"keys": […]}`.
impl Serialize for JwkSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("keys", &self.keys)?;
        map.end()
    }
}

/// Why something is no public JWK for signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwkError {
    /// The bytes are not JSON.
    Json(JsonError),
    /// The JSON is not an object.
    NotAnObject,
    /// A member is missing, of the wrong type, not canonical base64url or of an unknown value.
    Member {
        /// The name of the member.
        name: &'static str,
    },
    /// The JWK holds a private or symmetric key.
    Private {
        /// The name of the member that gives it away.
        member: &'static str,
    },
    /// `use` or `key_ops` say that the key is not for verifying signatures.
    Purpose {
        /// The name of the member that says so.
        member: &'static str,
    },
    /// The algorithm does not go with the key.
    KeyType {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The kind of key found.
        found: KeyType,
    },
    /// The key is weak or malformed.
    PublicKey(PublicKeyError),
    /// The `kid` is empty, too long or has unusual characters.
    Kid,
    /// A certificate of the chain cannot be read, or the first one is of another key.
    Certificate {
        /// Its place in the chain, from 0.
        index: usize,
    },
    /// Two keys of one algorithm share a `kid`.
    DuplicateKid {
        /// The shared name.
        kid: String,
    },
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "not JSON: {error}"),
            Self::NotAnObject => f.write_str("a JWK must be a JSON object"),
            Self::Member { name } => {
                write!(f, "JWK member `{name}` is missing or has an unusable value")
            }
            Self::Private { member } => write!(
                f,
                "the JWK holds a private key (member `{member}`); if it was published, replace the key"
            ),
            Self::Purpose { member } => {
                write!(
                    f,
                    "JWK member `{member}` says the key is not for signatures"
                )
            }
            Self::KeyType { algorithm, found } => write!(
                f,
                "{algorithm} needs a key of type {}, not {found}",
                algorithm.key_type()
            ),
            Self::PublicKey(error) => error.fmt(f),
            Self::Kid => f.write_str(
                "a kid must have 1 to 255 printable ASCII characters, without \" and \\",
            ),
            Self::Certificate { index: 0 } => {
                f.write_str("the first certificate is not a DER certificate of this key")
            }
            Self::Certificate { index } => {
                write!(
                    f,
                    "certificate {index} of the chain is not an X.509 certificate in DER"
                )
            }
            Self::DuplicateKid { kid } => write!(f, "two keys have the kid `{kid}`"),
        }
    }
}

impl std::error::Error for JwkError {}

/// What the JSON parser or writer found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(pub(crate) String);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}
