//! Private keys in memory, before an engine takes them.

use std::fmt;

use chancery_core::{Algorithm, Curve, Jwk, JwkError, KeyType, PublicKey};
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::key_error::KeyError;
use crate::pem::Label;
use crate::{asn1, encryption, pem, private_jwk};

/// A private key in memory, loaded or generated, to be signed with by a
/// [`SoftwareSigner`](crate::SoftwareSigner) or to be stored.
///
/// The key is overwritten when it is dropped, and so are the copies made on the way to it. `Debug`
/// shows the kind of key alone; it cannot be cloned, compared or serialized. The caller's own
/// input is the caller's to overwrite.
///
/// Supported are P-256, P-384, P-521, Ed25519, and RSA of 2048 to 4096 bits with two primes.
///
/// ```
/// use chancery_software::PrivateKey;
///
/// // The private half of RFC 8410 §10.3.
/// let key = PrivateKey::from_pem(
///     b"-----BEGIN PRIVATE KEY-----\n\
///       MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
///       -----END PRIVATE KEY-----\n",
/// )?;
/// assert_eq!(format!("{key:?}"), "PrivateKey(Ed25519)");
/// # Ok::<(), chancery_software::KeyError>(())
/// ```
pub struct PrivateKey {
    material: Material,
    /// The algorithm that a JWK binds the key to.
    bound_to: Option<Algorithm>,
}

impl PrivateKey {
    /// Generates a key for an algorithm; RSA keys get 2048 bits.
    ///
    /// # Errors
    /// [`KeyError::UnsupportedAlgorithm`] when the engine does not have the algorithm,
    /// [`KeyError::RsaGeneration`] for RSA on ring, which cannot generate it, and
    /// [`KeyError::Random`] when there are no random bytes.
    pub fn generate(algorithm: Algorithm, engine: Engine) -> Result<Self, KeyError> {
        match algorithm.key_type() {
            KeyType::Ec(_) => Self::from_pkcs8_der(&engine.backend().generate_ec(algorithm)?),
            KeyType::Ed25519 => {
                Material::ed25519(&engine.backend().generate_seed()?, None).map(Self::unbound)
            }
            KeyType::Rsa => Self::generate_rsa(2048, engine),
            _ => Err(KeyError::UnsupportedAlgorithm { algorithm, engine }),
        }
    }

    /// Generates an RSA key of 2048, 3072 or 4096 bits, for any RSA algorithm.
    ///
    /// # Errors
    /// [`KeyError::RsaLength`] for another length, [`KeyError::RsaGeneration`] on ring, which
    /// cannot generate RSA keys.
    pub fn generate_rsa(bits: usize, engine: Engine) -> Result<Self, KeyError> {
        if !matches!(bits, 2048 | 3072 | 4096) {
            return Err(KeyError::RsaLength { bits });
        }
        Self::from_pkcs8_der(&engine.backend().generate_rsa(bits)?)
    }

    /// Loads a key from PEM: PKCS#8 (`PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or PKCS#1
    /// (`RSA PRIVATE KEY`), told apart by the label.
    ///
    /// Text before the key is passed over (RFC 7468 §2); nothing may come after it.
    ///
    /// # Errors
    /// [`KeyError::Encrypted`] and [`KeyError::LegacyEncryption`] for encrypted keys,
    /// [`KeyError::PemLabel`] for certificates and public keys, and the others for text and keys
    /// that are malformed, weak or of an unsupported kind.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::decode(pem)?;
        match label {
            Label::Pkcs8 => asn1::parse_pkcs8(&der),
            Label::Sec1 => asn1::parse_sec1(&der),
            Label::Pkcs1 => asn1::parse_pkcs1(&der),
            Label::EncryptedPkcs8 => Err(KeyError::Encrypted),
        }
        .map(Self::unbound)
    }

    /// Loads a key from encrypted PEM (`ENCRYPTED PRIVATE KEY`): PBES2 with AES-CBC, under scrypt
    /// or PBKDF2 with SHA-2 (RFC 8018, RFC 7914).
    ///
    /// # Errors
    /// [`KeyError::WrongPassword`], [`KeyError::NotEncrypted`] when no password is needed,
    /// [`KeyError::UnsupportedEncryption`], [`KeyError::EncryptionCost`], and those of
    /// [`PrivateKey::from_pem`].
    pub fn from_encrypted_pem(pem: &[u8], password: &[u8]) -> Result<Self, KeyError> {
        match pem::decode(pem)? {
            (Label::EncryptedPkcs8, der) => Self::from_encrypted_pkcs8_der(&der, password),
            _ => Err(KeyError::NotEncrypted),
        }
    }

    /// Loads a key from a DER-encoded PKCS#8 `PrivateKeyInfo`, version 1 or 2 (RFC 5958 §2).
    ///
    /// # Errors
    /// [`KeyError::Der`] when the bytes are not exactly one such structure, and the others when
    /// the key is weak, malformed or of an unsupported kind.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        asn1::parse_pkcs8(der).map(Self::unbound)
    }

    /// Loads a key from a DER-encoded PKCS#8 `EncryptedPrivateKeyInfo` (RFC 5958 §3).
    ///
    /// # Errors
    /// Those of [`PrivateKey::from_encrypted_pem`] and [`PrivateKey::from_pkcs8_der`].
    pub fn from_encrypted_pkcs8_der(der: &[u8], password: &[u8]) -> Result<Self, KeyError> {
        Self::from_pkcs8_der(&encryption::decrypt(der, password)?)
    }

    /// Loads a key from a private JWK (RFC 7517): `EC`, `OKP` with Ed25519, or `RSA` with all
    /// members of the Chinese remainder theorem (RFC 7518 §6.3.2).
    ///
    /// Where the JWK has an `alg`, the key signs with that algorithm alone. Its `kid` is not
    /// taken over: [`SoftwareSigner::with_kid`](crate::SoftwareSigner::with_kid) names the key.
    ///
    /// # Errors
    /// [`KeyError::JwkSyntax`], [`KeyError::JwkMember`] and [`KeyError::JwkPurpose`] when it is
    /// no private JWK for signatures, [`KeyError::UnsupportedKey`] for symmetric keys and other
    /// curves, [`KeyError::PublicKey`] when the key is weak or malformed.
    pub fn from_jwk_json(json: &[u8]) -> Result<Self, KeyError> {
        let (material, bound_to) = private_jwk::parse(json)?;
        Ok(Self { material, bound_to })
    }

    /// Encodes the key as an unencrypted PKCS#8 `PrivateKeyInfo` in DER, overwritten when dropped.
    ///
    /// # Errors
    /// [`KeyError::Encode`], which a key that was loaded does not meet.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        asn1::to_pkcs8(&self.material).map_err(|_| KeyError::Encode)
    }

    /// Encodes the key as encrypted PKCS#8 in PEM: AES-256-CBC under scrypt (N = 16384, r = 8,
    /// p = 5), with salt and IV from the operating system. `openssl pkey` reads it.
    ///
    /// This takes some 0.2 s and 16 MiB, and so does each attempt to guess the password. Built
    /// without optimization it takes a hundred times as long; for development, give the crate
    /// `scrypt` and those below it an `opt-level` in a profile override.
    ///
    /// # Errors
    /// [`KeyError::EmptyPassword`], and [`KeyError::Random`] when there are no random bytes.
    pub fn to_encrypted_pem(&self, password: &[u8]) -> Result<Zeroizing<String>, KeyError> {
        if password.is_empty() {
            return Err(KeyError::EmptyPassword);
        }
        encryption::encrypt_to_pem(&self.to_pkcs8_der()?, password)
    }

    /// The kind of key this is.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self.material {
            Material::Ec { curve, .. } => KeyType::Ec(curve),
            Material::Rsa { .. } => KeyType::Rsa,
            Material::Ed25519 { .. } => KeyType::Ed25519,
        }
    }

    /// The material, for an algorithm that goes with it.
    pub(crate) fn material_for(&self, algorithm: Algorithm) -> Result<&Material, KeyError> {
        if algorithm.key_type() != self.key_type() {
            return Err(KeyError::Algorithm {
                algorithm,
                key: self.key_type().to_string(),
            });
        }
        match self.bound_to {
            Some(bound) if bound != algorithm => Err(KeyError::Algorithm {
                algorithm,
                key: format!("for {bound} by its `alg`"),
            }),
            _ => Ok(&self.material),
        }
    }

    const fn unbound(material: Material) -> Self {
        Self {
            material,
            bound_to: None,
        }
    }
}

/// Shows the kind of key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_type())
    }
}

/// The parts of a key, in the form that both engines take. Secrets are on the heap, so that moving
/// them leaves no copy.
pub(crate) enum Material {
    Ec {
        curve: Curve,
        /// The private scalar, big-endian, of the curve's length.
        scalar: Zeroizing<Vec<u8>>,
        /// The public point, uncompressed.
        point: Vec<u8>,
    },
    Rsa {
        /// The PKCS#1 `RSAPrivateKey`.
        der: Zeroizing<Vec<u8>>,
        public_key: PublicKey,
    },
    Ed25519 {
        seed: Zeroizing<Vec<u8>>,
        /// The public key that came with the seed, to be compared.
        public: Option<[u8; 32]>,
    },
}

impl Material {
    /// Takes an EC key; without a point, it is computed where the feature for that is on.
    pub(crate) fn ec(curve: Curve, private: &[u8], point: Option<&[u8]>) -> Result<Self, KeyError> {
        let len = curve.coordinate_len();
        // Some programs drop the leading zeros.
        let zeros = len
            .checked_sub(private.len())
            .ok_or(KeyError::PrivateLength {
                key_type: KeyType::Ec(curve),
            })?;
        let mut scalar = Zeroizing::new(vec![0; len]);
        scalar[zeros..].copy_from_slice(private);
        let point = match point {
            Some(point) => point.to_vec(),
            None => public_half(curve, &scalar)?,
        };
        let public_key = PublicKey::Ec {
            curve,
            point: point.clone(),
        };
        checked(curve.algorithm(), public_key)?;
        Ok(Self::Ec {
            curve,
            scalar,
            point,
        })
    }

    /// The public half that came with the key, if one did.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Ec { curve, point, .. } => Some(PublicKey::Ec {
                curve: *curve,
                point: point.clone(),
            }),
            Self::Rsa { public_key, .. } => Some(public_key.clone()),
            Self::Ed25519 { public, .. } => public.map(PublicKey::Ed25519),
        }
    }

    /// Takes an RSA key as PKCS#1, and its public numbers.
    pub(crate) fn rsa(
        der: Zeroizing<Vec<u8>>,
        modulus: &[u8],
        exponent: &[u8],
    ) -> Result<Self, KeyError> {
        let public_key = PublicKey::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        };
        let public_key = checked(Algorithm::Rs256, public_key)?;
        Ok(Self::Rsa { der, public_key })
    }

    /// Takes an Ed25519 seed, and the public key that came with it.
    pub(crate) fn ed25519(seed: &[u8], public: Option<&[u8]>) -> Result<Self, KeyError> {
        if seed.len() != 32 {
            return Err(KeyError::PrivateLength {
                key_type: KeyType::Ed25519,
            });
        }
        let public = public
            .map(|public| <[u8; 32]>::try_from(public).map_err(|_| KeyError::PublicKeyMismatch))
            .transpose()?;
        Ok(Self::Ed25519 {
            seed: Zeroizing::new(seed.to_vec()),
            public,
        })
    }
}

/// Passes a public key through the checks of a JWK.
fn checked(algorithm: Algorithm, public_key: PublicKey) -> Result<PublicKey, KeyError> {
    match Jwk::new(algorithm, public_key) {
        Ok(jwk) => Ok(jwk.public_key().clone()),
        Err(JwkError::PublicKey(error)) => Err(KeyError::PublicKey(error)),
        // The algorithm was chosen for the key, so nothing else is left to be wrong.
        Err(_) => Err(KeyError::PublicKeyMismatch),
    }
}

#[cfg(feature = "derive-public-key")]
fn public_half(curve: Curve, scalar: &[u8]) -> Result<Vec<u8>, KeyError> {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;

    macro_rules! point {
        ($curve:ident) => {
            $curve::SecretKey::from_slice(scalar)
                .map(|key| key.public_key().to_encoded_point(false).as_bytes().to_vec())
        };
    }
    match curve {
        Curve::P256 => point!(p256),
        Curve::P384 => point!(p384),
        Curve::P521 => point!(p521),
    }
    .map_err(|_| KeyError::PrivateLength {
        key_type: KeyType::Ec(curve),
    })
}

#[cfg(not(feature = "derive-public-key"))]
fn public_half(curve: Curve, _scalar: &[u8]) -> Result<Vec<u8>, KeyError> {
    Err(KeyError::PublicHalfMissing { curve })
}
