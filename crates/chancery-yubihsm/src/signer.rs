//! Opens signers.

use std::num::NonZeroUsize;

use chancery_core::{Algorithm, Jwk};
use chancery_hsm::{HsmOptions, HsmSigner};

use crate::access::MOST_SESSIONS;
use crate::device::Device;
use crate::error::{DeviceCode, Holder, YubiHsmError};
use crate::key::{YubiHsmKey, signing_capability};
use crate::link::Link;
use crate::object;
use crate::yubihsm::{YubiHsm, only};

/// The device signs one text after the other. With two sessions one signs while the answer of the
/// other is on its way.
const SESSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Says which key signs, and how. Made by [`YubiHsm::signer`].
#[derive(Debug)]
pub struct SignerBuilder {
    device: YubiHsm,
    id: Option<u16>,
    label: Option<String>,
    algorithm: Option<Algorithm>,
    options: HsmOptions,
}

impl SignerBuilder {
    pub(crate) fn new(device: YubiHsm) -> Self {
        Self {
            device,
            id: None,
            label: None,
            algorithm: None,
            options: HsmOptions::new().with_workers(SESSIONS),
        }
    }

    /// Takes the key with this object identifier.
    #[must_use]
    pub const fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    /// Takes the one key with this label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the algorithm; without it, it is the first that the key can have: ES256, ES384 or
    /// EdDSA.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets deadline, queue, events and workers. Each worker holds one of the device's 16
    /// sessions; without this call there are two.
    #[must_use]
    pub fn options(mut self, options: HsmOptions) -> Self {
        self.options = options;
        self
    }

    /// Finds the key, checks what it and the authentication key may do, pins its public half, and
    /// starts the workers; each signs and verifies a test before it is used.
    ///
    /// # Errors
    /// [`YubiHsmError`] when there is not exactly one such key, a capability is missing, the
    /// algorithm is not offered, or the device does not sign.
    pub fn open(self) -> Result<HsmSigner, YubiHsmError> {
        if self.options.workers().get() > MOST_SESSIONS {
            return Err(YubiHsmError::SessionLimit {
                most: MOST_SESSIONS,
            });
        }
        let mut link = Link::open(&self.device.access)?;
        let key = match self.find(&mut link) {
            Err(YubiHsmError::KeyMissing { wanted, .. }) => {
                let own = self.device.own_info(&mut link)?;
                return Err(YubiHsmError::KeyMissing {
                    wanted,
                    domains: Some(own.domains),
                });
            }
            key => key?,
        };
        let jwk = self.check(&mut link, &key)?;
        drop(link);
        let device = Device::new(self.device.access, key.id(), jwk.clone());
        Ok(HsmSigner::open(device, jwk, self.options)?)
    }

    fn find(&self, link: &mut Link) -> Result<YubiHsmKey, YubiHsmError> {
        let id = match (self.id, self.label.as_deref()) {
            (Some(id), _) => id,
            (None, label) => {
                let found = object::asymmetric_keys(link, label)?;
                only(found, || self.wanted())?
            }
        };
        let missing = || YubiHsmError::KeyMissing {
            wanted: self.wanted(),
            domains: None,
        };
        match YubiHsmKey::read(link, id) {
            Err(YubiHsmError::Device(DeviceCode::OBJECT_NOT_FOUND)) => Err(missing()),
            Ok(key)
                if self
                    .label
                    .as_ref()
                    .is_some_and(|label| label != key.label()) =>
            {
                Err(missing())
            }
            key => key,
        }
    }

    fn wanted(&self) -> String {
        match (self.id, &self.label) {
            (Some(id), Some(label)) => format!("identifier {id} and label `{label}`"),
            (Some(id), None) => format!("identifier {id}"),
            (None, Some(label)) => format!("label `{label}`"),
            (None, None) => "any label".to_owned(),
        }
    }

    fn check(&self, link: &mut Link, key: &YubiHsmKey) -> Result<Jwk, YubiHsmError> {
        let algorithm = self.algorithm.unwrap_or_else(|| key.jwk().algorithm());
        let capability = signing_capability(algorithm)?;
        let jwk = key.jwk().clone().with_algorithm(algorithm)?;
        if !key.info.capabilities.contains(capability) {
            return Err(YubiHsmError::MissingCapability {
                holder: Holder::Key { id: key.id() },
                capability,
            });
        }
        self.device.require(link, capability, &[])?;
        Ok(jwk)
    }
}
