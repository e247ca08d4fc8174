//! A local STS: what AWS would answer to AssumeRoleWithWebIdentity.

mod claims;
mod outcome;
mod token;

use chancery_core::UnixTime;
use serde_json::{Map, Value};

pub use self::outcome::{Denial, DenialReason, Doubt, ErrorCode, Outcome, Session};

use self::claims::WebIdentity;
use super::evaluate::{Context, Decision, FailedElement};
use super::policy::Policy;
use super::provider::Provider;

const ASSUME_ROLE: &str = "sts:AssumeRoleWithWebIdentity";
const TAG_SESSION: &str = "sts:TagSession";
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

/// Answers as AWS STS would to AssumeRoleWithWebIdentity with this token, for a role with this trust
/// policy in the account of this provider.
///
/// The token's signature is verified with the provider's keys, `iss` compared with its URL, `azp` or
/// else `aud` with its audiences, `exp` with the clock, five minutes of grace included; then the
/// policy is evaluated, for `sts:TagSession` and `sts:SetSourceIdentity` as well where the token
/// carries tags or a source identity.
///
/// Where several things are wrong AWS may name another of them. What of its behaviour is not known
/// makes an answer [`Outcome::Indeterminate`] that would be `Allowed` otherwise. Conditions on what
/// only a real request has, such as `aws:SourceIp`, are not known either.
///
/// ```
/// use chancery_core::{IssuerUrl, UnixTime};
/// use chancery_federation::aws::{self, Outcome, Policy, Provider};
///
/// let provider = Provider::new(
///     "111122223333",
///     IssuerUrl::parse("https://id.example.com")?,
///     ["sts.amazonaws.com"],
/// )?;
/// let policy: Policy = r#"{"Version": "2012-10-17", "Statement": []}"#
///     .replace("[]", &format!(
///         r#"[{{"Effect": "Allow", "Principal": {{"Federated": "{}"}},
///              "Action": "sts:AssumeRoleWithWebIdentity"}}]"#,
///         provider.arn(),
///     ))
///     .parse()?;
/// let Outcome::Denied(denial) = aws::simulate(&policy, &provider, "no token", UnixTime::EPOCH)
/// else {
///     panic!("no token is no token");
/// };
/// assert_eq!(denial.code.name(), "InvalidIdentityToken");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn simulate(policy: &Policy, provider: &Provider, token: &str, now: UnixTime) -> Outcome {
    match token::verify(provider, token) {
        Ok(claims) => simulate_verified(policy, provider, &claims, now),
        Err(outcome) => *outcome,
    }
}

/// Answers as [`simulate`] does, to a token of these claims whose signature is taken for good: to
/// try a policy before there is a token.
#[must_use]
pub fn simulate_verified(
    policy: &Policy,
    provider: &Provider,
    claims: &Map<String, Value>,
    now: UnixTime,
) -> Outcome {
    let identity = match WebIdentity::read(provider, claims, now) {
        Ok(identity) => identity,
        Err(denial) => return Outcome::Denied(*denial),
    };
    let context = identity.context(provider, now);
    let mut doubt = identity.doubt.clone();
    let mut allowed_by = 0;
    let actions = [
        (ASSUME_ROLE, true),
        (TAG_SESSION, identity.tags.is_some()),
        (SET_SOURCE_IDENTITY, identity.source_identity.is_some()),
    ];
    for (action, is_needed) in actions {
        if !is_needed {
            continue;
        }
        match policy.evaluate(action, provider.arn(), &context) {
            Decision::Allowed { statement } if action == ASSUME_ROLE => allowed_by = statement,
            Decision::Allowed { .. } => {}
            Decision::Indeterminate { statement, reason } => {
                doubt = doubt.or(Some(Doubt::Policy {
                    action,
                    statement,
                    reason,
                }));
            }
            Decision::Denied { statement } => {
                let reason = DenialReason::ExplicitDeny { action, statement };
                return Outcome::Denied(Denial::by_policy(reason));
            }
            Decision::NotAllowed { closest } => {
                let reason = match closest {
                    None => DenialReason::NoStatement { action },
                    Some(failure) => match failure.element {
                        FailedElement::Principal => DenialReason::Principal {
                            action,
                            provider: provider.arn().to_owned(),
                        },
                        FailedElement::Action => DenialReason::Action { action },
                        FailedElement::Condition(index) => {
                            failed_condition(policy, &context, action, failure.statement, index)
                        }
                    },
                };
                return Outcome::Denied(Denial::by_policy(reason));
            }
        }
    }
    match doubt {
        Some(doubt) => Outcome::Indeterminate(doubt),
        None => Outcome::Allowed(Session {
            statement: allowed_by,
            tags: identity.tags.clone().unwrap_or_default(),
            source_identity: identity.source_identity.clone(),
        }),
    }
}

fn failed_condition(
    policy: &Policy,
    context: &Context<'_>,
    action: &'static str,
    statement: usize,
    index: usize,
) -> DenialReason {
    let condition = policy.statements[statement].conditions[index].clone();
    let found = context.key(&condition.key).clone().into_owned();
    DenialReason::Condition {
        action,
        statement,
        condition,
        found,
    }
}
