//! A key on a token, as the workers of a signer open it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use chancery_hsm::{Device, DeviceError, DeviceErrorKind};

use crate::error::Pkcs11Error;
use crate::key_object::KeySelector;
use crate::key_session::{KeySession, Proven};
use crate::module::Access;
use crate::module_error::ModuleError;
use crate::token::Token;

/// A key on a token, whose public half was pinned when it was opened first.
pub(crate) struct TokenDevice {
    token: Token,
    key: KeySelector,
    proven: Proven,
    refuses_extractable: bool,
    /// The module's epoch when a session was opened last, or could not be.
    epoch: AtomicU64,
}

impl TokenDevice {
    pub(crate) const fn new(
        token: Token,
        key: KeySelector,
        proven: Proven,
        refuses_extractable: bool,
    ) -> Self {
        Self {
            token,
            key,
            proven,
            refuses_extractable,
            epoch: AtomicU64::new(0),
        }
    }

    fn open_key(&self) -> Result<KeySession, Pkcs11Error> {
        let (session, token) = self.token.session(Access::ReadOnly)?;
        let key = self.token.key(&session, &token, &self.key)?;
        let Proven { jwk, method } = &self.proven;
        let halves = key.public_halves(&session)?;
        let unusable = |reason| Pkcs11Error::UnusableKey {
            key: key.name(),
            reason,
        };
        let halves = halves.map_err(unusable)?;
        if !halves.contains(jwk.public_key()) {
            return Err(Pkcs11Error::KeyChanged {
                expected: jwk.thumbprint(),
                found: key.name(),
            });
        }
        key.check_use().map_err(unusable)?;
        if self.refuses_extractable && key.is_extractable {
            return Err(Pkcs11Error::Extractable { key: key.name() });
        }
        KeySession::new(session, key.handle, *method, jwk.signature_len()).ok_or_else(|| {
            Pkcs11Error::SelfTest {
                key: key.name(),
                attempts: Vec::new(),
            }
        })
    }
}

impl Device for TokenDevice {
    type Session = KeySession;

    fn open(&self) -> Result<KeySession, DeviceError> {
        let opened = self.open_key();
        self.epoch
            .store(self.token.module().epoch(), Ordering::Relaxed);
        Ok(opened?)
    }

    fn reset(&self) -> Result<(), DeviceError> {
        let over = self.epoch.load(Ordering::Relaxed);
        self.token.module().reset(over).map_err(|error| {
            DeviceError::new(
                DeviceErrorKind::Failed,
                ModuleError::from(error).to_string(),
            )
        })
    }
}

impl fmt::Debug for TokenDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDevice")
            .field("token", &self.token)
            .field("key", &self.key.to_string())
            .field("kid", &self.proven.jwk.kid())
            .finish_non_exhaustive()
    }
}
