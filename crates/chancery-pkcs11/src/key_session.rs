//! Signing with one key in one session, and finding out how.

use chancery_core::{Algorithm, Jwk, PublicKey, Signature, SigningInput};
use chancery_hsm::{DeviceError, DeviceErrorKind, Session};
use chancery_software::VerifyingKey;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;

use crate::error::Pkcs11Error;
use crate::key_object::{KeyObject, KeySelector, default_algorithm};
use crate::mechanism::{Method, signature};
use crate::module::{Access, ModuleSession};
use crate::module_error::ModuleError;
use crate::public_half::UnusableKey;
use crate::token::Token;

/// What every key signs before it is used.
const PROBE: &[u8] = b"chancery probe";

/// More than any signature has, so that one that is too long is seen.
const MOST_BYTES: usize = 1024;

/// A session with a key that was found in it.
#[derive(Debug)]
pub(crate) struct KeySession {
    session: ModuleSession,
    key: ObjectHandle,
    method: Method,
    mechanism: Mechanism<'static>,
    signature_len: usize,
    buffer: Vec<u8>,
}

impl KeySession {
    /// `None` when there is no such mechanism.
    pub(crate) fn new(
        session: ModuleSession,
        key: ObjectHandle,
        method: Method,
        signature_len: usize,
    ) -> Option<Self> {
        Some(Self {
            session,
            key,
            method,
            mechanism: method.mechanism()?,
            signature_len,
            buffer: Vec::new(),
        })
    }

    fn signature(&mut self, input: &SigningInput<'_>) -> Result<Signature, ModuleError> {
        let data = self.method.data(input, &mut self.buffer);
        let mut bytes = [0; MOST_BYTES];
        let length = self
            .session
            .sign(&self.mechanism, self.key, data, &mut bytes)?;
        signature(self.method.algorithm, self.signature_len, &bytes[..length])
            .map_err(|error| ModuleError::new(error.to_string()))
    }
}

impl Session for KeySession {
    fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError> {
        if input.algorithm() != self.method.algorithm {
            return Err(DeviceError::new(
                DeviceErrorKind::Unsupported,
                "the input is for another algorithm than the key's",
            ));
        }
        self.signature(input)
            .map_err(|error| DeviceError::new(DeviceErrorKind::Failed, error.to_string()))
    }
}

/// A key's public half, and how the key signs.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) jwk: Jwk,
    pub(crate) method: Method,
}

/// Which key on the token is to prove itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// The only one that matches.
    Selected(&'a KeySelector),
    /// The one that was read, of perhaps several that are called the same. It is good for as long
    /// as the session that it was read in, which the caller has to look at afterwards.
    Read,
}

/// Proves the key with the algorithm that a key of its kind has when none was asked for.
pub(crate) fn prove_any(
    token: &Token,
    which: Which<'_>,
    key: &KeyObject,
    halves: &[PublicKey],
) -> Result<Proven, Pkcs11Error> {
    let mut algorithms: Vec<Algorithm> = Vec::new();
    for half in halves {
        let algorithm = default_algorithm(half.key_type());
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    let mut tried = Vec::new();
    let mut device_failed = true;
    for algorithm in algorithms {
        match prove(token, which, key, halves, algorithm) {
            Err(Pkcs11Error::SelfTest {
                attempts,
                device_failed: failed,
                ..
            }) => {
                tried.extend(attempts);
                device_failed &= failed;
            }
            outcome => return outcome,
        }
    }
    Err(Pkcs11Error::SelfTest {
        key: key.name(),
        device_failed: device_failed && !tried.is_empty(),
        attempts: tried,
    })
}

/// Lets the key sign with the algorithm in each way there is, until one of the public halves
/// verifies it. What the module says that it can do is only told when all have failed.
pub(crate) fn prove(
    token: &Token,
    which: Which<'_>,
    key: &KeyObject,
    halves: &[PublicKey],
    algorithm: Algorithm,
) -> Result<Proven, Pkcs11Error> {
    let mut verifying_keys = Vec::new();
    for half in halves {
        if half.key_type() != algorithm.key_type() {
            continue;
        }
        let jwk = Jwk::new(algorithm, half.clone()).map_err(|error| Pkcs11Error::UnusableKey {
            key: key.name(),
            reason: UnusableKey::PublicKey(error),
        })?;
        match VerifyingKey::new(&jwk) {
            Ok(verifying_key) => verifying_keys.push(verifying_key),
            Err(error) => {
                return Err(Pkcs11Error::SelfTest {
                    key: key.name(),
                    attempts: vec![format!("{algorithm}: {error}")],
                    device_failed: false,
                });
            }
        }
    }
    let Some(first) = verifying_keys.first() else {
        return Err(Pkcs11Error::Algorithm {
            algorithm,
            key_type: halves
                .first()
                .map_or(algorithm.key_type(), PublicKey::key_type),
        });
    };
    let input = SigningInput::new(algorithm, PROBE);
    let mut attempts = Vec::new();
    let mut device_failed = false;
    let mut key_failed = false;
    for method in Method::all(algorithm) {
        // A failed signature may leave a session in the middle of an operation, so each way gets
        // its own.
        let (session, found) = token.session(Access::ReadOnly)?;
        let handle = match which {
            Which::Selected(selector) => token.key(&session, &found, selector)?.handle,
            Which::Read => key.handle,
        };
        let signature_len = first.jwk().signature_len();
        let Some(mut session) = KeySession::new(session, handle, method, signature_len) else {
            continue;
        };
        let failure = match session.signature(&input) {
            Ok(signature) => {
                let verifies =
                    |verifying_key: &&VerifyingKey| verifying_key.verify(PROBE, &signature).is_ok();
                if let Some(proven) = verifying_keys.iter().find(verifies) {
                    return Ok(Proven {
                        jwk: proven.jwk().clone(),
                        method,
                    });
                }
                ModuleError::new("what it signed does not verify".to_owned())
            }
            // That says nothing about the key.
            Err(error) if error.is_of_session() => return Err(Pkcs11Error::Module(error)),
            Err(error) => error,
        };
        device_failed |= failure.is_of_device();
        key_failed |= !failure.is_of_device() && !failure.is_of_mechanism();
        drop(session);
        let is_listed = token
            .module()
            .call(|pkcs11| pkcs11.get_mechanism_list(found.slot))
            .ok()
            .zip(method.mechanism())
            .map(|(list, mechanism)| list.contains(&mechanism.mechanism_type()));
        attempts.push(format!(
            "{}: {failure} (the module {})",
            method.name(),
            match is_listed {
                Some(true) => "lists the mechanism",
                Some(false) => "does not list the mechanism",
                None => "does not tell its mechanisms",
            }
        ));
    }
    Err(Pkcs11Error::SelfTest {
        key: key.name(),
        // A device that was away for one way of signing proves nothing by lacking the other.
        device_failed: device_failed && !key_failed,
        attempts,
    })
}

#[cfg(test)]
#[cfg(not(chancery_shuttle))]
mod tests {
    use chancery_pkcs11::KeyPair;

    use super::*;
    use crate::softhsm::isolated;

    /// The second way is there for modules that lack the first. SoftHSM has both, except for ECDSA.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn every_way_signs() {
        isolated(|hsm| {
            let token = hsm.token();
            let mut worked = Vec::new();
            for algorithm in Algorithm::all() {
                let key_pair = match algorithm {
                    Algorithm::Es256 => KeyPair::P256,
                    Algorithm::Es384 => KeyPair::P384,
                    Algorithm::EdDsa | Algorithm::Ed25519 => KeyPair::Ed25519,
                    Algorithm::Es512 => {
                        assert_eq!(Method::all(algorithm), []);
                        continue;
                    }
                    _ => KeyPair::Rsa { bits: 2048 },
                };
                let label = algorithm.name();
                let key = token.generate(key_pair, label, None).unwrap();
                let jwk = Jwk::new(algorithm, key.jwk().public_key().clone()).unwrap();
                let selector = KeySelector {
                    label: Some(label.to_owned()),
                    id: None,
                };
                for method in Method::all(algorithm) {
                    let (session, found) = token.session(Access::ReadOnly).unwrap();
                    let handle = token.key(&session, &found, &selector).unwrap().handle;
                    let length = jwk.signature_len();
                    let mut session = KeySession::new(session, handle, method, length).unwrap();
                    let signed = session.sign(&SigningInput::new(algorithm, PROBE));
                    if let Ok(signature) = signed {
                        let key = VerifyingKey::new(&jwk).unwrap();
                        key.verify(PROBE, &signature).unwrap();
                        worked.push(method.name());
                    }
                }
            }
            assert_eq!(
                worked,
                [
                    "CKM_ECDSA",
                    "CKM_ECDSA",
                    "CKM_RSA_PKCS",
                    "CKM_SHA256_RSA_PKCS",
                    "CKM_RSA_PKCS",
                    "CKM_SHA384_RSA_PKCS",
                    "CKM_RSA_PKCS",
                    "CKM_SHA512_RSA_PKCS",
                    "CKM_RSA_PKCS_PSS",
                    "CKM_SHA256_RSA_PKCS_PSS",
                    "CKM_RSA_PKCS_PSS",
                    "CKM_SHA384_RSA_PKCS_PSS",
                    "CKM_RSA_PKCS_PSS",
                    "CKM_SHA512_RSA_PKCS_PSS",
                    "CKM_EDDSA",
                    "CKM_EDDSA",
                ]
            );
        });
    }
}
