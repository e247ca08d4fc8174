//! A service in small: it makes a key, mints a token with it, and does what a relying party does
//! with the published documents.
//!
//! ```sh
//! cargo run --manifest-path tests/downstream/Cargo.toml
//! ```

use std::error::Error;
use std::sync::Arc;

use chancery::software::{Engine, PrivateKey, SoftwareSigner, Verifier, VerifyError};
use chancery::{Algorithm, Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey};

const ISSUER: &str = "https://id.example.com/jobs";
const AUDIENCE: &str = "sts.amazonaws.com";

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", mint_and_verify()?);
    Ok(())
}

/// Mints and verifies on every engine that is linked, and sums up in one line.
fn mint_and_verify() -> Result<String, Box<dyn Error>> {
    let mut engines = Vec::new();
    for &engine in Engine::ALL {
        let mut algorithms = Vec::new();
        for algorithm in Algorithm::all() {
            // What an engine cannot generate it has to say.
            match PrivateKey::generate(algorithm, engine) {
                Ok(key) => {
                    round_trip(&stored_and_loaded(&key)?, algorithm, engine)?;
                    algorithms.push(algorithm.name());
                }
                Err(error) if error.to_string().contains("feature `aws-lc-rs`") => {}
                Err(error) => return Err(error.into()),
            }
        }
        engines.push(format!("{engine}: {}", algorithms.join(" ")));
    }
    Ok(format!("minted and verified on {}", engines.join("; ")))
}

fn stored_and_loaded(key: &PrivateKey) -> Result<PrivateKey, Box<dyn Error>> {
    Ok(PrivateKey::from_pkcs8_der(&key.to_pkcs8_der()?)?)
}

fn round_trip(
    key: &PrivateKey,
    algorithm: Algorithm,
    engine: Engine,
) -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::new(key, algorithm, engine)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, keys);
    let claims = Claims::new("job:42")
        .with_audience(AUDIENCE)
        .with_private_claim("run", &42)?;
    let token = issuer.issue(&claims)?;

    let path = "/jobs/.well-known/jwks.json";
    let document = issuer.document(path)?.ok_or("no JWKS")?;
    let published = JwkSet::from_json(document.bytes())?;
    let verifier = Verifier::new(ISSUER, AUDIENCE, published.clone());
    let verified = verifier.verify(token.as_str())?;
    if verified.claim("run")? != Some(42) || verified.algorithm() != algorithm {
        return Err(format!("{algorithm} on {engine}: another token was verified").into());
    }
    match Verifier::new(ISSUER, "somebody else", published).verify(token.as_str()) {
        Err(VerifyError::Audience) => Ok(()),
        other => Err(format!("{algorithm} on {engine} for somebody else: {other:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    const RING: &str = "ring: ES256 ES384 EdDSA Ed25519";
    const AWS_LC_RS: &str =
        "aws-lc-rs: ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA Ed25519";

    #[test]
    fn the_linked_engines_do_what_their_features_promise() {
        let expected: Vec<&str> = [
            (cfg!(any(feature = "default", feature = "ring")), RING),
            (cfg!(feature = "aws-lc-rs"), AWS_LC_RS),
        ]
        .into_iter()
        .filter_map(|(linked, line)| linked.then_some(line))
        .collect();
        assert!(!expected.is_empty(), "neither engine is linked");
        let line = super::mint_and_verify().unwrap();
        println!("{line}");
        assert_eq!(
            line,
            format!("minted and verified on {}", expected.join("; "))
        );
    }

    /// `openssl ecparam -genkey -name prime256v1 -noout`, without its public half.
    #[test]
    fn a_key_without_its_public_half_needs_the_feature_for_it() {
        let key =
            include_bytes!("../../../crates/chancery-software/tests/data/p256-without-public.pem");
        match super::PrivateKey::from_pem(key) {
            Ok(_) => assert!(cfg!(feature = "derive-public-key")),
            Err(error) => {
                assert!(!cfg!(feature = "derive-public-key"));
                assert!(error.to_string().contains("derive-public-key"), "{error}");
            }
        }
    }
}
