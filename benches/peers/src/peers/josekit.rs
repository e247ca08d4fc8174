//! josekit, on OpenSSL.

use josekit::jws::{ES256, EdDSA, JwsHeader, JwsSigner, RS256, serialize_compact};

use crate::candidate::{Algorithm, Candidate, Case, Failure};
use crate::engines::Engine;

pub(crate) fn candidate(case: Case<'_>) -> Result<Candidate, Failure> {
    let (pkcs8, kid) = (&case.key.pkcs8, case.key.kid.as_str());
    let signer: Box<dyn JwsSigner> = match case.algorithm {
        Algorithm::Es256 => {
            let mut signer = ES256.signer_from_der(pkcs8)?;
            signer.set_key_id(kid);
            Box::new(signer)
        }
        Algorithm::EdDsa => {
            let mut signer = EdDSA.signer_from_der(pkcs8)?;
            signer.set_key_id(kid);
            Box::new(signer)
        }
        Algorithm::Rs256 => {
            let mut signer = RS256.signer_from_der(pkcs8)?;
            signer.set_key_id(kid);
            Box::new(signer)
        }
    };
    let mut header = JwsHeader::new();
    header.set_token_type("JWT");
    let request = case.request;
    // Its JWT interface takes a map of JSON values and is slower than its JWS one.
    Ok(Candidate::peer(
        "josekit (OpenSSL)",
        Engine::OpenSsl,
        move |token| {
            let payload = serde_json::to_vec(&request.claims()?)?;
            *token = serialize_compact(&payload, &header, &*signer)?;
            Ok(())
        },
    ))
}
