//! Why a key did not sign.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::signature::SignatureError;

/// Why a key did not sign.
///
/// The kind is what an operator acts on; the text says what happened; the cause is kept as
/// [`source`](Error::source). None of them holds a secret.
///
/// ```
/// use chancery_core::{SignError, SignErrorKind};
///
/// let error = SignError::new(SignErrorKind::Busy, "64 signatures are waiting");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "signer busy: 64 signatures are waiting");
/// ```
#[derive(Debug)]
pub struct SignError {
    kind: SignErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SignError {
    /// Makes an error. The message goes on where the kind's words end; it must hold no secret.
    #[must_use]
    pub fn new(kind: SignErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> SignErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later with nothing changed: so when the signer was busy,
    /// slow or not reachable.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            SignErrorKind::Busy | SignErrorKind::Timeout | SignErrorKind::Unavailable
        )
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// A device or an engine gave something that is no signature.
impl From<SignatureError> for SignError {
    fn from(error: SignatureError) -> Self {
        Self::new(SignErrorKind::BadSignature, error.to_string()).with_source(error)
    }
}

/// The failures of a signer that an operator treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignErrorKind {
    /// The device refused the PIN or password. It is not tried again until an operator steps in.
    WrongPin,
    /// The device has no such key.
    KeyMissing,
    /// Under the key's name there is another key than the one that was published.
    KeyChanged,
    /// The queue is full.
    Busy,
    /// The deadline passed.
    Timeout,
    /// The device or service cannot be reached, or did not answer as it should.
    Unavailable,
    /// The key or the device cannot do this.
    Unsupported,
    /// The signature that came back is not one of this key over this input.
    BadSignature,
    /// The engine failed.
    Failed,
}

impl fmt::Display for SignErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPin => "PIN refused, not tried again",
            Self::KeyMissing => "signing key missing",
            Self::KeyChanged => "signing key changed",
            Self::Busy => "signer busy",
            Self::Timeout => "signing deadline passed",
            Self::Unavailable => "signer unavailable",
            Self::Unsupported => "signing not supported",
            Self::BadSignature => "bad signature withheld",
            Self::Failed => "signing failed",
        })
    }
}
