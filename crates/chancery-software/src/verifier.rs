//! Strict verification of tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chancery_core::{Algorithm, Clock, JwkSet, SystemClock, TokenType, UnixTime};
use serde_core::de::Deserialize;
use serde_json::{Map, Value};

use crate::jws::{VerifiedJws, parse_object, verify_jws};
use crate::verify_error::VerifyError;

/// Verifies the tokens of one issuer for one audience, strictly (RFC 7519 §7.2, RFC 8725 §3).
///
/// The key decides on the algorithm; `iss` is compared byte for byte; `aud`, `exp` and `typ` are
/// required to be right, and `nbf` where it is there. Times are integers. There is no leeway
/// unless one is given.
///
/// ```
/// # #[cfg(any(feature = "aws-lc-rs", feature = "ring"))] {
/// use chancery_core::JwkSet;
/// use chancery_software::{Verifier, VerifyError};
///
/// let keys = JwkSet::from_json(
///     br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
/// )?;
/// let verifier = Verifier::new("https://id.example.com", "sts.amazonaws.com", keys);
/// assert_eq!(verifier.verify("not a token").unwrap_err(), VerifyError::Segments);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: JwkSet,
    token_type: TokenType,
    leeway: Duration,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Expects tokens of `issuer` for `audience`, signed with one of `keys`, of type
    /// [`TokenType::Jwt`], on the system's clock with no leeway.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: JwkSet) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            keys,
            token_type: TokenType::Jwt,
            leeway: Duration::ZERO,
            clock: Arc::new(SystemClock),
        }
    }

    /// Expects another type of token.
    ///
    /// `JWT` may be left out of a header; the other types must be there (RFC 8725 §3.11). Case
    /// and the prefix `application/` make no difference (RFC 7515 §4.1.9).
    #[must_use]
    pub const fn with_token_type(mut self, token_type: TokenType) -> Self {
        self.token_type = token_type;
        self
    }

    /// Accepts tokens this long after `exp` and before `nbf`, in whole seconds, for clocks that
    /// differ.
    #[must_use]
    pub const fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Tells the time by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Verifies a token, of at most 65,536 bytes.
    ///
    /// # Errors
    /// [`VerifyError`], one variant for each reason.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        let jws = verify_jws(token, &self.keys)?;
        self.check_type(jws.token_type())?;
        let claims = parse_object(jws.payload()).ok_or(VerifyError::Claims)?;
        if text(&claims, "iss")? != Some(self.issuer.as_str()) {
            return Err(VerifyError::Issuer);
        }
        self.check_audience(&claims)?;
        let expires_at = self.check_times(&claims)?;
        time(&claims, "iat")?;
        for name in ["sub", "jti"] {
            text(&claims, name)?;
        }
        Ok(VerifiedToken {
            jws,
            claims,
            expires_at,
        })
    }

    fn check_type(&self, found: Option<&str>) -> Result<(), VerifyError> {
        const PREFIX: &str = "application/";

        let expected = self.token_type.name();
        let Some(found) = found else {
            return if self.token_type == TokenType::Jwt {
                Ok(())
            } else {
                Err(VerifyError::Type { expected })
            };
        };
        let short = match found.get(..PREFIX.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &found[PREFIX.len()..],
            _ => found,
        };
        if short.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            Err(VerifyError::Type { expected })
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), VerifyError> {
        const WRONG: VerifyError = VerifyError::Claim { name: "aud" };

        let holds = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(audiences)) => {
                if !audiences.iter().all(Value::is_string) {
                    return Err(WRONG);
                }
                audiences.iter().any(|audience| *audience == self.audience)
            }
            _ => return Err(WRONG),
        };
        if holds {
            Ok(())
        } else {
            Err(VerifyError::Audience)
        }
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<UnixTime, VerifyError> {
        let now = self.clock.now();
        let expires_at = time(claims, "exp")?.ok_or(VerifyError::Claim { name: "exp" })?;
        // Past the year 9999 the leeway ends where time does.
        let later = |time: UnixTime| time.checked_add(self.leeway).unwrap_or(UnixTime::MAX);
        if now >= later(expires_at) {
            return Err(VerifyError::Expired {
                expired_at: expires_at,
                now,
            });
        }
        match time(claims, "nbf")? {
            Some(valid_from) if later(now) < valid_from => {
                Err(VerifyError::NotYetValid { valid_from, now })
            }
            _ => Ok(expires_at),
        }
    }
}

/// A token that was verified.
#[derive(Clone)]
pub struct VerifiedToken {
    jws: VerifiedJws,
    claims: Map<String, Value>,
    expires_at: UnixTime,
}

impl VerifiedToken {
    /// The `kid` of the key that verified it.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.jws.kid()
    }

    /// The algorithm of the key that verified it.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.jws.algorithm()
    }

    /// The `sub` claim (RFC 7519 §4.1.2).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }

    /// The `exp` claim, without leeway (RFC 7519 §4.1.4).
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The `nbf` claim (RFC 7519 §4.1.5).
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        time(&self.claims, "nbf").ok().flatten()
    }

    /// The `iat` claim (RFC 7519 §4.1.6).
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        time(&self.claims, "iat").ok().flatten()
    }

    /// The `jti` claim (RFC 7519 §4.1.7).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.claims.get("jti").and_then(Value::as_str)
    }

    /// Every claim.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// One claim as a type of the caller's, or `None` where the token does not have it.
    ///
    /// # Errors
    /// serde_json's error when the claim is not of that type.
    pub fn claim<'a, T: Deserialize<'a>>(&'a self, name: &str) -> serde_json::Result<Option<T>> {
        self.claims.get(name).map(T::deserialize).transpose()
    }
}

/// Shows kid, alg and the names of the claims.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("kid", &self.kid())
            .field("alg", &self.algorithm().name())
            .field("claims", &self.claims.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, VerifyError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(VerifyError::Claim { name }),
    }
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, VerifyError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(UnixTime::from_secs)
            .map(Some)
            .ok_or(VerifyError::Claim { name }),
    }
}
