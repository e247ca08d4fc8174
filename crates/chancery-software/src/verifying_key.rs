//! Verifying one signature with one public key.

use std::fmt;

use chancery_core::{Jwk, Signature};

use crate::engine::Engine;
use crate::verify_error::VerifyError;

/// Verifies signatures with one public key, under its one algorithm.
///
/// ring verifies where it is compiled in, and aws-lc-rs what is left: ES512, and all without ring.
#[derive(Clone)]
pub struct VerifyingKey {
    jwk: Jwk,
    engine: Engine,
}

impl VerifyingKey {
    /// Takes the key and its algorithm from a JWK.
    ///
    /// # Errors
    /// [`VerifyError::UnsupportedAlgorithm`] when no engine that is compiled in has the algorithm.
    pub fn new(jwk: &Jwk) -> Result<Self, VerifyError> {
        let engine =
            Engine::for_verifying(jwk.algorithm()).ok_or(VerifyError::UnsupportedAlgorithm {
                algorithm: jwk.algorithm(),
            })?;
        Ok(Self {
            jwk: jwk.clone(),
            engine,
        })
    }

    /// Verifies that the key made the signature over `signing_input`, which is not yet hashed.
    ///
    /// # Errors
    /// [`VerifyError::Algorithm`] when the signature is one of another algorithm,
    /// [`VerifyError::Signature`] when it is not the key's over this input.
    pub fn verify(&self, signing_input: &[u8], signature: &Signature) -> Result<(), VerifyError> {
        if signature.algorithm() != self.jwk.algorithm() {
            return Err(VerifyError::Algorithm {
                expected: self.jwk.algorithm(),
            });
        }
        let backend = self.engine.backend();
        if backend.verifies(self.jwk.public_key(), signing_input, signature) {
            Ok(())
        } else {
            Err(VerifyError::Signature)
        }
    }

    /// The key.
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }
}

/// Shows kid and alg.
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.jwk.kid())
            .field("alg", &self.jwk.algorithm().name())
            .finish_non_exhaustive()
    }
}
