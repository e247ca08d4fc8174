//! A deployment service like env zero: AWS session tags say which organization a deployment is of.
//!
//! ```sh
//! cargo run --all-features --example envzero
//! ```
//!
//! The role's gate is a tag that the service fills with an id of its own. The client id that IAM
//! knows stands in `azp`, which AWS reads instead of `aud`. A token with tags fails on every role
//! that lacks `sts:TagSession`, so the audience opts in to them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chancery::federation::aws::{self, Outcome, Provider, SessionTags, Setup, TrustPolicy};
use chancery::federation::{Binding, Bindings, RelyingParty, Sharing};
use chancery::software::{Engine, SoftwareSigner};
use chancery::{
    Algorithm, Claims, Clock as _, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
    SystemClock,
};

const ISSUER: &str = "https://login.app.env0.com/";
const AUDIENCE: &str = "https://prod.env0.com";
const CLIENT_ID: &str = "hoMiq9PdkRh9LUvVpH4wIErWg50VSG1b";

fn main() -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let binding = Binding::new(CLIENT_ID, RelyingParty::AWS).allow_session_tags();
    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER)?, keys)
        .default_lifetime(Duration::from_secs(60 * 60))
        .token_policy(Arc::new(Bindings::new([binding])))
        .build()?;

    // The customer's role: its organization, as the tag and as the subject.
    let organization = "632b8219674bde0224a96141";
    let provider = Provider::new("123456789012", issuer.url().clone(), [CLIENT_ID])?
        .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject(format!("auth0|{organization}"))
        .request_tag("organizationId", organization)
        .build()?;
    let setup = Setup::new(provider.clone()).with_role("env0-deployer", policy.clone())?;
    println!("{}", setup.cloudformation()?);

    // Two deployments: the customer's, and one of another organization.
    for id in [organization, "5f0d7c2b9a1e4d3c2b1a0f9e"] {
        let tags = SessionTags::new()
            .with_transitive_tag("organizationId", id)?
            .with_tag("projectId", "7f3c2a10-5d0e-4c1b-9a44-0d5b8f2e6c31")?
            .with_tag("templateId", "b1946ac9-2492-4d67-8f5a-1d9a2c6e3b70")?
            .with_tag("environmentId", "591785b7-94a4-4d0c-a6b1-7f3e0c9d2a58")?
            .with_tag("deployerEmail", "someone@example.com")?;
        let claims = Claims::new(format!("auth0|{id}"))
            .with_audience(AUDIENCE)
            .with_authorized_party(CLIENT_ID)
            .with_private_claim(SessionTags::CLAIM, &tags)?;
        let token = issuer.issue(&claims)?;
        match aws::simulate(&policy, &provider, token.as_str(), SystemClock.now()) {
            Outcome::Allowed(session) => {
                println!("auth0|{id}: allowed, with the tags");
                for (key, value, is_transitive) in session.tags.iter() {
                    let chained = if is_transitive { ", passed on" } else { "" };
                    println!("  {key} = {value}{chained}");
                }
            }
            Outcome::Denied(denial) => println!("auth0|{id}: {denial}"),
            Outcome::Indeterminate(doubt) => println!("auth0|{id}: {doubt}"),
        }
    }
    Ok(())
}
