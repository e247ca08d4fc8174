//! Five services rebuilt: from their documents to the answer of the local STS, and what attackers
//! try.

mod attacks;
mod envzero;
mod gitpod;
mod mechcloud;
mod spacelift;
mod teleport;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use chancery_core::{
    Algorithm, Claims, Issuer, IssuerBuilder, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
    UnixTime,
};
use chancery_federation::aws::{self, Denial, Outcome, Policy, Provider, Session};
use chancery_federation::{Binding, Bindings};
use chancery_software::{Engine, SoftwareSigner};
use serde_json::Value;

use crate::support::{NOW, TurnableClock};

const ACCOUNT: &str = "123456789012";

fn url(url: &str) -> IssuerUrl {
    IssuerUrl::parse(url).unwrap()
}

fn keys(signer: SoftwareSigner) -> KeySet {
    KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)]).unwrap()
}

/// The service's issuer, with one key in memory, whose clock stands at [`NOW`].
fn service(issuer: &str, bindings: impl IntoIterator<Item = Binding>) -> IssuerBuilder {
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    Issuer::builder(url(issuer), keys(signer))
        .clock(TurnableClock::at(NOW))
        .longest_lifetime(Duration::from_secs(3600))
        .token_policy(Arc::new(Bindings::new(bindings)))
}

/// What the customer's account knows of the issuer: its URL, its audience, and the keys that the
/// published documents lead to.
fn provider(issuer: &Issuer, client_id: &str) -> Provider {
    let discovery = issuer.discovery().unwrap();
    assert_eq!(
        issuer.document(&issuer.url().discovery_path()),
        Ok(Some(discovery.clone()))
    );
    let discovery: Value = serde_json::from_slice(discovery.bytes()).unwrap();
    assert_eq!(discovery["issuer"], issuer.url().as_str());
    let path = discovery["jwks_uri"]
        .as_str()
        .and_then(|uri| uri.strip_prefix(issuer.url().origin()))
        .unwrap();
    let jwks = issuer.document(path).unwrap().unwrap();
    Provider::new(ACCOUNT, issuer.url().clone(), [client_id])
        .unwrap()
        .with_keys(JwkSet::from_json(jwks.bytes()).unwrap())
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds).unwrap()
}

fn sts(policy: &Policy, provider: &Provider, token: &str) -> Outcome {
    aws::simulate(policy, provider, token, at(NOW))
}

fn allowed(policy: &Policy, provider: &Provider, issuer: &Issuer, claims: &Claims) -> Session {
    let token = issuer.issue(claims).unwrap();
    match sts(policy, provider, token.as_str()) {
        Outcome::Allowed(session) => session,
        other => panic!("{other:?}"),
    }
}

fn denied(policy: &Policy, provider: &Provider, issuer: &Issuer, claims: &Claims) -> Denial {
    let token = issuer.issue(claims).unwrap();
    denied_token(policy, provider, token.as_str())
}

fn denied_token(policy: &Policy, provider: &Provider, token: &str) -> Denial {
    match sts(policy, provider, token) {
        Outcome::Denied(denial) => denial,
        other => panic!("{other:?}"),
    }
}
