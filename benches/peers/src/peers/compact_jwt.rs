//! compact_jwt, on RustCrypto. It has no EdDSA, and prepares the key for each signature.

use compact_jwt::crypto::JwsRs256Signer;
use compact_jwt::jws::JwsBuilder;
use compact_jwt::{Jws, JwsEs256Signer, JwsSigner as _};

use crate::candidate::{Algorithm, Candidate, Case, Failure};
use crate::claims::Request;
use crate::engines::Engine;

pub(crate) fn candidate(case: Case<'_>) -> Result<Option<Candidate>, Failure> {
    let request = case.request;
    let key = &case.key.traditional;
    Ok(match case.algorithm {
        Algorithm::Es256 => {
            let mut signer = JwsEs256Signer::from_es256_der(key)?;
            signer.set_kid(&case.key.kid);
            let name = "compact_jwt (p256)";
            Some(Candidate::peer(name, Engine::P256V013, move |token| {
                *token = signer.sign(&unsigned(&request)?)?.to_string();
                Ok(())
            }))
        }
        Algorithm::EdDsa => None,
        Algorithm::Rs256 => {
            let mut signer = JwsRs256Signer::from_rs256_der(key)?;
            signer.set_kid(&case.key.kid);
            let name = "compact_jwt (rsa)";
            Some(Candidate::peer(name, Engine::Rsa, move |token| {
                *token = signer.sign(&unsigned(&request)?)?.to_string();
                Ok(())
            }))
        }
    })
}

fn unsigned(request: &Request) -> Result<Jws, Failure> {
    let builder = JwsBuilder::into_json(&request.claims()?)?;
    Ok(builder.set_typ(Some("JWT")).build())
}
