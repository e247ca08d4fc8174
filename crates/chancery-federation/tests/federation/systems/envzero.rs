//! env zero: session tags gate the role, and the client id is in azp.

use chancery_core::{Claims, IssueError};
use chancery_federation::aws::{DenialReason, ErrorCode, SessionTags, TrustPolicy};
use chancery_federation::{Binding, RelyingParty, Sharing, SubjectTemplate, Variable};

use super::attacks::{Honest, is_denied_by_subject, without_tag_session};
use super::{allowed, denied, provider, service};

const ISSUER: &str = "https://login.app.env0.com/";
const AUDIENCE: &str = "https://prod.env0.com";
const CLIENT_ID: &str = "hoMiq9PdkRh9LUvVpH4wIErWg50VSG1b";
const ORGANIZATION: &str = "632b8219674bde0224a96141";

fn subject(organization: &str) -> String {
    SubjectTemplate::parse("auth0|{organization}", [Variable::id("organization")])
        .map(|template| template.subject(&[("organization", organization)]))
        .unwrap()
        .unwrap()
}

fn tags(organization: &str) -> SessionTags {
    SessionTags::new()
        .with_transitive_tag("organizationId", organization)
        .and_then(|tags| tags.with_tag("projectId", "7f3c2a10-5d0e-4c1b-9a44-0d5b8f2e6c31"))
        .and_then(|tags| tags.with_tag("templateId", "b1946ac9"))
        .and_then(|tags| tags.with_tag("environmentId", "591785b7"))
        .and_then(|tags| tags.with_tag("deployerEmail", "a@example.com"))
        .unwrap()
}

fn claims(organization: &str, tags: &SessionTags) -> Claims {
    Claims::new(subject(organization))
        .with_private_claim(SessionTags::CLAIM, tags)
        .unwrap()
}

fn full(claims: Claims) -> Claims {
    claims
        .with_audience(AUDIENCE)
        .with_authorized_party(CLIENT_ID)
}

#[test]
fn a_deployment_of_the_organization_comes_in_with_its_tags() {
    let issuer = service(
        ISSUER,
        [Binding::new(CLIENT_ID, RelyingParty::AWS).allow_session_tags()],
    )
    .build()
    .unwrap();
    let provider = provider(&issuer, CLIENT_ID);
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject(subject(ORGANIZATION))
        .request_tag("organizationId", ORGANIZATION)
        .build()
        .unwrap();
    let json = policy.to_string();
    for part in [
        r#""login.app.env0.com/:aud":"hoMiq9PdkRh9LUvVpH4wIErWg50VSG1b""#,
        r#""login.app.env0.com/:sub":"auth0|632b8219674bde0224a96141""#,
        r#""aws:RequestTag/organizationId":"632b8219674bde0224a96141""#,
        r#"["sts:AssumeRoleWithWebIdentity","sts:TagSession"]"#,
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }

    let own = claims(ORGANIZATION, &tags(ORGANIZATION));
    let session = allowed(&policy, &provider, &issuer, &full(own.clone()));
    assert_eq!(session.tags, sorted(&tags(ORGANIZATION)));
    let honest = Honest {
        issuer: &issuer,
        provider: &provider,
        policy: &policy,
        claims: &own,
        audience: AUDIENCE,
        authorized_party: Some(CLIENT_ID),
    };
    honest.withstands_what_all_do();

    // Another organization, whatever it says in its tags.
    is_denied_by_subject(&honest, claims("777", &tags(ORGANIZATION)));
    // The right subject, and tags of another, or none.
    for other in [
        tags("777"),
        SessionTags::new().with_tag("projectId", "x").unwrap(),
    ] {
        let denial = denied(
            &policy,
            &provider,
            &issuer,
            &full(claims(ORGANIZATION, &other)),
        );
        match denial.reason {
            DenialReason::Condition { condition, .. } => {
                assert_eq!(condition.key, "aws:RequestTag/organizationId");
            }
            other => panic!("{other:?}"),
        }
    }
    let denial = denied(
        &policy,
        &provider,
        &issuer,
        &full(Claims::new(subject(ORGANIZATION))),
    );
    assert_eq!(denial.code, ErrorCode::AccessDenied);

    // A role that was made without the action.
    let denial = denied(
        &without_tag_session(&policy),
        &provider,
        &issuer,
        &full(own),
    );
    assert_eq!(denial.code, ErrorCode::AccessDenied);
    assert!(
        matches!(
            denial.reason,
            DenialReason::Action {
                action: "sts:TagSession"
            }
        ),
        "{denial}"
    );
}

/// As they are read from JSON, whose members have no order.
fn sorted(tags: &SessionTags) -> SessionTags {
    let mut all: Vec<_> = tags.iter().collect();
    all.sort_unstable();
    all.into_iter()
        .try_fold(SessionTags::new(), |sorted, (key, value, is_transitive)| {
            if is_transitive {
                sorted.with_transitive_tag(key, value)
            } else {
                sorted.with_tag(key, value)
            }
        })
        .unwrap()
}

#[test]
fn tags_are_minted_only_where_the_roles_expect_them() {
    let issuer = service(ISSUER, [Binding::new(CLIENT_ID, RelyingParty::AWS)])
        .build()
        .unwrap();
    let with_tags = full(claims(ORGANIZATION, &tags(ORGANIZATION)));
    match issuer.issue(&with_tags) {
        Err(IssueError::Policy(error)) => {
            let text = error.to_string();
            assert!(
                text.contains("session tags") && text.contains("sts:TagSession"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(
        issuer
            .issue(&full(Claims::new(subject(ORGANIZATION))))
            .is_ok()
    );
}

#[test]
fn the_documented_audience_alone_is_not_the_one_that_aws_matches() {
    let issuer = service(ISSUER, [Binding::new(CLIENT_ID, RelyingParty::AWS)])
        .build()
        .unwrap();
    let provider = provider(&issuer, CLIENT_ID);
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject(subject(ORGANIZATION))
        .build()
        .unwrap();
    let claims = Claims::new(subject(ORGANIZATION)).with_audience(AUDIENCE);
    let denial = denied(&policy, &provider, &issuer, &claims);
    assert_eq!(denial.message.as_deref(), Some("Incorrect token audience"));
    let claims = claims.with_authorized_party(CLIENT_ID);
    allowed(&policy, &provider, &issuer, &claims);
}
