//! One key for each algorithm, made at the start, in the formats that the candidates read.

use std::fmt;

use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use crate::candidate::{Algorithm, Failure};

/// A private key.
pub(crate) struct Key {
    /// PKCS#8 in DER; an EC key has its public half within.
    pub(crate) pkcs8: Vec<u8>,
    /// SEC 1 for EC, PKCS#1 for RSA, the seed for Ed25519.
    pub(crate) traditional: Vec<u8>,
    /// The uncompressed point for EC, PKCS#1 for RSA, the 32 bytes for Ed25519.
    pub(crate) public: Vec<u8>,
    /// The RFC 7638 thumbprint.
    pub(crate) kid: String,
}

impl Key {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Failure> {
        match algorithm {
            Algorithm::Es256 => Self::generate_p256(),
            Algorithm::EdDsa => Self::generate_ed25519(),
            Algorithm::Rs256 => Self::generate_rsa(),
        }
    }

    fn generate_p256() -> Result<Self, Failure> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = EcKey::generate(&group)?;
        let mut context = BigNumContext::new()?;
        let form = PointConversionForm::UNCOMPRESSED;
        let public = key.public_key().to_bytes(&group, form, &mut context)?;
        let traditional = key.private_key_to_der()?;
        let pkcs8 = PKey::from_ec_key(key)?.private_key_to_pkcs8()?;
        let kid = kid(&EncodingKey::from_ec_der(&pkcs8), Algorithm::Es256)?;
        Ok(Self {
            pkcs8,
            traditional,
            public,
            kid,
        })
    }

    fn generate_ed25519() -> Result<Self, Failure> {
        let key = PKey::generate_ed25519()?;
        let pkcs8 = key.private_key_to_pkcs8()?;
        let kid = kid(&EncodingKey::from_ed_der(&pkcs8), Algorithm::EdDsa)?;
        Ok(Self {
            pkcs8,
            traditional: key.raw_private_key()?,
            public: key.raw_public_key()?,
            kid,
        })
    }

    fn generate_rsa() -> Result<Self, Failure> {
        let key = Rsa::generate(2048)?;
        let traditional = key.private_key_to_der()?;
        let public = key.public_key_to_der_pkcs1()?;
        let kid = kid(&EncodingKey::from_rsa_der(&traditional), Algorithm::Rs256)?;
        Ok(Self {
            pkcs8: PKey::from_rsa(key)?.private_key_to_pkcs8()?,
            traditional,
            public,
            kid,
        })
    }
}

/// Shows the name only: the rest is private.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

fn kid(key: &EncodingKey, algorithm: Algorithm) -> Result<String, Failure> {
    let jwk = Jwk::from_encoding_key(key, jsonwebtoken_algorithm(algorithm))?;
    Ok(jwk.thumbprint(ThumbprintHash::SHA256)?)
}

/// The algorithm's name in jsonwebtoken 11.
pub(crate) const fn jsonwebtoken_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}
