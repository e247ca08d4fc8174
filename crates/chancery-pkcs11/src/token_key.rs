//! What is told of a key on a token.

use std::fmt;

use chancery_core::{Algorithm, Jwk, JwkError, PublicKey};

use crate::key_object::{KeyObject, default_algorithm};
use crate::public_half::UnusableKey;

/// A key pair on a token that can sign tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    jwk: Jwk,
    label: String,
    id: Vec<u8>,
    is_extractable: bool,
    was_extractable: bool,
}

impl TokenKey {
    pub(crate) fn new(key: &KeyObject, half: PublicKey) -> Result<Self, JwkError> {
        Ok(Self {
            jwk: Jwk::new(default_algorithm(half.key_type()), half)?,
            label: key.label.clone(),
            id: key.id.clone(),
            is_extractable: key.is_extractable,
            was_extractable: key.was_extractable,
        })
    }

    /// The public half, with the algorithm of [`TokenKey::algorithm`].
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The thumbprint of the public half (RFC 7638), which is the key's `kid` unless the operator
    /// names another.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The algorithm that a signer with this key has when none is asked for: ES256, ES384, EdDSA or
    /// RS256.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.jwk.algorithm()
    }

    /// Its label (`CKA_LABEL`); empty where it has none.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its id (`CKA_ID`); empty where it has none.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Whether the key can leave the token: unless the token says that `CKA_EXTRACTABLE` is false,
    /// or when it says that `CKA_SENSITIVE` is.
    #[must_use]
    pub const fn is_extractable(&self) -> bool {
        self.is_extractable
    }

    /// Whether the key could leave the token once, or came from outside (`CKA_NEVER_EXTRACTABLE`
    /// is false), so that there may be copies of it.
    #[must_use]
    pub const fn was_extractable(&self) -> bool {
        self.was_extractable
    }
}

/// A private key on a token that cannot sign tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlistedKey {
    key: String,
    reason: UnusableKey,
}

impl UnlistedKey {
    pub(crate) fn new(key: &KeyObject, reason: UnusableKey) -> Self {
        Self {
            key: key.name(),
            reason,
        }
    }

    /// Why it cannot sign tokens.
    #[must_use]
    pub const fn reason(&self) -> &UnusableKey {
        &self.reason
    }
}

impl fmt::Display for UnlistedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}
