//! Every manifest that was ever in the store, and since when.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use chancery::rotation::{Manifest, Moments};
use chancery::{Algorithm, UnixTime};

use crate::{Outcome, Result};

/// How often the manifest is looked at.
const POLL: Duration = Duration::from_millis(1);

/// No token of a key lives this long after the key has left the JWKS.
const LONG: Duration = Duration::from_secs(60);

/// A manifest, by what matters here.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// When it was first seen in the store.
    pub(crate) seen_at: SystemTime,
    /// When it was made, by the clock of whoever made it.
    pub(crate) changed_at: UnixTime,
    /// How many keys had begun to sign by then, in all lanes.
    pub(crate) activated: usize,
    /// How many had left the JWKS.
    pub(crate) retired: usize,
    /// How many private halves had been destroyed.
    pub(crate) destroyed: usize,
    /// The keys that had not left the JWKS long before.
    keys: BTreeMap<String, (Algorithm, Moments)>,
}

impl Revision {
    fn new(seen_at: SystemTime, manifest: &Manifest) -> Self {
        let now = manifest.changed_at();
        let reached = |moment: Option<UnixTime>| moment.is_some_and(|moment| moment <= now);
        let count = |moment: fn(&Moments) -> Option<UnixTime>| {
            let keys = manifest.keys().iter();
            keys.filter(|key| reached(moment(key.moments()))).count()
        };
        let keys = manifest.keys().iter().filter(|key| {
            let out = key.moments().out();
            out.is_none_or(|out| now.saturating_sub(LONG) <= out)
        });
        Self {
            seen_at,
            changed_at: now,
            activated: count(|moments| moments.activate),
            retired: count(Moments::out),
            destroyed: count(|moments| moments.destroyed_at),
            keys: keys
                .map(|key| {
                    (
                        key.kid().to_owned(),
                        (key.jwk().algorithm(), *key.moments()),
                    )
                })
                .collect(),
        }
    }

    /// Whether the key may sign at a moment.
    pub(crate) fn is_active(&self, kid: &str, now: UnixTime) -> bool {
        let reached = |moment: Option<UnixTime>| moment.is_some_and(|moment| moment <= now);
        self.keys.get(kid).is_some_and(|(_, moments)| {
            reached(moments.announce)
                && reached(moments.activate)
                && !reached(moments.end())
                && !reached(moments.out())
        })
    }

    /// The key that signs at a moment.
    pub(crate) fn active(&self, algorithm: Algorithm, now: UnixTime) -> Option<&str> {
        let of_lane = |kid: &&String| self.keys[*kid].0 == algorithm;
        let mut kids = self.keys.keys().filter(of_lane);
        kids.find(|kid| self.is_active(kid, now))
            .map(String::as_str)
    }
}

/// A watch on the manifest of a store that is a directory.
#[derive(Debug)]
pub(crate) struct Record {
    revisions: Arc<Mutex<BTreeMap<u64, Revision>>>,
    is_over: Arc<AtomicBool>,
    threads: [JoinHandle<Outcome>; 2],
}

type Sight = (SystemTime, Vec<u8>);

impl Record {
    pub(crate) fn start(manifest: PathBuf) -> Self {
        let revisions = Arc::<Mutex<BTreeMap<u64, Revision>>>::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (sights, seen) = mpsc::channel();
        let watcher = {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || watch(&manifest, &is_over, &sights))
        };
        let reader = {
            let revisions = Arc::clone(&revisions);
            // Apart from the watcher, which must not miss one while this takes its time.
            thread::spawn(move || read(&seen, &revisions))
        };
        Self {
            revisions,
            is_over,
            threads: [watcher, reader],
        }
    }

    /// What has been seen so far.
    pub(crate) fn revisions(&self) -> MutexGuard<'_, BTreeMap<u64, Revision>> {
        lock(&self.revisions)
    }

    /// Ends the watch, and hands back all that was seen.
    pub(crate) fn end(self) -> Result<BTreeMap<u64, Revision>> {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => return Err("the watch on the manifest has panicked".into()),
            }
        }
        Ok(std::mem::take(&mut *lock(&self.revisions)))
    }
}

fn watch(manifest: &PathBuf, is_over: &AtomicBool, sights: &mpsc::Sender<Sight>) -> Outcome {
    let mut last = None;
    while !is_over.load(Ordering::SeqCst) {
        thread::sleep(POLL);
        // Each change is a new file.
        let identity = |path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
        };
        let found = identity(manifest);
        if found != last && found.is_some() {
            last = found;
            let seen_at = SystemTime::now();
            sights.send((seen_at, fs::read(manifest)?))?;
        }
    }
    Ok(())
}

fn read(sights: &mpsc::Receiver<Sight>, revisions: &Mutex<BTreeMap<u64, Revision>>) -> Outcome {
    for (seen_at, bytes) in sights {
        let manifest = Manifest::from_json(&bytes)?;
        let revision = Revision::new(seen_at, &manifest);
        // What is read may be newer already than what was noticed.
        lock(revisions)
            .entry(manifest.revision())
            .or_insert(revision);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
