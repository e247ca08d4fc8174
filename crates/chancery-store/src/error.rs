//! What can go wrong with a store.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a store did not do what it was asked.
///
/// `object` names an object with its store, as in `s3://bucket/issuer/manifest.json`. No error holds
/// a credential.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else was faster: the object exists already, or is no longer of the version that was
    /// expected. Read it again and decide anew.
    Conflict {
        /// Which object.
        object: String,
    },
    /// The object is gone, or its bucket or container does not exist.
    NotFound {
        /// Which object.
        object: String,
    },
    /// The store does not refuse stale writes, so that replicas would overwrite each other.
    Unsupported {
        /// Which store.
        store: String,
        /// What it did, or does not do.
        reason: String,
        /// What the client of the store said.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A path that is not one: see [`Store::read`](crate::Store::read).
    InvalidPath {
        /// The path as it was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A URL or an option that opens no store.
    InvalidLocation {
        /// The URL's scheme and host, or the option's name; never its value.
        location: String,
        /// What is wrong with it.
        reason: String,
        /// What the parser or the client said.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The object is larger than anything that is kept here.
    TooLarge {
        /// Which object.
        object: String,
        /// Its size in bytes.
        size: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// The credentials are missing, wrong or do not allow it.
    PermissionDenied {
        /// Which object.
        object: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store was not reached, did not answer in time, or answered with an error of its own. A
    /// change may have been made nevertheless: read before the next one.
    Unavailable {
        /// Which object.
        object: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file system refused. Nothing was lost: what was there before is there still, unless the
    /// change itself has been made.
    Io {
        /// Which file or folder.
        object: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed by the caller: so when the store
    /// was not reached, or its disk was full. After a [`Conflict`](Self::Conflict) it cannot.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { object } => {
                write!(f, "{object} was changed by somebody else: read it again")
            }
            Self::NotFound { object } => write!(
                f,
                "{object} does not exist, or its bucket or container does not"
            ),
            Self::Unsupported { store, reason, .. } => {
                write!(
                    f,
                    "{store} cannot keep what several processes write: {reason}"
                )
            }
            Self::InvalidPath { path, reason } => write!(f, "path {path:?}: {reason}"),
            Self::InvalidLocation {
                location, reason, ..
            } => write!(f, "cannot open a store by {location:?}: {reason}"),
            Self::TooLarge {
                object,
                size,
                limit,
            } => write!(f, "{object} has {size} bytes, more than {limit}"),
            Self::PermissionDenied { object, .. } => {
                write!(
                    f,
                    "not allowed: {object}; check the credentials and their rights"
                )
            }
            Self::Unavailable { object, .. } => {
                write!(f, "the store failed, or was not reached: {object}")
            }
            Self::Io { object, .. } => write!(f, "the file system failed: {object}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unsupported { source, .. } | Self::InvalidLocation { source, .. } => {
                source.as_deref().map(|source| source as _)
            }
            Self::PermissionDenied { source, .. } | Self::Unavailable { source, .. } => {
                Some(source.as_ref())
            }
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
