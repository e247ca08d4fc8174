//! The engine aws-lc-rs, where it differs from ring.

use ::aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use ::aws_lc_rs::error::KeyRejected;
use ::aws_lc_rs::rsa::KeySize;
use ::aws_lc_rs::{rand, signature};

backend!(AwsLcRs);

const fn p521() -> Option<Ecdsas> {
    Some((
        &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        &signature::ECDSA_P521_SHA512_FIXED,
    ))
}

fn ec_key_pair(
    algorithm: &'static EcdsaSigningAlgorithm,
    scalar: &[u8],
    point: &[u8],
) -> Result<EcdsaKeyPair, KeyRejected> {
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point)
}

fn sign_ed25519(
    pair: &Ed25519KeyPair,
    message: &[u8],
) -> Result<signature::Signature, EngineFailed> {
    pair.try_sign(message).map_err(|_| EngineFailed)
}

fn generate_rsa(bits: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return Err(KeyError::RsaLength { bits }),
    };
    let pair = RsaKeyPair::generate(size).map_err(|_| KeyError::Random)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Encode)?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}
