//! Why a token was refused.

use std::fmt;

use chancery_core::{Algorithm, UnixTime};

/// The longest token that is accepted, in bytes.
pub(crate) const MAX_TOKEN_LEN: usize = 65_536;

/// Why a token was refused. Every reason is one variant, and none repeats what the token says of
/// its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is longer than any that is accepted.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The token is not three segments joined by dots (RFC 7515 §3.1).
    Segments,
    /// A segment is not canonical base64url without padding (RFC 7515 §2).
    Base64 {
        /// Which one: `header`, `payload` or `signature`.
        segment: &'static str,
    },
    /// The header is not a JSON object whose members are all different (RFC 7515 §4).
    Header,
    /// A header parameter is missing or of a wrong type.
    HeaderParameter {
        /// The name of the parameter.
        name: &'static str,
    },
    /// The header has an extension that must be understood, `crit` or `b64` (RFC 7515 §4.1.11,
    /// RFC 7797).
    Critical {
        /// The name of the parameter.
        name: &'static str,
    },
    /// The header has no `kid`, and the key set does not hold exactly one key.
    KidMissing,
    /// The key set has no key of this `kid`.
    UnknownKid,
    /// The `alg` is not the one of the key.
    Algorithm {
        /// The algorithm of the key.
        expected: Algorithm,
    },
    /// No engine that is compiled in has the algorithm of the key.
    UnsupportedAlgorithm {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The signature is not one of the key over this token.
    Signature,
    /// The `typ` is not the expected one.
    Type {
        /// The expected `typ`.
        expected: &'static str,
    },
    /// The payload is not a JSON object whose members are all different (RFC 7519 §4).
    Claims,
    /// A claim is missing or of a wrong type; times must be integers from 1970 to 9999.
    Claim {
        /// The name of the claim.
        name: &'static str,
    },
    /// The `iss` is not the expected issuer, byte for byte.
    Issuer,
    /// The `aud` does not hold the expected audience.
    Audience,
    /// The token has expired.
    Expired {
        /// Its `exp`.
        expired_at: UnixTime,
        /// The time on this clock.
        now: UnixTime,
    },
    /// The token is not valid yet.
    NotYetValid {
        /// Its `nbf`.
        valid_from: UnixTime,
        /// The time on this clock.
        now: UnixTime,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => write!(
                f,
                "the token has {len} bytes; at most {} are accepted",
                MAX_TOKEN_LEN
            ),
            Self::Segments => f.write_str("the token is not three segments joined by dots"),
            Self::Base64 { segment } => write!(
                f,
                "the {segment} of the token is not canonical base64url without padding"
            ),
            Self::Header => {
                f.write_str("the header is not a JSON object whose members are all different")
            }
            Self::HeaderParameter { name } => {
                write!(f, "header parameter `{name}` is missing or of a wrong type")
            }
            Self::Critical { name } => {
                write!(f, "header parameter `{name}` asks for an extension")
            }
            Self::KidMissing => f.write_str(
                "the header has no `kid`, and the key set does not hold exactly one key",
            ),
            Self::UnknownKid => f.write_str(
                "the key set has no usable key of the token's `kid`; was the JWKS fetched before the \
                 key was published, or does JwkSet::ignored say what is wrong with it?",
            ),
            Self::Algorithm { expected } => {
                write!(f, "the `alg` is not {expected}, the algorithm of the key")
            }
            Self::UnsupportedAlgorithm { algorithm } => write!(
                f,
                "no engine for {algorithm} is compiled in; enable the feature `aws-lc-rs`"
            ),
            Self::Signature => f.write_str("the signature is not one of the key over this token"),
            Self::Type { expected } => write!(f, "the `typ` is not {expected}"),
            Self::Claims => {
                f.write_str("the payload is not a JSON object whose members are all different")
            }
            Self::Claim { name } => write!(f, "claim `{name}` is missing or of a wrong type"),
            Self::Issuer => f.write_str("the `iss` is not the expected issuer, byte for byte"),
            Self::Audience => f.write_str("the `aud` does not hold the expected audience"),
            Self::Expired { expired_at, now } => {
                write!(f, "the token expired at {expired_at}; it is {now} here")
            }
            Self::NotYetValid { valid_from, now } => {
                write!(f, "the token is valid from {valid_from}; it is {now} here")
            }
        }
    }
}

impl std::error::Error for VerifyError {}
