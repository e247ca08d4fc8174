//! The crypto engines, behind one trait.

use std::fmt;

use chancery_core::{Algorithm, PublicKey, SignError, SignErrorKind, Signature};
use zeroize::Zeroizing;

use crate::key_error::KeyError;
use crate::private_key::Material;

// First, because macros are known only below their definition.
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#[macro_use]
mod backend;

#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
#[cfg(feature = "ring")]
mod ring;

/// A crypto engine. Several may be on at once; each key says which one it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// The crate `ring`: ES256, ES384, RSA, Ed25519. It does not generate RSA keys.
    #[cfg(feature = "ring")]
    Ring,
    /// The crate `aws-lc-rs`: all of ring's, ES512, and the generation of RSA keys.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl Engine {
    /// Every engine that is compiled in, ring first.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "ring")]
        Self::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLcRs,
    ];

    /// Whether the engine signs and verifies with the algorithm.
    #[must_use]
    pub fn supports(self, algorithm: Algorithm) -> bool {
        self.backend().supports(algorithm)
    }

    pub(crate) fn backend(self) -> &'static dyn Backend {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => &ring::Ring,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => &aws_lc_rs::AwsLcRs,
        }
    }

    /// The engine that verifies the algorithm: the first that can, so that another feature
    /// changes nothing.
    pub(crate) fn for_verifying(algorithm: Algorithm) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|engine| engine.supports(algorithm))
    }
}

/// Shows the name of the crate.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            #[cfg(feature = "ring")]
            Self::Ring => f.write_str("ring"),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => f.write_str("aws-lc-rs"),
            #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
            _ => f.write_str("no engine"),
        }
    }
}

/// What an engine does.
pub(crate) trait Backend {
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Parses a key of the algorithm's kind, once and for all, and gives its public half.
    fn load(&self, algorithm: Algorithm, key: &Material) -> Result<Loaded, KeyError>;

    /// Generates an EC key, as PKCS#8.
    fn generate_ec(&self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// Generates an Ed25519 seed.
    fn generate_seed(&self) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// Generates an RSA key, as PKCS#8.
    fn generate_rsa(&self, bits: usize) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// Whether the signature is the key's over the message. Never where the engine lacks the
    /// algorithm.
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}

pub(crate) type Loaded = (PublicKey, Box<dyn KeyPair>);

/// A parsed key.
pub(crate) trait KeyPair: Send + Sync {
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// The engine failed; engines say no more than that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineFailed;

impl fmt::Display for EngineFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine gave no reason")
    }
}

impl std::error::Error for EngineFailed {}

impl From<EngineFailed> for SignError {
    fn from(error: EngineFailed) -> Self {
        Self::new(SignErrorKind::Failed, "the engine refused to sign").with_source(error)
    }
}
