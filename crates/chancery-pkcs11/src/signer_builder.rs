//! Opening a signer.

use std::fmt;
use std::num::NonZeroUsize;

use chancery_core::Algorithm;
use chancery_hsm::{HsmOptions, HsmSigner};

use crate::deadline::Operation;
use crate::device::TokenDevice;
use crate::error::Pkcs11Error;
use crate::key_object::{KeyObject, KeySelector};
use crate::key_session::{Proven, Which, prove, prove_any};
use crate::module::Access;
use crate::selector::FoundToken;
use crate::token::Token;
use crate::uri::{ObjectType, Pkcs11Uri, merge};

/// Says which key of a token signs, and how.
#[derive(Debug)]
pub struct SignerBuilder {
    token: Token,
    key: KeySelector,
    algorithm: Option<Algorithm>,
    options: HsmOptions,
    refuses_extractable: bool,
}

impl SignerBuilder {
    pub(crate) fn new(token: Token) -> Self {
        Self {
            token,
            key: KeySelector::default(),
            algorithm: None,
            options: HsmOptions::new(),
            refuses_extractable: false,
        }
    }

    /// The key's label (`CKA_LABEL`).
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.key.label = Some(label.into());
        self
    }

    /// The key's id (`CKA_ID`).
    #[must_use]
    pub fn id(mut self, id: &[u8]) -> Self {
        self.key.id = Some(id.to_vec());
        self
    }

    /// Adds the label and the id that a URI names.
    ///
    /// # Errors
    /// [`Pkcs11Error::Uri`] when the URI names something else than a private key, or another label
    /// or id than was named before.
    pub fn uri(mut self, uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        if uri
            .object_type()
            .is_some_and(|object_type| object_type != ObjectType::Private)
        {
            return Err(Pkcs11Error::Uri {
                reason: "its `type` is not `private`, and only a private key signs",
            });
        }
        let label = uri.object().map(str::to_owned);
        let reason = "its `object` is not the label that was named before; name one of them";
        merge(&mut self.key.label, label.as_ref(), reason)?;
        let id = uri.id().map(<[u8]>::to_vec);
        let reason = "its `id` is not the one that was named before; name one of them";
        merge(&mut self.key.id, id.as_ref(), reason)?;
        Ok(self)
    }

    /// The algorithm. Without it a P-256 key signs with ES256, a P-384 key with ES384, an RSA key
    /// with RS256 and an Ed25519 key with `EdDSA`.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// How many workers sign, how long calls may take, and so on. There are no more workers than the
    /// token says that it has sessions free, less two, but at least one: keys are listed, generated
    /// and destroyed in the sessions that are left, one after the other.
    #[must_use]
    pub fn options(mut self, options: HsmOptions) -> Self {
        self.options = options;
        self
    }

    /// Refuses a key that could leave the token, as
    /// [`TokenKey::is_extractable`](crate::TokenKey::is_extractable) tells. Otherwise
    /// [`SignerBuilder::warnings`] tells of it.
    #[must_use]
    pub const fn refuse_extractable(mut self) -> Self {
        self.refuses_extractable = true;
        self
    }

    /// What an operator should know of the key, although it can sign.
    ///
    /// # Errors
    /// [`Pkcs11Error`] when there is not exactly one such key, or the token does not answer by its
    /// deadline.
    pub fn warnings(&self) -> Result<Vec<Warning>, Pkcs11Error> {
        let selector = self.key.clone();
        self.token.by_deadline(Operation::FindKey, move |token| {
            token.despite_restarts(|| {
                let (session, found) = token.session(Access::ReadOnly)?;
                Ok(Warning::all(&token.key(&session, &found, &selector)?))
            })
        })?
    }

    /// Finds the key, lets it sign something that is verified with its public half, and starts the
    /// signer. The public half is pinned from here on.
    ///
    /// All of it is done by the token's deadline
    /// ([`TokenBuilder::deadline`](crate::TokenBuilder::deadline)), as with whatever else is done on
    /// a token, and not by that of the options, which is how long callers wait for a signature and
    /// may be far too short for a login. Only the last step goes by the options, that the first of
    /// the workers opens a session.
    ///
    /// # Errors
    /// [`Pkcs11Error`]: no key or several match, the one that does cannot sign tokens, or a deadline
    /// has passed.
    pub fn open(self) -> Result<HsmSigner, Pkcs11Error> {
        let token = self.token.clone();
        token.by_deadline(Operation::OpenSigner, move |_| self.open_now())?
    }

    fn open_now(self) -> Result<HsmSigner, Pkcs11Error> {
        let (proven, token) = self.token.despite_restarts(|| self.prove())?;
        let jwk = proven.jwk.clone();
        let workers = affordable(self.options.workers(), token.free_sessions);
        let options = self.options.with_workers(workers);
        let device = TokenDevice::new(self.token, self.key, proven, self.refuses_extractable);
        Ok(HsmSigner::open(device, jwk, options)?)
    }

    fn prove(&self) -> Result<(Proven, FoundToken), Pkcs11Error> {
        let (session, token) = self.token.session(Access::ReadOnly)?;
        let key = self.token.key(&session, &token, &self.key)?;
        let unusable = |reason| Pkcs11Error::UnusableKey {
            key: key.name(),
            reason,
        };
        key.check_use().map_err(unusable)?;
        if self.refuses_extractable && key.is_extractable {
            return Err(Pkcs11Error::Extractable { key: key.name() });
        }
        #[cfg(feature = "tracing")]
        for warning in Warning::all(&key) {
            tracing::warn!("{warning}");
        }
        let halves = key.public_halves(&session)?.map_err(unusable)?;
        drop(session);
        let which = Which::Selected(&self.key);
        let proven = match self.algorithm {
            Some(algorithm) => prove(&self.token, which, &key, &halves.keys, algorithm),
            None => prove_any(&self.token, which, &key, &halves.keys),
        }?;
        Ok((proven, token))
    }
}

/// So many of the workers as the token has sessions for, while two stay free: to list keys, to
/// generate the next one and to destroy the last takes one, and one more in which a key proves itself,
/// and a rotation does so beside the signer. One worker there is in any case.
fn affordable(workers: NonZeroUsize, free_sessions: Option<u64>) -> NonZeroUsize {
    let Some(Ok(free)) = free_sessions.map(usize::try_from) else {
        return workers;
    };
    let free = NonZeroUsize::new(free.saturating_sub(2)).unwrap_or(NonZeroUsize::MIN);
    workers.min(free)
}

/// Something an operator should know of a key that can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The key can leave the token, or be read.
    Extractable {
        /// The key.
        key: String,
    },
    /// The key could leave the token once, or came from outside: there may be copies of it.
    WasExtractable {
        /// The key.
        key: String,
    },
}

impl Warning {
    fn all(key: &KeyObject) -> Vec<Self> {
        if key.is_extractable {
            vec![Self::Extractable { key: key.name() }]
        } else if key.was_extractable {
            vec![Self::WasExtractable { key: key.name() }]
        } else {
            Vec::new()
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extractable { key } => write!(
                f,
                "{key} is extractable: it can leave the token, or be read; generate one that \
                 cannot"
            ),
            Self::WasExtractable { key } => write!(
                f,
                "{key} was extractable once, or was imported: there may be copies of it outside"
            ),
        }
    }
}

#[cfg(test)]
#[cfg(not(chancery_shuttle))]
mod tests {
    use super::*;

    #[test]
    fn two_sessions_stay_free() {
        let affordable = |free| affordable(NonZeroUsize::new(8).unwrap(), free).get();
        assert_eq!(affordable(None), 8);
        assert_eq!(affordable(Some(100)), 8);
        assert_eq!(affordable(Some(10)), 8);
        assert_eq!(affordable(Some(9)), 7);
        assert_eq!(affordable(Some(3)), 1);
        assert_eq!(affordable(Some(1)), 1);
        assert_eq!(affordable(Some(0)), 1);
    }
}
