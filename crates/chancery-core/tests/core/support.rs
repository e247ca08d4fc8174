//! A signer that only marks its input, a clock turned by hand, and what tokens are read with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chancery_core::{
    Algorithm, Claims, Clock, HashAlgorithm, Issuer, IssuerBuilder, IssuerUrl, Jwk, KeySet,
    Schedule, ScheduledKey, SignError, Signature, Signer, SigningInput, UnixTime,
};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Where the clock of [`issuer`] stands: 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) const ISSUER: &str = "https://id.example.com";

/// The claims that the library writes itself: those of RFC 7519 §4.1, OpenID Connect Core §2 and
/// §5.1, RFC 9068 §2.2 and OpenID Connect Back-Channel Logout 1.0 §2.4.
pub(crate) const REGISTERED: [&str; 21] = [
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

/// The EC key of RFC 7515 §A.3.1.
pub(crate) const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

/// The generator of P-384 (SP 800-186 §3.2.1.4) in base64url.
pub(crate) const P384: &str = r#"{"kty":"EC","crv":"P-384","x":"qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3","y":"NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"}"#;

/// The EC key of RFC 7515 §A.4.1.
pub(crate) const P521: &str = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;

/// The RSA key of RFC 7638 §3.1.
pub(crate) const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;

/// The Ed25519 key of RFC 8037 §A.2.
pub(crate) const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A public key for this algorithm and no other. The RSA ones differ in one digit: nobody has
/// their private halves, and nobody needs them.
pub(crate) fn source(algorithm: Algorithm) -> String {
    let rsa = |digit| RSA.replacen("0vx7agoebGcQ", &format!("0vx7agoebGc{digit}"), 1);
    match algorithm {
        Algorithm::Es256 => P256.to_owned(),
        Algorithm::Es384 => P384.to_owned(),
        Algorithm::Es512 => P521.to_owned(),
        Algorithm::EdDsa => ED25519.to_owned(),
        // RFC 8032 §7.1, test 2.
        Algorithm::Ed25519 => ED25519.replace(
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        ),
        Algorithm::Rs256 => rsa('Q'),
        Algorithm::Rs384 => rsa('R'),
        Algorithm::Rs512 => rsa('S'),
        Algorithm::Ps256 => rsa('T'),
        Algorithm::Ps384 => rsa('U'),
        Algorithm::Ps512 => rsa('V'),
        other => panic!("no key for {other}"),
    }
}

/// A public key for this algorithm, under this name.
pub(crate) fn jwk(algorithm: Algorithm, kid: &str) -> Jwk {
    Jwk::from_json(source(algorithm).as_bytes())
        .and_then(|jwk| jwk.with_algorithm(algorithm))
        .and_then(|jwk| jwk.with_kid(kid))
        .unwrap()
}

type Sign = dyn Fn(&Jwk, &SigningInput<'_>) -> Result<Signature, SignError> + Send + Sync;

/// A signer that signs nothing: by default its signature is a mark of the input and of itself.
pub(crate) struct FakeSigner {
    jwk: Jwk,
    sign: Box<Sign>,
}

impl FakeSigner {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Arc<Self> {
        Self::with(algorithm, kid, |jwk, input| {
            Ok(Signature::new(jwk.algorithm(), &mark(jwk, input.as_bytes())).unwrap())
        })
    }

    /// A signer that answers as the closure says.
    pub(crate) fn with(
        algorithm: Algorithm,
        kid: &str,
        sign: impl Fn(&Jwk, &SigningInput<'_>) -> Result<Signature, SignError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            jwk: jwk(algorithm, kid),
            sign: Box::new(sign),
        })
    }
}

impl Signer for FakeSigner {
    fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        assert_eq!(input.algorithm(), self.jwk.algorithm());
        (self.sign)(&self.jwk, input)
    }
}

impl fmt::Debug for FakeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeSigner({})", self.jwk.kid())
    }
}

/// What a [`FakeSigner`] answers: the SHA-256 of the input, then the key's `kid` over and over, in
/// the length that the key's signatures have.
pub(crate) fn mark(jwk: &Jwk, input: &[u8]) -> Vec<u8> {
    let mut mark = HashAlgorithm::Sha256.digest(input).as_bytes().to_vec();
    mark.extend(jwk.kid().bytes().cycle().take(jwk.signature_len() - 32));
    mark
}

/// A clock that stands until it is turned.
#[derive(Debug)]
pub(crate) struct TurnableClock(AtomicU64);

impl TurnableClock {
    pub(crate) fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seconds)))
    }

    pub(crate) fn turn(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for TurnableClock {
    fn now(&self) -> UnixTime {
        time(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn time(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds).unwrap()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn url(text: &str) -> IssuerUrl {
    IssuerUrl::parse(text).unwrap()
}

/// A key of this algorithm that is published and signs at all times.
pub(crate) fn always(algorithm: Algorithm, kid: &str) -> ScheduledKey {
    ScheduledKey::new(FakeSigner::new(algorithm, kid), Schedule::ALWAYS)
}

pub(crate) fn key_set(keys: Vec<ScheduledKey>) -> KeySet {
    KeySet::new(keys).unwrap()
}

/// An issuer with one ES256 key named `es256`, whose clock stands at [`NOW`].
pub(crate) fn issuer() -> Issuer {
    builder(vec![always(Algorithm::Es256, "es256")])
        .build()
        .unwrap()
}

/// The builder of an issuer with these keys, whose clock stands at [`NOW`].
pub(crate) fn builder(keys: Vec<ScheduledKey>) -> IssuerBuilder {
    Issuer::builder(url(ISSUER), key_set(keys)).clock(TurnableClock::at(NOW))
}

/// Claims that every issuer takes.
pub(crate) fn claims() -> Claims {
    Claims::new("job:4711").with_audience("sts.example.com")
}

/// The members of a JSON object in their order, none of them twice.
#[derive(Debug, PartialEq)]
pub(crate) struct Object(pub(crate) Vec<(String, Value)>);

impl Object {
    pub(crate) fn parse(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap().as_str().unwrap()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.find(name).unwrap().as_u64().unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(serde::de::Error::custom(format!("{name:?} is there twice")));
                    }
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A token taken apart.
pub(crate) struct Parts {
    pub(crate) header: Object,
    pub(crate) payload: Object,
    pub(crate) signature: Vec<u8>,
    pub(crate) signing_input: String,
}

impl Parts {
    pub(crate) fn of(token: &str) -> Self {
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        Self {
            header: Object::parse(&decode(header)),
            payload: Object::parse(&decode(payload)),
            signature: decode(signature),
            signing_input: format!("{header}.{payload}"),
        }
    }

    /// Whether a [`FakeSigner`] with this key made the signature over this very token.
    pub(crate) fn is_signed_by(&self, jwk: &Jwk) -> bool {
        self.header.text("kid") == jwk.kid()
            && self.header.text("alg") == jwk.algorithm().name()
            && self.signature == mark(jwk, self.signing_input.as_bytes())
    }
}

/// The payload of a token that is issued for these claims.
pub(crate) fn payload(issuer: &Issuer, claims: &Claims) -> Object {
    Parts::of(issuer.issue(claims).unwrap().as_str()).payload
}

/// Decodes base64url bit by bit, sharing nothing with the code under test. Padding, foreign
/// characters and stray trailing bits fail.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = Vec::new();
    let (mut pending, mut bits) = (0_u32, 0);
    for character in text.chars() {
        let value = ALPHABET.find(character).expect("a base64url character");
        pending = pending << 6 | u32::try_from(value).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(pending >> bits).unwrap());
            pending &= (1 << bits) - 1;
        }
    }
    assert!(bits < 6 && pending == 0, "stray trailing bits in {text}");
    bytes
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
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
