//! Spacelift: an issuer for each tenant over one key set, and subjects out of parts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chancery_core::Claims;
use chancery_federation::aws::{self, Outcome, TrustPolicy};
use chancery_federation::{
    Binding, PatternError, RelyingParty, Sharing, SubjectTemplate, TokenFile, Variable,
};

use super::attacks::{Honest, is_denied_by_subject};
use super::{allowed, at, provider, service, url};
use crate::support::{NOW, TurnableClock};

const HOST: &str = "acme.app.spacelift.io";

fn template() -> SubjectTemplate {
    SubjectTemplate::parse(
        "space:{space}:{kind}:{id}:run_type:{run_type}:scope:{scope}",
        [
            Variable::id("space"),
            Variable::one_of("kind", ["stack", "module"]),
            Variable::text("id"),
            Variable::one_of("run_type", ["TRACKED", "PROPOSED", "TASK"]),
            Variable::one_of("scope", ["read", "write"]),
        ],
    )
    .unwrap()
}

fn run<'a>(space: &'a str, stack: &'a str, scope: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("space", space),
        ("kind", "stack"),
        ("id", stack),
        ("run_type", "TRACKED"),
        ("scope", scope),
    ]
}

fn claims(space: &str, stack: &str, scope: &str) -> Claims {
    Claims::new(template().subject(&run(space, stack, scope)).unwrap())
}

#[test]
fn a_run_of_the_space_comes_in_and_nothing_else() {
    let issuer = service(
        &format!("https://{HOST}"),
        [
            Binding::new(HOST, RelyingParty::AWS),
            Binding::new("other.app.spacelift.io", RelyingParty::AWS),
        ],
    )
    .build()
    .unwrap();
    let provider = provider(&issuer, HOST);
    let pattern = template()
        .aws_pattern(&[("space", "production-01HZX"), ("scope", "write")])
        .unwrap();
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()
        .unwrap();
    assert!(
        policy.to_string().contains(
            r#""StringLike":{"acme.app.spacelift.io:sub":"space:production-01HZX:*:*:run_type:*:scope:write"}"#
        ),
        "{policy}"
    );

    let run = claims("production-01HZX", "payments", "write");
    let session = allowed(
        &policy,
        &provider,
        &issuer,
        &run.clone().with_audience(HOST),
    );
    assert_eq!(session.statement, 0);
    let honest = Honest {
        issuer: &issuer,
        provider: &provider,
        policy: &policy,
        claims: &run,
        audience: HOST,
        authorized_party: None,
    };
    honest.withstands_what_all_do();

    // Another space, and the phase that only reads.
    is_denied_by_subject(&honest, claims("staging-01HZY", "payments", "write"));
    is_denied_by_subject(&honest, claims("production-01HZX", "payments", "read"));
    // A stack whose name would pass for the other space, or widens the pattern.
    for slug in [
        "x:stack:y:run_type:TRACKED:scope:write",
        "payments:run_type:TRACKED:scope:write",
        "*",
        "production-01HZX:stack:payments",
        "../../space:production-01HZX",
    ] {
        is_denied_by_subject(&honest, claims("staging-01HZY", slug, "write"));
        is_denied_by_subject(&honest, claims("staging-01HZY", slug, "read"));
        // In its own space it is just another stack.
        let own = claims("production-01HZX", slug, "read");
        is_denied_by_subject(&honest, own);
    }
    // By the name of the stack alone anybody in the account would come in.
    assert_eq!(
        template().aws_pattern(&[("id", "payments")]),
        Err(PatternError::UserChosen {
            variable: "id".to_owned()
        })
    );
}

#[test]
fn tenants_share_keys_and_nothing_else() {
    let first = service(
        &format!("https://{HOST}"),
        [
            Binding::new(HOST, RelyingParty::AWS),
            Binding::new("other.app.spacelift.io", RelyingParty::AWS),
        ],
    )
    .build()
    .unwrap();
    let second = first.tenant(url("https://other.app.spacelift.io"));
    let provider_of_first = provider(&first, HOST);
    let provider_of_second = provider(&second, "other.app.spacelift.io");
    assert_eq!(
        provider_of_first.keys().unwrap().keys(),
        provider_of_second.keys().unwrap().keys()
    );
    let pattern = template().aws_pattern(&[("space", "root")]).unwrap();
    let policy = TrustPolicy::new(&provider_of_first, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()
        .unwrap();
    // The other tenant has a space of the same name, and asks for the first one's audience.
    let run = claims("root", "payments", "write").with_audience(HOST);
    allowed(&policy, &provider_of_first, &first, &run);
    let token = second.issue(&run).unwrap();
    let answer = aws::simulate(&policy, &provider_of_first, token.as_str(), at(NOW));
    assert!(
        matches!(&answer, Outcome::Denied(denial)
            if denial.to_string().contains("No OpenIDConnect provider found")),
        "{answer:?}"
    );
    // Nor does the policy trust the second's own provider.
    let token = second
        .issue(&claims("root", "payments", "write").with_audience("other.app.spacelift.io"))
        .unwrap();
    let answer = aws::simulate(&policy, &provider_of_second, token.as_str(), at(NOW));
    assert!(matches!(answer, Outcome::Denied(_)), "{answer:?}");
}

#[test]
fn the_worker_finds_its_token_in_a_file_and_each_phase_its_scope() {
    let clock = TurnableClock::at(NOW);
    let issuer = service(
        &format!("https://{HOST}"),
        [Binding::new(HOST, RelyingParty::AWS)],
    )
    .clock(clock.clone())
    .build()
    .unwrap();
    let provider = provider(&issuer, HOST);
    let pattern = template()
        .aws_pattern(&[("space", "root"), ("scope", "write")])
        .unwrap();
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()
        .unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spacelift-token");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("spacelift.oidc");
    let mut keeper = TokenFile::new(&path)
        .keep(
            Arc::new(issuer),
            claims("root", "payments", "read").with_audience(HOST),
        )
        .with_clock(clock);
    let ask = || {
        let token = fs::read_to_string(&path).unwrap();
        aws::simulate(&policy, &provider, &token, at(NOW))
    };
    keeper.refresh().unwrap();
    assert!(matches!(ask(), Outcome::Denied(_)));
    keeper.set_claims(claims("root", "payments", "write").with_audience(HOST));
    keeper.refresh().unwrap();
    assert!(matches!(ask(), Outcome::Allowed(_)), "{:?}", ask());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_subject_too_long_for_google_is_warned_of() {
    let google = "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x";
    let issuer = service(
        &format!("https://{HOST}"),
        [Binding::new(google, RelyingParty::GOOGLE_CLOUD)],
    )
    .build()
    .unwrap();
    assert_eq!(
        RelyingParty::GOOGLE_CLOUD.check_template(&template()).len(),
        1
    );
    let said = |claims: &Claims| {
        // A mapping may make a shorter google.subject of it, so it is minted nonetheless.
        assert!(issuer.issue(claims).is_ok());
        RelyingParty::GOOGLE_CLOUD.check_claims(claims).len()
    };
    let long = claims("production-01HZX", &"s".repeat(64), "write").with_audience(google);
    assert_eq!(said(&long), 0);
    let longer = claims(&"p".repeat(40), &"s".repeat(64), "write").with_audience(google);
    assert_eq!(said(&longer), 1);
}
