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

/// Between two restarts for a key that is not there, or while the module signs with others: SoftHSM
/// for one shows neither a token nor a key that is back until then. A signer looks for its key every
/// half second by that time, so each second time the module is restarted first, and what is back is
/// found within some one and a half seconds.
const PAUSE: Duration = Duration::from_millis(750);

/// A key on a token, whose public half was pinned when it was opened first.
pub(crate) struct TokenDevice {
    token: Token,
    key: KeySelector,
    proven: Proven,
    refuses_extractable: bool,
    state: Mutex<State>,
}

struct State {
    /// The module's epoch when a session was opened last, or could not be.
    epoch: u64,
    failure: Failure,
    /// When a session was opened last, or could first not be for this reason. A restart after that
    /// was in vain, whichever signer asked for it.
    since: Instant,
}

/// What a session could not be opened for, as far as it decides whether a restart may help.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing, or anything else.
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
            state: Mutex::new(State {
                epoch: 0,
                failure: Failure::Other,
                since: Instant::now(),
            }),
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
        let failure = match &opened {
            Err(Pkcs11Error::NoKey { .. } | Pkcs11Error::SeveralKeys { .. }) => Failure::Key,
            Err(Pkcs11Error::Pin(_)) => Failure::Pin,
            _ => Failure::Other,
        };
        if opened.is_ok() || failure != state.failure {
            state.since = Instant::now();
        }
        state.failure = failure;
        Ok(opened?)
    }

    /// A key or a token that is not there may be there after a restart. If it is not, and the module
    /// works all the same, restarts only disturb its other signers, so they become rare.
    fn reset(&self) -> Result<(), DeviceError> {
        let module = self.token.module();
        let state = lock(&self.state);
        let (over, failure, since) = (state.epoch, state.failure, state.since);
        drop(state);
        let in_vain = module
            .last_reset()
            .filter(|reset| reset.at > since && reset.at.elapsed() < PAUSE);
        let useless = match (failure, in_vain) {
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
