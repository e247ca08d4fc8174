//! jwt-simple. Its claims type is its own, and owns its strings.

use jwt_simple::prelude::{
    Claims, Duration, ECDSAP256KeyPairLike as _, ES256KeyPair, Ed25519KeyPair,
    EdDSAKeyPairLike as _, JWTClaims, RS256KeyPair, RSAKeyPairLike as _,
};

use crate::candidate::{Algorithm, Candidate, Case, Failure};
use crate::claims::{LIFETIME, PrivateClaims, Request, TokenId};
use crate::engines::Engine;

pub(crate) fn candidate(case: Case<'_>) -> Result<Candidate, Failure> {
    let kid = case.key.kid.as_str();
    let request = case.request;
    Ok(match case.algorithm {
        Algorithm::Es256 => {
            let key = ES256KeyPair::from_der(&case.key.pkcs8)?.with_key_id(kid);
            Candidate::peer("jwt-simple (p256)", Engine::P256V014, move |token| {
                *token = key.sign(claims(&request))?;
                Ok(())
            })
        }
        Algorithm::EdDsa => {
            let key = [&case.key.traditional[..], &case.key.public].concat();
            let key = Ed25519KeyPair::from_bytes(&key)?.with_key_id(kid);
            let name = "jwt-simple (ed25519-compact)";
            Candidate::peer(name, Engine::Ed25519Compact, move |token| {
                *token = key.sign(claims(&request))?;
                Ok(())
            })
        }
        Algorithm::Rs256 => {
            let key = RS256KeyPair::from_der(&case.key.pkcs8)?.with_key_id(kid);
            Candidate::peer("jwt-simple (rsa)", Engine::RsaBlinded, move |token| {
                *token = key.sign(claims(&request))?;
                Ok(())
            })
        }
    })
}

fn claims(request: &Request) -> JWTClaims<PrivateClaims> {
    Claims::with_custom_claims(request.private, Duration::from_secs(LIFETIME))
        .with_issuer(request.issuer)
        .with_subject(request.subject)
        .with_audience(request.audience)
        .with_jwt_id(TokenId::random().as_str())
}
