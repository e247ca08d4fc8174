//! What backends are at. A call to one may hang, so no step waits for long.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::thread;

use chancery_core::rotation::{BackendError, CreatedKey, Role};
use chancery_core::{Algorithm, Signer};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
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
pub(crate) struct Jobs {
    running: HashMap<Task, oneshot::Receiver<Outcome>>,
    /// What has ended and was not taken yet: a step may be cut off at any time.
    ended: Vec<(Task, Outcome)>,
}

impl Jobs {
    /// Makes the call on a thread of its own, unless it is being made already. A thread of the
    /// runtime would keep the process from ending for as long as the backend hangs.
    pub(crate) fn start(&mut self, task: Task, call: impl FnOnce() -> Outcome + Send + 'static) {
        if self.running.contains_key(&task) || self.ended.iter().any(|(ended, _)| *ended == task) {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        let runtime = Handle::current();
        let thread = thread::Builder::new().name("chancery-backend".to_owned());
        let started = thread.spawn(move || {
            let _within = runtime.enter();
            // Nobody waits for it where the keeper is gone.
            let _ = sender.send(call());
        });
        match started {
            Ok(_) => {
                self.running.insert(task, receiver);
            }
            Err(error) => {
                let error = BackendError::new("no thread can be started").with_source(error);
                self.ended.push((task, Err(error)));
            }
        }
    }

    /// Waits for the calls to end, and no longer than this.
    pub(crate) async fn wait(&mut self, deadline: Instant) {
        let tasks: Vec<Task> = self.running.keys().cloned().collect();
        for task in tasks {
            let Some(job) = self.running.get_mut(&task) else {
                continue;
            };
            // One that has ended is ready, also after the deadline.
            if let Ok(outcome) = time::timeout_at(deadline, job).await {
                self.running.remove(&task);
                let outcome = outcome.unwrap_or_else(|error| {
                    Err(BackendError::new("the backend's code panicked").with_source(error))
                });
                self.ended.push((task, outcome));
            }
        }
    }

    /// Takes a call that has ended, and what it came to.
    pub(crate) fn take(&mut self) -> Option<(Task, Outcome)> {
        self.ended.pop()
    }

    /// The calls that are still being made.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Task> {
        self.running.keys()
    }
}
