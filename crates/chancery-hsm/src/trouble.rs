//! Why a signer cannot sign at the moment.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use chancery_core::{SignError, SignErrorKind};

use crate::device::DeviceError;

/// Why a signer cannot sign at the moment, as every caller in the meantime is told.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    kind: SignErrorKind,
    text: Arc<str>,
    is_final: bool,
}

impl Trouble {
    pub(crate) fn new(kind: SignErrorKind, text: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            is_final: kind == SignErrorKind::WrongPin,
        }
    }

    /// The signer is gone.
    pub(crate) fn shut_down() -> Self {
        Self {
            kind: SignErrorKind::Unavailable,
            text: "the signer was shut down".into(),
            is_final: true,
        }
    }

    pub(crate) const fn kind(&self) -> SignErrorKind {
        self.kind
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing is tried any more.
    pub(crate) const fn is_final(&self) -> bool {
        self.is_final
    }

    /// Whether a caller need not wait for better.
    pub(crate) const fn refuses(&self) -> bool {
        self.is_final
            || matches!(
                self.kind,
                SignErrorKind::KeyChanged | SignErrorKind::Unsupported
            )
    }

    pub(crate) fn error(&self) -> SignError {
        SignError::new(self.kind, self.text.to_string())
    }
}

/// The text holds the causes too, since the error itself cannot be handed to several callers.
impl From<&DeviceError> for Trouble {
    fn from(error: &DeviceError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing into a string does not fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::new(error.kind().sign_error_kind(), text)
    }
}
