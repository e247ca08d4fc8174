//! How each algorithm is asked for.

use chancery_core::{Algorithm, Curve, Digest, HashAlgorithm, KeyType, Signature, SigningInput};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;

/// Who hashes what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// We do, and the token signs the hash. Nearly every module can do this.
    Ours,
    /// The token does.
    Theirs,
}

/// How a key signs with an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) algorithm: Algorithm,
    hashing: Hashing,
}

impl Method {
    /// The ways there are, in the order in which to try them.
    pub(crate) fn all(algorithm: Algorithm) -> Vec<Self> {
        let ours = Self {
            algorithm,
            hashing: Hashing::Ours,
        };
        let theirs = Self {
            algorithm,
            hashing: Hashing::Theirs,
        };
        match algorithm.key_type() {
            // Ed25519 hashes inside, twice, so there is nothing for us to do.
            KeyType::Ed25519 => vec![theirs],
            KeyType::Ec(Curve::P521) => Vec::new(),
            _ => vec![ours, theirs],
        }
    }

    /// The mechanism. It cannot be sent to another thread.
    pub(crate) fn mechanism(self) -> Option<Mechanism<'static>> {
        let hash = self.algorithm.hash();
        let ours = self.hashing == Hashing::Ours;
        Some(match self.algorithm {
            Algorithm::Es256 | Algorithm::Es384 if ours => Mechanism::Ecdsa,
            Algorithm::Es256 => Mechanism::EcdsaSha256,
            Algorithm::Es384 => Mechanism::EcdsaSha384,
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 if ours => Mechanism::RsaPkcs,
            Algorithm::Rs256 => Mechanism::Sha256RsaPkcs,
            Algorithm::Rs384 => Mechanism::Sha384RsaPkcs,
            Algorithm::Rs512 => Mechanism::Sha512RsaPkcs,
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 if ours => {
                Mechanism::RsaPkcsPss(pss(hash))
            }
            Algorithm::Ps256 => Mechanism::Sha256RsaPkcsPss(pss(hash)),
            Algorithm::Ps384 => Mechanism::Sha384RsaPkcsPss(pss(hash)),
            Algorithm::Ps512 => Mechanism::Sha512RsaPkcsPss(pss(hash)),
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure))
            }
            _ => return None,
        })
    }

    /// What the token is given to sign. Some tokens sign a hash of any length, so that it is right
    /// is seen to here.
    pub(crate) fn data<'a>(self, input: &'a SigningInput<'_>, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if self.hashing == Hashing::Theirs {
            return input.as_bytes();
        }
        let digest: &Digest = input.digest();
        match self.algorithm {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
                buffer.clear();
                buffer.extend_from_slice(digest_info_prefix(self.algorithm.hash()));
                buffer.extend_from_slice(digest.as_bytes());
                buffer
            }
            _ => digest.as_bytes(),
        }
    }

    /// The standard's name for the mechanism.
    pub(crate) fn name(self) -> String {
        let hash = match self.algorithm.hash() {
            HashAlgorithm::Sha256 => "SHA256",
            HashAlgorithm::Sha384 => "SHA384",
            HashAlgorithm::Sha512 => "SHA512",
        };
        let ours = self.hashing == Hashing::Ours;
        match self.algorithm {
            Algorithm::Es256 | Algorithm::Es384 if ours => "CKM_ECDSA".to_owned(),
            Algorithm::Es256 | Algorithm::Es384 => format!("CKM_ECDSA_{hash}"),
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 if ours => {
                "CKM_RSA_PKCS".to_owned()
            }
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
                format!("CKM_{hash}_RSA_PKCS")
            }
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 if ours => {
                "CKM_RSA_PKCS_PSS".to_owned()
            }
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
                format!("CKM_{hash}_RSA_PKCS_PSS")
            }
            _ => "CKM_EDDSA".to_owned(),
        }
    }
}

/// Takes what the token returned for a signature, if its length is right.
pub(crate) fn signature(
    algorithm: Algorithm,
    expected_len: usize,
    bytes: &[u8],
) -> Result<Signature, WrongLength> {
    let wrong = WrongLength {
        expected: expected_len,
        found: bytes.len(),
    };
    if bytes.len() != expected_len {
        return Err(wrong);
    }
    Signature::new(algorithm, bytes).map_err(|_| wrong)
}

/// The token returned bytes that are no signature of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongLength {
    expected: usize,
    found: usize,
}

impl std::fmt::Display for WrongLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the token returned a signature of {} bytes instead of {}",
            self.found, self.expected
        )
    }
}

/// A salt as long as the hash, as RFC 7518 §3.5 wants it.
fn pss(hash: HashAlgorithm) -> PkcsPssParams {
    let (hash_alg, mgf, len) = match hash {
        HashAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        HashAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        HashAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    PkcsPssParams {
        hash_alg,
        mgf,
        s_len: Ulong::new(len),
    }
}

/// The `DigestInfo` up to the hash itself (RFC 8017 §9.2, note 1).
const fn digest_info_prefix(hash: HashAlgorithm) -> &'static [u8] {
    match hash {
        HashAlgorithm::Sha256 => &[
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ],
        HashAlgorithm::Sha384 => &[
            0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x02, 0x05, 0x00, 0x04, 0x30,
        ],
        HashAlgorithm::Sha512 => &[
            0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x03, 0x05, 0x00, 0x04, 0x40,
        ],
    }
}
