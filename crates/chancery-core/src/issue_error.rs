//! Why an issuer issued no token or had no document.

use std::fmt;

use crate::algorithm::Algorithm;
use crate::algorithm_set::AlgorithmSet;
use crate::claims::ClaimsError;
use crate::jwk::JsonError;
use crate::sign_error::SignError;
use crate::time::UnixTime;
use crate::token_policy::PolicyError;

/// Why no token was issued.
#[derive(Debug)]
#[non_exhaustive]
pub enum IssueError {
    /// The claims were refused.
    Claims(ClaimsError),
    /// The issuer does not publish keys of the algorithm asked for.
    AlgorithmNotPublished {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The claims ask for an algorithm that the issuer's token policy does not accept.
    AlgorithmNotAccepted {
        /// The algorithm.
        algorithm: Algorithm,
        /// Those that are accepted.
        accepted: AlgorithmSet,
    },
    /// The issuer has no key that signs at this moment with an algorithm which its token policy
    /// accepts.
    NoAcceptedKey {
        /// The algorithms that are accepted.
        accepted: AlgorithmSet,
        /// The moment.
        now: UnixTime,
    },
    /// The issuer's token policy refused the token.
    Policy(PolicyError),
    /// The key set has no key of the algorithm that signs at this moment.
    NoActiveKey {
        /// The algorithm.
        algorithm: Algorithm,
        /// The moment.
        now: UnixTime,
    },
    /// The clock went back by more than a minute since the last token. Keys that were stopped might
    /// sign again, so none does.
    ClockWentBack {
        /// What the clock says.
        now: UnixTime,
        /// What it has said before.
        latest: UnixTime,
    },
    /// The operating system gave no random bytes for `jti`.
    Random(RandomError),
    /// The key did not sign.
    Sign(SignError),
}

impl From<ClaimsError> for IssueError {
    fn from(error: ClaimsError) -> Self {
        Self::Claims(error)
    }
}

impl From<PolicyError> for IssueError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<SignError> for IssueError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claims(error) => error.fmt(f),
            Self::AlgorithmNotPublished { algorithm } => write!(
                f,
                "this issuer does not publish {algorithm} keys; add it to IssuerBuilder::algorithms or ask for another"
            ),
            Self::AlgorithmNotAccepted {
                algorithm,
                accepted,
            } => write!(
                f,
                "the token's relying parties do not accept {algorithm}, which the claims ask for, but {accepted}; leave the choice to the issuer"
            ),
            Self::NoAcceptedKey { accepted, now } => write!(
                f,
                "this issuer has no active key at {now} for {accepted}, which is what the token's relying parties accept; add one to the key set and to IssuerBuilder::algorithms"
            ),
            Self::Policy(error) => error.fmt(f),
            Self::NoActiveKey { algorithm, now } => write!(
                f,
                "no {algorithm} key of the set is active at {now}; check the keys' schedules and the clock"
            ),
            Self::ClockWentBack { now, latest } => write!(
                f,
                "the clock went back from {latest} to {now}; set it right, or restart the service if it is right now"
            ),
            Self::Random(error) => error.fmt(f),
            Self::Sign(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IssueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sign(error) => error.source(),
            Self::Random(error) => error.source(),
            Self::Policy(error) => error.source(),
            _ => None,
        }
    }
}

/// The operating system's random generator failed.
#[derive(Debug)]
pub struct RandomError(pub(crate) getrandom::Error);

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the operating system gave no random bytes: {}", self.0)
    }
}

impl std::error::Error for RandomError {}

/// Why there is no document to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentError {
    /// No key is published at this moment.
    NoPublishedKey {
        /// The moment.
        now: UnixTime,
    },
    /// The document could not be written.
    Json(JsonError),
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPublishedKey { now } => write!(
                f,
                "no key of this issuer is published at {now}; check the keys' schedules, the issuer's algorithms and the clock"
            ),
            Self::Json(error) => write!(f, "the document could not be written: {error}"),
        }
    }
}

impl std::error::Error for DocumentError {}
