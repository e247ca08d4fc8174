//! What did not succeed in a step.

use std::error::Error;
use std::fmt;

use chancery_core::rotation::{BackendError, ManifestError};
use chancery_core::{KeySetError, UnixTime};

use crate::error::StoreError;
use crate::keeper::probe::ProbeError;
use crate::publication::PublishError;

/// Why a step did not come to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeeperError {
    /// The manifest could not be read or written.
    Store(StoreError),
    /// The store has no manifest. [`Keeper::initialize`](crate::Keeper::initialize) makes one for
    /// an issuer that has none; otherwise the store is not the right one.
    NoManifest {
        /// Where it should be.
        object: String,
    },
    /// The manifest, or a change to it, breaks a rule.
    Manifest(ManifestError),
    /// The store has an older manifest than this replica has seen, or another one of the same
    /// revision, as after a restored backup. It is not followed: keys that sign may be missing from
    /// it. Restore the newer one.
    WentBack {
        /// The revision that was read.
        found: u64,
        /// The revision that this replica has seen.
        seen: u64,
    },
    /// The clock went back further than two clocks may differ, since the manifest was last read. Set
    /// it right.
    ClockWentBack {
        /// The present by the clock.
        now: UnixTime,
        /// When the manifest was last read.
        seen: UnixTime,
    },
    /// The manifest's keys make no key set.
    Keys(KeySetError),
    /// Other replicas changed the manifest again and again, each time before this one could.
    Contended,
}

impl fmt::Display for KeeperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::NoManifest { object } => write!(
                f,
                "{object} does not exist; is this the right store? Keeper::initialize makes the \
                 manifest of a new issuer"
            ),
            Self::Manifest(error) => error.fmt(f),
            Self::WentBack { found, seen } => write!(
                f,
                "the store has revision {found} of the manifest, and revision {seen} was there \
                 before; restore the newer one"
            ),
            Self::ClockWentBack { now, seen } => write!(
                f,
                "the clock says {}, and has said {} before; set it right",
                now.to_rfc3339(),
                seen.to_rfc3339()
            ),
            Self::Keys(error) => write!(f, "the manifest's keys make no key set: {error}"),
            Self::Contended => {
                f.write_str("other replicas changed the manifest each time this one was about to")
            }
        }
    }
}

impl Error for KeeperError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Manifest(error) => error.source(),
            Self::Keys(error) => error.source(),
            Self::NoManifest { .. }
            | Self::WentBack { .. }
            | Self::ClockWentBack { .. }
            | Self::Contended => None,
        }
    }
}

impl From<StoreError> for KeeperError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ManifestError> for KeeperError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

/// A part of a step that did not succeed, while the rest of it did. It is tried again in the next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// A manifest could not be changed.
    Change(KeeperError),
    /// A backend made, opened or destroyed no key, or is still at it.
    Backend {
        /// The name it is registered under.
        backend: String,
        /// The key; none where one was to be made.
        kid: Option<String>,
        /// What it said.
        error: BackendError,
    },
    /// A key cannot be fetched yet through the issuer's public URL.
    Probe {
        /// The keys.
        kids: Vec<String>,
        /// What came instead.
        error: ProbeError,
    },
    /// A document could not be published.
    Publish(PublishError),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(error) => write!(f, "the manifest stays as it is: {error}"),
            Self::Backend {
                backend,
                kid: Some(kid),
                error,
            } => write!(f, "key {kid} of backend {backend}: {error}"),
            Self::Backend { backend, error, .. } => {
                write!(f, "backend {backend} made no key: {error}")
            }
            Self::Probe { kids, error } => write!(
                f,
                "not seen yet by relying parties: key {}: {error}",
                kids.join(", ")
            ),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Change(error) => error.source(),
            Self::Backend { error, .. } => error.source(),
            Self::Probe { error, .. } => error.source(),
            Self::Publish(error) => error.source(),
        }
    }
}
