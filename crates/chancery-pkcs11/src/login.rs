//! One login for each token of a module, and never a second try with a PIN that was refused.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use cryptoki::error::RvError;
use cryptoki::session::{SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::Pin;
use crate::error::Pkcs11Error;
use crate::module::{Access, Module, ModuleSession};
use crate::module_error::ModuleError;
use crate::sync::{Mutex, lock};

/// The logins to a module's tokens.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_identity: BTreeMap<String, Arc<Login>>,
    /// That to the token which was seen in a slot last.
    by_slot: BTreeMap<u64, Arc<Login>>,
}

impl Logins {
    /// The login to the token in the slot. A token that cannot be identified now is taken for the
    /// one that was in its slot before, lest a PIN that it refused is tried again.
    pub(crate) fn of(&self, slot: Slot, identity: Option<&str>) -> Arc<Login> {
        let mut known = lock(&self.0);
        let Known {
            by_identity,
            by_slot,
        } = &mut *known;
        let in_slot = by_slot.entry(slot.id()).or_default();
        if let Some(identity) = identity {
            let is_identified = by_identity
                .values()
                .any(|login| Arc::ptr_eq(login, in_slot));
            let login = by_identity.entry(identity.to_owned()).or_insert_with(|| {
                if is_identified {
                    Arc::default()
                } else {
                    Arc::clone(in_slot)
                }
            });
            *in_slot = Arc::clone(login);
        }
        Arc::clone(in_slot)
    }
}

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
        // Read before the lock is taken: a source that takes its time, or one that itself opens the
        // token, must not hold up those who use the token by another PIN or are logged in.
        let pin = (!is_logged_in(session)).then(|| pin.read()).transpose()?;
        // Held during the login, so that several sessions do not try a wrong PIN side by side.
        let mut state = lock(&self.state);
        if let Some(pin) = pin
            && !is_logged_in(session)
        {
            state.log_in(module, session, slot, &pin, token)?;
        }
        if !state.anchor.as_ref().is_some_and(is_logged_in) {
            // Without it the token works too, and merely logs in more often.
            state.anchor = module.open_session(slot, Access::ReadOnly).ok();
        }
        Ok(())
    }
}

impl State {
    /// Tries the PIN, unless the token has refused it before.
    fn log_in(
        &mut self,
        module: &Module,
        session: &ModuleSession,
        slot: Slot,
        pin: &str,
        token: &str,
    ) -> Result<(), Pkcs11Error> {
        let hash = self.hasher.hash_one(pin.as_bytes());
        if let Some((_, said)) = self.refused.iter().find(|(refused, _)| *refused == hash) {
            return Err(Pkcs11Error::WrongPin {
                token: token.to_owned(),
                error: said.clone(),
                was_tried: false,
            });
        }
        let pin = AuthPin::new(Box::from(pin));
        let error = match session.call(|session| session.login(UserType::User, Some(&pin))) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.code() == Some(RvError::UserAlreadyLoggedIn) {
            return Ok(());
        }
        // Some modules have other codes for a wrong PIN than the standard's, but the token tells.
        // What was never asked has refused nothing.
        let was_asked = error.code().is_some();
        if error.refuses_pin() || (was_asked && counts_wrong_pins(module, slot)) {
            let error = ModuleError::from(error);
            self.refused.push((hash, error.clone()));
            return Err(Pkcs11Error::WrongPin {
                token: token.to_owned(),
                error,
                was_tried: true,
            });
        }
        Err(error.into())
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

/// Whether the token says that it got a wrong PIN since the last login that went well (PKCS#11 3.1
/// §3.2, `CKF_USER_PIN_COUNT_LOW` and those after it).
fn counts_wrong_pins(module: &Module, slot: Slot) -> bool {
    let info = module.call(|pkcs11| pkcs11.get_token_info(slot));
    info.is_ok_and(|info| {
        info.user_pin_count_low() || info.user_pin_final_try() || info.user_pin_locked()
    })
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_a_description_is_the_one_that_was_in_its_slot() {
        let logins = Logins::default();
        let of = |slot: u64, identity| logins.of(Slot::try_from(slot).unwrap(), identity);
        let are_same = |one: &Arc<Login>, other: &Arc<Login>| Arc::ptr_eq(one, other);
        let unknown = of(1, None);
        let one = of(1, Some("one"));
        assert!(are_same(&unknown, &one), "its description was read later");
        assert!(are_same(&one, &of(1, None)), "it was read before");
        assert!(are_same(&one, &of(2, Some("one"))), "it moved");
        assert!(are_same(&one, &of(2, None)));
        let other = of(1, Some("other"));
        assert!(!are_same(&one, &other), "another token in the slot");
        assert!(are_same(&other, &of(1, None)));
        assert!(!are_same(&one, &of(3, None)), "a slot never seen");
    }
}
