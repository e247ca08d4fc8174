//! The signature algorithms and the hashes behind them.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// A JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2).
///
/// A key has exactly one. There is no `none` and no HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256 and a 32-byte salt.
    Ps256,
    /// RSASSA-PSS with SHA-384 and a 48-byte salt.
    Ps384,
    /// RSASSA-PSS with SHA-512 and a 64-byte salt.
    Ps512,
    /// Ed25519 under its older, polymorphic name `EdDSA` (RFC 8037 §3.1), the one verifiers know.
    EdDsa,
    /// Ed25519 under its fully-specified name `Ed25519` (RFC 9864 §2.2), for verifiers that ask
    /// for it.
    Ed25519,
}

impl Algorithm {
    /// Every algorithm, those that sign faster first, as measured on both engines. Ed25519 and
    /// ES256 change places between them; ES256 is accepted more widely.
    pub(crate) const FASTEST_FIRST: [Self; 11] = [
        Self::Es256,
        Self::EdDsa,
        Self::Ed25519,
        Self::Es384,
        Self::Es512,
        Self::Rs256,
        Self::Ps256,
        Self::Rs384,
        Self::Ps384,
        Self::Rs512,
        Self::Ps512,
    ];

    /// Every algorithm, in the order of the enum.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        [
            Self::Es256,
            Self::Es384,
            Self::Es512,
            Self::Rs256,
            Self::Rs384,
            Self::Rs512,
            Self::Ps256,
            Self::Ps384,
            Self::Ps512,
            Self::EdDsa,
            Self::Ed25519,
        ]
        .into_iter()
    }

    /// The registered name, as it stands in the `alg` header parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The kind of key that signs with this algorithm.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Es256 => KeyType::Ec(Curve::P256),
            Self::Es384 => KeyType::Ec(Curve::P384),
            Self::Es512 => KeyType::Ec(Curve::P521),
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                KeyType::Rsa
            }
            Self::EdDsa | Self::Ed25519 => KeyType::Ed25519,
        }
    }

    /// The hash that the algorithm applies to the message.
    ///
    /// Ed25519 hashes with SHA-512 inside; `at_hash` and `c_hash` follow it.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::Es256 | Self::Rs256 | Self::Ps256 => HashAlgorithm::Sha256,
            Self::Es384 | Self::Rs384 | Self::Ps384 => HashAlgorithm::Sha384,
            Self::Es512 | Self::Rs512 | Self::Ps512 | Self::EdDsa | Self::Ed25519 => {
                HashAlgorithm::Sha512
            }
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Parses a registered name; it is case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::all()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(UnknownAlgorithm)
    }
}

/// The name is not that of a signature algorithm this library knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown signature algorithm; use one of ")?;
        for (i, algorithm) in Algorithm::all().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(algorithm.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownAlgorithm {}

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// An elliptic-curve key for ECDSA, `kty` "EC" (RFC 7518 §6.2).
    Ec(Curve),
    /// An RSA key, `kty` "RSA" (RFC 7518 §6.3).
    Rsa,
    /// An Ed25519 key, `kty` "OKP" (RFC 8037 §2).
    Ed25519,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ec(curve) => write!(f, "EC {curve}"),
            Self::Rsa => f.write_str("RSA"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// A NIST curve that ECDSA in JOSE uses (RFC 7518 §6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256, also secp256r1 and prime256v1.
    P256,
    /// P-384, also secp384r1.
    P384,
    /// P-521, also secp521r1.
    P521,
}

impl Curve {
    /// The name in the `crv` member of a JWK.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The length in bytes of one coordinate, and of r and of s in a signature.
    #[must_use]
    pub const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The one algorithm that JOSE has for this curve (RFC 7518 §3.4).
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash of the SHA-2 family (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// Hashes `message`.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Digest {
        match self {
            Self::Sha256 => Digest::from_slice(&sha2::Sha256::digest(message)),
            Self::Sha384 => Digest::from_slice(&sha2::Sha384::digest(message)),
            Self::Sha512 => Digest::from_slice(&sha2::Sha512::digest(message)),
        }
    }
}

/// The output of a [`HashAlgorithm`]: 32, 48 or 64 bytes, held inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl Digest {
    fn from_slice(digest: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes[..digest.len()].copy_from_slice(digest);
        Self {
            bytes,
            len: digest.len(),
        }
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The left-most half of the hash, as `at_hash` and `c_hash` take it (OpenID Connect Core
    /// §3.1.3.6).
    #[must_use]
    pub fn left_half(&self) -> &[u8] {
        &self.bytes[..self.len / 2]
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}
