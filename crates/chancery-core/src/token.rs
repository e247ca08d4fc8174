//! Tokens, finished and about to be signed.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::base64url;
use crate::jwk::Jwk;
use crate::key_set::ActiveKey;
use crate::sign_error::{SignError, SignErrorKind};
use crate::signature::Signature;
use crate::signer::{Signer, SigningInput};

/// A signed token: a compact JWS (RFC 7515 §7.1).
///
/// Whoever holds it can use it, so it has no `Display`, and `Debug` shows the header and the names
/// of the claims, never the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl Token {
    /// The token, to be handed to its user.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token as a string of its own.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl AsRef<str> for Token {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split('.').map(|part| {
            base64url::decode(part).and_then(|json| serde_json::from_slice::<Value>(&json).ok())
        });
        let header = parts.next().flatten().unwrap_or_default();
        let payload = parts.next().flatten().unwrap_or_default();
        let names: Vec<&String> = payload
            .as_object()
            .map(|claims| claims.keys().collect())
            .unwrap_or_default();
        f.debug_struct("Token")
            .field("header", &format_args!("{header}"))
            .field("claims", &names)
            .finish_non_exhaustive()
    }
}

/// A token that lacks only its signature.
///
/// Keep it no longer than signing takes: the key was chosen, and the times were set, when it was
/// prepared.
///
/// For a key that only a remote service can use: send it [`UnsignedToken::signing_input`], or its
/// digest, and hand the answer to [`UnsignedToken::assemble`].
pub struct UnsignedToken {
    /// `header.payload`, with room for the signature.
    text: String,
    key: ActiveKey,
}

impl UnsignedToken {
    /// Takes `header.payload`.
    pub(crate) fn new(text: Vec<u8>, key: ActiveKey) -> Result<Self, SignError> {
        // Base64url and dots are ASCII, so this cannot fail; checking is cheaper than proving. It
        // is done before the signature is made, while the text is still in the nearest cache.
        let text = String::from_utf8(text).map_err(|error| {
            SignError::new(SignErrorKind::Failed, "the token is not text").with_source(error)
        })?;
        Ok(Self { text, key })
    }

    /// What is to be signed.
    #[must_use]
    pub fn signing_input(&self) -> SigningInput<'_> {
        SigningInput::new(self.key.jwk().algorithm(), self.text.as_bytes())
    }

    /// The public half of the key that has to sign.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        self.key.jwk()
    }

    /// Puts the signature under the token.
    ///
    /// The algorithm and the length are checked here. Whether the signature is right is not: a
    /// service that signs may fail silently, so verify it against [`UnsignedToken::jwk`] first
    /// (`chancery_software::VerifyingKey`).
    ///
    /// # Errors
    /// [`SignErrorKind::BadSignature`] when algorithm or length are not those of the key.
    pub fn assemble(self, signature: &Signature) -> Result<Token, SignError> {
        let Self { mut text, key } = self;
        append_signature(key.jwk(), signature, &mut text)?;
        Ok(Token(text))
    }

    pub(crate) fn signer(&self) -> Result<&Arc<dyn Signer>, SignError> {
        self.key.signer()
    }

    /// Signs, blocking, and gives the text.
    pub(crate) fn sign(self) -> Result<String, SignError> {
        let outcome = self.signer()?.sign(&self.signing_input());
        let Self { mut text, key } = self;
        // By reference, because a signature is half a kilobyte to move.
        match outcome {
            Ok(ref signature) => append_signature(key.jwk(), signature, &mut text)?,
            Err(error) => return Err(error),
        }
        Ok(text)
    }
}

/// Shows the key; the claims are not for logs.
impl fmt::Debug for UnsignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedToken")
            .field("key", self.key.jwk())
            .finish_non_exhaustive()
    }
}

fn append_signature(jwk: &Jwk, signature: &Signature, text: &mut String) -> Result<(), SignError> {
    if signature.algorithm() != jwk.algorithm() || signature.as_bytes().len() != jwk.signature_len()
    {
        return Err(SignError::new(
            SignErrorKind::BadSignature,
            format!(
                "a {} signature of {} bytes does not fit key {}, which makes {} signatures of {} bytes",
                signature.algorithm(),
                signature.as_bytes().len(),
                jwk.kid(),
                jwk.algorithm(),
                jwk.signature_len()
            ),
        ));
    }
    text.push('.');
    base64url::append_text(signature.as_bytes(), text);
    Ok(())
}
