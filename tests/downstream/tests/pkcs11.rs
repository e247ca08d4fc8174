//! What a service writes that keeps its key in a PKCS#11 module: every type can be named through the
//! facade.

#![cfg(feature = "pkcs11")]

use std::sync::Arc;
use std::time::Duration;

use chancery::hsm::{Event, Health, HsmOptions, HsmSigner, State};
use chancery::pkcs11::{KeyPair, Pin, Pkcs11Error, Pkcs11Uri, Token, TokenKey, Warning};
use chancery::{Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey};

struct Service {
    issuer: Issuer,
    signer: Arc<HsmSigner>,
}

impl Service {
    fn open(uri: &Pkcs11Uri) -> Result<Self, Box<dyn std::error::Error>> {
        let options = HsmOptions::new()
            .with_deadline(Duration::from_secs(2))
            .on_event(|event: &Event<'_>| eprintln!("{event}"));
        let signer = Arc::new(chancery::pkcs11::open(uri, options)?);
        let key = ScheduledKey::new(Arc::clone(&signer) as _, Schedule::ALWAYS);
        let url = IssuerUrl::parse("https://id.example.com")?;
        Ok(Self {
            issuer: Issuer::new(url, KeySet::new(vec![key])?),
            signer,
        })
    }

    fn is_ready(&self) -> bool {
        let health: Health = self.signer.health();
        health.state == State::Ready && self.issuer.jwks().is_ok()
    }
}

/// What an operator's command does.
fn next_key(token: &Token, label: &str) -> Result<(TokenKey, Vec<Warning>), Pkcs11Error> {
    let key = token.generate(KeyPair::P256, label, None)?;
    let warnings = token.signer().label(label).warnings()?;
    Ok((key, warnings))
}

#[test]
fn a_module_that_is_missing_is_named() {
    let uri: Pkcs11Uri = "pkcs11:token=issuer;object=tokens?module-path=/nowhere/module.so"
        .parse()
        .unwrap();
    let error = Service::open(&uri).map(|service| service.is_ready());
    let error = error.unwrap_err();
    assert!(matches!(
        error.downcast_ref(),
        Some(Pkcs11Error::ModuleNotFound { .. })
    ));
    assert!(error.to_string().contains("/nowhere/module.so"), "{error}");
    let builder = Token::builder("/nowhere/module.so").label("issuer");
    let error = builder.pin(Pin::new("1234")).open();
    let error = error
        .and_then(|token| next_key(&token, "next"))
        .unwrap_err();
    assert!(matches!(error, Pkcs11Error::ModuleNotFound { .. }));
}
