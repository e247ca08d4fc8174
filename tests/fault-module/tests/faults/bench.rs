//! A signer over the module with faults, and an issuer that uses it.

use std::sync::Arc;
use std::time::Duration;

use chancery_core::{Claims, Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey, Signer};
use chancery_fault_module::{Faults, SoftHsm};
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_pkcs11::{Pin, Pkcs11Error, Token};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};

use crate::incident;

const AUDIENCE: &str = "sts.example.com";

/// What every case begins with.
pub(crate) struct Bench {
    pub(crate) faults: Faults,
    pub(crate) signer: Arc<HsmSigner>,
    pub(crate) issuer: Issuer,
    published: JwkSet,
}

impl Bench {
    pub(crate) fn open(deadline: Duration) -> Self {
        let faults = Faults::load().unwrap();
        let options = HsmOptions::new().with_deadline(deadline);
        let signer = Arc::new(signer(SoftHsm::PIN, options).unwrap());
        Self::over(faults, signer)
    }

    pub(crate) fn over(faults: Faults, signer: Arc<HsmSigner>) -> Self {
        let url = IssuerUrl::parse("https://id.example.com").unwrap();
        let key = ScheduledKey::new(Arc::clone(&signer) as Arc<dyn Signer>, Schedule::ALWAYS);
        let issuer = Issuer::new(url, KeySet::new(vec![key]).unwrap());
        let published = serde_json::from_slice(issuer.jwks().unwrap().bytes()).unwrap();
        Self {
            faults,
            signer,
            issuer,
            published,
        }
    }

    pub(crate) fn claims() -> Claims {
        Claims::new("job:42").with_audience(AUDIENCE)
    }

    /// Judges a token as a relying party would that knows the published keys.
    pub(crate) fn verify(&self, token: &str) -> Result<(), String> {
        let text = |error: jsonwebtoken::errors::Error| error.to_string();
        let header = jsonwebtoken::decode_header(token).map_err(text)?;
        let kid = header.kid.as_deref().ok_or("no kid")?;
        let key = self.published.find(kid).ok_or("an unpublished kid")?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[AUDIENCE]);
        let key = DecodingKey::from_jwk(key).map_err(text)?;
        jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation)
            .map(drop)
            .map_err(text)
    }
}

/// Opens the token through the module with faults.
pub(crate) fn token(pin: &str) -> Result<Token, Pkcs11Error> {
    Token::builder(Faults::path().unwrap())
        .label(SoftHsm::LABEL)
        .pin(Pin::new(pin))
        .open()
}

/// Opens the key that signs.
pub(crate) fn signer(pin: &str, options: HsmOptions) -> Result<HsmSigner, Pkcs11Error> {
    let (label, id) = incident::KEY;
    token(pin)?
        .signer()
        .label(label)
        .id(&[id])
        .options(options)
        .open()
}
