//! jsonwebtoken 9, the last one on ring. It parses the key for each signature.

use jsonwebtoken_9::{Algorithm as Jwa, EncodingKey, Header, encode};

use crate::candidate::{Algorithm, Candidate, Case};
use crate::engines::Engine;

pub(crate) fn candidate(case: Case<'_>) -> Candidate {
    let (algorithm, key) = match case.algorithm {
        Algorithm::Es256 => (Jwa::ES256, EncodingKey::from_ec_der(&case.key.pkcs8)),
        Algorithm::EdDsa => (Jwa::EdDSA, EncodingKey::from_ed_der(&case.key.pkcs8)),
        Algorithm::Rs256 => (Jwa::RS256, EncodingKey::from_rsa_der(&case.key.traditional)),
    };
    let mut header = Header::new(algorithm);
    header.kid = Some(case.key.kid.clone());
    let request = case.request;
    Candidate::peer("jsonwebtoken 9 (ring)", Engine::Ring, move |token| {
        *token = encode(&header, &request.claims()?, &key)?;
        Ok(())
    })
}
