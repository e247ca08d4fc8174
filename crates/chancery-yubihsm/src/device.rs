//! A key in a YubiHSM 2, as `chancery-hsm` drives it.

use std::sync::Arc;

use chancery_core::{Algorithm, Jwk, Signature, SigningInput};
use chancery_hsm::DeviceError;

use crate::access::Access;
use crate::error::{DeviceCode, YubiHsmError};
use crate::key::read_public_key;
use crate::link::Link;
use crate::wire;

/// The most bytes that the device signs with Ed25519, which takes the text and no digest: what
/// fits into a command beside the key's identifier.
const LONGEST_TEXT: usize = wire::DATA_LEN - 2;

/// One key of a device, and the public half that it had when it was opened.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    access: Arc<Access>,
    id: u16,
    jwk: Jwk,
}

impl Device {
    pub(crate) const fn new(access: Arc<Access>, id: u16, jwk: Jwk) -> Self {
        Self { access, id, jwk }
    }

    /// Opens a session that sees the key, and no other under its identifier.
    fn link(&self) -> Result<Link, YubiHsmError> {
        let mut link = Link::open(&self.access)?;
        let public_key = read_public_key(&mut link, self.id).map_err(|error| match error {
            YubiHsmError::Device(DeviceCode::OBJECT_NOT_FOUND) => YubiHsmError::KeyMissing {
                wanted: format!("identifier {}", self.id),
                domains: None,
            },
            YubiHsmError::UnsupportedKey { id, .. } => YubiHsmError::KeyChanged { id },
            error => error,
        })?;
        if public_key == *self.jwk.public_key() {
            Ok(link)
        } else {
            Err(YubiHsmError::KeyChanged { id: self.id })
        }
    }

    fn error(&self, error: YubiHsmError) -> DeviceError {
        DeviceError::new(error.kind(), format!("YubiHSM at {}", self.access.route))
            .with_source(error)
    }
}

impl chancery_hsm::Device for Device {
    type Session = Session;

    fn open(&self) -> Result<Session, DeviceError> {
        let link = self.link().map_err(|error| self.error(error))?;
        Ok(Session {
            device: self.clone(),
            link: Some(link),
        })
    }

    fn reset(&self) -> Result<(), DeviceError> {
        self.access.route.reset();
        Ok(())
    }
}

/// What one worker signs with.
pub(crate) struct Session {
    device: Device,
    /// `None` only after a session could not be replaced.
    link: Option<Link>,
}

impl Session {
    fn try_sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, YubiHsmError> {
        let link = match self.link.take() {
            Some(link) if !link.is_stale() => self.link.insert(link),
            // The old one is closed first, so that no more sessions are held than were asked for.
            stale => {
                drop(stale);
                self.link.insert(self.device.link()?)
            }
        };
        let algorithm = self.device.jwk.algorithm();
        let key = self.device.id.to_be_bytes();
        match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => {
                let digest = [&key, input.digest().as_bytes()].concat();
                let signature = link.command(wire::SIGN_ECDSA, &digest)?;
                Signature::from_der(algorithm, &signature)
            }
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let text = input.as_bytes();
                if text.len() > LONGEST_TEXT {
                    return Err(YubiHsmError::TooLong {
                        found: text.len(),
                        most: LONGEST_TEXT,
                    });
                }
                let text = [&key, text].concat();
                let signature = link.command(wire::SIGN_EDDSA, &text)?;
                Signature::new(algorithm, &signature)
            }
            #[cfg(feature = "experimental-rsa")]
            Algorithm::Rs256 => {
                let digest = [&key, input.digest().as_bytes()].concat();
                let signature = link.command(wire::SIGN_PKCS1, &digest)?;
                Signature::new(algorithm, &signature)
            }
            algorithm => {
                return Err(YubiHsmError::UnsupportedAlgorithm {
                    algorithm,
                    reason: "not offered on a YubiHSM",
                });
            }
        }
        .map_err(|_| YubiHsmError::Protocol("the device gave no signature of the algorithm"))
    }
}

impl chancery_hsm::Session for Session {
    fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError> {
        self.try_sign(input)
            .map_err(|error| self.device.error(error))
    }
}
