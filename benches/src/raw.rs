//! The engines as they are, without chancery: what a token is measured against.

use std::error::Error;
use std::hint::black_box;

use chancery::Algorithm;
use chancery::software::{Engine, PrivateKey};

/// A key of an engine, parsed once, and its raw signature. RSA keys have 2048 bits.
pub struct RawKey(Box<Sign>);

type Sign = dyn Fn(&[u8]) -> Result<(), Failed>;

impl std::fmt::Debug for RawKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawKey")
    }
}

/// The engine failed, and does not say why.
#[derive(Debug)]
pub struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the engine failed")
    }
}

impl Error for Failed {}

impl RawKey {
    /// Parses the key for the engine.
    ///
    /// # Errors
    /// What the engine says of the key.
    pub fn new(
        key: &PrivateKey,
        algorithm: Algorithm,
        engine: Engine,
    ) -> Result<Self, Box<dyn Error>> {
        let der = key.to_pkcs8_der()?;
        match engine {
            Engine::Ring => ring(&der, algorithm),
            _ => aws_lc_rs(&der, algorithm),
        }
    }

    /// Signs as the engine does.
    ///
    /// # Errors
    /// [`Failed`], of which the engine does not tell the cause.
    pub fn sign(&self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok((self.0)(message)?)
    }
}

/// The body of one engine's constructor; the two crates have the same names for nearly all.
macro_rules! raw {
    ($engine:ident, $der:ident, $algorithm:ident, $ecdsa:expr) => {{
        use $engine::rand::SystemRandom;
        use $engine::signature::{self, Ed25519KeyPair, RsaKeyPair};

        let random = SystemRandom::new();
        let sign: Box<Sign> = match $algorithm {
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked($der)
                    .map_err(|error| error.to_string())?;
                Box::new(move |message| {
                    black_box(key.sign(message));
                    Ok(())
                })
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let key = RsaKeyPair::from_pkcs8($der).map_err(|error| error.to_string())?;
                let padding: &'static dyn signature::RsaEncoding = match $algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    _ => &signature::RSA_PSS_SHA256,
                };
                Box::new(move |message| {
                    let mut bytes = [0; 256];
                    key.sign(padding, &random, message, &mut bytes)
                        .map_err(|_| Failed)?;
                    black_box(&bytes);
                    Ok(())
                })
            }
            _ => {
                let key = $ecdsa(&random)?;
                Box::new(move |message| {
                    black_box(key.sign(&random, message).map_err(|_| Failed)?);
                    Ok(())
                })
            }
        };
        Ok(RawKey(sign))
    }};
}

fn ring(der: &[u8], algorithm: Algorithm) -> Result<RawKey, Box<dyn Error>> {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    };

    raw!(ring, der, algorithm, |random: &ring::rand::SystemRandom| {
        let curve = match algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        EcdsaKeyPair::from_pkcs8(curve, der, random).map_err(|error| error.to_string())
    })
}

fn aws_lc_rs(der: &[u8], algorithm: Algorithm) -> Result<RawKey, Box<dyn Error>> {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    };

    raw!(
        aws_lc_rs,
        der,
        algorithm,
        |_: &aws_lc_rs::rand::SystemRandom| {
            let curve = match algorithm {
                Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
            };
            EcdsaKeyPair::from_pkcs8(curve, der).map_err(|error| error.to_string())
        }
    )
}
