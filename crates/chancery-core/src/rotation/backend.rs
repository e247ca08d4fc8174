//! Where keys are made, opened and destroyed.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::algorithm::Algorithm;
use crate::jwk::Jwk;
use crate::signer::Signer;

/// Makes, opens and destroys the keys of one place: a folder of key files, a token of a PKCS#11
/// module, a YubiHSM.
///
/// A service registers its backends by name, and the manifest says of each key under which name it
/// lies and by which reference the backend finds it. Every call blocks and may take seconds: a
/// keeper makes them on threads of their own, and several at a time.
pub trait KeyBackend: fmt::Debug + Send + Sync {
    /// Makes a key of its own, which has signed once and whose signature was verified.
    ///
    /// `name` is for people who list the keys of a device, such as its label: 1 to 40 characters of
    /// `A-Z a-z 0-9 -`. It need not be kept, and is no reference.
    ///
    /// # Errors
    /// [`BackendError`]. No key is then left behind that nobody knows of, as far as the place can
    /// be reached.
    fn create(&self, algorithm: Algorithm, name: &str) -> Result<CreatedKey, BackendError>;

    /// Opens the key that [`create`](Self::create) made, in this process or another one.
    ///
    /// The signer's `kid`, algorithm and public key are those of `jwk`.
    ///
    /// # Errors
    /// [`BackendError`] when the key cannot be reached, is not there, or is another one than
    /// `jwk`.
    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError>;

    /// Destroys the private half of exactly this key. A key that is already gone is a success, so
    /// that a call whose answer was lost can be made again.
    ///
    /// # Errors
    /// [`BackendError`] when the key is still there or may be, and when what lies under the
    /// reference is another key than `jwk`, which then stays.
    fn destroy(&self, reference: &str, jwk: &Jwk) -> Result<(), BackendError>;
}

/// A key fresh from [`KeyBackend::create`].
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// Signs with the key. Its `kid` is the RFC 7638 thumbprint.
    pub signer: Arc<dyn Signer>,
    /// What [`KeyBackend::open`] finds the key by: a file name, a PKCS#11 URI, the id of an object.
    ///
    /// It stands in the manifest for all to read: 1 to 1024 printable ASCII characters, and no
    /// secret.
    pub reference: String,
}

/// Why a backend did not make, open or destroy a key.
///
/// It is for people: a text that says what happened, and the cause as
/// [`source`](Error::source). Neither holds a secret.
///
/// ```
/// use chancery_core::rotation::BackendError;
///
/// let error = BackendError::new("the folder /var/lib/issuer/keys is read-only");
/// assert_eq!(error.to_string(), "the folder /var/lib/issuer/keys is read-only");
/// ```
#[derive(Debug)]
pub struct BackendError {
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BackendError {
    /// Makes an error. The message must hold no secret.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
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
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
