//! Ten thousand tenants over one set of real keys.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chancery::software::{Engine, Verifier, VerifyError};
use chancery::{Algorithm, Issuer, JwkSet};
use serde_json::Value;

use crate::support::{AUDIENCE, claims, key_set, segment, signer, url};

const TENANTS: usize = 10_000;
/// Every so many tenants one mints a token.
const SAMPLE: usize = 50;

#[test]
fn each_tenant_has_documents_and_tokens_of_its_own() {
    let start = Instant::now();
    let keys = key_set([
        signer(Algorithm::Es256, Engine::Ring),
        signer(Algorithm::Rs256, Engine::AwsLcRs),
    ]);
    let first = Issuer::new(url(&tenant_url(0)), keys);
    let tenants: Vec<Issuer> = (0..TENANTS)
        .map(|tenant| first.tenant(url(&tenant_url(tenant))))
        .collect();

    let mut discovery_paths = HashSet::new();
    for (index, tenant) in tenants.iter().enumerate() {
        let discovery = tenant.discovery().unwrap();
        let metadata: Value = serde_json::from_slice(discovery.bytes()).unwrap();
        assert_eq!(metadata["issuer"], tenant_url(index));
        assert_eq!(
            metadata["jwks_uri"],
            format!("{}/.well-known/jwks.json", tenant_url(index))
        );
        assert!(discovery_paths.insert(discovery.path().to_owned()));
        assert_eq!(tenant.document(discovery.path()).unwrap(), Some(discovery));
        assert_eq!(
            tenant.jwks().unwrap().bytes(),
            first.jwks().unwrap().bytes()
        );

        let neighbour = &tenants[(index + 1) % TENANTS];
        let path = neighbour.jwks().unwrap().path().to_owned();
        assert_eq!(tenant.document(&path).unwrap(), None);
    }

    for (index, tenant) in tenants.iter().enumerate().step_by(SAMPLE) {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let claims = claims().with_signing_algorithm(algorithm);
            let token = tenant.issue(&claims).unwrap();
            assert_eq!(segment(token.as_str(), 1)["iss"], tenant_url(index));
            let keys = JwkSet::from_json(tenant.jwks().unwrap().bytes()).unwrap();
            let verify =
                |issuer: &str| Verifier::new(issuer, AUDIENCE, keys.clone()).verify(token.as_str());
            assert!(verify(&tenant_url(index)).is_ok());
            let neighbours = [index + 1, index.wrapping_sub(1), index * 10, index / 10];
            for neighbour in neighbours.into_iter().filter(|other| *other != index) {
                let error = verify(&tenant_url(neighbour)).unwrap_err();
                assert_eq!(error, VerifyError::Issuer);
            }
        }
    }
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(60), "{taken:?}");
}

fn tenant_url(tenant: usize) -> String {
    format!("https://id.example.com/tenants/{tenant}")
}
