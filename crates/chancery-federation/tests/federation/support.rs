//! Signers that only mark their key, issuers with them, and a clock turned by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chancery_core::{
    Algorithm, Clock, Issuer, IssuerBuilder, IssuerUrl, Jwk, KeySet, Schedule, ScheduledKey,
    SignError, Signature, Signer, SigningInput, UnixTime,
};

/// Where the clock stands: 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

/// The EC key of RFC 7515 §A.3.1.
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

/// The Ed25519 key of RFC 8037 §A.2.
const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// The RSA key of RFC 7638 §3.1.
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;

/// A public key of this algorithm. The RSA and Ed25519 ones of two algorithms differ in one digit.
pub(crate) fn jwk(algorithm: Algorithm) -> Jwk {
    let source = match algorithm {
        Algorithm::Es256 => P256.to_owned(),
        Algorithm::EdDsa => ED25519.to_owned(),
        // RFC 8032 §7.1, test 2.
        Algorithm::Ed25519 => ED25519.replace(
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        ),
        Algorithm::Rs256 => RSA.to_owned(),
        Algorithm::Ps256 => RSA.replacen("0vx7agoebGcQ", "0vx7agoebGcR", 1),
        other => panic!("no key for {other}"),
    };
    Jwk::from_json(source.as_bytes())
        .and_then(|jwk| jwk.with_algorithm(algorithm))
        .unwrap()
}

/// A signer whose signatures are no signatures.
#[derive(Debug)]
struct Marking(Jwk);

impl Signer for Marking {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        Ok(Signature::new(self.0.algorithm(), &vec![1; self.0.signature_len()]).unwrap())
    }
}

pub(crate) fn key(algorithm: Algorithm) -> ScheduledKey {
    ScheduledKey::new(Arc::new(Marking(jwk(algorithm))), Schedule::ALWAYS)
}

pub(crate) fn builder(url: &str, algorithms: &[Algorithm]) -> IssuerBuilder {
    let keys = algorithms.iter().copied().map(key).collect();
    Issuer::builder(
        IssuerUrl::parse_allowing_loopback_http(url).unwrap(),
        KeySet::new(keys).unwrap(),
    )
    .clock(TurnableClock::at(NOW))
}

pub(crate) fn issuer(url: &str, algorithms: &[Algorithm]) -> Issuer {
    builder(url, algorithms).build().unwrap()
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
        UnixTime::from_secs(self.0.load(Ordering::SeqCst)).unwrap()
    }
}
