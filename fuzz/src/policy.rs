//! Trust policies from strangers, and their evaluation.

use chancery_core::{IssuerUrl, UnixTime};
use chancery_federation::aws::{
    Context, Decision, Outcome, Policy, Provider, lint, simulate_verified,
};
use serde_json::{Map, Value};

use crate::support::NOW;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// The first line is a policy, the second an object: the keys of a request, and the claims of a
/// token. A policy is written as it was read, a Deny for everybody denies, and what is decided while
/// a key is not known stays so whatever its value.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (json, keys) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(policy) = json.parse::<Policy>() else {
        return;
    };
    let written = policy.to_string();
    assert!(written.is_ascii());
    assert_eq!(policy.characters(), written.len());
    assert_eq!(written.parse().as_ref(), Ok(&policy), "{written}");
    assert_eq!(policy.to_pretty_json().parse().as_ref(), Ok(&policy));
    for finding in lint(&policy) {
        assert!(!finding.mend.is_empty(), "{finding}");
    }

    let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else {
        return;
    };
    let url = IssuerUrl::parse("https://id.example.com").expect("a URL");
    let provider = Provider::new("111122223333", url, ["a", "b"]).expect("a provider");
    let arn = provider.arn();
    let decision = policy.evaluate(ACTION, arn, &context(&keys, None));
    for unknown in keys.keys() {
        let before = policy.evaluate(ACTION, arn, &context(&keys, Some(unknown)));
        if let (Some(before), Some(after)) = (is_allowed(before), is_allowed(decision)) {
            assert_eq!(before, after, "{unknown}");
        } else {
            assert!(is_allowed(before).is_none(), "{unknown}");
        }
    }
    let deny = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*"}}"#;
    let deny: Policy = deny.parse().expect("a policy");
    let mut denying = policy.clone();
    denying.statements.extend(deny.statements);
    let decision = denying.evaluate(ACTION, arn, &context(&keys, None));
    assert!(matches!(decision, Decision::Denied { .. }));
    let now = UnixTime::from_secs(NOW).expect("a time");
    let outcome = simulate_verified(&denying, &provider, &keys, now);
    assert!(matches!(outcome, Outcome::Denied(_)), "{outcome:?}");
    let _ = simulate_verified(&policy, &provider, &keys, now);
}

fn is_allowed(decision: Decision) -> Option<bool> {
    match decision {
        Decision::Allowed { .. } => Some(true),
        Decision::Denied { .. } | Decision::NotAllowed { .. } => Some(false),
        Decision::Indeterminate { .. } => None,
    }
}

/// The members as keys; of one of them nothing is known.
fn context<'a>(keys: &'a Map<String, Value>, unknown: Option<&str>) -> Context<'a> {
    let mut context = Context::new();
    for (name, value) in keys {
        context = match value {
            _ if unknown == Some(name) => context.with_unknown(name),
            Value::String(value) => context.with(name, value),
            Value::Array(values) => {
                context.with_values(name, values.iter().filter_map(Value::as_str))
            }
            _ => context.with_unknown(name),
        };
    }
    context
}
