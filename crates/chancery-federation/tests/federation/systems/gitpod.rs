//! Gitpod: an issuer with a path, audiences that the caller asks for, subjects that users choose.

use chancery_core::{Claims, UnixTime};
use chancery_federation::aws::{
    self, DenialReason, ErrorCode, Outcome, TrustPolicy, TrustPolicyError,
};
use chancery_federation::{
    Binding, RelyingParty, Severity, Shape, Sharing, SubjectMigration, SubjectTemplate, Variable,
};
use serde_json::Value;

use super::attacks::{Honest, is_denied_by_subject};
use super::{allowed, at, denied, provider, service};
use crate::support::NOW;

const ISSUER: &str = "https://api.gitpod.io/idp";
const AWS: &str = "sts.amazonaws.com";

/// The context URL, partly chosen by users; and the organization and project, by their ids.
fn shapes() -> SubjectMigration {
    SubjectMigration::new(
        SubjectTemplate::parse(
            "https://{host}/{owner}/{repository}",
            [
                Variable::one_of("host", ["github.com", "gitlab.com"]),
                Variable::text("owner"),
                Variable::text("repository"),
            ],
        )
        .unwrap(),
        SubjectTemplate::parse(
            "organization_id:{organization}:project_id:{project}",
            [Variable::id("organization"), Variable::id("project")],
        )
        .unwrap(),
    )
    .unwrap()
}

fn context<'a>(owner: &'a str, repository: &'a str) -> [(&'static str, &'a str); 3] {
    [
        ("host", "github.com"),
        ("owner", owner),
        ("repository", repository),
    ]
}

/// The token as `gp idp token` gets it: `azp` is the first audience, and the code and the login
/// are bound in.
fn token_claims(subject: String, audiences: &[&str]) -> Claims {
    let claims = Claims::new(subject)
        .with_authorized_party(audiences[0])
        .with_code_hash("the authorization code")
        .with_auth_time(UnixTime::from_secs(NOW - 60).unwrap())
        .with_authentication_method("mfa")
        .with_name("A")
        .with_email("a@example.com", true);
    audiences
        .iter()
        .fold(claims, |claims, audience| claims.with_audience(*audience))
}

#[test]
fn a_workspace_of_the_repository_comes_in() {
    let issuer = service(ISSUER, [Binding::new(AWS, RelyingParty::AWS)])
        .allow_several_audiences()
        .build()
        .unwrap();
    assert_eq!(
        issuer.discovery().unwrap().path(),
        "/idp/.well-known/openid-configuration"
    );
    let provider = provider(&issuer, AWS);
    let template = shapes().template(Shape::Old).clone();
    let own = template.subject(&context("gitpod-io", "gitpod")).unwrap();
    assert_eq!(own, "https://github.com/gitpod-io/gitpod");
    let pattern = template
        .aws_pattern(&context("gitpod-io", "gitpod"))
        .unwrap();
    // On an installation of one's own the repository is enough.
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()
        .unwrap();
    let json = policy.to_string();
    assert!(
        json.contains(r#""api.gitpod.io/idp:aud":"sts.amazonaws.com""#)
            && json.contains(r#""api.gitpod.io/idp:sub":"https://github.com/gitpod-io/gitpod""#),
        "{json}"
    );
    allowed(
        &policy,
        &provider,
        &issuer,
        &token_claims(own.clone(), &[AWS]),
    );

    let bare = Claims::new(own.clone());
    let honest = Honest {
        issuer: &issuer,
        provider: &provider,
        policy: &policy,
        claims: &bare,
        audience: AWS,
        authorized_party: Some(AWS),
    };
    honest.withstands_what_all_do();
    for (owner, repository) in [
        ("gitpod-io", "gitpod2"),
        ("gitpod-io/gitpod", "x"),
        ("gitpod-i*", "gitpod"),
        ("GITPOD-IO", "gitpod"),
        ("gitpod-io", "gitpod/"),
        ("gitpod-io%2Fgitpod", "x"),
    ] {
        let subject = template.subject(&context(owner, repository)).unwrap();
        is_denied_by_subject(&honest, Claims::new(subject));
    }

    // On one that is shared anybody may open a workspace of that repository.
    assert_eq!(
        TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .subject_pattern(&pattern)
            .build(),
        Err(TrustPolicyError::NobodyIdentified)
    );
    let by_id = shapes()
        .aws_pattern(Shape::New, &[("organization", "018e"), ("project", "018f")])
        .unwrap();
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject_pattern(&by_id)
        .build()
        .unwrap();
    let moved = shapes()
        .template(Shape::New)
        .subject(&[("organization", "018e"), ("project", "018f")])
        .unwrap();
    allowed(&policy, &provider, &issuer, &token_claims(moved, &[AWS]));
    let denial = denied(&policy, &provider, &issuer, &token_claims(own, &[AWS]));
    assert_eq!(denial.code, ErrorCode::AccessDenied);
}

#[test]
fn aws_reads_azp_of_several_audiences() {
    let issuer = service(ISSUER, [Binding::new(AWS, RelyingParty::AWS)])
        .allow_several_audiences()
        .build()
        .unwrap();
    let provider = provider(&issuer, AWS);
    let subject = || "https://github.com/gitpod-io/gitpod".to_owned();
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject(subject())
        .build()
        .unwrap();
    // AWS first: it is in azp. How AWS takes the array besides is not certain.
    let first = token_claims(subject(), &[AWS, "vault.example.com"]);
    let token = issuer.issue(&first).unwrap();
    let answer = aws::simulate(&policy, &provider, token.as_str(), at(NOW));
    assert!(!matches!(answer, Outcome::Denied(_)), "{answer:?}");
    let findings = RelyingParty::AWS.check_claims(&first);
    assert!(
        findings
            .iter()
            .any(|finding| finding.what == "the token has 2 audiences")
    );

    // Vault first: AWS would look for a client id `vault.example.com`. So none is minted.
    let second = token_claims(subject(), &["vault.example.com", AWS]);
    let findings = RelyingParty::AWS.check_claims(&second);
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Error
                && finding.what == "azp is \"vault.example.com\", and not the audience"),
        "{findings:?}"
    );
    assert!(issuer.issue(&second).is_err());
}

#[test]
fn the_other_claims_are_in_the_token() {
    let issuer = service(ISSUER, []).build().unwrap();
    let token = issuer
        .issue(&token_claims(
            "organization_id:1:project_id:2".to_owned(),
            &[AWS],
        ))
        .unwrap();
    let jwks = chancery_core::JwkSet::from_json(issuer.jwks().unwrap().bytes()).unwrap();
    let verified = chancery_software::verify_jws(token.as_str(), &jwks).unwrap();
    let payload: Value = serde_json::from_slice(verified.payload()).unwrap();
    for name in [
        "c_hash",
        "auth_time",
        "amr",
        "name",
        "email",
        "email_verified",
        "azp",
    ] {
        assert!(payload.get(name).is_some(), "{name}");
    }
    assert_eq!(payload["azp"], AWS);

    let provider = provider(&issuer, AWS);
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject("organization_id:1:project_id:3")
        .build()
        .unwrap();
    match aws::simulate(&policy, &provider, token.as_str(), at(NOW)) {
        Outcome::Denied(denial) => {
            assert!(matches!(denial.reason, DenialReason::Condition { .. }));
        }
        other => panic!("{other:?}"),
    }
}
