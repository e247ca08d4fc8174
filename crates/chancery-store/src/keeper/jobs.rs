//! What backends are at. A call to one may hang, so no step waits for long.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use chancery_core::rotation::{BackendError, CreatedKey, Role};
use chancery_core::{Algorithm, Signer};
use tokio::task::{self, JoinHandle};
use tokio::time::{self, Instant};

/// A call to a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    Create {
        backend: String,
        algorithm: Algorithm,
        role: Role,
    },
    Open {
        backend: String,
        kid: String,
    },
    Destroy {
        backend: String,
        kid: String,
    },
}

impl Task {
    pub(crate) fn backend(&self) -> &str {
        match self {
            Self::Create { backend, .. }
            | Self::Open { backend, .. }
            | Self::Destroy { backend, .. } => backend,
        }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        match self {
            Self::Create { .. } => None,
            Self::Open { kid, .. } | Self::Destroy { kid, .. } => Some(kid),
        }
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Done {
    Created(CreatedKey),
    Opened(Arc<dyn Signer>),
    Destroyed,
}

pub(crate) type Outcome = Result<Done, BackendError>;

/// The calls that have not ended yet, at most one of each.
#[derive(Debug, Default)]
pub(crate) struct Jobs(HashMap<Task, JoinHandle<Outcome>>);

impl Jobs {
    /// Makes the call on a thread of its own, unless it is being made already.
    pub(crate) fn start(&mut self, task: Task, call: impl FnOnce() -> Outcome + Send + 'static) {
        self.0
            .entry(task)
            .or_insert_with(|| task::spawn_blocking(call));
    }

    /// Waits for the calls, and takes those that have ended in time.
    pub(crate) async fn wait(&mut self, deadline: Instant) -> Vec<(Task, Outcome)> {
        let mut ended = Vec::new();
        for (task, job) in &mut self.0 {
            // One that has ended is ready, also after the deadline.
            if let Ok(outcome) = time::timeout_at(deadline, job).await {
                let outcome = outcome.unwrap_or_else(|error| {
                    Err(BackendError::new("the backend's code panicked").with_source(error))
                });
                ended.push((task.clone(), outcome));
            }
        }
        for (task, _) in &ended {
            self.0.remove(task);
        }
        ended
    }

    /// The calls that are still being made.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Task> {
        self.0.keys()
    }
}
