//! A key on a token, as the workers of a signer open it.

use std::fmt;
use std::time::{Duration, Instant};

use chancery_hsm::{Device, DeviceError, DeviceErrorKind};

use crate::error::Pkcs11Error;
use crate::key_object::KeySelector;
use crate::key_session::{KeySession, Proven};
use crate::module::Access;
use crate::module_error::ModuleError;
use crate::sync::{Mutex, lock};
use crate::token::Token;

/// Between two restarts for a key that is not there.
const PAUSE: Duration = Duration::from_secs(5);

/// A key on a token, whose public half was pinned when it was opened first.
pub(crate) struct TokenDevice {
    token: Token,
    key: KeySelector,
    proven: Proven,
    refuses_extractable: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The module's epoch when a session was opened last, or could not be.
    epoch: u64,
    failure: Failure,
    /// When the module was started afresh, where the failure has been one of the key since.
    reset_in_vain: Option<Instant>,
}

/// What a session could not be opened for, as far as it decides whether a restart may help.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Failure {
    /// Nothing, or anything else.
    #[default]
    Other,
    /// The key is not there, or not alone.
    Key,
    /// There was no PIN.
    Pin,
}

impl TokenDevice {
    pub(crate) fn new(
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
            state: Mutex::new(State::default()),
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
        if !halves.keys.contains(jwk.public_key()) {
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
                device_failed: false,
            }
        })
    }
}

impl Device for TokenDevice {
    type Session = KeySession;

    fn open(&self) -> Result<KeySession, DeviceError> {
        let opened = self.open_key();
        let mut state = lock(&self.state);
        state.epoch = self.token.module().epoch();
        state.failure = match &opened {
            Err(Pkcs11Error::NoKey { .. } | Pkcs11Error::SeveralKeys { .. }) => Failure::Key,
            Err(Pkcs11Error::Pin(_)) => Failure::Pin,
            _ => Failure::Other,
        };
        if state.failure != Failure::Key {
            state.reset_in_vain = None;
        }
        Ok(opened?)
    }

    /// A key that is not there may be there after a restart. If it is not, the module works all the
    /// same, and restarts disturb its other signers, so they become rare.
    fn reset(&self) -> Result<(), DeviceError> {
        let mut state = lock(&self.state);
        let useless = match state.failure {
            Failure::Pin => Some("the module is not started afresh for want of a PIN"),
            Failure::Key => {
                let is_recent = |reset: Instant| reset.elapsed() < PAUSE;
                let reason = "the module was started afresh just now, which did not bring the key";
                state.reset_in_vain.is_some_and(is_recent).then_some(reason)
            }
            Failure::Other => None,
        };
        if let Some(reason) = useless {
            return Err(DeviceError::new(DeviceErrorKind::Failed, reason));
        }
        state.reset_in_vain = (state.failure == Failure::Key).then(Instant::now);
        let over = state.epoch;
        drop(state);
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
