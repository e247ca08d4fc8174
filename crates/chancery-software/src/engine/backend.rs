//! What the engines have in common, which is nearly everything.

/// Implements [`Backend`](super::Backend) on a crate with ring's API.
///
/// The module that calls it brings `rand` and `signature` of its engine into scope, and the
/// functions in which the engines differ: `p521`, `ec_key_pair`, `sign_ed25519` and
/// `generate_rsa`.
macro_rules! backend {
    ($engine:ident) => {
        use chancery_core::{Algorithm, Curve, KeyType, PublicKey, SignError, Signature};
        use rand::{SecureRandom as _, SystemRandom};
        use signature::{
            EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair,
            KeyPair as _, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
            UnparsedPublicKey,
        };
        use zeroize::Zeroizing;

        use super::{Backend, EngineFailed, KeyPair, Loaded};
        use crate::engine::Engine;
        use crate::key_error::KeyError;
        use crate::private_key::Material;

        pub(super) struct $engine;

        impl Backend for $engine {
            fn supports(&self, algorithm: Algorithm) -> bool {
                match algorithm.key_type() {
                    KeyType::Ec(curve) => ecdsa(curve).is_some(),
                    KeyType::Rsa => rsa(algorithm).is_some(),
                    KeyType::Ed25519 => true,
                    _ => false,
                }
            }

            fn load(&self, algorithm: Algorithm, key: &Material) -> Result<Loaded, KeyError> {
                match key {
                    Material::Ec {
                        curve,
                        scalar,
                        point,
                    } => {
                        let (signing, _) = ecdsa(*curve).ok_or_else(|| unsupported(algorithm))?;
                        let pair = ec_key_pair(signing, scalar, point).map_err(rejected)?;
                        let public_key = PublicKey::Ec {
                            curve: *curve,
                            point: pair.public_key().as_ref().to_vec(),
                        };
                        Ok((public_key, Box::new(Ecdsa { algorithm, pair })))
                    }
                    Material::Rsa { der, public_key } => {
                        let (encoding, _) = rsa(algorithm).ok_or_else(|| unsupported(algorithm))?;
                        let PublicKey::Rsa { modulus, .. } = public_key else {
                            return Err(KeyError::PublicKeyMismatch);
                        };
                        let key_pair = Rsa {
                            algorithm,
                            pair: RsaKeyPair::from_der(der).map_err(rejected)?,
                            encoding,
                            signature_len: modulus.len(),
                        };
                        Ok((public_key.clone(), Box::new(key_pair)))
                    }
                    Material::Ed25519 { seed, .. } => {
                        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(rejected)?;
                        let point = <[u8; 32]>::try_from(pair.public_key().as_ref())
                            .map_err(|_| KeyError::PublicKeyMismatch)?;
                        let public_key = PublicKey::Ed25519(point);
                        Ok((public_key, Box::new(Ed25519 { algorithm, pair })))
                    }
                }
            }

            fn generate_ec(&self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
                let KeyType::Ec(curve) = algorithm.key_type() else {
                    return Err(unsupported(algorithm));
                };
                let (signing, _) = ecdsa(curve).ok_or_else(|| unsupported(algorithm))?;
                EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new())
                    .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                    .map_err(|_| KeyError::Random)
            }

            fn generate_seed(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
                let mut seed = Zeroizing::new(vec![0; 32]);
                SystemRandom::new()
                    .fill(&mut seed)
                    .map_err(|_| KeyError::Random)?;
                Ok(seed)
            }

            fn generate_rsa(&self, bits: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
                generate_rsa(bits)
            }

            fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
                let bytes = signature.as_bytes();
                match key {
                    PublicKey::Ec { curve, point } => {
                        ecdsa(*curve).is_some_and(|(_, algorithm)| {
                            UnparsedPublicKey::new(algorithm, point)
                                .verify(message, bytes)
                                .is_ok()
                        })
                    }
                    PublicKey::Rsa { modulus, exponent } => {
                        rsa(signature.algorithm()).is_some_and(|(_, parameters)| {
                            RsaPublicKeyComponents {
                                n: modulus.as_slice(),
                                e: exponent.as_slice(),
                            }
                            .verify(parameters, message, bytes)
                            .is_ok()
                        })
                    }
                    PublicKey::Ed25519(point) => UnparsedPublicKey::new(&signature::ED25519, point)
                        .verify(message, bytes)
                        .is_ok(),
                    _ => false,
                }
            }
        }

        struct Ecdsa {
            algorithm: Algorithm,
            pair: EcdsaKeyPair,
        }

        impl KeyPair for Ecdsa {
            fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
                let signature = self
                    .pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| EngineFailed)?;
                Ok(Signature::new(self.algorithm, signature.as_ref())?)
            }
        }

        struct Rsa {
            algorithm: Algorithm,
            pair: RsaKeyPair,
            encoding: &'static dyn RsaEncoding,
            signature_len: usize,
        }

        impl KeyPair for Rsa {
            fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
                let mut buffer = [0; 512];
                let signature = buffer.get_mut(..self.signature_len).ok_or(EngineFailed)?;
                self.pair
                    .sign(self.encoding, &SystemRandom::new(), message, signature)
                    .map_err(|_| EngineFailed)?;
                Ok(Signature::new(self.algorithm, signature)?)
            }
        }

        struct Ed25519 {
            algorithm: Algorithm,
            pair: Ed25519KeyPair,
        }

        impl KeyPair for Ed25519 {
            fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
                let signature = sign_ed25519(&self.pair, message)?;
                Ok(Signature::new(self.algorithm, signature.as_ref())?)
            }
        }

        type Ecdsas = (
            &'static EcdsaSigningAlgorithm,
            &'static EcdsaVerificationAlgorithm,
        );

        /// ECDSA with r‖s signatures.
        fn ecdsa(curve: Curve) -> Option<Ecdsas> {
            match curve {
                Curve::P256 => Some((
                    &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    &signature::ECDSA_P256_SHA256_FIXED,
                )),
                Curve::P384 => Some((
                    &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                    &signature::ECDSA_P384_SHA384_FIXED,
                )),
                Curve::P521 => p521(),
            }
        }

        fn rsa(algorithm: Algorithm) -> Option<(&'static dyn RsaEncoding, &'static RsaParameters)> {
            Some(match algorithm {
                Algorithm::Rs256 => (
                    &signature::RSA_PKCS1_SHA256,
                    &signature::RSA_PKCS1_2048_8192_SHA256,
                ),
                Algorithm::Rs384 => (
                    &signature::RSA_PKCS1_SHA384,
                    &signature::RSA_PKCS1_2048_8192_SHA384,
                ),
                Algorithm::Rs512 => (
                    &signature::RSA_PKCS1_SHA512,
                    &signature::RSA_PKCS1_2048_8192_SHA512,
                ),
                Algorithm::Ps256 => (
                    &signature::RSA_PSS_SHA256,
                    &signature::RSA_PSS_2048_8192_SHA256,
                ),
                Algorithm::Ps384 => (
                    &signature::RSA_PSS_SHA384,
                    &signature::RSA_PSS_2048_8192_SHA384,
                ),
                Algorithm::Ps512 => (
                    &signature::RSA_PSS_SHA512,
                    &signature::RSA_PSS_2048_8192_SHA512,
                ),
                _ => return None,
            })
        }

        fn unsupported(algorithm: Algorithm) -> KeyError {
            KeyError::UnsupportedAlgorithm {
                algorithm,
                engine: Engine::$engine,
            }
        }

        fn rejected(reason: impl std::fmt::Display) -> KeyError {
            KeyError::Rejected {
                engine: Engine::$engine,
                reason: reason.to_string(),
            }
        }
    };
}
