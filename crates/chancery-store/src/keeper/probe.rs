//! What a relying party sees of the keys.

use std::error::Error;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;

/// Fetches the JWKS as relying parties do: from outside, through the issuer's public URL, with
/// whatever load balancers and caches stand before it.
///
/// A key is put to use only after it was seen there, so that a firewall, a forgotten purge or a
/// replica that serves something else holds up the rotation instead of breaking relying parties.
/// With the feature `probe`, `HttpProbe` is one.
pub trait Probe: Debug + Send + Sync {
    /// Fetches the JWKS, past no cache that relying parties go through.
    fn jwks(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, ProbeError>> + Send + '_>>;
}

/// Why a JWKS could not be fetched.
#[derive(Debug)]
pub struct ProbeError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ProbeError {
    /// Makes an error that says which URL was asked and what came.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
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

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ProbeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
