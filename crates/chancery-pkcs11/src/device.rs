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

/// Between two restarts for a key that is not there, or while the module signs with others.
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
    reset_in_vain: Option<Reset>,
}

/// A restart of the module that brought no session so far.
#[derive(Clone, Copy)]
struct Reset {
    at: Instant,
    /// For what it was.
    failure: Failure,
    /// The number of signatures that the module had made.
    signed: u64,
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
        if opened.is_ok() {
            state.reset_in_vain = None;
        }
        Ok(opened?)
    }

    /// A key or a token that is not there may be there after a restart. If it is not, and the module
    /// works all the same, restarts only disturb its other signers, so they become rare.
    fn reset(&self) -> Result<(), DeviceError> {
        let module = self.token.module();
        let mut state = lock(&self.state);
        let failure = state.failure;
        let before = state
            .reset_in_vain
            .filter(|reset| reset.failure == failure && reset.at.elapsed() < PAUSE);
        let useless = match (failure, before) {
            (Failure::Pin, _) => Some("the module is not started afresh for want of a PIN"),
            (Failure::Key, Some(_)) => {
                Some("the module was started afresh just now, which did not bring the key")
            }
            // This key has no session, so that it was others that signed.
            (Failure::Other, Some(reset)) if module.signed() > reset.signed => {
                Some("the module was started afresh just now, and signs with other keys")
            }
            _ => None,
        };
        if let Some(reason) = useless {
            return Err(DeviceError::new(DeviceErrorKind::Failed, reason));
        }
        state.reset_in_vain = Some(Reset {
            at: Instant::now(),
            failure,
            signed: module.signed(),
        });
        let over = state.epoch;
        drop(state);
        module.reset(over).map_err(|error| {
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
