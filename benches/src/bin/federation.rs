//! What chancery-federation does for each token, and what a try of a policy costs.
//!
//! Medians over rounds, on the thread's own CPU clock, and the allocations of one iteration.

use std::hint::black_box;
use std::sync::Arc;

use chancery::federation::aws::{self, Outcome as Answer, Policy, Provider, SessionTags};
use chancery::federation::{Binding, Bindings, RelyingParty, SubjectTemplate, Variable};
use chancery::{
    Algorithm, Claims, Issuer, IssuerUrl, Jwk, KeySet, Schedule, ScheduledKey, Signature,
    TokenPolicy, TokenRequest, UnixTime,
};
use chancery_benches::timing::{Outcome, allocations, alone};
use chancery_benches::{FreeSigner, Payload};
use serde_json::{Map, Value, json};

const ROUNDS: usize = 301;

const AUDIENCE: &str = "sts.amazonaws.com";

const NOW: u64 = 1_767_225_600;

fn main() -> Outcome {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse()?,
        None => ROUNDS,
    };
    let template = template()?;
    measure_subjects(&template, rounds)?;
    measure_checks(rounds)?;
    measure_issuing(&template, rounds)?;
    measure_simulation(rounds)
}

fn template() -> Outcome<SubjectTemplate> {
    Ok(SubjectTemplate::parse(
        "space:{space}:{kind}:{id}:run_type:{run_type}:scope:{scope}:branch:{branch}",
        [
            Variable::id("space"),
            Variable::one_of("kind", ["stack", "module"]),
            Variable::id("id"),
            Variable::one_of("run_type", ["TRACKED", "PROPOSED", "TASK"]),
            Variable::one_of("scope", ["read", "write"]),
            Variable::text("branch"),
        ],
    )?)
}

const VALUES: [(&str, &str); 6] = [
    ("space", "production-01HZXW7Q5R"),
    ("kind", "stack"),
    ("id", "payments-api"),
    ("run_type", "TRACKED"),
    ("scope", "write"),
    ("branch", "main"),
];

/// The values above, and a branch of which some characters are encoded.
fn measure_subjects(template: &SubjectTemplate, rounds: usize) -> Outcome {
    let mut encoded = VALUES;
    encoded[5].1 = "feature/a:b*";
    for (name, values) in [("plain", VALUES), ("with encoding", encoded)] {
        let mut subject = String::with_capacity(256);
        let mut render = || {
            template.render(black_box(&values), &mut subject)?;
            black_box(&subject);
            Ok(())
        };
        let nanoseconds = alone(&mut render, rounds)?;
        let allocated = allocations(&mut render)?;
        println!("subject of six variables, {name}  {nanoseconds:.0} ns  allocations {allocated}");
    }
    Ok(())
}

fn bindings() -> Arc<Bindings> {
    Arc::new(Bindings::new([
        Binding::new("api://AzureADTokenExchange", RelyingParty::AZURE),
        Binding::new(AUDIENCE, RelyingParty::AWS).allow_session_tags(),
    ]))
}

fn measure_checks(rounds: usize) -> Outcome {
    let bindings = bindings();
    let url = IssuerUrl::parse("https://acme.app.example.com")?;
    let lifetime = std::time::Duration::from_secs(900);
    let measure = |name: &str, claims: &Claims| {
        let mut check = || {
            let request = TokenRequest::new(&url, black_box(claims), lifetime);
            black_box(bindings.terms(&request)?);
            Ok(())
        };
        let nanoseconds = alone(&mut check, rounds)?;
        let allocated = allocations(&mut check)?;
        println!("checks for AWS, {name}  {nanoseconds:.0} ns  allocations {allocated}");
        Outcome::Ok(())
    };
    for payload in Payload::ALL {
        let name = format!("claims of {} B", payload.size());
        measure(&name, &payload.claims()?)?;
    }
    for count in [0, 5, 10, 50] {
        let claims = Payload::Plain.claims()?;
        let claims = claims.with_private_claim(SessionTags::CLAIM, &tags(count)?)?;
        measure(&format!("{count} session tags"), &claims)?;
    }
    Ok(())
}

/// Tags of which half are transitive.
fn tags(count: usize) -> Outcome<SessionTags> {
    (0..count).try_fold(SessionTags::new(), |tags, number| {
        let (key, value) = (
            format!("organizationUnit{number}"),
            "632b8219674bde0224a96141",
        );
        Ok(if number % 2 == 0 {
            tags.with_transitive_tag(key, value)?
        } else {
            tags.with_tag(key, value)?
        })
    })
}

/// A whole token but for its signature and `jti`: as the core makes it, and with a subject of a
/// template and the checks for AWS.
fn measure_issuing(template: &SubjectTemplate, rounds: usize) -> Outcome {
    let issuer = |policy: Option<Arc<Bindings>>| -> Outcome<Issuer> {
        let jwk = Jwk::from_json(
            br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        )?;
        let signer = FreeSigner(jwk, Signature::new(Algorithm::Es256, &[7; 64])?);
        let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
        let builder = Issuer::builder(IssuerUrl::parse("https://acme.app.example.com")?, keys);
        Ok(match policy {
            Some(policy) => builder.token_policy(policy).build()?,
            None => builder.build()?,
        })
    };
    let (bare, bound) = (issuer(None)?, issuer(Some(bindings()))?);
    for payload in Payload::ALL {
        let mut claims = payload.claims()?.with_token_id("kPrK_qmxVWaYVA9wwBF6Iu");
        template.render(&VALUES, claims.subject_mut())?;
        let mut out = String::new();
        for (name, issuer) in [("bare", &bare), ("bound to AWS, with a template", &bound)] {
            let mut issue = || {
                if std::ptr::eq(issuer, &raw const bound) {
                    template.render(black_box(&VALUES), claims.subject_mut())?;
                }
                issuer.issue_into(black_box(&claims), &mut out)?;
                black_box(&out);
                Ok(())
            };
            let nanoseconds = alone(&mut issue, rounds)?;
            let allocated = allocations(&mut issue)?;
            println!(
                "issue_into without a signature, {} B, {name}  {nanoseconds:.0} ns  allocations {allocated}",
                payload.size()
            );
        }
    }
    Ok(())
}

/// A policy of ten statements of which the last one allows, and claims with tags.
fn measure_simulation(rounds: usize) -> Outcome {
    let provider = Provider::new(
        "111122223333",
        IssuerUrl::parse("https://acme.app.example.com")?,
        [AUDIENCE],
    )?;
    let statement = |number: usize| {
        json!({
            "Effect": "Allow",
            "Principal": {"Federated": provider.arn()},
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
            "Condition": {
                "StringEquals": {provider.condition_key("aud"): AUDIENCE},
                "StringLike": {provider.condition_key("sub"): format!("space:{number}:*:payments:*")}
            }
        })
    };
    let statements: Vec<Value> = (1..=10).map(statement).collect();
    let policy: Policy = json!({"Version": "2012-10-17", "Statement": statements})
        .to_string()
        .parse()?;
    let tags = SessionTags::new().with_tag("organizationId", "632b8219")?;
    let claims: Map<String, Value> = serde_json::from_value(json!({
        "iss": "https://acme.app.example.com",
        "sub": "space:10:stack:payments:run_type:TRACKED:scope:write",
        "aud": AUDIENCE,
        "iat": NOW,
        "exp": NOW + 900,
        SessionTags::CLAIM: tags,
    }))?;
    let now = UnixTime::from_secs(NOW).ok_or("a time")?;
    let mut simulate = || match aws::simulate_verified(&policy, &provider, black_box(&claims), now)
    {
        Answer::Allowed(session) if session.statement == 9 => {
            black_box(session);
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    };
    let nanoseconds = alone(&mut simulate, rounds)?;
    println!("simulate without the signature, 10 statements  {nanoseconds:.0} ns");
    Ok(())
}
