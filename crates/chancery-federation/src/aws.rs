//! AWS IAM and STS: claims, trust policies and their evaluation.

mod evaluate;
mod lint;
mod policy;
mod provider;
mod session_tags;
mod setup;
mod simulate;
mod source_identity;
mod thumbprint;
mod trust_policy;

pub use self::evaluate::{Context, Decision, FailedElement, Failure, Key, Reason};
pub use self::lint::lint;
pub use self::policy::{
    ActionElement, Comparison, Condition, Effect, MAX_POLICY_CHARACTERS, MAX_POLICY_LEN, Operator,
    Policy, PolicyError, PolicyProblem, Principal, PrincipalElement, PrincipalType, Principals,
    SetOperator, Statement, Version,
};
pub use self::provider::{Partition, Provider, ProviderError};
pub use self::session_tags::{SessionTags, SessionTagsError};
pub use self::setup::{Setup, SetupError};
pub use self::simulate::{
    Denial, DenialReason, Doubt, ErrorCode, Outcome, Session, simulate, simulate_verified,
};
pub use self::source_identity::{SourceIdentity, SourceIdentityError};
pub use self::thumbprint::{ThumbprintError, thumbprint};
pub use self::trust_policy::{TrustPolicy, TrustPolicyError};
