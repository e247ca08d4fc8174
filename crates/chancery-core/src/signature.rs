//! Signatures in the form that JOSE wants.

use std::fmt;

use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};

use crate::algorithm::{Algorithm, Curve, KeyType};

/// The longest signature of the classical algorithms: RSA with a 4096-bit modulus.
const MAX_LEN: usize = 512;

/// A signature in JOSE form: r‖s of fixed length for ECDSA (RFC 7518 §3.4), the big-endian octets
/// of the modulus' length for RSA (§3.3, §3.5), 64 bytes for Ed25519 (RFC 8037 §3.1).
///
/// Its length fits its algorithm. Whether it is *right* only a verifier can tell.
#[derive(Clone)]
pub struct Signature {
    algorithm: Algorithm,
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Signature {
    /// Takes the bytes of a signature that is already in JOSE form.
    ///
    /// # Errors
    /// [`SignatureError::Length`] when the length is not the one the algorithm has: 64, 96 or 132
    /// bytes for ES256, ES384, ES512, 64 for Ed25519, 256 to 512 for RSA. A DER-encoded ECDSA
    /// signature fails here or at verification: use [`Signature::from_der`].
    // Inlined, so that the half kilobyte is built where it is wanted and not copied there.
    #[inline]
    pub fn new(algorithm: Algorithm, signature: &[u8]) -> Result<Self, SignatureError> {
        let (shortest, longest) = match algorithm.key_type() {
            KeyType::Ec(curve) => (2 * curve.coordinate_len(), 2 * curve.coordinate_len()),
            KeyType::Rsa => (256, MAX_LEN),
            KeyType::Ed25519 => (64, 64),
        };
        if !(shortest..=longest).contains(&signature.len()) {
            return Err(SignatureError::Length {
                algorithm,
                found: signature.len(),
            });
        }
        let mut this = Self {
            algorithm,
            bytes: [0; MAX_LEN],
            len: signature.len(),
        };
        this.bytes[..signature.len()].copy_from_slice(signature);
        Ok(this)
    }

    /// Converts a DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3) into r‖s. This is the one place that
    /// does.
    ///
    /// # Errors
    /// [`SignatureError::NotEcdsa`] when the algorithm is not ECDSA, [`SignatureError::Der`] when
    /// the bytes are not exactly one strict DER sequence of two positive integers, and
    /// [`SignatureError::Range`] when r or s is zero or longer than the curve's order.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, SignatureError> {
        let KeyType::Ec(curve) = algorithm.key_type() else {
            return Err(SignatureError::NotEcdsa { algorithm });
        };
        let (r, s) = ecdsa_integers(der).map_err(|error| SignatureError::Der(DerError(error)))?;
        let len = 2 * curve.coordinate_len();
        let mut bytes = [0; MAX_LEN];
        let (left, right) = bytes[..len].split_at_mut(len / 2);
        right_align(curve, r, left)?;
        right_align(curve, s, right)?;
        Ok(Self {
            algorithm,
            bytes,
            len,
        })
    }

    /// The algorithm that the signature was made with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes, in JOSE form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A signature lets its holder use the token, so it is not shown.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("algorithm", &self.algorithm)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

fn ecdsa_integers(der: &[u8]) -> Result<(&[u8], &[u8]), der::Error> {
    let mut reader = SliceReader::new(der)?;
    let integers = reader.sequence(|sequence| {
        let r = UintRef::decode(sequence)?;
        let s = UintRef::decode(sequence)?;
        Ok((r.as_bytes(), s.as_bytes()))
    })?;
    reader.finish(integers)
}

fn right_align(curve: Curve, integer: &[u8], field: &mut [u8]) -> Result<(), SignatureError> {
    if integer.len() > field.len() || integer.iter().all(|&byte| byte == 0) {
        return Err(SignatureError::Range { curve });
    }
    let start = field.len() - integer.len();
    field[start..].copy_from_slice(integer);
    Ok(())
}

/// Why bytes are no signature of an algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The length is not one that the algorithm has.
    Length {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The number of bytes given.
        found: usize,
    },
    /// DER is for ECDSA alone; the other algorithms have no such form.
    NotEcdsa {
        /// The algorithm that was named.
        algorithm: Algorithm,
    },
    /// The bytes are not a strict DER `ECDSA-Sig-Value`.
    Der(DerError),
    /// r or s is zero or too long for the curve.
    Range {
        /// The curve of the algorithm.
        curve: Curve,
    },
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { algorithm, found } => {
                write!(f, "a signature of {found} bytes is not one of {algorithm}")?;
                match algorithm.key_type() {
                    KeyType::Ec(_) => f.write_str("; if it is DER, use Signature::from_der"),
                    _ => Ok(()),
                }
            }
            Self::NotEcdsa { algorithm } => write!(
                f,
                "{algorithm} has no DER form; pass the signature's bytes to Signature::new"
            ),
            Self::Der(error) => write!(f, "not a DER-encoded ECDSA signature: {error}"),
            Self::Range { curve } => {
                write!(f, "r or s of the signature is out of range for {curve}")
            }
        }
    }
}

impl std::error::Error for SignatureError {}

/// What the DER decoder found wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerError(pub(crate) der::Error);

impl fmt::Display for DerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DerError {}
