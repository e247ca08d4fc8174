//! Why an issuer issued no token or had no document.

use std::fmt;
use std::time::Duration;

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
    /// The keys follow a manifest that has not announced any yet.
    NoKey {
        /// The moment.
        now: UnixTime,
    },
    /// The keys follow a manifest, and their lease ran out: it could not be read for too long, so
    /// that keys may have been stopped or revoked since. The epoch means that it never was.
    LeaseExpired {
        /// The moment.
        now: UnixTime,
        /// When the lease ran out.
        valid_until: UnixTime,
    },
    /// The token would live longer than the manifest that the keys follow keeps them published for.
    OutlivesKeys {
        /// The token's lifetime.
        lifetime: Duration,
        /// The longest lifetime.
        longest: Duration,
    },
    /// The clock went back by more than a minute since the last token, or by more than twice its
    /// error where the keys follow a manifest. Keys that were stopped might sign again, so none
    /// does.
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
            Self::NoKey { now } => write!(
                f,
                "the key manifest that this issuer follows has announced no key at {now}; look at the status of the keeper, which makes the first"
            ),
            Self::LeaseExpired { now, valid_until } => lease_expired(f, *now, *valid_until),
            Self::OutlivesKeys { lifetime, longest } => write!(
                f,
                "a lifetime of {} s exceeds the {} s that keys stay published for after they have stopped; ask for less, or raise the longest lifetime in the rotation policy",
                lifetime.as_secs(),
                longest.as_secs()
            ),
            Self::ClockWentBack { now, latest } => clock_went_back(f, *now, *latest),
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
    /// The keys follow a manifest, and their lease ran out: it could not be read for too long, so
    /// that the document may lack a key that other replicas sign with. The epoch means that it never
    /// was.
    LeaseExpired {
        /// The moment.
        now: UnixTime,
        /// When the lease ran out.
        valid_until: UnixTime,
    },
    /// The keys follow a manifest, and the clock went back by more than twice its error, so that the
    /// document could be one of the past.
    ClockWentBack {
        /// What the clock says.
        now: UnixTime,
        /// What it has said before.
        latest: UnixTime,
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
            Self::LeaseExpired { now, valid_until } => lease_expired(f, *now, *valid_until),
            Self::ClockWentBack { now, latest } => clock_went_back(f, *now, *latest),
            Self::Json(error) => write!(f, "the document could not be written: {error}"),
        }
    }
}

impl std::error::Error for DocumentError {}

fn lease_expired(f: &mut fmt::Formatter<'_>, now: UnixTime, valid_until: UnixTime) -> fmt::Result {
    if valid_until == UnixTime::EPOCH {
        return f.write_str(
            "the key manifest that this issuer follows has not been read yet; is its store reachable?",
        );
    }
    write!(
        f,
        "the lease of this issuer's keys ran out at {valid_until} and it is {now}: their manifest could not be read since, and keys may have changed; make its store reachable, and the issuer recovers by itself"
    )
}

fn clock_went_back(f: &mut fmt::Formatter<'_>, now: UnixTime, latest: UnixTime) -> fmt::Result {
    write!(
        f,
        "the clock went back from {latest} to {now}; set it right, or restart the service if it is right now"
    )
}
