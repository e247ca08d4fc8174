//! Why a manifest or a change of one is refused.

use std::fmt;

use super::key::KeyState;
use super::policy::{Role, RotationPolicyError};
use crate::algorithm::Algorithm;
use crate::jwk::{JsonError, JwkError};
use crate::time::UnixTime;

/// One of the rules that keep relying parties from meeting a token they cannot verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inequality {
    /// 1: a key signs only once every relying party must have fetched it.
    Activate,
    /// 2: a key stops when its successor begins, and signs no longer than it may.
    Stop,
    /// 3: a key stays in the JWKS until its last token has expired everywhere.
    Retire,
    /// 4: the private half stays until no replica can use it any more.
    Destroy,
    /// 8: the very first key signs only once no memory of its absence is left.
    Bootstrap,
    /// 9: after the times were changed, what was cached under the old ones counts too, and what
    /// was planned is planned anew.
    Times,
    /// 10: no more keys are published than relying parties read.
    Published,
}

impl Inequality {
    /// The number under which the documentation lists it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Activate => 1,
            Self::Stop => 2,
            Self::Retire => 3,
            Self::Destroy => 4,
            Self::Bootstrap => 8,
            Self::Times => 9,
            Self::Published => 10,
        }
    }
}

/// Shows `inequality 1`.
impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inequality {}", self.number())
    }
}

/// Why a manifest, or a change of one, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are not JSON.
    Json(JsonError),
    /// The manifest is larger than [`Manifest::MAX_LEN`](super::Manifest::MAX_LEN).
    TooLarge {
        /// How many bytes it has.
        found: usize,
    },
    /// An object has two members of one name.
    DuplicateMember {
        /// The name.
        name: String,
    },
    /// The manifest is of a version that this library does not know.
    Version {
        /// The version.
        found: u64,
    },
    /// A member is missing or has an unusable value.
    Member {
        /// Where it stands, such as `keys[3].announce`.
        path: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A public key cannot be read.
    Jwk {
        /// Where it stands, such as `keys[3].jwk`.
        path: String,
        /// Why.
        error: JwkError,
    },
    /// The `kid` of a key is not its RFC 7638 thumbprint.
    Kid {
        /// The `kid`.
        kid: String,
        /// The thumbprint.
        thumbprint: String,
    },
    /// A key is there twice, or was there before.
    DuplicateKid {
        /// The `kid`.
        kid: String,
    },
    /// A reference is malformed, or looks like a secret.
    Reference {
        /// The key.
        kid: String,
        /// What is wrong. The reference itself is not told.
        problem: &'static str,
    },
    /// The name of a replica is not 1 to 128 printable ASCII characters.
    Replica,
    /// The policy cannot be carried out.
    Policy(RotationPolicyError),
    /// A replica brings another policy under the version of the one in force.
    PolicyConflict {
        /// The version that both have.
        version: u64,
    },
    /// The policy to be put in force is not newer than the one that is.
    PolicyVersion {
        /// Its version.
        found: u64,
        /// The version in force.
        current: u64,
    },
    /// The records of times or the history have gaps or go back.
    Records {
        /// What is wrong.
        problem: &'static str,
    },
    /// Two moments of a key are out of order.
    Order {
        /// The key.
        kid: String,
        /// The one that has to come first.
        earlier: (&'static str, UnixTime),
        /// The one that has to come after it.
        later: (&'static str, UnixTime),
    },
    /// A key has a moment without another that belongs to it.
    Incomplete {
        /// The key.
        kid: String,
        /// The moment that is there.
        moment: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// A rule does not hold.
    Inequality {
        /// Which.
        inequality: Inequality,
        /// The key.
        kid: String,
        /// The moment that breaks the rule.
        moment: (&'static str, UnixTime),
        /// What it must not come before, or be other than, and what that is made of.
        bound: (String, UnixTime),
    },
    /// More keys are published at a moment than relying parties read (inequality 10).
    TooManyPublished {
        /// How many.
        found: usize,
        /// From when on.
        at: UnixTime,
    },
    /// A moment lies after the year 9999.
    TooLate {
        /// The key.
        kid: String,
        /// The moment.
        moment: &'static str,
    },
    /// The clock is further behind the last change than clocks may differ.
    ClockWentBack {
        /// What the clock says.
        now: UnixTime,
        /// When the manifest was last changed.
        changed_at: UnixTime,
    },
    /// There is no such key.
    UnknownKey {
        /// The `kid`.
        kid: String,
    },
    /// The key is not in a state for this change. Another replica may have made it.
    State {
        /// The key.
        kid: String,
        /// Its state.
        state: KeyState,
        /// What was asked for.
        change: &'static str,
    },
    /// The policy has no such lane, or another backend for it. Another replica may have changed
    /// the policy.
    NoLane {
        /// The algorithm.
        algorithm: Algorithm,
        /// The role.
        role: Role,
        /// The backend.
        backend: String,
    },
    /// There is such a key already, waiting for its turn. Another replica may have made it.
    AlreadyWaiting {
        /// The key that is there.
        kid: String,
    },
    /// No other key of the lane may sign yet (inequality 7).
    NoSuccessor {
        /// The lane.
        algorithm: Algorithm,
        /// When the first one may, if one is on its way.
        earliest: Option<UnixTime>,
    },
    /// A change does not follow the manifest it was made from.
    NotASuccessor {
        /// What is wrong.
        problem: &'static str,
    },
    /// A change alters what is settled about a key.
    Altered {
        /// The key.
        kid: String,
        /// What.
        what: &'static str,
    },
    /// A change puts a moment before the earliest one that all replicas can keep.
    BackDated {
        /// The key.
        kid: String,
        /// The moment.
        moment: (&'static str, UnixTime),
        /// The earliest.
        earliest: UnixTime,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the manifest is not JSON: {error}"),
            Self::TooLarge { found } => write!(
                f,
                "the manifest has {found} bytes, more than {}",
                super::Manifest::MAX_LEN
            ),
            Self::DuplicateMember { name } => {
                write!(f, "the manifest has two members `{name}` in one object")
            }
            Self::Version { found } => write!(
                f,
                "the manifest is of version {found}, which this release does not know; update the replica"
            ),
            Self::Member { path, expected } => {
                write!(f, "the manifest's `{path}` must be {expected}")
            }
            Self::Jwk { path, error } => write!(f, "the manifest's `{path}`: {error}"),
            Self::Kid { kid, thumbprint } => write!(
                f,
                "key {kid}: the kid must be the thumbprint {thumbprint}; a kid is never chosen"
            ),
            Self::DuplicateKid { kid } => write!(
                f,
                "key {kid} is in the manifest already; a key is never used again"
            ),
            Self::Reference { kid, problem } => {
                write!(f, "key {kid}: its reference is refused: {problem}")
            }
            Self::Replica => {
                f.write_str("the name of a replica must have 1 to 128 printable ASCII characters")
            }
            Self::Policy(error) => error.fmt(f),
            Self::PolicyConflict { version } => write!(
                f,
                "this replica's policy differs from the manifest's under the same version {version}; raise the version to put it in force"
            ),
            Self::PolicyVersion { found, current } => write!(
                f,
                "policy version {found} is not newer than version {current}, which is in force; raise the version"
            ),
            Self::Records { problem } => write!(f, "the manifest is inconsistent: {problem}"),
            Self::Order {
                kid,
                earlier,
                later,
            } => write!(
                f,
                "key {kid}: {} {} must not come after {} {}",
                earlier.0,
                At(earlier.1),
                later.0,
                At(later.1)
            ),
            Self::Incomplete { kid, moment, needs } => {
                write!(f, "key {kid}: it has `{moment}` without `{needs}`")
            }
            Self::Inequality {
                inequality,
                kid,
                moment,
                bound,
            } => {
                let relation = match inequality {
                    Inequality::Stop => "is not",
                    _ => "comes before",
                };
                write!(
                    f,
                    "key {kid}: {} {} {relation} {} = {} ({inequality})",
                    moment.0,
                    At(moment.1),
                    bound.0,
                    At(bound.1)
                )
            }
            Self::TooManyPublished { found, at } => write!(
                f,
                "{found} keys would be published from {} on, more than the {} that relying parties read ({})",
                At(*at),
                super::policy::MOST_PUBLISHED,
                Inequality::Published
            ),
            Self::TooLate { kid, moment } => {
                write!(f, "key {kid}: {moment} would lie after the year 9999")
            }
            Self::ClockWentBack { now, changed_at } => write!(
                f,
                "the clock says {}, but the manifest was changed {}, further ahead than clocks may differ; set the clock right",
                At(*now),
                At(*changed_at)
            ),
            Self::UnknownKey { kid } => write!(f, "the manifest has no key {kid}"),
            Self::State { kid, state, change } => {
                write!(f, "key {kid} is {state} and cannot be {change}")
            }
            Self::NoLane {
                algorithm,
                role,
                backend,
            } => write!(
                f,
                "the policy has no lane for {role} {algorithm} keys in backend `{backend}`"
            ),
            Self::AlreadyWaiting { kid } => {
                write!(
                    f,
                    "key {kid} waits for its turn already; no other is needed"
                )
            }
            Self::NoSuccessor {
                algorithm,
                earliest: Some(earliest),
            } => write!(
                f,
                "no other {algorithm} key may sign before {} (inequality 7)",
                At(*earliest)
            ),
            Self::NoSuccessor {
                algorithm,
                earliest: None,
            } => write!(
                f,
                "no other {algorithm} key was announced and observed, so none may sign (inequality 7); keep a standby"
            ),
            Self::NotASuccessor { problem } => {
                write!(f, "the change does not follow the manifest: {problem}")
            }
            Self::Altered { kid, what } => {
                write!(f, "key {kid}: the change alters `{what}`, which is settled")
            }
            Self::BackDated {
                kid,
                moment,
                earliest,
            } => write!(
                f,
                "key {kid}: {} {} comes before {}, the earliest that all replicas can keep",
                moment.0,
                At(moment.1),
                At(*earliest)
            ),
        }
    }
}

impl std::error::Error for ManifestError {}

impl From<RotationPolicyError> for ManifestError {
    fn from(error: RotationPolicyError) -> Self {
        Self::Policy(error)
    }
}

/// Shows a moment for people and in seconds.
struct At(UnixTime);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.to_rfc3339(), self.0)
    }
}
