//! What an issuer costs in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use chancery_core::{
    Algorithm, Issuer, IssuerUrl, Jwk, KeySet, Schedule, ScheduledKey, SignError, Signature,
    Signer, SigningInput,
};

const TENANTS: usize = 10_000;

/// The most that an issuer may take, in bytes, before its documents are asked for.
const ISSUER_SIZE: usize = 2048;

/// A signer that is never asked.
#[derive(Debug)]
struct Idle(Jwk);

impl Signer for Idle {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        unreachable!("no token is issued here")
    }
}

fn keys() -> KeySet {
    // The key of RFC 8037 §A.2.
    let jwk = Jwk::from_json(
        br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    )
    .unwrap();
    KeySet::new(vec![ScheduledKey::new(
        Arc::new(Idle(jwk)),
        Schedule::ALWAYS,
    )])
    .unwrap()
}

fn url(tenant: usize) -> IssuerUrl {
    let text = format!("https://id.example.com/tenants/5f0c3a1e-0000-4000-8000-{tenant:0>12}");
    IssuerUrl::parse(&text).unwrap()
}

/// The bytes an issuer holds, the place it stands in included.
fn bytes_per_issuer(make: impl Fn(usize) -> Issuer) -> usize {
    let mut issuers = Vec::new();
    let measured = allocation_counter::measure(|| {
        issuers = Vec::with_capacity(TENANTS);
        issuers.extend((0..TENANTS).map(make));
    });
    assert_eq!(issuers.len(), TENANTS);
    usize::try_from(measured.bytes_current).unwrap() / TENANTS
}

#[test]
fn ten_thousand_tenants_over_one_key_set_take_at_most_2_kib_each() {
    let base = Issuer::builder(url(0), keys())
        .algorithms([Algorithm::EdDsa])
        .allowed_audiences((0..50).map(|index| format!("https://audience-{index}.example.com")))
        .build()
        .unwrap();
    let bytes = bytes_per_issuer(|tenant| base.tenant(url(tenant)));
    println!("{bytes} bytes a tenant");
    assert!(
        (64..=ISSUER_SIZE).contains(&bytes),
        "{bytes} bytes a tenant"
    );
}

#[test]
fn issuers_built_one_by_one_take_at_most_2_kib_each() {
    let keys = keys();
    let bytes = bytes_per_issuer(|tenant| Issuer::new(url(tenant), keys.clone()));
    println!("{bytes} bytes an issuer");
    assert!(
        (64..=ISSUER_SIZE).contains(&bytes),
        "{bytes} bytes an issuer"
    );
}

/// The measure is worth something only if it sees the documents.
#[test]
fn documents_are_what_takes_memory() {
    let base = Issuer::new(url(0), keys());
    let bytes = bytes_per_issuer(|tenant| {
        let issuer = base.tenant(url(tenant));
        issuer.jwks().unwrap();
        issuer
    });
    assert!(bytes > 1000, "{bytes} bytes an issuer");
}
