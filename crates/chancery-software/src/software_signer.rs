//! Signing with a key in memory.

use std::fmt;

use chancery_core::{
    Algorithm, Jwk, JwkError, SignError, SignErrorKind, Signature, Signer, SigningInput,
};

use crate::engine::{Engine, KeyPair};
use crate::key_error::KeyError;
use crate::private_key::PrivateKey;

/// Signs with a key in memory, on ring or aws-lc-rs.
///
/// The key is parsed once, and a signature allocates nothing here. Before it is accepted, the key
/// signs a probe that is verified with its public half.
///
/// What stays in memory is the structure of the engine. ring does not overwrite it when it is
/// dropped, nor what it leaves on its stack; aws-lc overwrites what it frees, but not its stack. To
/// keep a key out of the process altogether, use a device.
///
/// ```
/// # #[cfg(feature = "ring")] {
/// use chancery_core::{Algorithm, Signer as _, SigningInput};
/// use chancery_software::{Engine, SoftwareSigner, VerifyingKey};
///
/// let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
/// let signature = signer.sign(&SigningInput::new(Algorithm::Es256, b"header.payload"))?;
/// VerifyingKey::new(signer.jwk())?.verify(b"header.payload", &signature)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SoftwareSigner {
    jwk: Jwk,
    engine: Engine,
    key_pair: Box<dyn KeyPair>,
    verifies_after_signing: bool,
}

impl SoftwareSigner {
    /// Takes a key for one algorithm, on one engine. Its `kid` is its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`KeyError::Algorithm`] when the algorithm does not go with the key,
    /// [`KeyError::UnsupportedAlgorithm`] when the engine lacks it, [`KeyError::Rejected`],
    /// [`KeyError::PublicKeyMismatch`] and [`KeyError::Probe`] when the parts of the key do not
    /// belong together.
    pub fn new(key: &PrivateKey, algorithm: Algorithm, engine: Engine) -> Result<Self, KeyError> {
        let material = key.material_for(algorithm)?;
        let (public_key, key_pair) = engine.backend().load(algorithm, material)?;
        if material.public_key().is_some_and(|came| came != public_key) {
            return Err(KeyError::PublicKeyMismatch);
        }
        let jwk = Jwk::new(algorithm, public_key).map_err(|error| match error {
            JwkError::PublicKey(error) => KeyError::PublicKey(error),
            _ => KeyError::PublicKeyMismatch,
        })?;
        let signer = Self {
            jwk,
            engine,
            key_pair,
            verifies_after_signing: false,
        };
        signer.probe()?;
        Ok(signer)
    }

    /// Generates a key that lives and dies with this process; RSA keys get 2048 bits.
    ///
    /// To keep one, generate a [`PrivateKey`] and store it, or use a
    /// [`KeyFile`](crate::KeyFile).
    ///
    /// # Errors
    /// Those of [`PrivateKey::generate`] and [`SoftwareSigner::new`].
    pub fn generate(algorithm: Algorithm, engine: Engine) -> Result<Self, KeyError> {
        Self::new(&PrivateKey::generate(algorithm, engine)?, algorithm, engine)
    }

    /// Names the key otherwise than by its thumbprint; see [`Jwk::with_kid`].
    ///
    /// # Errors
    /// [`KeyError::Kid`] when it is not a name that a key can have.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, KeyError> {
        self.jwk = self.jwk.with_kid(kid).map_err(KeyError::Kid)?;
        Ok(self)
    }

    /// Attaches certificates to be published with the key; see [`Jwk::with_certificate_chain`].
    ///
    /// # Errors
    /// [`KeyError::CertificateChain`] when one is malformed or the first is not this key's.
    pub fn with_certificate_chain(mut self, chain: Vec<Vec<u8>>) -> Result<Self, KeyError> {
        self.jwk = self
            .jwk
            .with_certificate_chain(chain)
            .map_err(KeyError::CertificateChain)?;
        Ok(self)
    }

    /// Verifies every signature before it is handed out, and withholds a wrong one with
    /// [`SignErrorKind::BadSignature`].
    ///
    /// A signature that went wrong by a fault of the hardware can give the key away. Both engines
    /// check RSA signatures themselves, but not ECDSA and Ed25519, for which this costs about two
    /// to three signatures' time. It is off unless asked for.
    #[must_use]
    pub const fn with_verify_after_signing(mut self) -> Self {
        self.verifies_after_signing = true;
        self
    }

    /// The engine that the key is on.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    fn probe(&self) -> Result<(), KeyError> {
        const PROBE: &[u8] = b"chancery probe";
        let signature = self.key_pair.sign(PROBE).map_err(|_| KeyError::Probe)?;
        if self.verifies(PROBE, &signature) {
            Ok(())
        } else {
            Err(KeyError::Probe)
        }
    }

    fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.engine
            .backend()
            .verifies(self.jwk.public_key(), message, signature)
    }
}

impl Signer for SoftwareSigner {
    fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        if input.algorithm() != self.jwk.algorithm() {
            return Err(SignError::new(
                SignErrorKind::Unsupported,
                "the input is for another algorithm than the key's",
            ));
        }
        if !self.verifies_after_signing {
            return self.key_pair.sign(input.as_bytes());
        }
        let signature = self.key_pair.sign(input.as_bytes())?;
        if !self.verifies(input.as_bytes(), &signature) {
            return Err(SignError::new(
                SignErrorKind::BadSignature,
                "what the engine signed does not verify; suspect the hardware",
            ));
        }
        Ok(signature)
    }
}

/// Shows kid, alg and engine.
impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("kid", &self.jwk.kid())
            .field("alg", &self.jwk.algorithm().name())
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod tests {
    use super::*;
    use crate::engine::EngineFailed;

    /// An engine whose hardware flips a bit, or that fails.
    struct Faulty {
        whole: Box<dyn KeyPair>,
        fails: bool,
    }

    impl KeyPair for Faulty {
        fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
            if self.fails {
                return Err(EngineFailed.into());
            }
            let mut bytes = self.whole.sign(message)?.as_bytes().to_vec();
            bytes[40] ^= 1;
            Ok(Signature::new(Algorithm::Es256, &bytes)?)
        }
    }

    #[test]
    fn a_faulty_signature_is_withheld_where_that_was_asked_for() {
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        let lenient = faulty(false);
        assert!(lenient.sign(&input).is_ok());
        let error = lenient
            .with_verify_after_signing()
            .sign(&input)
            .unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::BadSignature);
    }

    #[test]
    fn a_key_that_signs_what_does_not_verify_is_not_accepted() {
        for fails in [false, true] {
            assert!(matches!(faulty(fails).probe(), Err(KeyError::Probe)));
        }
    }

    #[test]
    fn an_engine_that_fails_is_told_with_its_cause() {
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        let error = faulty(true).sign(&input).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Failed);
        assert!(std::error::Error::source(&error).is_some());
    }

    fn faulty(fails: bool) -> SoftwareSigner {
        let mut signer = SoftwareSigner::generate(Algorithm::Es256, Engine::ALL[0]).unwrap();
        signer.key_pair = Box::new(Faulty {
            whole: signer.key_pair,
            fails,
        });
        signer
    }
}
