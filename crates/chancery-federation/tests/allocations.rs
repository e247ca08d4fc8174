//! Subjects and the checks of a token cost no allocation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use chancery_core::{
    Claims, Issuer, IssuerUrl, Jwk, KeySet, Schedule, ScheduledKey, SignError, Signature, Signer,
    SigningInput,
};
use chancery_federation::aws::{SessionTags, SourceIdentity};
use chancery_federation::{Binding, Bindings, RelyingParty, SubjectTemplate, Variable};

/// Its signatures are none.
#[derive(Debug)]
struct Marking(Jwk);

impl Signer for Marking {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        Ok(Signature::new(self.0.algorithm(), &[1; 64])?)
    }
}

fn issuer() -> Issuer {
    // The key of RFC 7515 §A.3.1.
    let jwk = Jwk::from_json(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )
    .unwrap();
    let key = ScheduledKey::new(Arc::new(Marking(jwk)), Schedule::ALWAYS);
    let bindings = Bindings::new([
        Binding::new("vault.example.com", RelyingParty::VAULT),
        Binding::new("sts.amazonaws.com", RelyingParty::AWS)
            .allow_session_tags()
            .allow_source_identity(),
    ]);
    Issuer::builder(
        IssuerUrl::parse("https://id.example.com").unwrap(),
        KeySet::new(vec![key]).unwrap(),
    )
    .token_policy(Arc::new(bindings))
    .build()
    .unwrap()
}

#[test]
fn a_token_with_a_rendered_subject_and_all_checks_allocates_nothing() {
    let template = SubjectTemplate::parse(
        "space:{space}:{kind}:{id}:run_type:{run_type}:scope:{scope}:branch:{branch}",
        [
            Variable::id("space"),
            Variable::one_of("kind", ["stack", "module"]),
            Variable::id("id"),
            Variable::one_of("run_type", ["TRACKED", "PROPOSED"]),
            Variable::one_of("scope", ["read", "write"]),
            Variable::text("branch"),
        ],
    )
    .unwrap();
    let values = |branch| {
        [
            ("space", "production-01HZX"),
            ("kind", "stack"),
            ("id", "payments"),
            ("run_type", "TRACKED"),
            ("scope", "write"),
            ("branch", branch),
        ]
    };
    let tags = SessionTags::new()
        .with_transitive_tag("organizationId", "632b8219674bde0224a96141")
        .and_then(|tags| tags.with_tag("projectId", "7f3c2a10"))
        .unwrap();
    let identity = SourceIdentity::parse("user-4711").unwrap();
    let mut claims = Claims::new("")
        .with_audience("sts.amazonaws.com")
        .with_private_claim(SessionTags::CLAIM, &tags)
        .and_then(|claims| claims.with_private_claim(SourceIdentity::CLAIM, &identity))
        .unwrap();
    let issuer = issuer();
    let mut token = String::new();
    let mut issue = |branch| {
        template
            .render(&values(branch), claims.subject_mut())
            .unwrap();
        issuer.issue_into(&claims, &mut token).unwrap();
    };
    // The buffers grow once.
    issue("a rather long branch, of which much is encoded");
    for branch in ["main", "feature/a:b*"] {
        let counted = allocation_counter::measure(|| issue(branch));
        assert_eq!(counted.count_total, 0, "{branch}");
    }
}

#[test]
fn as_many_session_tags_as_aws_takes_are_checked_without_an_allocation() {
    let issuer = issuer();
    for count in [0, 1, 50] {
        let tags = (0..count).fold(SessionTags::new(), |tags, number| {
            let (key, value) = (format!("organizationUnit{number}"), "x".repeat(256));
            if number % 2 == 0 {
                tags.with_transitive_tag(key, value).unwrap()
            } else {
                tags.with_tag(key, value).unwrap()
            }
        });
        let claims = Claims::new("job:4711")
            .with_audience("sts.amazonaws.com")
            .with_private_claim(SessionTags::CLAIM, &tags)
            .unwrap();
        let mut token = String::with_capacity(30_000);
        let mut issue = || issuer.issue_into(&claims, &mut token).unwrap();
        issue();
        let counted = allocation_counter::measure(&mut issue);
        assert_eq!(counted.count_total, 0, "{count} tags");
    }
}
