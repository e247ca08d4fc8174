//! The evaluation of policies, by the rules that AWS documents.

mod comparison;
mod condition;
mod context;
pub(super) mod moment;
mod pattern;
mod truth;
mod variable;

pub use self::condition::Reason;
pub use self::context::{Context, Key};

use self::condition::holds;
use self::truth::Truth;
use super::policy::{
    ActionElement, Effect, Policy, Principal, PrincipalElement, PrincipalType, Principals,
    Statement, Version,
};

/// What a policy says to a request for one action.
///
/// Statements and conditions are named by their index, from 0, in [`Policy::statements`] and
/// [`Statement::conditions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allowed {
        /// The first statement that allows it.
        statement: usize,
    },
    /// A statement denies it, whatever others allow.
    Denied {
        /// The first statement that denies it.
        statement: usize,
    },
    /// No statement allows it.
    NotAllowed {
        /// Where the statement that came closest to allowing it fails; `None` where no statement
        /// allows anything.
        closest: Option<Failure>,
    },
    /// What AWS decides is not known.
    Indeterminate {
        /// The first statement that hangs on it.
        statement: usize,
        /// What is not known.
        reason: Reason,
    },
}

/// Why one statement does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The statement.
    pub statement: usize,
    /// What of it does not match.
    pub element: FailedElement,
}

/// The first element of a statement that does not match.
///
/// They are in the order in which they are looked at, so the greatest one came closest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailedElement {
    /// It is about other principals.
    Principal,
    /// It is about other actions.
    Action,
    /// A condition does not hold.
    Condition(usize),
}

impl Policy {
    /// Evaluates the policy for one action, such as `sts:AssumeRoleWithWebIdentity`, asked for by
    /// the identity provider of this ARN (IAM User Guide, "Policy evaluation logic").
    ///
    /// Where AWS's behaviour is not known, the outcome is [`Decision::Indeterminate`], unless the
    /// rest of the policy decides by itself.
    ///
    /// ```
    /// use chancery_federation::aws::{Context, Decision, Policy};
    ///
    /// let policy: Policy = r#"{"Version": "2012-10-17", "Statement": [{
    ///     "Effect": "Allow",
    ///     "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/id.example.com"},
    ///     "Action": "sts:AssumeRoleWithWebIdentity",
    ///     "Condition": {"StringLike": {"id.example.com:sub": "space:1:*"}}
    /// }]}"#
    /// .parse()?;
    /// let provider = "arn:aws:iam::111122223333:oidc-provider/id.example.com";
    /// let action = "sts:AssumeRoleWithWebIdentity";
    /// let context = Context::new().with("id.example.com:sub", "space:1:stack:2");
    /// assert_eq!(
    ///     policy.evaluate(action, provider, &context),
    ///     Decision::Allowed { statement: 0 }
    /// );
    /// # Ok::<(), chancery_federation::aws::PolicyError>(())
    /// ```
    #[must_use]
    pub fn evaluate(&self, action: &str, provider_arn: &str, context: &Context<'_>) -> Decision {
        let (mut allowed, mut closest) = (None, None::<Failure>);
        let (mut unknown_allow, mut unknown_deny) = (None, None);
        for (index, statement) in self.statements.iter().enumerate() {
            let matched = match_statement(self.version, statement, action, provider_arn, context);
            match (statement.effect, matched) {
                (Effect::Deny, Match::Holds) => return Decision::Denied { statement: index },
                (Effect::Deny, Match::Fails(_)) => {}
                (Effect::Deny, Match::Unknown(reason)) => {
                    unknown_deny = unknown_deny.or(Some((index, reason)));
                }
                (Effect::Allow, Match::Holds) => allowed = allowed.or(Some(index)),
                (Effect::Allow, Match::Fails(element)) => {
                    if closest.is_none_or(|closest| element > closest.element) {
                        closest = Some(Failure {
                            statement: index,
                            element,
                        });
                    }
                }
                (Effect::Allow, Match::Unknown(reason)) => {
                    unknown_allow = unknown_allow.or(Some((index, reason)));
                }
            }
        }
        // What is not known matters only where it could turn the outcome.
        match (allowed, unknown_deny, unknown_allow) {
            (Some(_), Some((statement, reason)), _) | (None, _, Some((statement, reason))) => {
                Decision::Indeterminate { statement, reason }
            }
            (Some(statement), None, _) => Decision::Allowed { statement },
            (None, _, None) => Decision::NotAllowed { closest },
        }
    }
}

enum Match {
    Holds,
    Fails(FailedElement),
    Unknown(Reason),
}

fn match_statement(
    version: Version,
    statement: &Statement,
    action: &str,
    provider_arn: &str,
    context: &Context<'_>,
) -> Match {
    let mut unknown = None;
    match match_principal(statement, provider_arn) {
        Truth::True => {}
        Truth::False => return Match::Fails(FailedElement::Principal),
        Truth::Unknown(reason) => unknown = Some(reason),
    }
    if !covers(&statement.action, action) {
        return Match::Fails(FailedElement::Action);
    }
    for (index, condition) in statement.conditions.iter().enumerate() {
        match holds(condition, version, context) {
            Truth::True => {}
            Truth::False => return Match::Fails(FailedElement::Condition(index)),
            Truth::Unknown(reason) => unknown = unknown.or(Some(reason)),
        }
    }
    unknown.map_or(Match::Holds, Match::Unknown)
}

/// A federated principal is the provider's ARN, every character of it.
fn match_principal(statement: &Statement, provider_arn: &str) -> Truth {
    let (listed, is_negated) = match &statement.principal {
        PrincipalElement::Principal(listed) => (listed, false),
        PrincipalElement::NotPrincipal(listed) => (listed, true),
    };
    let is_provider = |principal: &Principal| {
        principal.principal_type == PrincipalType::Federated && principal.value == provider_arn
    };
    let is_everyone = |principal: &Principal| principal.value == "*";
    let (names_it, names_everyone) = match listed {
        Principals::Everyone => (false, true),
        Principals::Listed(listed) => (
            listed.iter().any(is_provider),
            listed.iter().any(is_everyone),
        ),
    };
    match (is_negated, names_it, names_everyone) {
        (true, true, _) => Truth::False,
        (true, false, _) => Truth::Unknown(Reason::NotPrincipal),
        (false, true, _) => Truth::True,
        (false, false, false) => Truth::False,
        // A star means all principals; whether it lets in those of a provider is not told.
        (false, false, true) if statement.effect == Effect::Deny => Truth::True,
        (false, false, true) => Truth::Unknown(Reason::Everyone),
    }
}

/// Whether the element is about an action.
pub(super) fn covers(element: &ActionElement, action: &str) -> bool {
    let listed = |patterns: &[String]| {
        patterns
            .iter()
            .any(|pattern| pattern::matches_ignoring_case(pattern, action))
    };
    match element {
        ActionElement::Action(patterns) => listed(patterns),
        ActionElement::NotAction(patterns) => !listed(patterns),
    }
}
