//! What is wrong with a trust policy that IAM takes all the same.

use super::policy::{
    ActionElement, Comparison, Condition, Effect, MAX_POLICY_CHARACTERS, Policy, PrincipalElement,
    PrincipalType, Principals, SetOperator, Statement, Version,
};
use super::provider::CONDITION_CLAIMS;
use crate::finding::{Finding, Severity};
use crate::sharing::is_separator;

/// The longest trust policy, and how far AWS raises it where asked (IAM User Guide, "IAM and AWS
/// STS quotas").
pub(super) const MAX_CHARACTERS: usize = 2048;

/// Providers whose condition keys AWS documents one by one.
const WITH_OTHER_KEYS: [&str; 6] = [
    "accounts.google.com",
    "agent.buildkite.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "token.actions.githubusercontent.com",
    "www.amazon.com",
];

/// Reports what lets in too many, or nobody, in a trust policy for an OpenID Connect provider.
///
/// Errors are holes, and conditions that never hold; warnings are what is unwise. The findings are
/// in the order of the statements.
///
/// ```
/// use chancery_federation::aws::{self, Policy};
///
/// let policy: Policy = r#"{"Version": "2012-10-17", "Statement": [{
///     "Effect": "Allow",
///     "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/id.example.com"},
///     "Action": "sts:AssumeRoleWithWebIdentity",
///     "Condition": {"StringEquals": {"id.example.com:aud": "sts.amazonaws.com"}}
/// }]}"#
/// .parse()?;
/// let findings = aws::lint(&policy);
/// assert!(findings[0].what.contains("no condition on who"));
/// # Ok::<(), chancery_federation::aws::PolicyError>(())
/// ```
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, statement) in policy.statements.iter().enumerate() {
        let mut lint = Lint {
            policy,
            statement,
            index,
            findings: &mut findings,
        };
        lint.statement();
    }
    size(policy, &mut findings);
    findings
}

struct Lint<'p> {
    policy: &'p Policy,
    statement: &'p Statement,
    index: usize,
    findings: &'p mut Vec<Finding>,
}

impl Lint<'_> {
    fn statement(&mut self) {
        self.principal();
        self.actions();
        for condition in &self.statement.conditions {
            self.key(condition);
            self.operator(condition);
            self.values(condition);
        }
        self.identification();
    }

    fn principal(&mut self) {
        let listed = match &self.statement.principal {
            PrincipalElement::NotPrincipal(_) if self.is_allow() => {
                return self.error(
                    "NotPrincipal in an Allow".into(),
                    "it allows everybody who is not listed",
                    "list whom to allow in Principal",
                );
            }
            PrincipalElement::NotPrincipal(_) => return,
            PrincipalElement::Principal(listed) => listed,
        };
        if !self.is_allow() {
            return;
        }
        let is_everyone = match listed {
            Principals::Everyone => true,
            Principals::Listed(listed) => listed.iter().any(|principal| principal.value == "*"),
        };
        if is_everyone {
            self.error(
                "Principal is \"*\"".into(),
                "it names everybody, in any account",
                "name the provider's ARN in Principal.Federated",
            );
        }
    }

    fn actions(&mut self) {
        let ActionElement::Action(actions) = &self.statement.action else {
            return;
        };
        for action in actions {
            let is_of_sts = action
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case("sts:"));
            if action == "*" || action.eq_ignore_ascii_case("sts:*") {
                self.warning(
                    format!("Action is {action:?}"),
                    "it allows every way to assume the role, those to come included",
                    "name the actions: sts:AssumeRoleWithWebIdentity, and sts:TagSession for tags",
                );
            } else if !is_of_sts {
                self.error(
                    format!("Action {action:?} is none of STS"),
                    "IAM refuses it in a trust policy",
                    "put it into a permissions policy of the role",
                );
            }
        }
    }

    /// The key is one that a token fills, and of the provider that is the principal.
    fn key(&mut self, condition: &Condition) {
        if is_of_aws(&condition.key) {
            return self.request_tag(condition);
        }
        let Some((prefix, claim)) = condition.key.rsplit_once(':') else {
            return self.error(
                format!("{:?} is no condition key", condition.key),
                "a key is a service or a provider, a colon and a name",
                "write it as id.example.com:sub",
            );
        };
        let providers = self.providers();
        let is_principal = |provider: &&str| provider.eq_ignore_ascii_case(prefix);
        if providers.is_empty() {
            return;
        }
        if !providers.iter().any(is_principal) {
            let expected = providers[0];
            return self.error(
                format!("{} is a key of another provider", condition.key),
                "it is never in the request: the prefix is the provider's URL without https://, its path and its last slash included",
                format!("write {expected}:{claim}"),
            );
        }
        let is_documented = WITH_OTHER_KEYS
            .iter()
            .any(|provider| provider.eq_ignore_ascii_case(prefix));
        let is_key = CONDITION_CLAIMS
            .iter()
            .any(|key| key.eq_ignore_ascii_case(claim));
        if !is_key && !is_documented {
            self.error(
                format!("{} is no condition key", condition.key),
                "of a private issuer's claims only aud, oaud, sub, amr and email are keys",
                "put what matters into the subject, or into a session tag and aws:RequestTag",
            );
        }
    }

    fn request_tag(&mut self, condition: &Condition) {
        let is_tag = ["aws:requesttag/", "aws:tagkeys", "sts:transitivetagkeys"]
            .iter()
            .any(|key| condition.key.to_ascii_lowercase().starts_with(key));
        if is_tag && self.is_allow() && !self.policy_allows("sts:TagSession") {
            self.error(
                format!("{} without sts:TagSession", condition.key),
                "a token that carries tags is refused where sts:TagSession is not allowed",
                "add sts:TagSession to Action",
            );
        }
    }

    fn operator(&mut self, condition: &Condition) {
        let operator = condition.operator;
        if operator.set == Some(SetOperator::ForAllValues) && self.is_allow() {
            self.error(
                format!("ForAllValues: on {} in an Allow", condition.key),
                "it holds as well where the token has no such key",
                "use ForAnyValue:, or a plain operator where the key has one value",
            );
        }
        if operator.if_exists && self.is_allow() && is_claim(condition, &["sub", "aud"]) {
            self.error(
                format!("IfExists on {}", condition.key),
                "it holds as well where the token has no such key",
                "leave IfExists out",
            );
        }
        let is_multivalued = is_claim(condition, &["amr"])
            || ["aws:TagKeys", "sts:TransitiveTagKeys"]
                .iter()
                .any(|key| key.eq_ignore_ascii_case(&condition.key));
        if is_multivalued && operator.set.is_none() && operator.comparison != Comparison::Null {
            self.warning(
                format!("{} {}", operator, condition.key),
                "the key has several values, which AWS documents for set operators only",
                "put ForAnyValue: before the operator",
            );
        }
        let negated_allow = operator.comparison.is_negated() && self.is_allow();
        if negated_allow && is_claim(condition, &["sub", "email"]) {
            self.warning(
                format!("{} {} in an Allow", operator, condition.key),
                "it lets in everybody but those listed",
                "list whom to let in",
            );
        }
    }

    fn values(&mut self, condition: &Condition) {
        let comparison = condition.operator.comparison;
        let has_variables = |value: &String| value.contains("${");
        if self.policy.version == Version::V2008 && condition.values.iter().any(has_variables) {
            self.error(
                format!("a policy variable in {condition}"),
                "without \"Version\": \"2012-10-17\" it is compared as text",
                "set the version",
            );
        }
        let is_plain = matches!(
            comparison,
            Comparison::StringEquals
                | Comparison::StringNotEquals
                | Comparison::StringEqualsIgnoreCase
                | Comparison::StringNotEqualsIgnoreCase
        );
        for value in &condition.values {
            let bare = without_escapes(value);
            if is_plain && bare.contains(['*', '?']) {
                // It is no hole: names may have such characters, and only that very one comes in.
                self.warning(
                    format!("{} {} with {value:?}", condition.operator, condition.key),
                    "this operator takes * and ? for themselves, so that only this very text matches",
                    "use StringLike where others were meant to match",
                );
            }
            let is_like = comparison == Comparison::StringLike && self.is_allow();
            if is_like && is_claim(condition, &["sub", "email"]) {
                self.wildcards(condition, value, &bare);
            }
        }
    }

    fn wildcards(&mut self, condition: &Condition, value: &str, bare: &str) {
        let what = format!("StringLike {} with {value:?}", condition.key);
        if is_all_wildcards(bare) {
            // It identifies nobody, which is told once for the statement.
            return;
        }
        if bare.starts_with(['*', '?']) {
            return self.warning(
                what,
                "a wildcard in front crosses colons and slashes, and takes in subjects that end so",
                "begin with what the issuer alone writes, up to a separator",
            );
        }
        let mut before = None;
        let mut worst = None;
        for character in bare.chars() {
            let is_wildcard = matches!(character, '*' | '?');
            if let Some(before) = before.filter(|before| is_wildcard && !is_separator(*before)) {
                // A dash or a full stop may be what a template has before a placeholder.
                let severity = if before.is_ascii_punctuation() && !matches!(before, '*' | '?') {
                    Severity::Warning
                } else {
                    Severity::Error
                };
                worst = worst.max(Some(severity));
            }
            before = Some(character);
        }
        if let Some(severity) = worst {
            return self.push(
                severity,
                &what,
                "the wildcard goes on within a segment, so names that begin alike come in as well",
                "put a separator before the wildcard, as in \"repo:org/*\"".into(),
            );
        }
        let second = bare.split_once(is_separator).map(|(_, rest)| rest);
        let Some(second) = second.filter(|second| second.starts_with(['*', '?'])) else {
            return;
        };
        if second.split(is_separator).all(is_all_wildcards) {
            self.warning(
                what,
                "it fixes the first segment only, which all of the issuer's subjects of this kind have",
                "write the id of whom to let in, as in \"space:1:*\"",
            );
        } else {
            self.warning(
                what,
                "a wildcard stands where subjects say whose they are, so whoever has the same behind it comes in as well",
                "write the id of whom to let in, as in \"space:1:stack:7\"",
            );
        }
    }

    /// An Allow says who may come in, and not only for whom the token is.
    fn identification(&mut self) {
        if !self.is_allow() || !self.statement_allows("sts:AssumeRoleWithWebIdentity") {
            return;
        }
        if self.providers().is_empty() {
            return;
        }
        if !self.statement.conditions.iter().any(identifies) {
            self.error(
                "no condition on who may come in".into(),
                "everybody for whom the issuer makes a token of this audience can assume the role",
                "add StringEquals on the provider's sub key",
            );
        }
    }

    fn is_allow(&self) -> bool {
        self.statement.effect == Effect::Allow
    }

    /// What stands behind `oidc-provider/` in the ARNs of the principals.
    fn providers(&self) -> Vec<&str> {
        let PrincipalElement::Principal(Principals::Listed(listed)) = &self.statement.principal
        else {
            return Vec::new();
        };
        let federated = listed
            .iter()
            .filter(|principal| principal.principal_type == PrincipalType::Federated);
        federated
            .filter_map(|principal| principal.value.split_once(":oidc-provider/"))
            .map(|(_, prefix)| prefix)
            .collect()
    }

    fn statement_allows(&self, action: &str) -> bool {
        super::evaluate::covers(&self.statement.action, action)
    }

    fn policy_allows(&self, action: &str) -> bool {
        self.policy.statements.iter().any(|statement| {
            statement.effect == Effect::Allow && super::evaluate::covers(&statement.action, action)
        })
    }

    fn error(&mut self, what: String, why: &str, mend: impl Into<String>) {
        self.push(Severity::Error, &what, why, mend.into());
    }

    fn warning(&mut self, what: String, why: &str, mend: impl Into<String>) {
        self.push(Severity::Warning, &what, why, mend.into());
    }

    fn push(&mut self, severity: Severity, what: &str, why: &str, mend: String) {
        self.findings.push(Finding {
            severity,
            what: format!("Statement[{}]: {what}", self.index),
            why: why.to_owned(),
            mend,
        });
    }
}

/// Whether a condition tells customers of an issuer apart: it compares the subject, the e-mail
/// address or a session tag with something that not everybody has.
pub(super) fn identifies(condition: &Condition) -> bool {
    let operator = condition.operator;
    // Of numbers and moments nearly all are greater or later.
    let is_sameness = matches!(
        operator.comparison,
        Comparison::StringEquals
            | Comparison::StringEqualsIgnoreCase
            | Comparison::StringLike
            | Comparison::ArnEquals
            | Comparison::ArnLike
            | Comparison::NumericEquals
            | Comparison::BinaryEquals
    );
    let is_loose = operator.if_exists || operator.set == Some(SetOperator::ForAllValues);
    let is_key = is_claim(condition, &["sub", "email"])
        || condition
            .key
            .to_ascii_lowercase()
            .starts_with("aws:requesttag/");
    let says_nothing = |value: &String| {
        let has_wildcards = operator.comparison.has_wildcards();
        value.is_empty()
            || has_wildcards && is_all_wildcards(&without_escapes(value))
            || is_own_variable(&condition.key, value, has_wildcards)
    };
    is_sameness && !is_loose && is_key && !condition.values.iter().any(says_nothing)
}

/// Whether the condition is on one of these claims, of any provider.
fn is_claim(condition: &Condition, claims: &[&str]) -> bool {
    let Some((_, name)) = condition.key.rsplit_once(':') else {
        return false;
    };
    !is_of_aws(&condition.key) && claims.iter().any(|claim| claim.eq_ignore_ascii_case(name))
}

/// Whether a key is one of AWS's own.
fn is_of_aws(key: &str) -> bool {
    key.get(..4).is_some_and(|start| {
        start.eq_ignore_ascii_case("aws:") || start.eq_ignore_ascii_case("sts:")
    })
}

/// Whether a pattern is nothing but wildcards, with or without separators between them.
fn is_all_wildcards(text: &str) -> bool {
    let is_wildcard = |character| matches!(character, '*' | '?');
    let mut others = text.chars().filter(|character| !is_wildcard(*character));
    others.all(is_separator) && (text.is_empty() || text.contains(is_wildcard))
}

/// Whether a value is the policy variable of the key with which it is compared, so that every value
/// of the key matches.
fn is_own_variable(key: &str, value: &str, has_wildcards: bool) -> bool {
    let value = if has_wildcards {
        value.trim_matches('*')
    } else {
        value
    };
    let inner = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let name = inner.map(|inner| inner.split(',').next().unwrap_or(inner));
    name.is_some_and(|name| name.eq_ignore_ascii_case(key))
}

/// A wildcard that is escaped is none.
fn without_escapes(value: &str) -> String {
    value.replace("${*}", "x").replace("${?}", "x")
}

fn size(policy: &Policy, findings: &mut Vec<Finding>) {
    let characters = policy.characters();
    let mend = "merge statements and values, or ask AWS to raise the quota, up to 4096";
    if characters > MAX_POLICY_CHARACTERS {
        findings.push(Finding::error(
            format!("the policy has {characters} characters"),
            "a trust policy has at most 2048, which AWS raises to 4096 at most",
            "merge statements and values, or split it over several roles",
        ));
    } else if characters > MAX_CHARACTERS {
        findings.push(Finding::warning(
            format!("the policy has {characters} characters"),
            "a trust policy has at most 2048 unless AWS has raised the quota of the account",
            mend,
        ));
    }
}
