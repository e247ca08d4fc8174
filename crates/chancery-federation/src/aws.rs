//! AWS IAM and STS: claims, trust policies and their evaluation.

mod evaluate;
mod policy;

pub use self::evaluate::{Context, Decision, FailedElement, Failure, Key, Reason};
pub use self::policy::{
    ActionElement, Comparison, Condition, Effect, MAX_POLICY_LEN, Operator, Policy, PolicyError,
    PolicyProblem, Principal, PrincipalElement, PrincipalType, Principals, SetOperator, Statement,
    Version,
};
