//! Objects in the simulated device.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;

use crate::backend::random;
use crate::simulated::INVALID_DATA;

/// An object in a device.
#[derive(Debug)]
pub struct Object {
    /// What it may do.
    pub capabilities: u64,
    /// What it may give to others.
    pub delegated: u64,
    /// The domains it is in.
    pub domains: u16,
    /// Its label.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// 1 when generated, 2 when imported.
    pub origin: u8,
}

/// What an object is.
#[derive(Debug)]
pub enum Kind {
    /// Two AES keys.
    Authentication([u8; 32]),
    /// A P-256 key.
    P256(p256::ecdsa::SigningKey),
    /// A P-384 key.
    P384(p384::ecdsa::SigningKey),
    /// An Ed25519 key.
    Ed25519(Ed25519KeyPair),
    /// An RSA key of 2048 bits.
    Rsa(RsaKeyPair),
}

impl Object {
    /// A key with one capability in all domains.
    #[must_use]
    pub fn new(label: &str, kind: Kind, capabilities: u64) -> Self {
        Self {
            capabilities,
            delegated: 0,
            domains: u16::MAX,
            label: label.to_owned(),
            kind,
            origin: 2,
        }
    }

    pub(crate) fn padded_label(&self) -> [u8; 40] {
        let mut padded = [0; 40];
        padded[..self.label.len()].copy_from_slice(self.label.as_bytes());
        padded
    }

    pub(crate) fn info(&self, id: u16, object_type: u8) -> Vec<u8> {
        let mut info = self.capabilities.to_be_bytes().to_vec();
        info.extend_from_slice(&id.to_be_bytes());
        info.extend_from_slice(&32_u16.to_be_bytes());
        info.extend_from_slice(&self.domains.to_be_bytes());
        info.extend_from_slice(&[object_type, self.kind.algorithm(), 0, self.origin]);
        info.extend_from_slice(&self.padded_label());
        info.extend_from_slice(&self.delegated.to_be_bytes());
        info
    }

    pub(crate) fn public(&self) -> Vec<u8> {
        let key = match &self.kind {
            Kind::Authentication(_) => Vec::new(),
            Kind::P256(key) => key.verifying_key().to_encoded_point(false).as_bytes()[1..].to_vec(),
            Kind::P384(key) => key.verifying_key().to_encoded_point(false).as_bytes()[1..].to_vec(),
            Kind::Ed25519(key) => key.public_key().as_ref().to_vec(),
            Kind::Rsa(key) => {
                let modulus = key.public_key().modulus();
                modulus.big_endian_without_leading_zero().to_vec()
            }
        };
        [&[self.kind.algorithm()], &key[..]].concat()
    }

    pub(crate) fn sign(&self, code: u8, data: &[u8]) -> Result<Vec<u8>, u8> {
        match (&self.kind, code) {
            (Kind::P256(key), 0x56) if data.len() == 32 => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(data).map_err(|_| INVALID_DATA)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            (Kind::P384(key), 0x56) if data.len() == 48 => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(data).map_err(|_| INVALID_DATA)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            (Kind::Ed25519(key), 0x6a) => Ok(key.sign(data).as_ref().to_vec()),
            (Kind::Rsa(key), 0x47) if data.len() == 32 => {
                let digest = Digest::import_less_safe(data, &SHA256).map_err(|_| INVALID_DATA)?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature)
                    .map_err(|_| INVALID_DATA)?;
                Ok(signature)
            }
            _ => Err(INVALID_DATA),
        }
    }
}

impl Kind {
    /// A P-256 key.
    #[must_use]
    pub fn p256() -> Self {
        Self::P256(p256::ecdsa::SigningKey::from_slice(&random::<32>()).unwrap())
    }

    fn algorithm(&self) -> u8 {
        match self {
            Self::Authentication(_) => 0x26,
            Self::P256(_) => 0x0c,
            Self::P384(_) => 0x0d,
            Self::Ed25519(_) => 0x2e,
            Self::Rsa(_) => 0x09,
        }
    }
}

/// Reads the parameters of a new object; generates what is not put.
pub(crate) fn made(data: &[u8], is_put: bool) -> Result<(u16, Object), u8> {
    let (id, data) = data.split_first_chunk().ok_or(INVALID_DATA)?;
    let (label, data) = data.split_first_chunk::<40>().ok_or(INVALID_DATA)?;
    let (domains, data) = data.split_first_chunk().ok_or(INVALID_DATA)?;
    let (capabilities, data) = data.split_first_chunk().ok_or(INVALID_DATA)?;
    let (&algorithm, secret) = data.split_first().ok_or(INVALID_DATA)?;
    if is_put == secret.is_empty() {
        return Err(INVALID_DATA);
    }
    let number = |len: usize| match secret.len() {
        0 => random::<48>()[..len].to_vec(),
        _ => secret.to_vec(),
    };
    let kind = match algorithm {
        0x0c => p256::ecdsa::SigningKey::from_slice(&number(32))
            .map(Kind::P256)
            .ok(),
        0x0d => p384::ecdsa::SigningKey::from_slice(&number(48))
            .map(Kind::P384)
            .ok(),
        0x2e => Ed25519KeyPair::from_seed_unchecked(&number(32))
            .map(Kind::Ed25519)
            .ok(),
        0x09 if !is_put => RsaKeyPair::generate(KeySize::Rsa2048).map(Kind::Rsa).ok(),
        _ => None,
    };
    let len = label.iter().position(|&byte| byte == 0).unwrap_or(40);
    let object = Object {
        capabilities: u64::from_be_bytes(*capabilities),
        delegated: 0,
        domains: u16::from_be_bytes(*domains),
        label: String::from_utf8(label[..len].to_vec()).map_err(|_| INVALID_DATA)?,
        kind: kind.ok_or(INVALID_DATA)?,
        origin: if is_put { 2 } else { 1 },
    };
    Ok((u16::from_be_bytes(*id), object))
}
