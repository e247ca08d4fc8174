//! Making keys on a token, and destroying them.

use chancery_core::{Curve, Jwk, PublicKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::types::Ulong;

use crate::error::Pkcs11Error;
use crate::key_object::{
    KeyObject, KeySelector, PublicKeyObject, default_algorithm, describe_private_keys,
    private_keys, public_keys,
};
use crate::key_session::prove;
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
    /// Whatever goes wrong, what was made is destroyed again.
    ///
    /// # Errors
    /// [`Pkcs11Error::Taken`] when the token has a key of that label or id,
    /// [`Pkcs11Error::Generated`] when what the token made is not safe to use,
    /// [`Pkcs11Error::Module`] when it cannot make it.
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
        self.despite_restarts(|| self.generate_once(key_pair, label, &id))
    }

    /// Destroys the key pair whose public half has this thumbprint (RFC 7638), the `kid` of its
    /// [`TokenKey`], and nothing else.
    ///
    /// To be sure that the private key is the one that goes with the public half, it has to sign
    /// something first. Certificates are left alone.
    ///
    /// # Errors
    /// [`Pkcs11Error::NoKey`] when there is no such key, [`Pkcs11Error::SeveralKeys`] when several
    /// private keys may be it, [`Pkcs11Error::SelfTest`] when it is another key after all,
    /// [`Pkcs11Error::DestroyedPartly`] when the public half is left.
    pub fn destroy(&self, kid: &str) -> Result<(), Pkcs11Error> {
        self.despite_restarts(|| self.destroy_once(kid))
    }

    fn generate_once(
        &self,
        key_pair: KeyPair,
        label: &str,
        id: &[u8],
    ) -> Result<TokenKey, Pkcs11Error> {
        let (session, found) = self.session(Access::ReadWrite)?;
        let taken = taken(&session, label, id)?;
        if !taken.is_empty() {
            return Err(Pkcs11Error::Taken {
                token: found.name,
                found: taken,
            });
        }
        let (public, private) = generate_pair(&session, key_pair, label, id)?;
        let selector = KeySelector {
            label: Some(label.to_owned()),
            id: Some(id.to_vec()),
        };
        self.keep(&session, &selector, public, private)
    }

    fn destroy_once(&self, kid: &str) -> Result<(), Pkcs11Error> {
        let (session, found) = self.session(Access::ReadWrite)?;
        let all = private_keys(&session, &KeySelector::default())?;
        let mut matching = Vec::new();
        for key in &all {
            for half in key.public_halves(&session)?.unwrap_or_default() {
                let algorithm = default_algorithm(half.key_type());
                if Jwk::new(algorithm, half.clone()).is_ok_and(|jwk| jwk.thumbprint() == kid) {
                    matching.push((key, half));
                }
            }
        }
        let wanted = format!("the key of thumbprint {kid}");
        let (key, half) = match matching.as_slice() {
            [(key, half)] => (*key, half),
            [] => {
                return Err(Pkcs11Error::NoKey {
                    wanted,
                    token: found.name,
                    found: describe_private_keys(&session, &KeySelector::default())?,
                    is_logged_in: self.has_pin(),
                });
            }
            several => {
                return Err(Pkcs11Error::SeveralKeys {
                    wanted,
                    token: found.name,
                    found: several.iter().map(|(key, _)| key.name()).collect(),
                });
            }
        };
        let algorithm = default_algorithm(half.key_type());
        let selector = KeySelector {
            label: Some(key.label.clone()),
            id: Some(key.id.clone()),
        };
        prove(self, &selector, key, std::slice::from_ref(half), algorithm)?;
        let objects = public_keys(&session, &key.sibling())?;
        session.call(|session| session.destroy_object(key.handle))?;
        for object in objects.iter().filter(|object| object.is(half)) {
            session
                .call(|session| session.destroy_object(object.handle))
                .map_err(|error| Pkcs11Error::DestroyedPartly {
                    key: key.name(),
                    error: error.into(),
                })?;
        }
        Ok(())
    }

    /// Keeps a key pair that was generated if it is safe to use, and destroys it otherwise.
    fn keep(
        &self,
        session: &ModuleSession,
        selector: &KeySelector,
        public: ObjectHandle,
        private: ObjectHandle,
    ) -> Result<TokenKey, Pkcs11Error> {
        self.check_generated(session, selector).map_err(|reason| {
            let left_behind = [("private", private), ("public", public)]
                .into_iter()
                .filter_map(|(half, handle)| {
                    let destroyed = session.call(|session| session.destroy_object(handle));
                    let error = ModuleError::from(destroyed.err()?);
                    Some(format!("the {half} half of {selector}: {error}"))
                })
                .collect();
            Pkcs11Error::Generated {
                reason,
                left_behind,
            }
        })
    }

    /// Reads back what was generated. The reason it fails with goes into an error message.
    fn check_generated(
        &self,
        session: &ModuleSession,
        selector: &KeySelector,
    ) -> Result<TokenKey, String> {
        let text = |error: CallError| ModuleError::from(error).to_string();
        let mut keys = private_keys(session, selector).map_err(text)?;
        let (Some(key), true) = (keys.pop(), keys.is_empty()) else {
            return Err("it is not found by its label and id".to_owned());
        };
        if key.is_extractable {
            return Err("it is extractable, although it was not to be".to_owned());
        }
        key.check_use().map_err(|reason| reason.to_string())?;
        let halves = key.public_halves(session).map_err(text)?;
        let half = match halves.map_err(|reason| reason.to_string())?.as_slice() {
            [half] => half.clone(),
            halves => return Err(format!("it has {} public halves", halves.len())),
        };
        let algorithm = default_algorithm(half.key_type());
        prove(self, selector, &key, std::slice::from_ref(&half), algorithm)
            .map_err(|error| error.to_string())?;
        TokenKey::new(&key, half).map_err(|error| error.to_string())
    }
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

/// The keys, of either half, that have the label or the id.
fn taken(session: &ModuleSession, label: &str, id: &[u8]) -> Result<Vec<String>, CallError> {
    let by_label = KeySelector {
        label: Some(label.to_owned()),
        id: None,
    };
    let by_id = KeySelector {
        label: None,
        id: Some(id.to_vec()),
    };
    let mut taken = Vec::new();
    for selector in [by_label, by_id] {
        taken.extend(
            private_keys(session, &selector)?
                .iter()
                .map(KeyObject::name),
        );
        taken.extend(
            public_keys(session, &selector)?
                .iter()
                .map(PublicKeyObject::name),
        );
    }
    taken.sort();
    taken.dedup();
    Ok(taken)
}

/// Returns the public and the private half.
fn generate_pair(
    session: &ModuleSession,
    key_pair: KeyPair,
    label: &str,
    id: &[u8],
) -> Result<(ObjectHandle, ObjectHandle), CallError> {
    let common = [
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let mut private = common.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let mut public = common.to_vec();
    public.push(Attribute::Verify(true));
    let (mechanism, curve) = match key_pair {
        KeyPair::P256 => (Mechanism::EccKeyPairGen, TokenCurve::Nist(Curve::P256)),
        KeyPair::P384 => (Mechanism::EccKeyPairGen, TokenCurve::Nist(Curve::P384)),
        KeyPair::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, TokenCurve::Ed25519),
        KeyPair::Rsa { bits } => {
            public.extend([
                Attribute::ModulusBits(Ulong::new(bits.into())),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ]);
            return session.call(|session| {
                session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)
            });
        }
    };
    let mut result = Err(CallError::Stale);
    for params in curve.ec_params() {
        let mut public = public.clone();
        public.push(Attribute::EcParams(params.to_vec()));
        result = session.call(|session| session.generate_key_pair(&mechanism, &public, &private));
        if result.is_ok() {
            break;
        }
    }
    result
}

#[cfg(test)]
#[cfg(not(chancery_shuttle))]
mod tests {
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
                let (public, private) = session
                    .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
                    .unwrap();
                let selector = KeySelector {
                    label: Some("unsafe".to_owned()),
                    id: Some(vec![1]),
                };
                let (writing, _) = token.session(Access::ReadWrite).unwrap();
                let error = token.keep(&writing, &selector, public, private);
                let said = error.unwrap_err().to_string();
                assert!(said.contains(reason), "{said}");
                assert!(said.ends_with("it was destroyed again"), "{said}");
                assert_eq!(session.find_objects(&common).unwrap().len(), 0);
            }
            assert_eq!(token.keys().unwrap(), [kept]);
        });
    }
}
