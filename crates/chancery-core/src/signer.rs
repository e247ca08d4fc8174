//! The trait that every key backend implements.

use std::cell::OnceCell;
use std::fmt;

use crate::algorithm::{Algorithm, Digest};
use crate::jwk::Jwk;
use crate::pending_signature::PendingSignature;
use crate::sign_error::SignError;
use crate::signature::Signature;

/// Signs with one key. Implemented by every backend; `chancery-conformance` tests whether it is
/// done right.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public half: key, `kid` and `alg`, as published. It never changes.
    fn jwk(&self) -> &Jwk;

    /// Signs `header.payload`. Blocks until it is done or past its deadline.
    ///
    /// The input is not hashed: the implementer hashes it, or takes [`SigningInput::digest`].
    ///
    /// # Errors
    /// [`SignError`], with the kind that tells an operator what to do.
    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError>;

    /// Starts signing and returns at once. The default signs inline, which is right for a key in
    /// memory.
    fn begin_sign(&self, input: &SigningInput<'_>) -> PendingSignature {
        PendingSignature::ready(self.sign(input))
    }
}

/// The bytes that a signature is made over: `BASE64URL(header) '.' BASE64URL(payload)` (RFC 7515
/// §5.1).
pub struct SigningInput<'a> {
    algorithm: Algorithm,
    bytes: &'a [u8],
    digest: OnceCell<Digest>,
}

impl<'a> SigningInput<'a> {
    /// Takes the bytes and the algorithm that will sign them.
    #[must_use]
    pub const fn new(algorithm: Algorithm, bytes: &'a [u8]) -> Self {
        Self {
            algorithm,
            bytes,
            digest: OnceCell::new(),
        }
    }

    /// The bytes themselves, for an engine that hashes, and for Ed25519, which signs no digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The algorithm that the header names.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Their hash by the key's algorithm, for a device that takes digests; computed once, when
    /// first asked for.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.digest
            .get_or_init(|| self.algorithm.hash().digest(self.bytes))
    }
}

/// Shows algorithm and length; the bytes hold the claims.
impl fmt::Debug for SigningInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningInput")
            .field("algorithm", &self.algorithm)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
