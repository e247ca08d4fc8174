//! The evaluator, by tables in which each case has its rule.

use chancery_federation::aws::{Context, Decision, FailedElement, Failure, Policy, Reason};
use serde_json::{Map, Value};

const CONDITIONS: &str = include_str!("../data/conditions.txt");
const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/id.example.com";

#[test]
fn conditions_hold_as_the_table_says() {
    let mut count = 0;
    for line in CONDITIONS.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let [condition, keys, expected, rule] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not four columns: {line}");
        };
        assert!(!rule.is_empty());
        let policy = parse(&statement(&format!(r#", "Condition": {condition}"#)));
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap();
        let found = match policy.evaluate(ACTION, PROVIDER, &context(&keys)) {
            Decision::Allowed { statement: 0 } => "true".to_owned(),
            Decision::NotAllowed {
                closest:
                    Some(Failure {
                        statement: 0,
                        element: FailedElement::Condition(_),
                    }),
            } => "false".to_owned(),
            Decision::Indeterminate {
                statement: 0,
                reason,
            } => format!("{reason:?}"),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(found, expected, "{line}");
        count += 1;
    }
    assert!(count >= 150, "{count} cases");
}

/// In a policy without a version, or of 2008, a variable is text.
#[test]
fn variables_need_the_language_of_2012() {
    let keys = Context::new().with("h:sub", "${h:aud}").with("h:aud", "x");
    let statement = statement(r#", "Condition": {"StringEquals": {"h:sub": "${h:aud}"}}"#);
    for (version, expected) in [
        (r#""Version": "2012-10-17","#, false),
        (r#""Version": "2008-10-17","#, true),
        ("", true),
    ] {
        let policy: Policy = format!(r#"{{{version} "Statement": {statement}}}"#)
            .parse()
            .unwrap();
        let is_allowed = policy.evaluate(ACTION, PROVIDER, &keys) == ALLOWED;
        assert_eq!(is_allowed, expected, "{version}");
    }
}

const ALLOWED: Decision = Decision::Allowed { statement: 0 };

const fn fails(statement: usize, element: FailedElement) -> Decision {
    let closest = Some(Failure { statement, element });
    Decision::NotAllowed { closest }
}

/// Statements, the decision, the rule.
#[test]
fn statements_decide_as_the_table_says() {
    const UNKNOWN: Decision = Decision::Indeterminate {
        statement: 0,
        reason: Reason::Everyone,
    };
    const OPEN: Decision = Decision::Indeterminate {
        statement: 1,
        reason: Reason::KeyNotKnown,
    };
    let arn = PROVIDER;
    let open = r#""Condition": {"StringEquals": {"aws:UserAgent": "x"}}"#;
    let allow = |rest: &str| format!(r#"{{"Effect": "Allow", {rest}}}"#);
    let deny = |rest: &str| format!(r#"{{"Effect": "Deny", {rest}}}"#);
    let federated = format!(r#""Principal": {{"Federated": "{arn}"}}"#);
    let action = format!(r#""Action": "{ACTION}""#);
    let plain = format!("{federated}, {action}");
    let principal = |principal: &str| format!(r#""Principal": {principal}, {action}"#);
    let of_action = |action: &str| format!(r#"{federated}, "Action": {action}"#);
    let other = principal(r#"{"Federated": "arn:aws:iam::111122223333:oidc-provider/other"}"#);
    let failing = format!(r#"{plain}, "Condition": {{"StringEquals": {{"h:x": "y"}}}}"#);
    let cases: Vec<(Vec<String>, Decision, &str)> = vec![
        (vec![allow(&plain)], ALLOWED, "a matching Allow allows"),
        (
            vec![deny(&plain)],
            Decision::Denied { statement: 0 },
            "a Deny denies",
        ),
        (
            vec![allow(&plain), deny(&plain)],
            Decision::Denied { statement: 1 },
            "a Deny beats an Allow",
        ),
        (
            vec![deny(&plain), allow(&plain)],
            Decision::Denied { statement: 0 },
            "in any order",
        ),
        (
            vec![allow(&plain), deny(&other)],
            ALLOWED,
            "a Deny for others",
        ),
        (
            vec![allow(&plain), deny(&failing)],
            ALLOWED,
            "a Deny whose condition fails",
        ),
        (
            vec![allow(&failing), allow(&plain)],
            Decision::Allowed { statement: 1 },
            "one Allow is enough",
        ),
        (
            vec![allow(&failing)],
            fails(0, FailedElement::Condition(0)),
            "denied by default",
        ),
        (
            vec![allow(&other)],
            fails(0, FailedElement::Principal),
            "another provider",
        ),
        (
            vec![allow(&other), allow(&failing)],
            fails(1, FailedElement::Condition(0)),
            "the closest is told",
        ),
        (
            vec![allow(&failing), allow(&other)],
            fails(0, FailedElement::Condition(0)),
            "the closest is told",
        ),
        (
            vec![allow(&principal(
                r#"{"Federated": "arn:aws:iam::111122223333:oidc-provider/id.example.com/"}"#,
            ))],
            fails(0, FailedElement::Principal),
            "a slash too many",
        ),
        (
            vec![allow(&principal(
                r#"{"Federated": "arn:aws:iam::111122223333:oidc-provider/ID.example.com"}"#,
            ))],
            fails(0, FailedElement::Principal),
            "ARNs are case-sensitive",
        ),
        (
            vec![allow(&principal(
                r#"{"Federated": "arn:aws:iam::111122223333:oidc-provider/*"}"#,
            ))],
            fails(0, FailedElement::Principal),
            "no part of an ARN is a wildcard",
        ),
        (
            vec![allow(&principal(r#"{"Federated": "id.example.com"}"#))],
            fails(0, FailedElement::Principal),
            "the ARN, not the host",
        ),
        (
            vec![allow(&principal(
                r#"{"AWS": "arn:aws:iam::111122223333:root"}"#,
            ))],
            fails(0, FailedElement::Principal),
            "an account is no provider",
        ),
        (
            vec![allow(&principal(&format!(r#"{{"AWS": "{arn}"}}"#)))],
            fails(0, FailedElement::Principal),
            "of another type",
        ),
        (
            vec![allow(&principal(&format!(
                r#"{{"Federated": ["x", "{arn}"]}}"#
            )))],
            ALLOWED,
            "one of several principals",
        ),
        (
            vec![allow(&principal(&format!(
                r#"{{"Service": "ec2.amazonaws.com", "Federated": "{arn}"}}"#
            )))],
            ALLOWED,
            "of several types",
        ),
        (
            vec![allow(&principal(r#""*""#))],
            UNKNOWN,
            "everyone, in an Allow",
        ),
        (
            vec![allow(&principal(r#"{"AWS": "*"}"#))],
            UNKNOWN,
            "everyone, in an Allow",
        ),
        (
            vec![allow(&principal(r#"{"Federated": "*"}"#))],
            UNKNOWN,
            "everyone, in an Allow",
        ),
        (
            vec![allow(&principal(r#""*""#)), allow(&plain)],
            Decision::Allowed { statement: 1 },
            "another Allow decides",
        ),
        (
            vec![allow(&plain), deny(&principal(r#""*""#))],
            Decision::Denied { statement: 1 },
            "everyone, in a Deny",
        ),
        (
            vec![
                allow(&plain),
                deny(&format!(
                    r#""NotPrincipal": {{"Federated": "{arn}"}}, {action}"#
                )),
            ],
            ALLOWED,
            "everyone but the provider",
        ),
        (
            vec![
                allow(&plain),
                deny(&format!(
                    r#""NotPrincipal": {{"Federated": "x"}}, {action}"#
                )),
            ],
            Decision::Indeterminate {
                statement: 1,
                reason: Reason::NotPrincipal,
            },
            "everyone but another",
        ),
        (
            vec![allow(&of_action(r#""sts:AssumeRole""#))],
            fails(0, FailedElement::Action),
            "another action",
        ),
        (vec![allow(&of_action(r#""sts:*""#))], ALLOWED, "all of STS"),
        (vec![allow(&of_action(r#""*""#))], ALLOWED, "all actions"),
        (
            vec![allow(&of_action(r#""sts:AssumeRole*""#))],
            ALLOWED,
            "a wildcard",
        ),
        (
            vec![allow(&of_action(r#""sts:AssumeRoleWith???Identity""#))],
            ALLOWED,
            "question marks",
        ),
        (
            vec![allow(&of_action(r#""sts:AssumeRoleWith????Identity""#))],
            fails(0, FailedElement::Action),
            "one too many",
        ),
        (
            vec![allow(&of_action(r#""STS:assumerolewithwebidentity""#))],
            ALLOWED,
            "actions are not case-sensitive",
        ),
        (
            vec![allow(&of_action(
                r#"["sts:TagSession", "sts:AssumeRoleWithWebIdentity"]"#,
            ))],
            ALLOWED,
            "one of several actions",
        ),
        (
            vec![allow(&format!(
                r#"{federated}, "NotAction": "sts:TagSession""#
            ))],
            ALLOWED,
            "any but another",
        ),
        (
            vec![allow(&format!(r#"{federated}, "NotAction": "sts:*""#))],
            fails(0, FailedElement::Action),
            "any but all of STS",
        ),
        (
            vec![allow(&plain), deny(&format!("{plain}, {open}"))],
            OPEN,
            "a Deny that is not known",
        ),
        (
            vec![deny(&format!("{plain}, {open}"))],
            Decision::NotAllowed { closest: None },
            "an unknown Deny adds nothing",
        ),
        (
            vec![allow(&failing), allow(&format!("{plain}, {open}"))],
            OPEN,
            "an Allow that is not known",
        ),
        (
            vec![allow(&format!("{plain}, {open}")), allow(&plain)],
            Decision::Allowed { statement: 1 },
            "another Allow decides",
        ),
        (
            vec![allow(&format!("{plain}, {open}")), deny(&plain)],
            Decision::Denied { statement: 1 },
            "a Deny decides",
        ),
    ];
    let keys = Context::new()
        .with("h:sub", "a")
        .with_unknown("aws:UserAgent");
    for (statements, expected, rule) in cases {
        let policy = parse(&format!("[{}]", statements.join(",")));
        let found = policy.evaluate(ACTION, arn, &keys);
        assert_eq!(found, expected, "{rule}: {policy}");
    }
}

fn statement(condition: &str) -> String {
    format!(
        r#"{{"Effect": "Allow", "Principal": {{"Federated": "{PROVIDER}"}}, "Action": "{ACTION}"{condition}}}"#
    )
}

fn parse(statements: &str) -> Policy {
    let json = format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#);
    json.parse()
        .unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn context(keys: &Map<String, Value>) -> Context<'_> {
    let mut context = Context::new();
    for (name, value) in keys {
        context = match value {
            Value::String(value) => context.with(name, value),
            Value::Array(values) => {
                context.with_values(name, values.iter().map(|value| value.as_str().unwrap()))
            }
            Value::Null => context.with_unknown(name),
            other => panic!("{other}"),
        };
    }
    context
}
