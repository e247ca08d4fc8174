//! What a keeper does, as it does it.

use std::fmt;

use chancery_core::UnixTime;
use chancery_core::rotation::KeyState;

use crate::keeper::trouble::{KeeperError, Trouble};

/// Something that a keeper did or met. Its text is a line for a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// This replica changed the manifest.
    Changed {
        /// The manifest's new revision.
        revision: u64,
        /// What was changed.
        change: &'a str,
        /// The key it is about.
        kid: Option<&'a str>,
    },
    /// Another replica changed the manifest, and this one follows it.
    Followed {
        /// The manifest's revision.
        revision: u64,
    },
    /// A key came to another state, by itself or by a change.
    Reached {
        /// The key.
        kid: &'a str,
        /// Its state.
        state: KeyState,
    },
    /// A part of a step did not succeed. It is tried again in the next one.
    Failed(&'a Trouble),
    /// A whole step of [`Keeper::run`](crate::Keeper::run) did not succeed. The lease was not
    /// renewed.
    StepFailed(&'a KeeperError),
    /// A document was published and read back.
    Published {
        /// Its path in the store.
        path: &'a str,
    },
    /// The manifest could not be read for so long that this replica signs no more.
    LeaseExpired {
        /// When the lease ran out.
        valid_until: UnixTime,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed {
                revision,
                change,
                kid: Some(kid),
            } => write!(f, "manifest {revision}: {change} {kid}"),
            Self::Changed {
                revision, change, ..
            } => write!(f, "manifest {revision}: {change}"),
            Self::Followed { revision } => write!(f, "manifest {revision}: followed"),
            Self::Reached { kid, state } => write!(f, "key {kid} is {state}"),
            Self::Failed(trouble) => trouble.fmt(f),
            Self::StepFailed(error) => error.fmt(f),
            Self::Published { path } => write!(f, "published {path}"),
            Self::LeaseExpired { valid_until } => write!(
                f,
                "the manifest could not be read until {valid_until}: nothing signs any more"
            ),
        }
    }
}

#[cfg(feature = "tracing")]
impl Event<'_> {
    /// Hands the event to `tracing`, at a level that fits how soon somebody should look.
    pub(super) fn trace(&self) {
        match self {
            Self::LeaseExpired { .. } => tracing::error!("{self}"),
            Self::Failed(_) | Self::StepFailed(_) => tracing::warn!("{self}"),
            Self::Changed { .. } | Self::Reached { .. } | Self::Published { .. } => {
                tracing::info!("{self}");
            }
            Self::Followed { .. } => tracing::debug!("{self}"),
        }
    }
}
