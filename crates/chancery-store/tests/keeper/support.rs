//! Backends, probes and a clock that tests hold in their hands.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chancery_core::rotation::{
    BackendError, CreatedKey, KeyBackend, Lane, RotationPolicy, RotationTimes,
};
use chancery_core::{Algorithm, Clock, Issuer, IssuerUrl, Jwk, Signer, UnixTime};
use chancery_software::{Engine, SoftwareSigner};
use chancery_store::{Keeper, KeeperBuilder, Probe, ProbeError, Store};

pub(crate) const START: u64 = 1_800_000_000;

/// A clock that stands still until it is turned.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn at_start() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn set(&self, now: UnixTime) {
        self.0.store(now.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// Keys in memory. Clones are the same backend, as replicas see one.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Inner>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.kids()).finish()
    }
}

type Hook = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Inner {
    on_made: Mutex<Option<Hook>>,
    keys: Mutex<HashMap<String, Arc<SoftwareSigner>>>,
    made: AtomicU64,
    trouble: Mutex<Option<String>>,
    hang: Mutex<Duration>,
}

impl Memory {
    /// The keys that are there.
    pub(crate) fn kids(&self) -> Vec<String> {
        let keys = self.0.keys.lock().unwrap();
        keys.keys().cloned().collect()
    }

    /// How many keys were ever made.
    pub(crate) fn made(&self) -> u64 {
        self.0.made.load(Ordering::SeqCst)
    }

    /// Does this once, right after the next key is made.
    pub(crate) fn on_made(&self, hook: impl Fn() + Send + 'static) {
        *self.0.on_made.lock().unwrap() = Some(Box::new(hook));
    }

    /// Lets every call fail, or none.
    pub(crate) fn fail(&self, why: Option<&str>) {
        *self.0.trouble.lock().unwrap() = why.map(str::to_owned);
    }

    /// Lets every call take so long.
    pub(crate) fn hang(&self, time: Duration) {
        *self.0.hang.lock().unwrap() = time;
    }

    fn works(&self) -> Result<(), BackendError> {
        let time = *self.0.hang.lock().unwrap();
        std::thread::sleep(time);
        match &*self.0.trouble.lock().unwrap() {
            Some(why) => Err(BackendError::new(why.clone())),
            None => Ok(()),
        }
    }
}

impl KeyBackend for Memory {
    fn create(&self, algorithm: Algorithm, _: &str) -> Result<CreatedKey, BackendError> {
        self.works()?;
        let signer = SoftwareSigner::generate(algorithm, Engine::Ring).unwrap();
        let signer = Arc::new(signer);
        let kid = signer.jwk().kid().to_owned();
        self.0.made.fetch_add(1, Ordering::SeqCst);
        let keys = &self.0.keys;
        keys.lock()
            .unwrap()
            .insert(kid.clone(), Arc::clone(&signer));
        let hook = self.0.on_made.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        Ok(CreatedKey {
            signer,
            reference: kid,
        })
    }

    fn open(&self, reference: &str, _: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        self.works()?;
        match self.0.keys.lock().unwrap().get(reference) {
            Some(signer) => Ok(Arc::clone(signer) as Arc<dyn Signer>),
            None => Err(BackendError::new("there is no such key")),
        }
    }

    fn destroy(&self, reference: &str, _: &Jwk) -> Result<(), BackendError> {
        self.works()?;
        self.0.keys.lock().unwrap().remove(reference);
        Ok(())
    }
}

/// Sees what an issuer publishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Eye {
    issuer: Arc<OnceLock<Arc<Issuer>>>,
    pub(crate) is_blind: Arc<Mutex<bool>>,
    /// What a cache in between hands out.
    pub(crate) cached: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Eye {
    pub(crate) fn look_at(&self, issuer: &Arc<Issuer>) {
        self.issuer.set(Arc::clone(issuer)).unwrap();
    }
}

impl Probe for Eye {
    fn jwks(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, ProbeError>> + Send + '_>> {
        Box::pin(async {
            if *self.is_blind.lock().unwrap() {
                return Err(ProbeError::new("the network is unreachable"));
            }
            if let Some(cached) = &*self.cached.lock().unwrap() {
                return Ok(cached.clone());
            }
            let issuer = self.issuer.get().unwrap();
            match issuer.jwks() {
                Ok(document) => Ok(document.bytes().to_vec()),
                Err(error) => Err(ProbeError::new("status 503").with_source(error)),
            }
        })
    }
}

/// A replica: its keeper, and the issuer that it serves.
pub(crate) struct Replica {
    pub(crate) keeper: Keeper,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) eye: Eye,
}

impl Replica {
    /// One of any number that share the store and the backend `memory`.
    pub(crate) fn new(
        store: &Store,
        memory: &Memory,
        policy: RotationPolicy,
        clock: &Hands,
    ) -> Self {
        Self::with(store, policy, clock, |builder| {
            builder.backend("memory", memory.clone())
        })
    }

    pub(crate) fn with(
        store: &Store,
        policy: RotationPolicy,
        clock: &Hands,
        set_up: impl FnOnce(KeeperBuilder) -> KeeperBuilder,
    ) -> Self {
        let eye = Eye::default();
        let keeper = set_up(Keeper::builder(store.clone(), policy, eye.clone())).build();
        let url = IssuerUrl::parse("https://id.example.com").unwrap();
        let issuer = Issuer::builder(url, keeper.keys().clone())
            .clock(Arc::new(clock.clone()))
            .default_lifetime(Duration::from_secs(60))
            .longest_lifetime(Duration::from_secs(60))
            .max_age(Duration::from_secs(30))
            .build();
        let issuer = Arc::new(issuer.unwrap());
        eye.look_at(&issuer);
        Self {
            keeper,
            issuer,
            eye,
        }
    }
}

/// Minutes instead of days.
pub(crate) fn times() -> RotationTimes {
    let seconds = Duration::from_secs;
    RotationTimes::default()
        .with_max_age(seconds(30))
        .with_refresh(seconds(120))
        .with_lease(seconds(60))
        .with_clock_error(seconds(5))
        .with_signing_deadline(seconds(10))
        .with_longest_lifetime(seconds(60))
        .with_leeway(seconds(30))
        .with_clock_lag(seconds(10))
        .with_negative_cache(seconds(20))
}

/// One lane in `memory`, which changes its key about each hour.
pub(crate) fn policy() -> RotationPolicy {
    let lane = Lane::new(Algorithm::Es256, "memory")
        .with_active_for(Duration::from_secs(3600), Duration::from_secs(7200))
        .with_margin(Duration::from_secs(300));
    RotationPolicy::new(1).with_times(times()).with_lane(lane)
}
