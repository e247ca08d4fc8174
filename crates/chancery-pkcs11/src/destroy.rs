//! Destroying one key on a token, and no other.

use std::cell::RefCell;

use chancery_core::{Jwk, PublicKey};
use cryptoki::object::ObjectHandle;
use cryptoki::session::SessionState;

use crate::deadline::{self, Operation};
use crate::error::Pkcs11Error;
use crate::key_object::{
    KeySelector, PublicKeyObject, default_algorithm, describe_private_keys, private_keys,
    public_keys,
};
use crate::key_session::{Which, prove_any};
use crate::module::{Access, ModuleSession};
use crate::module_error::CallError;
use crate::selector::FoundToken;
use crate::token::Token;

impl Token {
    /// Destroys the key pair whose public half has this thumbprint (RFC 7638), the `kid` of its
    /// [`TokenKey`](crate::TokenKey), and nothing else.
    ///
    /// To be sure that the private key is the one that goes with the public half, it has to sign
    /// something first. Certificates are left alone.
    ///
    /// # Errors
    /// [`Pkcs11Error::NoKey`] when there is no such key, [`Pkcs11Error::Copies`] when the token has
    /// it more than once, [`Pkcs11Error::SelfTest`] when it is another key after all,
    /// [`Pkcs11Error::DestroyedPartly`] when the public half is left, [`Pkcs11Error::NotReturned`]
    /// when the module hangs: the key may be destroyed all the same then.
    pub fn destroy(&self, kid: &str) -> Result<(), Pkcs11Error> {
        let kid = kid.to_owned();
        self.by_deadline(Operation::Destroy, move |token| token.destroy_now(&kid))?
    }

    fn destroy_now(&self, kid: &str) -> Result<(), Pkcs11Error> {
        let begun = RefCell::new(None);
        let attempt = || self.destroy_once(kid, &begun);
        let mut outcome = self.despite_restarts(attempt);
        // Whatever the token said, it may have destroyed a half. If it has not, it says so again.
        for _half in 0..2 {
            if outcome.is_err() && begun.borrow().is_some() {
                outcome = attempt();
            }
        }
        outcome
    }

    /// Notes what it is about to destroy, so that whoever does it once more need not find the
    /// private half again.
    fn destroy_once(&self, kid: &str, begun: &RefCell<Option<Doomed>>) -> Result<(), Pkcs11Error> {
        let (session, found) = self.session(Access::ReadWrite)?;
        let earlier = begun.borrow().clone();
        let doomed = match (self.doomed(&session, &found, kid), earlier) {
            (Err(Pkcs11Error::NoKey { .. }), Some(doomed)) if self.sees_private(&session)? => {
                doomed
            }
            (Err(error), _) => return Err(error),
            (Ok(doomed), _) => {
                // It is that very key which is destroyed from here on, and no other. A public half
                // that is left behind would only be in the way.
                deadline::carry_through()?;
                begun.replace(Some(doomed.clone()));
                session.call(|session| session.destroy_object(doomed.private))?;
                doomed
            }
        };
        let partly = |error: CallError| Pkcs11Error::DestroyedPartly {
            key: doomed.name.clone(),
            error: error.into(),
        };
        for object in public_keys(&session, &doomed.sibling).map_err(partly)? {
            if object.is(&doomed.half) {
                session
                    .call(|session| session.destroy_object(object.handle))
                    .map_err(partly)?;
            }
        }
        Ok(())
    }

    /// The private key with this thumbprint, which has proved to be it.
    fn doomed(
        &self,
        session: &ModuleSession,
        token: &FoundToken,
        kid: &str,
    ) -> Result<Doomed, Pkcs11Error> {
        let mut doomed = Vec::new();
        let mut failure = None;
        for key in private_keys(session, &KeySelector::default())? {
            let key = key?;
            let Ok(halves) = key.public_halves(session)? else {
                continue;
            };
            let is_meant = |half: &PublicKey| thumbprint(half).is_some_and(|found| found == kid);
            let Some(half) = halves.keys.into_iter().find(is_meant) else {
                continue;
            };
            match prove_any(self, Which::Read, &key, std::slice::from_ref(&half)) {
                Ok(_) => doomed.push(Doomed {
                    private: key.handle,
                    name: key.name(),
                    sibling: key.sibling(),
                    half,
                }),
                Err(error @ Pkcs11Error::SelfTest { .. }) if !error.may_be_stale() => {
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (<[Doomed; 1]>::try_from(doomed), failure) {
            (Ok([doomed]), _) => Ok(doomed),
            (Err(none), Some(error)) if none.is_empty() => Err(error),
            (Err(none), None) if none.is_empty() => Err(Pkcs11Error::NoKey {
                wanted: format!("the key of thumbprint {kid}"),
                token: token.name.clone(),
                found: describe_private_keys(session, &KeySelector::default())?,
                is_logged_in: self.has_pin(),
            }),
            (Err(several), _) => Err(Pkcs11Error::Copies {
                kid: kid.to_owned(),
                token: token.name.clone(),
                found: several.into_iter().map(|key| key.name).collect(),
            }),
        }
    }

    /// Whether a private key that was not found is not there: who is not logged in does not see it.
    pub(crate) fn sees_private(&self, session: &ModuleSession) -> Result<bool, CallError> {
        let info = session.call(|session| session.get_session_info())?;
        Ok(!self.has_pin() || info.session_state() == SessionState::RwUser)
    }
}

/// A key pair that is to be destroyed.
#[derive(Clone)]
struct Doomed {
    private: ObjectHandle,
    name: String,
    sibling: KeySelector,
    half: PublicKey,
}

impl PublicKeyObject {
    fn is(&self, half: &PublicKey) -> bool {
        self.key
            .as_ref()
            .is_ok_and(|key| thumbprint(key).is_some() && thumbprint(key) == thumbprint(half))
    }
}

fn thumbprint(key: &PublicKey) -> Option<String> {
    let jwk = Jwk::new(default_algorithm(key.key_type()), key.clone());
    jwk.ok().map(|jwk| jwk.thumbprint())
}
