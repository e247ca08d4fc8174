//! What a device has to do.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use chancery_core::{SignErrorKind, Signature, SigningInput};

/// A device with one signing key, as an [`HsmSigner`](crate::HsmSigner) uses it.
///
/// No method needs a deadline of its own: each runs on a thread that nobody waits for longer than
/// the caller's deadline. A call that hangs costs one worker until it returns.
pub trait Device: fmt::Debug + Send + Sync + 'static {
    /// What one worker thread signs with. It never leaves the thread on which it was opened.
    type Session: Session;

    /// Opens a session: connects, logs in, and finds the key.
    ///
    /// It must see to it that exactly one key matches, and that it is the one whose public half
    /// was published; another one is [`DeviceErrorKind::KeyChanged`]. Only one thread of a signer
    /// is in this method at a time, unless one has been in it for longer than the signer's deadline,
    /// and none comes once it has reported [`DeviceErrorKind::WrongPin`].
    ///
    /// # Errors
    /// [`DeviceError`], whose kind decides whether another try makes sense.
    fn open(&self) -> Result<Self::Session, DeviceError>;

    /// Makes the device's library or connection start afresh: the last resort when opening
    /// sessions has not helped. It must wait for calls in flight.
    ///
    /// # Errors
    /// [`DeviceError`] when it could not.
    fn reset(&self) -> Result<(), DeviceError>;
}

/// A session with a device.
pub trait Session {
    /// Signs. After an error the session is dropped and never used again.
    ///
    /// # Errors
    /// [`DeviceError`], whose kind decides whether another try makes sense.
    fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError>;
}

/// What a device said no to.
#[derive(Debug)]
pub struct DeviceError {
    kind: DeviceErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl DeviceError {
    /// Makes an error. The message says what was done and must hold no secret.
    #[must_use]
    pub fn new(kind: DeviceErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
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

    /// What it means for the next try.
    #[must_use]
    pub const fn kind(&self) -> DeviceErrorKind {
        self.kind
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for DeviceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// The few kinds of failure that differ in what comes next. Devices' own codes cannot tell more:
/// the same one means different things on different modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceErrorKind {
    /// The PIN or password is wrong, or locked. Nothing is tried again.
    WrongPin,
    /// Another key stands in the place of the published one. It is not signed with.
    KeyChanged,
    /// The key is not there, which it may be again.
    KeyMissing,
    /// The device cannot do this with this key.
    Unsupported,
    /// Anything else: another session, or a reset, may help.
    Failed,
}

impl DeviceErrorKind {
    pub(crate) const fn sign_error_kind(self) -> SignErrorKind {
        match self {
            Self::WrongPin => SignErrorKind::WrongPin,
            Self::KeyChanged => SignErrorKind::KeyChanged,
            Self::KeyMissing => SignErrorKind::KeyMissing,
            Self::Unsupported => SignErrorKind::Unsupported,
            Self::Failed => SignErrorKind::Unavailable,
        }
    }
}
