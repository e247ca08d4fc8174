//! What the lint says of policies that IAM takes.

use chancery_core::IssuerUrl;
use chancery_federation::Severity::{Error, Warning};
use chancery_federation::Sharing;
use chancery_federation::aws::{Policy, Provider, TrustPolicy, lint};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:iam::111122223333:oidc-provider/id.example.com/idp";

fn statement(actions: Value, conditions: Value) -> Value {
    json!({"Effect": "Allow", "Principal": {"Federated": ARN}, "Action": actions, "Condition": conditions})
}

fn policy(statement: &Value) -> Policy {
    let json = json!({"Version": "2012-10-17", "Statement": [statement]});
    json.to_string().parse().unwrap()
}

fn plain(conditions: Value) -> Policy {
    policy(&statement(
        json!("sts:AssumeRoleWithWebIdentity"),
        conditions,
    ))
}

fn key(claim: &str) -> String {
    format!("id.example.com/idp:{claim}")
}

#[test]
fn good_policies_have_no_finding() {
    for conditions in [
        json!({"StringEquals": {key("sub"): "space:1:job:42", key("aud"): "sts.amazonaws.com"}}),
        json!({"StringLike": {key("sub"): ["space:1:*", "space:2:job:*"]}}),
        json!({"StringLike": {key("sub"): "repo:org/*"}}),
        json!({"StringLike": {key("sub"): "auth0|${*}*x".replace("*x", "")}}),
        json!({"StringEquals": {key("email"): "jo@example.com"}}),
        json!({"ForAnyValue:StringEquals": {key("amr"): "mfa"}, "StringEquals": {key("sub"): "space:1"}}),
        json!({"StringEquals": {key("sub"): "${*}"}}),
    ] {
        let findings = lint(&plain(conditions.clone()));
        assert_eq!(findings, [], "{conditions}");
    }
    let tagged = statement(
        json!(["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]),
        json!({"StringEquals": {"aws:RequestTag/organizationId": "7"}}),
    );
    assert_eq!(lint(&policy(&tagged)), []);
    // A provider of which AWS documents more keys.
    let github: Policy = policy(&statement(json!("sts:AssumeRoleWithWebIdentity"), json!({}))).to_string()
        .replace("id.example.com/idp", "token.actions.githubusercontent.com")
        .replace("}]}", r#","Condition":{"StringEquals":{"token.actions.githubusercontent.com:repository":"a/b","token.actions.githubusercontent.com:sub":"repo:a/b"}}}]}"#)
        .parse().unwrap();
    assert_eq!(lint(&github), []);
    // A Deny may say what it likes of whom.
    let deny: Policy = plain(json!({"StringNotLike": {key("sub"): "space:1*"}}))
        .to_string()
        .replace("Allow", "Deny")
        .parse()
        .unwrap();
    assert_eq!(lint(&deny), []);
}

#[test]
fn each_fault_is_found() {
    let identified = json!({key("sub"): "space:1"});
    for (conditions, severity, what, mend) in [
        (json!({}), Error, "no condition on who", "StringEquals"),
        (
            json!({"StringEquals": {key("aud"): "x"}}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"StringLike": {key("sub"): "*"}}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"StringLike": {key("sub"): ["space:1", "?*"]}}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"StringNotEquals": {key("sub"): "space:1"}}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"Null": {key("sub"): "false"}}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"StringNotEquals": {key("sub"): "space:1"}}),
            Warning,
            "in an Allow",
            "list whom",
        ),
        (
            json!({"ForAllValues:StringEquals": identified}),
            Error,
            "ForAllValues:",
            "ForAnyValue:",
        ),
        (
            json!({"ForAllValues:StringEquals": identified}),
            Error,
            "no condition on who",
            "sub",
        ),
        (
            json!({"StringEqualsIfExists": identified}),
            Error,
            "IfExists on",
            "leave IfExists out",
        ),
        (
            json!({"StringEquals": identified, "StringEqualsIfExists": {key("aud"): "x"}}),
            Error,
            "IfExists on",
            "leave",
        ),
        (
            json!({"StringEquals": {key("sub"): "space:1:*"}}),
            Warning,
            "StringEquals id.example.com/idp:sub with \"space:1:*\"",
            "StringLike",
        ),
        (
            json!({"StringLike": {key("sub"): "repo:org*"}}),
            Error,
            "with \"repo:org*\"",
            "separator",
        ),
        (
            json!({"StringLike": {key("sub"): "repo:org/re?o"}}),
            Error,
            "re?o",
            "separator",
        ),
        (
            json!({"StringLike": {key("sub"): "*:stack:1:*"}}),
            Warning,
            "*:stack:1:*",
            "begin with",
        ),
        (
            json!({"StringEquals": {"id.example.com:sub": "space:1"}}),
            Error,
            "id.example.com:sub is a key of another provider",
            "write id.example.com/idp:sub",
        ),
        (
            json!({"StringEquals": {"id.example.com/idp/:sub": "space:1"}}),
            Error,
            "another provider",
            "write id.example.com/idp:sub",
        ),
        (
            json!({"StringEquals": {"https://id.example.com/idp:sub": "space:1"}}),
            Error,
            "another provider",
            "write id.example.com/idp:sub",
        ),
        (
            json!({"StringEquals": {"sub": "space:1"}}),
            Error,
            "\"sub\" is no condition key",
            "id.example.com:sub",
        ),
        (
            json!({"StringEquals": {key("repository"): "x", key("sub"): "space:1"}}),
            Error,
            "idp:repository is no condition key",
            "session tag",
        ),
        (
            json!({"StringEquals": {"aws:RequestTag/Project": "x"}}),
            Error,
            "without sts:TagSession",
            "add sts:TagSession",
        ),
        (
            json!({"ForAnyValue:StringEquals": {"aws:TagKeys": "x"}, "StringEquals": identified}),
            Error,
            "without sts:TagSession",
            "add",
        ),
        (
            json!({"StringEquals": {key("amr"): "mfa", key("sub"): "space:1"}}),
            Warning,
            "StringEquals id.example.com/idp:amr",
            "ForAnyValue:",
        ),
    ] {
        let policy = plain(conditions.clone());
        let findings = lint(&policy);
        let found = findings.iter().find(|finding| finding.what.contains(what));
        let Some(found) = found else {
            panic!("{conditions}: {findings:?}")
        };
        assert_eq!(found.severity, severity, "{found}");
        assert!(found.mend.contains(mend), "{found}");
        assert!(found.what.starts_with("Statement[0]: "), "{found}");
    }
}

#[test]
fn principals_and_actions_are_looked_at() {
    for (change, with, severity, what) in [
        (
            format!(r#"{{"Federated":"{ARN}"}}"#),
            r#""*""#.to_owned(),
            Error,
            "Principal is \"*\"",
        ),
        (
            format!(r#"{{"Federated":"{ARN}"}}"#),
            r#"{"AWS":"*"}"#.to_owned(),
            Error,
            "Principal is \"*\"",
        ),
        (
            "\"Principal\"".to_owned(),
            "\"NotPrincipal\"".to_owned(),
            Error,
            "NotPrincipal in an Allow",
        ),
        (
            "sts:AssumeRoleWithWebIdentity".to_owned(),
            "sts:*".to_owned(),
            Warning,
            "Action is \"sts:*\"",
        ),
        (
            "sts:AssumeRoleWithWebIdentity".to_owned(),
            "s3:GetObject".to_owned(),
            Error,
            "none of STS",
        ),
        (
            "2012-10-17".to_owned(),
            "2008-10-17".to_owned(),
            Error,
            "a policy variable",
        ),
    ] {
        let good = plain(
            json!({"StringEquals": {key("sub"): "space:1", key("email"): "${aws:username}"}}),
        );
        assert_eq!(lint(&good), []);
        let changed = good.to_string().replace(&change, &with);
        let findings = lint(&changed.parse().unwrap());
        let found = findings.iter().find(|finding| finding.what.contains(what));
        assert_eq!(
            found.unwrap_or_else(|| panic!("{changed}")).severity,
            severity
        );
    }
}

#[test]
fn the_size_is_counted_without_white_space() {
    for (len, severity) in [(1800, None), (2049, Some(Warning)), (4096, Some(Warning))] {
        let bare = plain(json!({"StringEquals": {key("sub"): ""}})).characters();
        let subject = "x".repeat(len - bare);
        let policy = plain(json!({"StringEquals": {key("sub"): subject}}));
        assert_eq!(policy.characters(), len);
        let spaced: Policy = policy.to_pretty_json().parse().unwrap();
        let findings = lint(&spaced);
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }
    // One that is longer is no policy when it is parsed; one that was put together is found.
    let mut policy = plain(json!({"StringEquals": {key("sub"): "space:1"}}));
    policy.id = Some("x".repeat(4096));
    assert_eq!(lint(&policy)[0].severity, Error);
}

/// A subject that has a star of its own is no hole.
#[test]
fn an_exact_subject_with_a_star_is_no_error() {
    let url = IssuerUrl::parse("https://id.example.com/idp").unwrap();
    let provider = Provider::new("123456789012", url, ["x"]).unwrap();
    for subject in ["auth0|*:7", "a:*:b", "a:*"] {
        let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .subject(subject)
            .build()
            .unwrap();
        let findings = lint(&policy);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].severity, Warning);
    }
}

/// What lets in nearly everybody, and what only looks as if it did.
#[test]
fn wildcards_are_weighed() {
    let own = format!("${{{}}}", key("sub").to_uppercase());
    let with_default = format!("${{{}, 'x'}}", key("sub"));
    for (operator, subject, expected) in [
        ("StringLike", "repo:*", Some((Warning, "\"repo:*\""))),
        ("StringLike", "space:*:stack:*", Some((Warning, "space:*"))),
        (
            "StringLike",
            "space:*:stack:7",
            Some((Warning, "space:*:stack:7")),
        ),
        ("StringLike", "space:?:stack:7", Some((Warning, "space:?"))),
        ("StringLike", "space:1:*:stack:7", None),
        ("StringLike", "run:apply:space:*:stack:7", None),
        ("StringLike", "space:1:stack:*", None),
        ("StringEquals", &own, Some((Error, "no condition on who"))),
        ("StringLike", &own, Some((Error, "no condition on who"))),
        (
            "StringEquals",
            &with_default,
            Some((Error, "no condition on who")),
        ),
        ("StringEquals", "${aws:username}", None),
        ("StringEquals", "auth0|a*b", Some((Warning, "auth0|a*b"))),
        ("StringEquals", "auth0|*", Some((Warning, "auth0|*"))),
        ("StringLike", "a-*-b:7", Some((Warning, "a-*-b:7"))),
        ("StringLike", "a-*:b*", Some((Error, "a-*:b*"))),
        ("StringLike", "a*-b:7", Some((Error, "a*-b:7"))),
        ("StringLike", "*:*", Some((Error, "no condition on who"))),
        ("StringLike", "?*/*", Some((Error, "no condition on who"))),
        ("StringLike", "::*", Some((Error, "no condition on who"))),
        ("StringEquals", "", Some((Error, "no condition on who"))),
        // Nearly everything comes later or is greater.
        (
            "NumericGreaterThan",
            "0",
            Some((Error, "no condition on who")),
        ),
        (
            "DateLessThan",
            "2100-01-01",
            Some((Error, "no condition on who")),
        ),
        ("Bool", "true", Some((Error, "no condition on who"))),
        ("NumericEquals", "7", None),
    ] {
        let findings = lint(&plain(json!({operator: {key("sub"): subject}})));
        let found: Vec<_> = findings.iter().map(|found| found.severity).collect();
        let severities: Vec<_> = expected.iter().map(|(severity, _)| *severity).collect();
        assert_eq!(found, severities, "{operator} {subject}: {findings:?}");
        if let Some((_, what)) = expected {
            assert!(findings[0].what.contains(what), "{findings:?}");
        }
    }
}
