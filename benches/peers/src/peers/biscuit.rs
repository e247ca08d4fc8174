//! biscuit, on ring. It has no EdDSA.

use std::sync::Arc;

use biscuit::jwa::SignatureAlgorithm;
use biscuit::jws::{Compact, Header, RegisteredHeader, Secret};
use biscuit::{CompactPart, Empty};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};

use crate::candidate::{Algorithm, Candidate, Case, Failure};
use crate::claims::Claims;
use crate::engines::Engine;

pub(crate) fn candidate(case: Case<'_>) -> Result<Option<Candidate>, Failure> {
    let pkcs8 = &case.key.pkcs8;
    let (algorithm, secret) = match case.algorithm {
        Algorithm::Es256 => {
            let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = EcdsaKeyPair::from_pkcs8(signing, pkcs8, &SystemRandom::new())?;
            (
                SignatureAlgorithm::ES256,
                Secret::EcdsaKeyPair(Arc::new(key)),
            )
        }
        Algorithm::EdDsa => return Ok(None),
        Algorithm::Rs256 => {
            let key = RsaKeyPair::from_pkcs8(pkcs8)?;
            (SignatureAlgorithm::RS256, Secret::RsaKeyPair(Arc::new(key)))
        }
    };
    let header = Header::from(RegisteredHeader {
        algorithm,
        media_type: Some("JWT".to_owned()),
        key_id: Some(case.key.kid.clone()),
        ..RegisteredHeader::default()
    });
    let request = case.request;
    // The header stays; the claims are exchanged for each token.
    let mut decoded = Compact::<Claims, Empty>::new_decoded(header, request.claims()?);
    Ok(Some(Candidate::peer(
        "biscuit (ring)",
        Engine::Ring,
        move |token| {
            *decoded.payload_mut()? = request.claims()?;
            *token = decoded.encode(&secret)?.unwrap_encoded().to_string();
            Ok(())
        },
    )))
}

/// Lets the library sign borrowed claims; the way it offers for JSON asks for owned ones.
impl CompactPart for Claims {
    fn to_bytes(&self) -> Result<Vec<u8>, biscuit::errors::Error> {
        Ok(serde_json::to_vec(self)?)
    }

    fn from_bytes(_: &[u8]) -> Result<Self, biscuit::errors::Error> {
        Err(biscuit::errors::Error::UnsupportedOperation)
    }
}
