//! The keeper: it follows the manifest, and does what the rotation's plan says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chancery_core::rotation::{
    Change, KeyBackend, KeyState, ManagedKey, Manifest, Plan, RotationPolicy, plan,
};
use chancery_core::{Clock, KeySet, Lease, Limits, ScheduledKey, Signer, SystemClock, UnixTime};
use tokio::sync;
use tokio::time::Instant;

use crate::content::{Content, Version};
use crate::error::StoreError;
use crate::keeper::event::Event;
use crate::keeper::jobs::Jobs;
use crate::keeper::probe::Probe;
use crate::keeper::trouble::{KeeperError, Trouble};
use crate::publication::Publication;
use crate::store::Store;

pub mod event;
#[cfg(feature = "probe")]
pub mod http_probe;
mod jobs;
pub mod probe;
mod run;
mod step;
pub mod trouble;

/// The path of the manifest in its store.
const MANIFEST: &str = "manifest.json";

/// Keeps the keys of an issuer, or of thousands that share them: it follows the manifest in a store,
/// opens the signers of its keys, and rotates them by the policy.
///
/// Any number of replicas keep the same manifest at once. Each change of it is a compare-and-swap,
/// so one of them makes it and the others follow. They share nothing but the store.
///
/// Drive it with [`Keeper::run`], or by hand with [`Keeper::step`].
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    store: Store,
    policy: RotationPolicy,
    replica: String,
    backends: BTreeMap<String, Arc<dyn KeyBackend>>,
    probe: Arc<dyn Probe>,
    clock: Arc<dyn Clock>,
    hook: Option<Hook>,
    keys: KeySet,
    following: sync::Mutex<Following>,
    publications: sync::Mutex<Vec<Publication>>,
    /// What is told to those who ask, without waiting for a step to end.
    view: RwLock<View>,
}

type Hook = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// What only a step touches.
#[derive(Default)]
struct Following {
    current: Option<Current>,
    signers: HashMap<String, Arc<dyn Signer>>,
    jobs: Jobs,
    /// Keys that this replica made and of which it does not know whether the manifest took them.
    unsettled: Vec<Unsettled>,
    lease: Option<Lease>,
    /// What the key set was made of: the revision, and the keys that have a signer.
    followed: Option<(u64, Vec<String>)>,
    states: HashMap<String, KeyState>,
}

struct Current {
    manifest: Arc<Manifest>,
    version: Version,
    read_at: UnixTime,
}
