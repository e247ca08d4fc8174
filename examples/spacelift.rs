//! A deployment service like Spacelift: an issuer for each tenant, and a subject for each run.
//!
//! ```sh
//! cargo run --all-features --example spacelift
//! ```
//!
//! Thousands of tenants share one key set in one process. What users name is encoded in subjects,
//! so that no name of a stack passes for another space. Workers find their token in a file.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chancery::federation::aws::{self, Outcome, Provider, Setup, TrustPolicy};
use chancery::federation::{
    Binding, Bindings, RelyingParty, Sharing, SubjectTemplate, TokenFile, Variable,
};
use chancery::software::{Engine, SoftwareSigner};
use chancery::{
    Algorithm, Claims, Clock as _, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
    SystemClock,
};

fn main() -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let subjects = SubjectTemplate::parse(
        "space:{space}:{kind}:{id}:run_type:{run_type}:scope:{scope}",
        [
            Variable::id("space"),
            Variable::one_of("kind", ["stack", "module"]),
            Variable::text("id"),
            Variable::one_of("run_type", ["TRACKED", "PROPOSED", "TASK"]),
            Variable::one_of("scope", ["read", "write"]),
        ],
    )?;

    // A tenant: its host is its issuer, and its audience.
    let host = "acme.app.spacelift.io";
    let url = IssuerUrl::parse(&format!("https://{host}"))?;
    let issuer = Issuer::builder(url, keys)
        .default_lifetime(Duration::from_secs(60 * 60))
        .token_policy(Arc::new(Bindings::new([Binding::new(
            host,
            RelyingParty::AWS,
        )])))
        .build()?;

    // Its AWS account: what writes in the production space may assume the role.
    let provider = Provider::new("123456789012", issuer.url().clone(), [host])?
        .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
    let pattern = subjects.aws_pattern(&[("space", "production-01HZX"), ("scope", "write")])?;
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()?;
    let setup = Setup::new(provider.clone()).with_role("spacelift-production", policy.clone())?;
    println!("{}", setup.terraform()?);

    // Its runs: planning reads, applying writes; and somebody is clever with a name.
    let claims = |space: &str, stack: &str, scope: &str| -> Result<Claims, Box<dyn Error>> {
        let subject = subjects.subject(&[
            ("space", space),
            ("kind", "stack"),
            ("id", stack),
            ("run_type", "TRACKED"),
            ("scope", scope),
        ])?;
        Ok(Claims::new(subject)
            .with_audience(host)
            .with_private_claim("spaceId", space)?
            .with_private_claim("callerId", stack)?)
    };
    let folder = std::env::temp_dir().join(format!("spacelift-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = TokenFile::new(folder.join("spacelift.oidc"));
    let mut keeper = file.clone().keep(
        Arc::new(issuer),
        claims("production-01HZX", "payments", "read")?,
    );
    for next in [
        claims("production-01HZX", "payments", "read")?,
        claims("production-01HZX", "payments", "write")?,
        claims("sandbox-01HZY", "production-01HZX:stack:payments", "write")?,
    ] {
        let subject = next.subject().unwrap_or_default().to_owned();
        keeper.set_claims(next);
        keeper.refresh()?;
        let token = std::fs::read_to_string(file.path())?;
        match aws::simulate(&policy, &provider, &token, SystemClock.now()) {
            Outcome::Allowed(_) => println!("{subject}: allowed"),
            Outcome::Denied(denial) => println!("{subject}: {denial}"),
            Outcome::Indeterminate(doubt) => println!("{subject}: {doubt}"),
        }
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
