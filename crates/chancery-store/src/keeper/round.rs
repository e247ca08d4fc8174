//! What a step does of the plan.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chancery_core::JwkSet;
use chancery_core::rotation::{Action, BackendError, Change, CreatedKey, KeyBackend, Manifest, plan};
use tokio::time;

use crate::keeper::Keeper;
use crate::keeper::following::{Following, Made};
use crate::keeper::jobs::{Done, Outcome, Task};
use crate::keeper::probe::ProbeError;
use crate::keeper::step::{MOST_TRIES, Present};
use crate::keeper::trouble::{KeeperError, Trouble};

/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(12);

/// What is left to the next step, because it did not succeed in this one.
#[derive(Default)]
pub(super) struct GivenUp {
    tasks: HashSet<Task>,
    changes: bool,
    probe: bool,
}

impl Keeper {
    /// Does what is due, and tells whether the manifest has changed by it.
    pub(super) async fn round(
        &self,
        following: &mut Following,
        present: Present,
        given_up: &mut GivenUp,
        troubles: &mut Vec<Trouble>,
    ) -> bool {
        let Some(current) = &following.current else {
            return false;
        };
        let before = following.revision();
        let manifest = Arc::clone(&current.manifest);
        let plan = match plan(&manifest, &self.0.policy, present.now()) {
            Ok(plan) => plan,
            Err(error) => {
                troubles.push(Trouble::Change(error.into()));
                return false;
            }
        };
        let mut unseen = Vec::new();
        for step in plan.due(present.now()) {
            match &step.action {
                Action::Change(change) if !given_up.changes => {
                    match self.write(following, change.clone(), present).await {
                        // What else is due follows from the manifest as it is now.
                        Ok(_) => return true,
                        Err(error) => {
                            given_up.changes = true;
                            troubles.push(Trouble::Change(error));
                        }
                    }
                }
                _ => {}
            }
        }
        following.revision() != before
    }
}
