//! An access proxy like Teleport: its AWS integration, set up by artefacts.
//!
//! ```sh
//! cargo run --all-features --example teleport
//! ```
//!
//! Each cluster is an issuer of its own. The provider and the role carry the tags by which the
//! integration finds them again. The set-up is the same as commands that can be run twice, as
//! Terraform and as CloudFormation.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chancery::federation::aws::{self, Outcome, Provider, Setup, TrustPolicy};
use chancery::federation::{Binding, Bindings, RelyingParty, Sharing, SubjectTemplate, Variable};
use chancery::software::{Engine, SoftwareSigner};
use chancery::{
    Algorithm, Claims, Clock as _, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
    SystemClock,
};

const AUDIENCE: &str = "discover.teleport";

fn main() -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    // The default port is left out, as AWS wants it.
    let issuer = Issuer::builder(IssuerUrl::parse("https://proxy.example.com")?, keys)
        .default_lifetime(Duration::from_secs(60 * 60))
        .backdating(Duration::from_secs(10))
        .token_policy(Arc::new(Bindings::new([Binding::new(
            AUDIENCE,
            RelyingParty::AWS,
        )])))
        .build()?;
    for finding in RelyingParty::AWS.check(&issuer) {
        println!("{finding}");
    }
    let subjects = SubjectTemplate::parse(
        "system:{service}",
        [Variable::one_of("service", ["proxy", "auth", "discovery"])],
    )?;

    let provider = Provider::new("123456789012", issuer.url().clone(), [AUDIENCE])?
        .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&subjects.aws_pattern(&[("service", "proxy")])?)
        .build()?;
    let setup = Setup::new(provider.clone())
        .with_tag("teleport.dev/cluster", "example.com")?
        .with_tag("teleport.dev/origin", "integration_awsoidc")?
        .with_tag("teleport.dev/integration", "aws")?
        .with_role("teleport-discovery", policy.clone())?;
    println!("# As commands\n{}", setup.aws_commands());
    println!("# As Terraform\n{}", setup.terraform()?);
    println!("# As CloudFormation\n{}", setup.cloudformation()?);

    for service in ["proxy", "discovery"] {
        let claims = Claims::new(subjects.subject(&[("service", service)])?)
            .with_audience(AUDIENCE)
            .with_private_claim("obo", "user:alice")?;
        let token = issuer.issue(&claims)?;
        match aws::simulate(&policy, &provider, token.as_str(), SystemClock.now()) {
            Outcome::Allowed(_) => println!("system:{service}: allowed"),
            Outcome::Denied(denial) => println!("system:{service}: {denial}"),
            Outcome::Indeterminate(doubt) => println!("system:{service}: {doubt}"),
        }
    }
    Ok(())
}
