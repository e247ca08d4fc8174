//! A cloud portal like MechCloud: people log in, and assume roles in their own AWS accounts.
//!
//! ```sh
//! cargo run --all-features --example mechcloud
//! ```
//!
//! One issuer serves all customers, and its URL ends in a slash, which must stay wherever AWS
//! compares it. A role has to name its people: with the audience alone, everybody who has logged
//! in and knows the account and the role could assume it.

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

const ISSUER: &str = "https://id.mechcloud.io/";
const CLIENT_ID: &str = "n6dMQlo8ZCE5QxLY4o2KjeBaSn8eefTX";

fn main() -> Result<(), Box<dyn Error>> {
    // The service: AWS cannot revoke a token, so it lives a quarter of an hour.
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let bindings = Bindings::new([Binding::new(CLIENT_ID, RelyingParty::AWS)]);
    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER)?, keys)
        .longest_lifetime(Duration::from_secs(15 * 60))
        .token_policy(Arc::new(bindings))
        .build()?;
    let person = SubjectTemplate::parse("auth0|{id}", [Variable::id("id")])?;

    // The customer: a role for one person.
    let provider = Provider::new("123456789012", issuer.url().clone(), [CLIENT_ID])?
        .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
    let alice = person.subject(&[("id", "65f1c0ffee")])?;
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject(&alice)
        .build()?;
    match TrustPolicy::new(&provider, Sharing::ManyCustomers).build() {
        Ok(_) => return Err("a policy that lets everybody in was made".into()),
        Err(refused) => println!("A role without a person is refused: {refused}.\n"),
    }
    let setup = Setup::new(provider.clone()).with_role("portal-alice", policy.clone())?;
    println!("{}", setup.terraform()?);

    // The portal: a token for whoever has logged in, tried against the role.
    for id in ["65f1c0ffee", "65f1c0ffef"] {
        let claims = Claims::new(person.subject(&[("id", id)])?)
            .with_audience(CLIENT_ID)
            .with_email("someone@example.com", true);
        let token = issuer.issue(&claims)?;
        match aws::simulate(&policy, &provider, token.as_str(), SystemClock.now()) {
            Outcome::Allowed(_) => println!("auth0|{id}: allowed"),
            Outcome::Denied(denial) => println!("auth0|{id}: {denial}"),
            Outcome::Indeterminate(doubt) => println!("auth0|{id}: {doubt}"),
        }
    }
    Ok(())
}
