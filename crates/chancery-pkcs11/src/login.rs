//! One login for each token of a module, and never a second try with a PIN that was refused.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use cryptoki::error::RvError;
use cryptoki::session::{SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::error::Pkcs11Error;
use crate::module::{Access, Module, ModuleSession};
use crate::module_error::ModuleError;
use crate::pin::Pin;
use crate::sync::{Mutex, lock};

/// The login to one token, which all sessions of the process share.
#[derive(Default)]
pub(crate) struct Login {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A login ends with the token's last session, so this one stays open.
    anchor: Option<ModuleSession>,
    /// Keyed hashes of the PINs that the token refused, and what it said.
    refused: Vec<(u64, ModuleError)>,
    hasher: RandomState,
}

impl Login {
    /// Sees to it that the session is logged in. `token` is what errors call the token.
    pub(crate) fn ensure(
        &self,
        module: &Arc<Module>,
        session: &ModuleSession,
        slot: Slot,
        pin: &Pin,
        token: &str,
    ) -> Result<(), Pkcs11Error> {
        // Held during the login, so that several sessions do not try a wrong PIN side by side.
        let mut state = lock(&self.state);
        if !is_logged_in(session) {
            let pin = pin.read()?;
            let hash = state.hasher.hash_one(pin.as_bytes());
            if let Some((_, said)) = state.refused.iter().find(|(refused, _)| *refused == hash) {
                return Err(Pkcs11Error::WrongPin {
                    token: token.to_owned(),
                    error: said.clone(),
                    was_tried: false,
                });
            }
            let pin = AuthPin::new(Box::from(pin.as_str()));
            match session.call(|session| session.login(UserType::User, Some(&pin))) {
                Ok(()) => {}
                Err(error) if error.code() == Some(RvError::UserAlreadyLoggedIn) => {}
                Err(error) if error.refuses_pin() => {
                    let error = ModuleError::from(error);
                    state.refused.push((hash, error.clone()));
                    return Err(Pkcs11Error::WrongPin {
                        token: token.to_owned(),
                        error,
                        was_tried: true,
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !state.anchor.as_ref().is_some_and(is_logged_in) {
            // Without it the token works too, and merely logs in more often.
            state.anchor = module.open_session(slot, Access::ReadOnly).ok();
        }
        Ok(())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

fn is_logged_in(session: &ModuleSession) -> bool {
    let info = session.call(|session| session.get_session_info());
    info.is_ok_and(|info| {
        matches!(
            info.session_state(),
            SessionState::RoUser | SessionState::RwUser
        )
    })
}
