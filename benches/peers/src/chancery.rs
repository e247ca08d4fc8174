//! chancery, on both of its engines.

use std::sync::Arc;
use std::time::Duration;

use ::chancery::software::{Engine as SoftwareEngine, PrivateKey, SoftwareSigner};
use ::chancery::{Claims, Issuer, IssuerUrl, KeySet, PrivateClaimError, Schedule, ScheduledKey};

use crate::candidate::{Algorithm, Candidate, Case, Failure, Role};
use crate::claims::{LIFETIME, Request};
use crate::engines::Engine;

/// For each engine: claims built for each token, as a service does, and claims built once and
/// issued into one buffer.
pub(crate) fn candidates(case: Case<'_>) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = Vec::new();
    for (name, aside, engine, software) in [
        (
            "chancery (ring)",
            "chancery (ring), claims kept",
            Engine::Ring,
            SoftwareEngine::Ring,
        ),
        (
            "chancery (aws-lc-rs)",
            "chancery (aws-lc-rs), claims kept",
            Engine::AwsLcRs,
            SoftwareEngine::AwsLcRs,
        ),
    ] {
        let request = case.request;
        let issuer = Arc::new(issuer(case, software)?);
        let kept = (Arc::clone(&issuer), claims(&request)?);
        candidates.push(Candidate {
            name,
            role: Role::Chancery,
            engine,
            task: Box::new(move |token| {
                *token = issuer.issue(&claims(&request)?)?.into_string();
                Ok(())
            }),
        });
        candidates.push(Candidate {
            name: aside,
            role: Role::Aside,
            engine,
            task: Box::new(move |token| {
                let (issuer, claims) = &kept;
                Ok(issuer.issue_into(claims, token)?)
            }),
        });
    }
    Ok(candidates)
}

fn issuer(case: Case<'_>, engine: SoftwareEngine) -> Result<Issuer, Failure> {
    let algorithm = match case.algorithm {
        Algorithm::Es256 => ::chancery::Algorithm::Es256,
        Algorithm::EdDsa => ::chancery::Algorithm::EdDsa,
        Algorithm::Rs256 => ::chancery::Algorithm::Rs256,
    };
    let key = PrivateKey::from_pkcs8_der(&case.key.pkcs8)?;
    let signer = SoftwareSigner::new(&key, algorithm, engine)?;
    let key = ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS);
    let url = IssuerUrl::parse(case.request.issuer)?;
    Ok(Issuer::new(url, KeySet::new(vec![key])?))
}

fn claims(request: &Request) -> Result<Claims, PrivateClaimError> {
    Claims::new(request.subject)
        .with_audience(request.audience)
        .with_lifetime(Duration::from_secs(LIFETIME))
        .with_private_claims(&request.private)
}
