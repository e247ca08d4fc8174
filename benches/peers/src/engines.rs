//! The engines' raw signatures: the floor that each candidate stands on.

use std::fmt;
use std::hint::black_box;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer as OpenSslSigner;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15::SigningKey as RsaSigningKey;
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner as _, Signer as _};

use crate::candidate::{Algorithm, Failure, Task};
use crate::keys::Key;

/// What computes the signature below a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Ring,
    AwsLcRs,
    OpenSsl,
    P256V013,
    P256V014,
    Dalek,
    Ed25519Compact,
    Rsa,
    /// RSA with blinding, as the peers that use the crate `rsa` mostly have it.
    RsaBlinded,
}

impl Engine {
    pub(crate) const ALL: [Self; 9] = [
        Self::Ring,
        Self::AwsLcRs,
        Self::OpenSsl,
        Self::P256V013,
        Self::P256V014,
        Self::Dalek,
        Self::Ed25519Compact,
        Self::Rsa,
        Self::RsaBlinded,
    ];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ring => "ring",
            Self::AwsLcRs => "aws-lc-rs",
            Self::OpenSsl => "OpenSSL",
            Self::P256V013 => "p256 0.13",
            Self::P256V014 => "p256 0.14",
            Self::Dalek => "ed25519-dalek",
            Self::Ed25519Compact => "ed25519-compact",
            Self::Rsa => "rsa",
            Self::RsaBlinded => "rsa, blinded",
        })
    }
}

/// A raw signature over a signing input by each engine that knows the algorithm, the key prepared.
pub(crate) fn raw_signatures(
    algorithm: Algorithm,
    key: &Key,
    input: &[u8],
) -> Result<Vec<(Engine, Task)>, Failure> {
    let mut raw = match algorithm {
        Algorithm::Es256 => p256_signatures(key, input)?,
        Algorithm::EdDsa => ed25519_signatures(key, input)?,
        Algorithm::Rs256 => rsa_signatures(key, input)?,
    };
    raw.push((Engine::OpenSsl, openssl_signature(algorithm, key, input)?));
    Ok(raw)
}

fn p256_signatures(key: &Key, input: &[u8]) -> Result<Vec<(Engine, Task)>, Failure> {
    let input = input.to_vec();
    let on_ring: Task = {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = ring::rand::SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &key.pkcs8, &random)?;
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.sign(&random, black_box(&input))?);
            Ok(())
        })
    };
    let on_aws_lc: Task = {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.pkcs8)?;
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.sign(&random, black_box(&input))?);
            Ok(())
        })
    };
    let on_p256_013: Task = {
        use p256_013::ecdsa::{Signature, SigningKey};
        use p256_013::pkcs8::DecodePrivateKey as _;
        let key = SigningKey::from_pkcs8_der(&key.pkcs8)?;
        let input = input.clone();
        Box::new(move |_| {
            let signature: Signature = key.try_sign(black_box(&input))?;
            black_box(signature);
            Ok(())
        })
    };
    let on_p256_014: Task = {
        use p256::ecdsa::signature::Signer as _;
        use p256::ecdsa::{Signature, SigningKey};
        use p256::pkcs8::DecodePrivateKey as _;
        let key = SigningKey::from_pkcs8_der(&key.pkcs8)?;
        Box::new(move |_| {
            let signature: Signature = key.try_sign(black_box(&input))?;
            black_box(signature);
            Ok(())
        })
    };
    Ok(vec![
        (Engine::Ring, on_ring),
        (Engine::AwsLcRs, on_aws_lc),
        (Engine::P256V013, on_p256_013),
        (Engine::P256V014, on_p256_014),
    ])
}

fn ed25519_signatures(key: &Key, input: &[u8]) -> Result<Vec<(Engine, Task)>, Failure> {
    let input = input.to_vec();
    let on_ring: Task = {
        use ring::signature::Ed25519KeyPair;
        let key = Ed25519KeyPair::from_seed_and_public_key(&key.traditional, &key.public)?;
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.sign(black_box(&input)));
            Ok(())
        })
    };
    let on_aws_lc: Task = {
        use aws_lc_rs::signature::Ed25519KeyPair;
        let key = Ed25519KeyPair::from_seed_and_public_key(&key.traditional, &key.public)?;
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.sign(black_box(&input)));
            Ok(())
        })
    };
    let on_dalek: Task = {
        let key = ed25519_dalek::SigningKey::from_bytes(key.traditional.as_slice().try_into()?);
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.try_sign(black_box(&input))?);
            Ok(())
        })
    };
    let on_compact: Task = {
        use ed25519_compact::{KeyPair, Noise, Seed};
        let key = KeyPair::from_seed(Seed::from_slice(&key.traditional)?);
        Box::new(move |_| {
            black_box(key.sk.sign(black_box(&input), Some(Noise::generate())));
            Ok(())
        })
    };
    Ok(vec![
        (Engine::Ring, on_ring),
        (Engine::AwsLcRs, on_aws_lc),
        (Engine::Dalek, on_dalek),
        (Engine::Ed25519Compact, on_compact),
    ])
}

fn rsa_signatures(key: &Key, input: &[u8]) -> Result<Vec<(Engine, Task)>, Failure> {
    let input = input.to_vec();
    let on_ring: Task = {
        use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
        let random = ring::rand::SystemRandom::new();
        let key = RsaKeyPair::from_pkcs8(&key.pkcs8)?;
        let input = input.clone();
        let mut signature = vec![0; key.public().modulus_len()];
        Box::new(move |_| {
            key.sign(
                &RSA_PKCS1_SHA256,
                &random,
                black_box(&input),
                &mut signature,
            )?;
            black_box(&signature);
            Ok(())
        })
    };
    let on_aws_lc: Task = {
        use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = RsaKeyPair::from_pkcs8(&key.pkcs8)?;
        let input = input.clone();
        let mut signature = vec![0; key.public_modulus_len()];
        Box::new(move |_| {
            key.sign(
                &RSA_PKCS1_SHA256,
                &random,
                black_box(&input),
                &mut signature,
            )?;
            black_box(&signature);
            Ok(())
        })
    };
    let on_rsa: Task = {
        let key = RsaPrivateKey::from_pkcs1_der(&key.traditional)?;
        let key = RsaSigningKey::<Sha256>::new(key);
        let input = input.clone();
        Box::new(move |_| {
            black_box(key.try_sign(black_box(&input))?);
            Ok(())
        })
    };
    let on_rsa_blinded: Task = {
        let key = RsaPrivateKey::from_pkcs1_der(&key.traditional)?;
        let key = RsaSigningKey::<Sha256>::new(key);
        let mut random = rand_08::thread_rng();
        Box::new(move |_| {
            black_box(key.try_sign_with_rng(&mut random, black_box(&input))?);
            Ok(())
        })
    };
    Ok(vec![
        (Engine::Ring, on_ring),
        (Engine::AwsLcRs, on_aws_lc),
        (Engine::Rsa, on_rsa),
        (Engine::RsaBlinded, on_rsa_blinded),
    ])
}

fn openssl_signature(algorithm: Algorithm, key: &Key, input: &[u8]) -> Result<Task, Failure> {
    let key = PKey::private_key_from_pkcs8(&key.pkcs8)?;
    let input = input.to_vec();
    // The longest is RSA's.
    let mut signature = [0; 256];
    Ok(Box::new(move |_| {
        let mut signer = match algorithm {
            Algorithm::EdDsa => OpenSslSigner::new_without_digest(&key)?,
            Algorithm::Es256 | Algorithm::Rs256 => {
                OpenSslSigner::new(MessageDigest::sha256(), &key)?
            }
        };
        black_box(signer.sign_oneshot(&mut signature, black_box(&input))?);
        Ok(())
    }))
}
