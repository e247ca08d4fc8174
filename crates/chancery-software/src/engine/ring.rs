//! The engine ring, where it differs from aws-lc-rs.

use ::ring::error::KeyRejected;
use ::ring::{rand, signature};

backend!(Ring);

const fn p521() -> Option<Ecdsas> {
    None
}

fn ec_key_pair(
    algorithm: &'static EcdsaSigningAlgorithm,
    scalar: &[u8],
    point: &[u8],
) -> Result<EcdsaKeyPair, KeyRejected> {
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point, &SystemRandom::new())
}

fn sign_ed25519(
    pair: &Ed25519KeyPair,
    message: &[u8],
) -> Result<signature::Signature, EngineFailed> {
    Ok(pair.sign(message))
}

const fn generate_rsa(_bits: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    Err(KeyError::RsaGeneration {
        engine: Engine::Ring,
    })
}
