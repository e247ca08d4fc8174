//! Making keys on a token.

use std::cell::Cell;

use chancery_core::Curve;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::types::Ulong;

use crate::deadline::Operation;
use crate::error::Pkcs11Error;
use crate::key_object::{KeySelector, PublicKeyObject, private_keys, public_keys};
use crate::key_session::{Which, prove_any};
use crate::module::{Access, ModuleSession};
use crate::module_error::{CallError, ModuleError};
use crate::public_half::TokenCurve;
use crate::token::Token;
use crate::token_key::TokenKey;

/// The length of the id of a key that was given none, in bytes.
const ID_LEN: usize = 16;

/// A kind of key pair to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPair {
    /// For ES256.
    P256,
    /// For ES384.
    P384,
    /// For RS256 to PS512.
    Rsa {
        /// The length of the modulus: 2048, 3072 or 4096 bits.
        bits: u32,
    },
    /// For `EdDSA`; many modules cannot.
    Ed25519,
}

impl Token {
    /// Generates a key pair that never leaves the token: `CKA_SENSITIVE` is true and
    /// `CKA_EXTRACTABLE` false, which is read back. The id is random unless one is given.
    ///
    /// Before it is returned, the key signs something that is verified with its public half.
    /// Whatever goes wrong, what was made is destroyed again, unless the module hangs.
    ///
    /// # Errors
    /// [`Pkcs11Error::Taken`] when the token has a key of that label or id,
    /// [`Pkcs11Error::Generated`] when what the token made is not safe to use,
    /// [`Pkcs11Error::Module`] when it cannot make it, [`Pkcs11Error::NotReturned`] when the module
    /// hangs: the key may come to be all the same then, without having signed anything.
    pub fn generate(
        &self,
        key_pair: KeyPair,
        label: &str,
        id: Option<&[u8]>,
    ) -> Result<TokenKey, Pkcs11Error> {
        if let KeyPair::Rsa { bits } = key_pair
            && ![2048, 3072, 4096].contains(&bits)
        {
            return Err(Pkcs11Error::RsaLength { bits });
        }
        let id = match id {
            Some(id) => id.to_vec(),
            None => {
                let mut id = vec![0; ID_LEN];
                getrandom::getrandom(&mut id).map_err(|_| Pkcs11Error::Random)?;
                id
            }
        };
        let selector = KeySelector {
            label: Some(label.to_owned()),
            id: Some(id),
        };
        self.by_deadline(Operation::Generate, move |token| {
            token.make(key_pair, &selector)?;
            token.keep(&selector)
        })?
    }

    /// Has the token make a key pair, if it has none of that label or id.
    fn make(&self, key_pair: KeyPair, selector: &KeySelector) -> Result<(), Pkcs11Error> {
        let begun = Cell::new(false);
        let made = self.despite_restarts(|| {
            let (session, found) = self.session(Access::ReadWrite)?;
            // It may have failed only to say that it made it.
            if begun.get() && is_there(&session, selector)? {
                return Ok(());
            }
            let taken = taken(&session, selector)?;
            if !taken.is_empty() {
                if !begun.get() {
                    return Err(Pkcs11Error::Taken {
                        token: found.name,
                        found: taken,
                    });
                }
                // Half a key pair is of no use, and in the way of another try.
                self.destroy_made(selector);
            }
            begun.set(true);
            generate_pair(&session, key_pair, selector)
        });
        match made {
            Err(error) if begun.get() => {
                let left_behind = self.destroy_made(selector);
                Err(if left_behind.is_empty() {
                    error
                } else {
                    Pkcs11Error::Generated {
                        reason: error.to_string(),
                        left_behind,
                    }
                })
            }
            outcome => outcome,
        }
    }

    /// Keeps a key pair that was generated if it is safe to use, and destroys it otherwise.
    fn keep(&self, selector: &KeySelector) -> Result<TokenKey, Pkcs11Error> {
        let checked = self.despite_restarts(|| self.check_generated(selector));
        let reason = match checked {
            Ok(Ok(key)) => return Ok(key),
            Ok(Err(reason)) => reason,
            Err(error) => error.to_string(),
        };
        Err(Pkcs11Error::Generated {
            reason,
            left_behind: self.destroy_made(selector),
        })
    }

    /// Reads back what was generated, or tells what is not safe about it. It is looked for anew,
    /// since the session that it was generated in may be lost by now.
    fn check_generated(
        &self,
        selector: &KeySelector,
    ) -> Result<Result<TokenKey, String>, Pkcs11Error> {
        let (session, _) = self.session(Access::ReadOnly)?;
        let mut keys = private_keys(&session, selector)?;
        let (Some(key), None) = (keys.next().transpose()?, keys.next().transpose()?) else {
            return Ok(Err("it is not found by its label and id".to_owned()));
        };
        drop(keys);
        if key.is_extractable {
            return Ok(Err(
                "it is extractable, although it was not to be".to_owned()
            ));
        }
        if let Err(reason) = key.check_use() {
            return Ok(Err(reason.to_string()));
        }
        let halves = match key.public_halves(&session)? {
            Ok(halves) => halves,
            Err(reason) => return Ok(Err(reason.to_string())),
        };
        let proven = prove_any(self, Which::Selected(selector), &key, &halves.keys)?;
        let half = proven.jwk.public_key().clone();
        Ok(TokenKey::new(&key, half).map_err(|error| error.to_string()))
    }

    /// Destroys what was generated; tells what could not be.
    fn destroy_made(&self, selector: &KeySelector) -> Vec<String> {
        let mut left_behind = Vec::new();
        // Whatever the token said the first time, it may have done it. If it has not, it says so
        // again.
        for _ in 0..2 {
            let outcome = self.despite_restarts(|| self.destroy_made_once(selector));
            left_behind = outcome
                .unwrap_or_else(|error| vec![format!("{selector}, if it is there: {error}")]);
            if left_behind.is_empty() {
                break;
            }
        }
        left_behind
    }

    fn destroy_made_once(&self, selector: &KeySelector) -> Result<Vec<String>, Pkcs11Error> {
        let (session, _) = self.session(Access::ReadWrite)?;
        let mut left_behind = Vec::new();
        for (half, handle) in made(&session, selector)? {
            let Err(error) = session.call(|session| session.destroy_object(handle)) else {
                continue;
            };
            let error = ModuleError::from(error);
            if error.is_of_device() || error.is_of_session() {
                return Err(Pkcs11Error::Module(error));
            }
            left_behind.push(format!("the {half} half of {selector}: {error}"));
        }
        if !self.sees_private(&session)? {
            left_behind.push(format!("{selector}: somebody else logged out meanwhile"));
        }
        Ok(left_behind)
    }
}

/// The keys, of either half, that have the label or the id.
fn taken(session: &ModuleSession, selector: &KeySelector) -> Result<Vec<String>, CallError> {
    let by_label = KeySelector {
        id: None,
        ..selector.clone()
    };
    let by_id = KeySelector {
        label: None,
        ..selector.clone()
    };
    let mut taken = Vec::new();
    for selector in [by_label, by_id] {
        for key in private_keys(session, &selector)? {
            taken.push(key?.name());
        }
        let public = public_keys(session, &selector)?;
        taken.extend(public.iter().map(PublicKeyObject::name));
    }
    taken.sort();
    taken.dedup();
    Ok(taken)
}

/// Whether there is a private key of that label and id.
fn is_there(session: &ModuleSession, selector: &KeySelector) -> Result<bool, CallError> {
    let key = private_keys(session, selector)?.next().transpose()?;
    Ok(key.is_some())
}

/// The objects of that label and id, each with the half that it is.
fn made(
    session: &ModuleSession,
    selector: &KeySelector,
) -> Result<Vec<(&'static str, ObjectHandle)>, CallError> {
    let mut made = Vec::new();
    for key in private_keys(session, selector)? {
        made.push(("private", key?.handle));
    }
    for object in public_keys(session, selector)? {
        made.push(("public", object.handle));
    }
    Ok(made)
}

fn generate_pair(
    session: &ModuleSession,
    key_pair: KeyPair,
    selector: &KeySelector,
) -> Result<(), Pkcs11Error> {
    let mut common = vec![Attribute::Token(true)];
    common.extend(selector.template());
    let mut private = common.clone();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let mut public = common;
    public.push(Attribute::Verify(true));
    let of_curve = |curve: TokenCurve| -> Vec<Vec<Attribute>> {
        let params = curve.ec_params().iter();
        params
            .map(|params| vec![Attribute::EcParams(params.to_vec())])
            .collect()
    };
    // For some, modules differ in how they want to be asked.
    let (mechanism, ways) = match key_pair {
        KeyPair::P256 => (
            Mechanism::EccKeyPairGen,
            of_curve(TokenCurve::Nist(Curve::P256)),
        ),
        KeyPair::P384 => (
            Mechanism::EccKeyPairGen,
            of_curve(TokenCurve::Nist(Curve::P384)),
        ),
        KeyPair::Ed25519 => (
            Mechanism::EccEdwardsKeyPairGen,
            of_curve(TokenCurve::Ed25519),
        ),
        KeyPair::Rsa { bits } => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![vec![
                Attribute::ModulusBits(Ulong::new(bits.into())),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ]],
        ),
    };
    let mut outcome = Err(CallError::Stale.into());
    for way in ways {
        let public = [public.as_slice(), &way].concat();
        let generated =
            session.call(|session| session.generate_key_pair(&mechanism, &public, &private));
        let Err(error) = generated else {
            return Ok(());
        };
        let error = Pkcs11Error::from(error);
        if error.is_of_session() || error.may_be_stale() {
            return Err(error);
        }
        // It may have failed only to say that it made it.
        if is_there(session, selector)? {
            return Ok(());
        }
        outcome = Err(error);
    }
    outcome
}

#[cfg(test)]
#[cfg(not(chancery_shuttle))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::softhsm::isolated;

    /// Some modules heed only a part of what they are asked for.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn what_is_not_safe_is_destroyed_again() {
        isolated(|hsm| {
            let token = hsm.token();
            let session = hsm.bare().session();
            let kept = token.generate(KeyPair::P256, "kept", None).unwrap();
            let common = [
                Attribute::Token(true),
                Attribute::Label(b"unsafe".to_vec()),
                Attribute::Id(vec![1]),
            ];
            let params = TokenCurve::Nist(Curve::P256).ec_params()[0].to_vec();
            let public = [&common[..], &[Attribute::EcParams(params)]].concat();
            for (reason, template) in [
                ("it is extractable", vec![Attribute::Extractable(true)]),
                (
                    "it is not for signing",
                    vec![
                        Attribute::Sign(false),
                        Attribute::Extractable(false),
                        Attribute::Sensitive(true),
                    ],
                ),
            ] {
                let private = [&common[..], &template].concat();
                session
                    .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
                    .unwrap();
                let selector = KeySelector {
                    label: Some("unsafe".to_owned()),
                    id: Some(vec![1]),
                };
                let error = token.keep(&selector);
                let said = error.unwrap_err().to_string();
                assert!(said.contains(reason), "{said}");
                assert!(said.ends_with("it was destroyed again"), "{said}");
                assert_eq!(session.find_objects(&common).unwrap().len(), 0);
            }
            assert_eq!(token.keys().unwrap(), [kept]);
        });
    }

    /// A signer with a token that is gone starts the module afresh time and again.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn restarts_around_it_leave_no_key_behind() {
        isolated(|hsm| {
            const KEYS: usize = 60;
            let token = hsm.token();
            let is_done = AtomicBool::new(false);
            let module = token.module();
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        // On a busy machine a call may outlast its patience.
                        let _ = module.reset(module.epoch());
                        thread::sleep(Duration::from_millis(5));
                    }
                });
                let mut outcomes = (0..KEYS).map(|key| {
                    token
                        .generate(KeyPair::P256, &format!("key {key}"), None)
                        .map(drop)
                });
                let outcome = outcomes.try_for_each(|outcome| outcome);
                is_done.store(true, Ordering::Relaxed);
                outcome.unwrap_or_else(|error| panic!("{error}"));
            });
            assert_eq!(token.keys().unwrap().len(), KEYS);
            let epochs = module.epoch();
            assert!(epochs > 3, "only {epochs} epochs");
            println!("{epochs} epochs");
        });
    }
}
