//! The keeper: it follows the manifest, and does what the rotation's plan says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use chancery_core::rotation::{Change, KeyBackend, ManifestError, RotationPolicy};
use chancery_core::{Algorithm, KeySet, UnixTime};
use tokio::sync::Mutex;

use crate::keeper::event::Event;
use crate::keeper::following::Following;
use crate::keeper::probe::Probe;
use crate::keeper::trouble::KeeperError;
use crate::keeper::view::View;
use crate::publication::Publication;
use crate::store::Store;

pub(crate) mod event;
mod following;
#[cfg(feature = "probe")]
pub(crate) mod http_probe;
mod jobs;
pub(crate) mod probe;
mod round;
mod run;
mod step;
pub(crate) mod trouble;
pub(crate) mod view;

/// The path of the manifest in its store.
const MANIFEST: &str = "manifest.json";

/// Keeps the keys of an issuer, or of thousands that share them: it follows the manifest in a store,
/// opens the signers of its keys, and rotates them by the policy.
///
/// Any number of replicas keep the same manifest at once. Each change of it is a compare-and-swap,
/// so one of them makes it and the others follow; they share nothing but the store. A replica that
/// cannot read the manifest goes on for the lease; then its key set signs nothing, its issuers'
/// documents are errors to be answered by status 503, and [`Keeper::is_ready`] is false.
///
/// It is driven by [`Keeper::run`], or by hand with [`Keeper::step`]. Cloning it is cheap, and all
/// clones are the same keeper.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    store: Store,
    policy: RotationPolicy,
    replica: String,
    backends: BTreeMap<String, Arc<dyn KeyBackend>>,
    probe: Arc<dyn Probe>,
    hook: Option<Hook>,
    keys: KeySet,
    following: Mutex<Following>,
    publications: Mutex<Vec<Publication>>,
    /// What is told to those who ask while a step is on its way.
    view: RwLock<View>,
}

type Hook = Box<dyn Fn(&Event<'_>) + Send + Sync>;

impl Keeper {
    /// Sets up the keeper of the manifest that lies, or will lie, in this store.
    ///
    /// The policy is this replica's. Where the manifest has a newer one in force, that is followed;
    /// where it has an older one, this one is put in force.
    pub fn builder(
        store: Store,
        policy: RotationPolicy,
        probe: impl Probe + 'static,
    ) -> KeeperBuilder {
        KeeperBuilder(Inner {
            store,
            policy,
            replica: "replica".to_owned(),
            backends: BTreeMap::new(),
            probe: Arc::new(probe),
            hook: None,
            keys: KeySet::following(),
            following: Mutex::default(),
            publications: Mutex::default(),
            view: RwLock::default(),
        })
    }

    /// The keys, for the issuers that this replica serves. They are there after the first step.
    #[must_use]
    pub fn keys(&self) -> &KeySet {
        &self.0.keys
    }

    /// Makes the first manifest in the store, unless there is one: for the first start of an issuer
    /// that has no keys yet. Any number of replicas may call it at once.
    ///
    /// It is apart from [`Keeper::step`] so that a replica which was pointed at the wrong store by
    /// mistake does not begin with new keys there.
    ///
    /// # Errors
    /// [`KeeperError`] when the policy cannot be carried out, or the store cannot be read or
    /// written.
    pub async fn initialize(&self, now: UnixTime) -> Result<(), KeeperError> {
        self.create(now).await
    }

    /// Publishes these documents from now on, in each step in which they have changed. No new key is
    /// used before all of them have it, which each replica sees to that publishes.
    pub async fn publish(&self, publication: Publication) {
        self.0.publications.lock().await.push(publication);
    }

    /// Lets another key of a lane take over now, in an emergency: one that may sign already, a
    /// standby first (inequality 7). The other replicas follow as they read the manifest. A step of
    /// this keeper that is on its way comes to its end before.
    ///
    /// # Errors
    /// [`KeeperError::Manifest`] when no other key may sign yet, with the moment from which on one
    /// may; any other when the manifest cannot be changed.
    pub async fn switch(&self, algorithm: Algorithm, now: UnixTime) -> Result<(), KeeperError> {
        self.change(now, |manifest, now| {
            let successors = manifest.successors(algorithm, now)?;
            match successors.first() {
                Some(key) => Ok(Change::Switch {
                    kid: key.kid().to_owned(),
                }),
                None => Err(ManifestError::NoSuccessor {
                    algorithm,
                    earliest: None,
                }),
            }
        })
        .await
    }

    /// Takes a compromised key out of the JWKS at once, and lets another one take over where it
    /// signs. Its live tokens fail; relying parties stop trusting it within the time that they
    /// cache the JWKS. A step of this keeper that is on its way comes to its end before.
    ///
    /// # Errors
    /// [`KeeperError::Manifest`] when the key signs and no other one may yet, unless
    /// `without_successor`: then the lane signs nothing until one may. Any other when the manifest
    /// cannot be changed.
    pub async fn revoke(
        &self,
        kid: &str,
        without_successor: bool,
        now: UnixTime,
    ) -> Result<(), KeeperError> {
        self.change(now, |_, _| {
            Ok(Change::Revoke {
                kid: kid.to_owned(),
                without_successor,
            })
        })
        .await
    }

    fn tell(&self, event: &Event<'_>) {
        #[cfg(feature = "tracing")]
        event.trace();
        if let Some(hook) = &self.0.hook {
            hook(event);
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("store", &self.0.store)
            .field("replica", &self.0.replica)
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Keeper`].
#[must_use = "build() makes the keeper"]
pub struct KeeperBuilder(Inner);

impl KeeperBuilder {
    /// Names this replica in the manifest's history: 1 to 128 printable ASCII characters, such as
    /// the host's name; `replica` by default.
    pub fn replica(mut self, name: impl Into<String>) -> Self {
        self.0.replica = name.into();
        self
    }

    /// Registers a backend under the name by which the policy and the manifest call it. A replica
    /// that lacks one signs with the keys of the others, and leaves the rest to other replicas.
    pub fn backend(mut self, name: impl Into<String>, backend: impl KeyBackend + 'static) -> Self {
        self.0.backends.insert(name.into(), Arc::new(backend));
        self
    }

    /// Calls this for each event, on the task that drives the keeper; it must not block.
    pub fn on_event(mut self, hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.0.hook = Some(Box::new(hook));
        self
    }

    /// Makes the keeper, which has read nothing yet.
    #[must_use]
    pub fn build(self) -> Keeper {
        Keeper(Arc::new(self.0))
    }
}

impl fmt::Debug for KeeperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperBuilder")
            .field("store", &self.0.store)
            .field("replica", &self.0.replica)
            .finish_non_exhaustive()
    }
}
