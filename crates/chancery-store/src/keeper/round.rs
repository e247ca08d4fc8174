//! What a step does of the plan.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chancery_core::rotation::{
    Action, BackendError, Change, KeyBackend, ManagedKey, Manifest, plan,
};
use chancery_core::{Algorithm, Jwk, JwkSet};
use tokio::time::{self, Instant};

use crate::keeper::Keeper;
use crate::keeper::following::{Following, Made};
use crate::keeper::jobs::{Done, Outcome, Task};
use crate::keeper::probe::ProbeError;
use crate::keeper::step::{MOST_TRIES, Present};
use crate::keeper::trouble::{KeeperError, Trouble};
use crate::publication::Publication;

/// How long a probe may take, and no longer than half the lease.
const PROBE_TIMEOUT: Duration = Duration::from_secs(12);

/// How long a step waits for all backends together, and no longer than a quarter of the lease.
const PATIENCE: Duration = Duration::from_secs(5);

/// What did not succeed in this step, and is left to the next one.
pub(super) struct GivenUp {
    tasks: HashSet<Task>,
    changes: bool,
    probe: bool,
    patience_ends: Instant,
    probe_timeout: Duration,
    pub(super) troubles: Vec<Trouble>,
}

impl GivenUp {
    pub(super) fn nothing_yet(lease: Duration) -> Self {
        Self {
            tasks: HashSet::new(),
            changes: false,
            probe: false,
            patience_ends: Instant::now() + PATIENCE.min(lease / 4),
            probe_timeout: PROBE_TIMEOUT.min(lease / 2),
            troubles: Vec::new(),
        }
    }

    fn change(&mut self, error: KeeperError) {
        self.changes = true;
        self.troubles.push(Trouble::Change(error));
    }

    fn task(&mut self, task: Task, error: BackendError) {
        let backend = task.backend().to_owned();
        let kid = task.kid().map(str::to_owned);
        if self.tasks.insert(task) {
            self.troubles.push(Trouble::Backend {
                backend,
                kid,
                error,
            });
        }
    }
}

impl Keeper {
    /// Does what is due, and tells whether there may be more to do because of it.
    pub(super) async fn round(
        &self,
        following: &mut Following,
        present: Present,
        given_up: &mut GivenUp,
    ) -> bool {
        let Some(current) = &following.current else {
            return false;
        };
        let manifest = Arc::clone(&current.manifest);
        let revision = manifest.revision();
        let plan = plan(&manifest, &self.0.policy, present.now());
        let mut unseen = Vec::new();
        for step in plan.iter().flat_map(|plan| plan.due(present.now())) {
            if let Some(change) = step.action.change() {
                if !given_up.changes {
                    match self.write(following, &change, present).await {
                        // What else is due follows from the manifest as it is then.
                        Ok(_) => return true,
                        Err(error) => given_up.change(error),
                    }
                }
                continue;
            }
            match &step.action {
                Action::Provision {
                    algorithm,
                    backend,
                    role,
                } => {
                    let task = Task::Create {
                        backend: backend.clone(),
                        algorithm: *algorithm,
                        role: *role,
                    };
                    let (algorithm, name) = (*algorithm, self.key_name(*algorithm, revision));
                    self.start(following, given_up, task, move |backend| {
                        backend.create(algorithm, &name).map(Done::Created)
                    });
                }
                Action::Destroy { kid } => {
                    // A process that was stopped since it read the manifest may go by an end of
                    // signing that was taken back. By one that is younger than the lease, the key
                    // had stopped already when it was read, and what has passed stays.
                    let now = present.now();
                    if following.lease().is_some_and(|lease| lease.is_valid(now))
                        && let Some(key) = manifest.key(kid)
                    {
                        following.signers.remove(kid);
                        self.destroy(
                            following,
                            given_up,
                            key.backend(),
                            key.reference(),
                            key.jwk(),
                        );
                    }
                }
                Action::Probe { kid } => unseen.extend(manifest.key(kid)),
                _ => {}
            }
        }
        if let Err(error) = plan
            && !given_up.changes
        {
            given_up.change(error.into());
        }
        self.open_signers(following, given_up, &manifest, present);
        let has_signers = following.signers.len();
        following.jobs.wait(given_up.patience_ends).await;
        while let Some((task, outcome)) = following.jobs.take() {
            self.end(following, given_up, task, outcome, present).await;
        }
        let is_patient = Instant::now() < given_up.patience_ends;
        let has_running = following.jobs.running().next().is_some();
        if !is_patient {
            for task in following.jobs.running() {
                given_up.task(task.clone(), BackendError::new("it is still at it"));
            }
        }
        if !unseen.is_empty() && !given_up.probe && self.has_published().await {
            self.probe(following, given_up, &unseen, present).await;
        }
        following.revision() != revision
            || following.signers.len() != has_signers
            || (has_running && is_patient)
    }

    /// What people see of a key on a device: the algorithm, and which revision it was made for.
    fn key_name(&self, algorithm: Algorithm, revision: u64) -> String {
        format!("chancery-{algorithm}-{}", revision + 1)
    }

    /// Calls a backend on a thread of its own.
    fn start(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        task: Task,
        call: impl FnOnce(&dyn KeyBackend) -> Outcome + Send + 'static,
    ) {
        if given_up.tasks.contains(&task) {
            return;
        }
        match self.0.backends.get(task.backend()) {
            Some(backend) => {
                let backend = Arc::clone(backend);
                following.jobs.start(task, move || call(&*backend));
            }
            None => {
                let error = BackendError::new("no backend is registered under this name here");
                given_up.task(task, error);
            }
        }
    }

    fn open_signers(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        manifest: &Manifest,
        present: Present,
    ) {
        let now = present.now();
        let needed: Vec<&ManagedKey> = manifest
            .keys()
            .iter()
            .filter(|key| Following::needs_signer(key, now))
            .collect();
        following
            .signers
            .retain(|kid, _| needed.iter().any(|key| key.kid() == kid));
        for key in needed {
            if following.signers.contains_key(key.kid()) {
                continue;
            }
            let task = Task::Open {
                backend: key.backend().to_owned(),
                kid: key.kid().to_owned(),
            };
            let (reference, jwk) = (key.reference().to_owned(), key.jwk().clone());
            self.start(following, given_up, task, move |backend| {
                let signer = backend.open(&reference, &jwk)?;
                if *signer.jwk() != jwk {
                    return Err(BackendError::new("the backend opened another key"));
                }
                Ok(Done::Opened(signer))
            });
        }
    }

    fn destroy(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        backend: &str,
        reference: &str,
        jwk: &Jwk,
    ) {
        let task = Task::Destroy {
            backend: backend.to_owned(),
            kid: jwk.kid().to_owned(),
        };
        let (reference, jwk) = (reference.to_owned(), jwk.clone());
        self.start(following, given_up, task, move |backend| {
            backend.destroy(&reference, &jwk).map(|()| Done::Destroyed)
        });
    }

    /// Takes what a backend has done into the manifest.
    async fn end(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        task: Task,
        outcome: Outcome,
        present: Present,
    ) {
        match (outcome, task) {
            (Ok(Done::Created(key)), Task::Create { backend, role, .. }) => {
                let made = Made {
                    backend,
                    role,
                    key,
                    offered_at: Some(present.now()),
                };
                self.provision(following, given_up, made, present).await;
            }
            (Ok(Done::Opened(signer)), Task::Open { kid, .. }) => {
                following.signers.insert(kid, signer);
            }
            (Ok(Done::Destroyed), Task::Destroy { kid, .. }) => {
                let unsettled = &mut following.unsettled;
                unsettled.retain(|made| made.key.signer.jwk().kid() != kid);
                self.note_destroyed(following, given_up, kid, present).await;
            }
            (Ok(_), _) => {}
            (Err(error), task) => given_up.task(task, error),
        }
    }

    /// Offers a key that was made to the manifest. One that it does not want is destroyed: another
    /// replica was faster, or the policy has changed.
    async fn provision(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        made: Made,
        present: Present,
    ) {
        let jwk = made.key.signer.jwk().clone();
        let kid = jwk.kid().to_owned();
        let change = Change::Provision {
            jwk,
            backend: made.backend.clone(),
            reference: made.key.reference.clone(),
            role: made.role,
        };
        // The step may be cut off at any time from here on.
        following.unsettled.push(made);
        for _ in 0..MOST_TRIES {
            following.offer(&kid, Some(present.now()));
            match self.write(following, &change, present).await {
                Ok(true) => break,
                Ok(false) => {}
                // It may be there already: by a write whose answer was lost, for instance.
                Err(KeeperError::Manifest(_)) => {
                    following.offer(&kid, None);
                    break;
                }
                Err(error) => return given_up.change(error),
            }
        }
        self.settle(following, present, given_up);
    }

    /// Destroys a key that this replica has made and that is in no manifest.
    pub(super) fn discard(&self, following: &mut Following, given_up: &mut GivenUp, made: &Made) {
        let (reference, jwk) = (&made.key.reference, made.key.signer.jwk());
        self.destroy(following, given_up, &made.backend, reference, jwk);
    }

    async fn note_destroyed(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        kid: String,
        present: Present,
    ) {
        let change = Change::Destroy { kid };
        for _ in 0..MOST_TRIES {
            // One that is in no manifest is not noted.
            let Change::Destroy { kid } = &change else {
                return;
            };
            let known = following
                .current
                .as_ref()
                .and_then(|current| current.manifest.key(kid))
                .is_some_and(|key| key.moments().destroyed_at.is_none());
            if !known {
                return;
            }
            match self.write(following, &change, present).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return given_up.change(error),
            }
        }
    }

    /// Whether all that is published here lies there as it is served. The probe looks at one
    /// issuer, and a key signs for all of them; what holds them up is told where they are published.
    async fn has_published(&self) -> bool {
        let publications = self.0.publications.lock().await;
        publications.iter().all(Publication::is_complete)
    }

    /// Looks for announced keys through the issuer's public URL.
    async fn probe(
        &self,
        following: &mut Following,
        given_up: &mut GivenUp,
        unseen: &[&ManagedKey],
        present: Present,
    ) {
        given_up.probe = true;
        let timeout = given_up.probe_timeout;
        let fetched = time::timeout(timeout, self.0.probe.jwks()).await;
        let fetched = fetched
            .unwrap_or_else(|_| Err(ProbeError::new(format!("no JWKS came within {timeout:?}"))));
        let fetched = fetched.and_then(|bytes| {
            JwkSet::from_json(&bytes)
                .map_err(|error| ProbeError::new("what was fetched is no JWKS").with_source(error))
        });
        let jwks = match fetched {
            Ok(jwks) => jwks,
            Err(error) => {
                let kids = unseen.iter().map(|key| key.kid().to_owned()).collect();
                given_up.troubles.push(Trouble::Probe { kids, error });
                return;
            }
        };
        let (seen, missing): (Vec<&ManagedKey>, Vec<&ManagedKey>) =
            unseen.iter().partition(|key| has(&jwks, key.jwk()));
        if !missing.is_empty() {
            let kids = missing.iter().map(|key| key.kid().to_owned()).collect();
            let error = ProbeError::new("the JWKS that was fetched lacks it");
            given_up.troubles.push(Trouble::Probe { kids, error });
        }
        for key in seen {
            let kid = key.kid().to_owned();
            match self
                .write(following, &Change::Observe { kid }, present)
                .await
            {
                Ok(_) => {}
                Err(error) => return given_up.change(error),
            }
        }
    }
}

fn has(jwks: &JwkSet, wanted: &Jwk) -> bool {
    jwks.keys().iter().any(|jwk| {
        jwk.kid() == wanted.kid()
            && jwk.algorithm() == wanted.algorithm()
            && jwk.public_key() == wanted.public_key()
    })
}
