//! The local STS: the keys of a request, and what a session carries.

use chancery_federation::aws::{
    DenialReason, Doubt, ErrorCode, Outcome, Reason, SessionTags, SourceIdentity, simulate_verified,
};
use serde_json::json;

use crate::simulate::{AUDIENCE, changed, denial, now, plain_policy, policy, provider};

/// Conditions of one operator, changes of the claims, and whether it is let in; `None` where that
/// is not known.
#[test]
fn the_keys_of_a_request_are_those_of_the_token() {
    const TAGS: &str = SessionTags::CLAIM;
    let tags = json!({"principal_tags": {"Project": ["x"], "Team": ["y"]}, "transitive_tag_keys": ["Team"]});
    let identity = json!({SourceIdentity::CLAIM: "admin"});
    let key = |claim: &str| format!("id.example.com/tenant/:{claim}");
    let allowed = Some(true);
    for (operator, name, value, change, expected) in [
        (
            "StringEquals",
            key("oaud"),
            json!(AUDIENCE),
            json!({}),
            allowed,
        ),
        (
            "StringEquals",
            key("oaud"),
            json!("client"),
            json!({"aud": "client", "azp": AUDIENCE}),
            allowed,
        ),
        (
            "StringEquals",
            key("aud"),
            json!(AUDIENCE),
            json!({"aud": "client", "azp": AUDIENCE}),
            allowed,
        ),
        (
            "StringEquals",
            key("aud"),
            json!(AUDIENCE),
            json!({"aud": ["x", "y"], "azp": AUDIENCE}),
            allowed,
        ),
        (
            "StringEquals",
            key("oaud"),
            json!("x"),
            json!({"aud": ["x", "y"], "azp": AUDIENCE}),
            None,
        ),
        (
            "StringEquals",
            key("email"),
            json!("jo@example.com"),
            json!({"email": "jo@example.com"}),
            allowed,
        ),
        (
            "StringEquals",
            key("email"),
            json!("jo@example.com"),
            json!({}),
            Some(false),
        ),
        (
            "ForAnyValue:StringEquals",
            key("amr"),
            json!("mfa"),
            json!({"amr": ["pwd", "mfa"]}),
            allowed,
        ),
        (
            "ForAnyValue:StringEquals",
            key("amr"),
            json!("mfa"),
            json!({"amr": ["pwd"]}),
            Some(false),
        ),
        (
            "StringEquals",
            key("amr"),
            json!("mfa"),
            json!({"amr": ["mfa"]}),
            None,
        ),
        // A text where a list belongs.
        (
            "ForAnyValue:StringEquals",
            key("amr"),
            json!("mfa"),
            json!({"amr": "mfa"}),
            None,
        ),
        // Whether AWS takes no account of the case of these letters is not known.
        (
            "StringEquals",
            "aws:RequestTag/space".to_owned(),
            json!("1"),
            json!({TAGS: {"principal_tags": {"\u{17f}pace": ["1"]}}}),
            None,
        ),
        (
            "StringEquals",
            "aws:RequestTag/\u{17f}pace".to_owned(),
            json!("1"),
            json!({TAGS: {"principal_tags": {"Space": ["1"]}}}),
            None,
        ),
        (
            "StringEquals",
            "aws:RequestTag/sp\u{e4}ce".to_owned(),
            json!("1"),
            json!({TAGS: {"principal_tags": {"space": ["1"]}}}),
            Some(false),
        ),
        // A variable that stands for a long text.
        (
            "StringEquals",
            key("sub"),
            json!(format!("${{{}}}", key("email"))),
            json!({"email": "x".repeat(257)}),
            None,
        ),
        (
            "StringEquals",
            key("sub"),
            json!(format!("${{{}}}", key("email"))),
            json!({"email": "ß".repeat(256)}),
            Some(false),
        ),
        (
            "StringEquals",
            key("repository"),
            json!("x"),
            json!({"repository": "x"}),
            Some(false),
        ),
        (
            "StringEquals",
            "id.example.com:sub".to_owned(),
            json!("space:1:job:42"),
            json!({}),
            Some(false),
        ),
        (
            "StringEquals",
            "ID.EXAMPLE.COM/tenant/:SUB".to_owned(),
            json!("space:1:job:42"),
            json!({}),
            allowed,
        ),
        (
            "StringEquals",
            "aws:RequestTag/Project".to_owned(),
            json!("x"),
            json!({TAGS: tags}),
            allowed,
        ),
        (
            "StringEquals",
            "aws:requesttag/project".to_owned(),
            json!("x"),
            json!({TAGS: tags}),
            allowed,
        ),
        (
            "StringEquals",
            "aws:RequestTag/Project".to_owned(),
            json!("z"),
            json!({TAGS: tags}),
            Some(false),
        ),
        (
            "StringEquals",
            "aws:RequestTag/Project".to_owned(),
            json!("x"),
            json!({}),
            Some(false),
        ),
        (
            "ForAllValues:StringEquals",
            "aws:TagKeys".to_owned(),
            json!(["Project", "Team"]),
            json!({TAGS: tags}),
            allowed,
        ),
        (
            "ForAllValues:StringEquals",
            "aws:TagKeys".to_owned(),
            json!(["Project"]),
            json!({TAGS: tags}),
            Some(false),
        ),
        (
            "ForAllValues:StringEquals",
            "aws:TagKeys".to_owned(),
            json!(["Project"]),
            json!({}),
            allowed,
        ),
        (
            "ForAnyValue:StringEquals",
            "sts:TransitiveTagKeys".to_owned(),
            json!("Team"),
            json!({TAGS: tags}),
            allowed,
        ),
        (
            "ForAnyValue:StringEquals",
            "sts:TransitiveTagKeys".to_owned(),
            json!("Project"),
            json!({TAGS: tags}),
            Some(false),
        ),
        (
            "StringLike",
            "sts:SourceIdentity".to_owned(),
            json!("adm*"),
            identity,
            allowed,
        ),
        (
            "StringLike",
            "sts:SourceIdentity".to_owned(),
            json!("adm*"),
            json!({}),
            Some(false),
        ),
        (
            "Null",
            "aws:TagKeys".to_owned(),
            json!("true"),
            json!({}),
            allowed,
        ),
        (
            "DateLessThan",
            "aws:CurrentTime".to_owned(),
            json!("2026-11-20T00:00:01Z"),
            json!({}),
            allowed,
        ),
        (
            "DateLessThan",
            "aws:CurrentTime".to_owned(),
            json!("2026-11-20T00:00:00Z"),
            json!({}),
            Some(false),
        ),
        (
            "NumericGreaterThan",
            "aws:EpochTime".to_owned(),
            json!(1_795_132_799),
            json!({}),
            allowed,
        ),
        (
            "Bool",
            "aws:SecureTransport".to_owned(),
            json!("false"),
            json!({}),
            Some(false),
        ),
        (
            "IpAddress",
            "aws:SourceIp".to_owned(),
            json!("203.0.113.0/24"),
            json!({}),
            None,
        ),
        (
            "StringLike",
            "sts:RoleSessionName".to_owned(),
            json!("*"),
            json!({}),
            None,
        ),
        (
            "StringLike",
            "other.example.com:sub".to_owned(),
            json!("*"),
            json!({}),
            Some(false),
        ),
    ] {
        let policy = policy(json!("sts:*"), json!({operator: {name.as_str(): value}}));
        let claims = changed(change);
        let outcome = simulate_verified(&policy, &provider(), &claims, now());
        let found = match outcome {
            Outcome::Allowed(_) => Some(true),
            Outcome::Denied(_) => Some(false),
            Outcome::Indeterminate(Doubt::Policy {
                reason: Reason::KeyNotKnown | Reason::MultivaluedKey | Reason::VariableValue,
                ..
            }) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{policy} {claims:?}");
    }
}

#[test]
fn a_session_carries_tags_and_source_identity() {
    let all = json!([
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:SetSourceIdentity"
    ]);
    let conditions = json!({"StringEquals": {"aws:RequestTag/organizationId": "7"}});
    let claims = changed(json!({
        SessionTags::CLAIM: {"principal_tags": {"organizationId": ["7"]}, "transitive_tag_keys": ["organizationId"]},
        SourceIdentity::CLAIM: "user-1",
    }));
    let Outcome::Allowed(session) = simulate_verified(
        &policy(all, conditions.clone()),
        &provider(),
        &claims,
        now(),
    ) else {
        panic!("allowed")
    };
    assert_eq!(
        session.tags.iter().collect::<Vec<_>>(),
        [("organizationId", "7", true)]
    );
    assert_eq!(session.source_identity.unwrap().as_str(), "user-1");

    // Each action is needed.
    for missing in [
        "sts:TagSession",
        "sts:SetSourceIdentity",
        "sts:AssumeRoleWithWebIdentity",
    ] {
        let actions = [
            "sts:AssumeRoleWithWebIdentity",
            "sts:TagSession",
            "sts:SetSourceIdentity",
        ];
        let actions: Vec<_> = actions
            .into_iter()
            .filter(|action| *action != missing)
            .collect();
        let policy = policy(json!(actions), conditions.clone());
        let found = denial(simulate_verified(&policy, &provider(), &claims, now()));
        assert_eq!(found.reason, DenialReason::Action { action: missing });
    }
}

/// A claim is evaluated as it stands: no value is read as a pattern or a variable.
#[test]
fn wildcards_in_claims_widen_nothing() {
    let policy = plain_policy();
    for subject in [
        "*",
        "space:*",
        "space:1:job:4?",
        "${*}",
        "${id.example.com/tenant/:sub}",
    ] {
        let claims = changed(json!({"sub": subject}));
        let found = denial(simulate_verified(&policy, &provider(), &claims, now()));
        assert_eq!(found.code, ErrorCode::AccessDenied);
    }
}
