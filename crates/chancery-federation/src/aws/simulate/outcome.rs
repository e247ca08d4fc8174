//! What the local STS answers.

use std::fmt;

use crate::aws::evaluate::{Key, Reason};
use crate::aws::policy::Condition;
use crate::aws::session_tags::SessionTags;
use crate::aws::source_identity::SourceIdentity;

/// The answer of the local STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// AWS hands out credentials.
    Allowed(Session),
    /// AWS answers with an error.
    Denied(Denial),
    /// What AWS would answer is not known.
    Indeterminate(Doubt),
}

/// What the session carries that AWS would hand out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The statement that allowed it, by its index from 0.
    pub statement: usize,
    /// Its tags.
    pub tags: SessionTags,
    /// Who stands behind it.
    pub source_identity: Option<SourceIdentity>,
}

/// The error that AWS would answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The code.
    pub code: ErrorCode,
    /// AWS's message, as far as it is known.
    pub message: Option<String>,
    /// What is wrong, more closely than AWS says.
    pub reason: DenialReason,
}

/// An error code of AWS STS (STS API Reference, AssumeRoleWithWebIdentity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The policy does not allow it.
    AccessDenied,
    /// The token has expired.
    ExpiredTokenException,
    /// The token is not one that the provider takes.
    InvalidIdentityToken,
    /// A parameter of the call is out of its limits.
    ValidationError,
    /// AWS refuses it; by which code is not documented.
    Undocumented,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenialReason {
    /// The token has fewer than 4 or more than 20,000 characters.
    TokenLength {
        /// Its length.
        len: usize,
    },
    /// The token is no JWT.
    NotAToken,
    /// The token's `iss` is not the provider's URL, byte for byte.
    Issuer {
        /// The `iss`.
        found: String,
        /// The provider's URL.
        expected: String,
    },
    /// The issuer's keys have none that verifies the token.
    Key {
        /// What the verification says.
        message: String,
    },
    /// The signature is not the key's.
    Signature,
    /// A claim is missing.
    ClaimMissing {
        /// Its name.
        claim: &'static str,
    },
    /// A claim is of another type than AWS reads.
    ClaimType {
        /// Its name.
        claim: &'static str,
    },
    /// The audience is none of the provider's client ids.
    Audience {
        /// The claim that AWS reads it from: `azp` where the token has one, else `aud`.
        claim: &'static str,
        /// What stands there.
        found: String,
    },
    /// The token expired more than five minutes ago.
    Expired {
        /// Its `exp`.
        expired_at: u64,
    },
    /// The session tags or the source identity are out of AWS's limits.
    Limits {
        /// What is wrong with them.
        message: String,
    },
    /// A statement denies the action.
    ExplicitDeny {
        /// The action.
        action: &'static str,
        /// The statement, by its index from 0.
        statement: usize,
    },
    /// No statement allows anything.
    NoStatement {
        /// The action.
        action: &'static str,
    },
    /// No statement that allows is about this provider.
    Principal {
        /// The action.
        action: &'static str,
        /// The ARN that a statement would have to name.
        provider: String,
    },
    /// No statement allows this action.
    Action {
        /// The action.
        action: &'static str,
    },
    /// A condition does not hold.
    Condition {
        /// The action.
        action: &'static str,
        /// The statement that came closest, by its index from 0.
        statement: usize,
        /// Its first condition that does not hold.
        condition: Condition,
        /// What the request has under the condition's key.
        found: Key<'static>,
    },
}

/// What is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// How AWS evaluates the policy.
    Policy {
        /// The action.
        action: &'static str,
        /// The statement that it hangs on, by its index from 0.
        statement: usize,
        /// Why.
        reason: Reason,
    },
    /// How AWS takes a claim.
    Claim {
        /// Its name.
        claim: &'static str,
        /// What is unusual about it.
        message: &'static str,
    },
    /// Which one AWS reads of a claim that the token has twice.
    RepeatedClaim,
    /// No engine that is compiled in verifies the token's algorithm.
    Algorithm,
}

impl ErrorCode {
    /// The code in AWS's answer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::ExpiredTokenException => "ExpiredTokenException",
            Self::InvalidIdentityToken => "InvalidIdentityToken",
            Self::ValidationError => "ValidationError",
            Self::Undocumented => "(undocumented)",
        }
    }
}

impl Denial {
    pub(super) fn by_policy(reason: DenialReason) -> Self {
        Self {
            code: ErrorCode::AccessDenied,
            message: Some("Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned()),
            reason,
        }
    }

    /// In a box, so that what is not denied is cheap to return.
    pub(super) fn invalid(message: Option<String>, reason: DenialReason) -> Box<Self> {
        Box::new(Self {
            code: ErrorCode::InvalidIdentityToken,
            message,
            reason,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes code, AWS's message and what is wrong.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        if let Some(message) = &self.message {
            write!(f, "{message}: ")?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for Denial {}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenLength { len } => {
                write!(f, "the token has {len} characters; AWS reads 4 to 20000")
            }
            Self::NotAToken => f.write_str("the token is no JWT"),
            Self::Issuer { found, expected } => write!(
                f,
                "`iss` is {found:?} and the provider's URL {expected:?}; they must be the same bytes, last slash included"
            ),
            Self::Key { message } => write!(f, "{message}"),
            Self::Signature => f.write_str("the signature is not one of the issuer's key"),
            Self::ClaimMissing { claim } => write!(f, "the token needs the claim `{claim}`"),
            Self::ClaimType { claim } => {
                write!(f, "the claim `{claim}` is of another type than AWS reads")
            }
            Self::Audience { claim, found } => write!(
                f,
                "`{claim}` is {found:?}, which is none of the provider's client ids; AWS reads `azp` before `aud`"
            ),
            Self::Expired { expired_at } => write!(
                f,
                "the token expired at {expired_at}, more than five minutes ago"
            ),
            Self::Limits { message } => f.write_str(message),
            Self::ExplicitDeny { action, statement } => {
                write!(f, "statement {statement} denies {action}")
            }
            Self::NoStatement { action } => write!(f, "no statement allows {action}, or anything"),
            Self::Principal { action, provider } => write!(
                f,
                "no statement allows {action} to {provider}; `Principal.Federated` must be this ARN, character by character"
            ),
            Self::Action { action } => write!(
                f,
                "no statement allows {action}, which this token needs; add it to `Action`"
            ),
            Self::Condition {
                action,
                statement,
                condition,
                found,
            } => {
                write!(
                    f,
                    "statement {statement} allows {action} where {condition}, and the request has "
                )?;
                match found {
                    Key::One(value) => write!(f, "{value:?}"),
                    Key::Many(values) => write!(f, "{values:?}"),
                    Key::Absent => f.write_str("no such key"),
                    Key::Unknown => f.write_str("a value that is not known here"),
                }
            }
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy {
                action,
                statement,
                reason,
            } => write!(
                f,
                "whether statement {statement} matches {action} is not known: {reason}"
            ),
            Self::Claim { claim, message } => {
                write!(f, "how AWS takes `{claim}` is not known: {message}")
            }
            Self::RepeatedClaim => {
                f.write_str("the token has a claim twice, and which one AWS reads is not known")
            }
            Self::Algorithm => f.write_str(
                "no engine for the token's algorithm is compiled in; enable the feature `aws-lc-rs`",
            ),
        }
    }
}
