//! What a keeper does when something does not work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chancery_core::rotation::{KeyState, ManifestError};
use chancery_core::{Claims, Clock, DocumentError, IssueError};
use chancery_store::{Content, Event, Keeper, KeeperError, Store, Trouble};

use crate::support::{Hands, Memory, Replica, policy};

fn claims() -> Claims {
    Claims::new("job:1").with_audience("sts.amazonaws.com")
}

/// A replica whose first key signs.
async fn at_work(store: &Store, memory: &Memory, clock: &Hands) -> Replica {
    let replica = Replica::new(store, memory, policy().nobody_has_fetched(), clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    let report = replica.keeper.step(clock.now()).await.unwrap();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    replica.issuer.issue(&claims()).unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
    replica
}

/// A directory whose manifest can be taken away.
#[derive(Clone)]
struct Away(Arc<tempfile::TempDir>);

impl Away {
    fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn store(&self) -> Store {
        Store::local(self.0.path()).unwrap()
    }

    /// Something that is no file stands in its place, so that it cannot be read.
    fn take(&self) {
        let (manifest, aside) = (
            self.0.path().join("manifest.json"),
            self.0.path().join("aside"),
        );
        std::fs::rename(&manifest, aside).unwrap();
        std::fs::create_dir(manifest).unwrap();
    }

    fn bring_back(&self) {
        let (manifest, aside) = (
            self.0.path().join("manifest.json"),
            self.0.path().join("aside"),
        );
        std::fs::remove_dir(&manifest).unwrap();
        std::fs::rename(aside, manifest).unwrap();
    }
}

#[tokio::test]
async fn without_the_store_a_replica_goes_on_for_the_lease_and_no_longer() {
    let (away, memory, clock) = (Away::new(), Memory::default(), Hands::at_start());
    let replica = at_work(&away.store(), &memory, &clock).await;
    away.take();
    // The lease of 60 s, less twice the error of a clock.
    for _ in 0..49 {
        clock.turn(1);
        replica.keeper.step(clock.now()).await.unwrap_err();
        replica.issuer.issue(&claims()).unwrap();
        replica.issuer.jwks().unwrap();
        assert!(replica.keeper.is_ready(clock.now()));
    }
    clock.turn(1);
    replica.keeper.step(clock.now()).await.unwrap_err();
    let refused = replica.issuer.issue(&claims()).unwrap_err();
    assert!(
        matches!(refused, IssueError::LeaseExpired { .. }),
        "{refused}"
    );
    let refused = replica
        .issuer
        .document("/.well-known/jwks.json")
        .unwrap_err();
    assert!(
        matches!(refused, DocumentError::LeaseExpired { .. }),
        "{refused}"
    );
    assert!(!replica.keeper.is_ready(clock.now()));
    // It is back with the store.
    away.bring_back();
    replica.keeper.step(clock.now()).await.unwrap();
    replica.issuer.issue(&claims()).unwrap();
    replica.issuer.jwks().unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
}

#[tokio::test]
async fn a_store_without_a_manifest_is_not_begun_anew() {
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let replica = Replica::new(&Store::memory(), &memory, policy(), &clock);
    let error = replica.keeper.step(clock.now()).await.unwrap_err();
    assert!(matches!(error, KeeperError::NoManifest { .. }), "{error}");
    assert!(error.to_string().contains("manifest.json"), "{error}");
    assert_eq!(memory.made(), 0);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_renews_no_lease() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = at_work(&store, &memory, &clock).await;
    let object = store.read("manifest.json").await.unwrap().unwrap();
    let broken = Content::new(b"{\"version\": 2}", "application/json");
    let version = store
        .replace("manifest.json", &broken, object.version())
        .await
        .unwrap();
    clock.turn(50);
    let error = replica.keeper.step(clock.now()).await.unwrap_err();
    assert!(
        matches!(
            error,
            KeeperError::Manifest(ManifestError::Version { found: 2 })
        ),
        "{error}"
    );
    assert!(replica.issuer.issue(&claims()).is_err());
    let right = Content::new(object.bytes(), "application/json");
    store
        .replace("manifest.json", &right, &version)
        .await
        .unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    replica.issuer.issue(&claims()).unwrap();
}

#[tokio::test]
async fn an_older_manifest_is_not_followed() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    let backup = store.read("manifest.json").await.unwrap().unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let current = store.read("manifest.json").await.unwrap().unwrap();
    let content = Content::new(backup.bytes(), "application/json");
    store
        .replace("manifest.json", &content, current.version())
        .await
        .unwrap();
    let error = replica.keeper.step(clock.now()).await.unwrap_err();
    assert!(
        matches!(error, KeeperError::WentBack { found: 1, .. }),
        "{error}"
    );
    assert_eq!(memory.made(), 1, "no other key was made");
}

/// Any replica has the last manifest, from which it is put back.
#[tokio::test]
async fn a_manifest_that_is_gone_is_put_back_and_not_begun_anew() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = at_work(&store, &memory, &clock).await;
    store.delete("manifest.json").await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap_err();
    replica.keeper.initialize(clock.now()).await.unwrap_err();
    assert!(store.read("manifest.json").await.unwrap().is_none());
    replica.issuer.issue(&claims()).unwrap();
    let last = replica.keeper.manifest().unwrap().to_json().unwrap();
    let content = Content::new(&last, "application/json");
    store.create("manifest.json", &content).await.unwrap();
    clock.turn(45);
    let report = replica.keeper.step(clock.now()).await.unwrap();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    clock.turn(45);
    replica.issuer.issue(&claims()).unwrap();
    assert_eq!(memory.made(), 1);
}

#[tokio::test]
async fn a_clock_that_is_far_behind_signs_nothing() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    at_work(&store, &memory, &clock).await;
    let behind = Hands::at_start();
    behind.set(clock.now().saturating_sub(Duration::from_secs(11)));
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &behind);
    let error = replica.keeper.step(behind.now()).await.unwrap_err();
    assert!(
        matches!(
            error,
            KeeperError::Manifest(ManifestError::ClockWentBack { .. })
        ),
        "{error}"
    );
    assert!(replica.issuer.issue(&claims()).is_err());
    assert!(replica.issuer.jwks().is_err());
    // Within what clocks may differ it works.
    behind.turn(1);
    replica.keeper.step(behind.now()).await.unwrap();
    // The key is announced by this clock too, in a while.
    behind.turn(10);
    assert!(replica.issuer.jwks().is_ok());
    replica.issuer.issue(&claims()).unwrap();
}

#[tokio::test]
async fn a_backend_that_fails_is_tried_again_and_the_active_key_signs_on() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = at_work(&store, &memory, &clock).await;
    memory.fail(Some("the device is on fire"));
    let mut troubles = 0;
    for _ in 0..3600 / 20 {
        clock.turn(20);
        let report = replica.keeper.step(clock.now()).await.unwrap();
        troubles += report.troubles.len();
        replica.issuer.issue(&claims()).unwrap();
    }
    assert!(troubles > 0);
    assert_eq!(memory.made(), 1);
    // The successor is late, and follows all the rules once it is made.
    memory.fail(None);
    for _ in 0..1800 / 20 {
        clock.turn(20);
        replica.keeper.step(clock.now()).await.unwrap();
        replica.issuer.issue(&claims()).unwrap();
    }
    let manifest = replica.keeper.manifest().unwrap();
    let states = manifest.keys().iter().map(|key| key.state(clock.now()));
    let active = states.filter(|state| *state == KeyState::Active);
    assert_eq!((active.count(), manifest.keys().len()), (1, 2));
    assert_eq!(manifest.keys()[1].state(clock.now()), KeyState::Active);
}

#[tokio::test]
async fn a_backend_that_hangs_costs_a_step_five_seconds_and_no_lease() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    at_work(&store, &memory, &clock).await;
    memory.hang(Duration::from_secs(7));
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    let start = Instant::now();
    let report = replica.keeper.step(clock.now()).await.unwrap();
    let taken = start.elapsed();
    assert!((5..7).contains(&taken.as_secs()), "{taken:?}");
    let [trouble @ Trouble::Backend { .. }] = report.troubles.as_slice() else {
        panic!("{:?}", report.troubles);
    };
    assert!(trouble.to_string().contains("still at it"), "{trouble}");
    // It publishes meanwhile, and is not called again before it has answered.
    replica.issuer.jwks().unwrap();
    assert!(!replica.keeper.is_ready(clock.now()));
    replica.keeper.step(clock.now()).await.unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
    replica.issuer.issue(&claims()).unwrap();
}

/// The store is gone just when a key was made, so that the manifest never hears of it.
#[tokio::test]
async fn a_key_that_no_manifest_took_is_destroyed_in_the_end() {
    let (away, memory, clock) = (Away::new(), Memory::default(), Hands::at_start());
    let store = away.store();
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    let taken = away.clone();
    memory.on_made(move || taken.take());
    let report = replica.keeper.step(clock.now()).await.unwrap();
    assert!(
        matches!(report.troubles.as_slice(), [Trouble::Change(_)]),
        "{report:?}"
    );
    assert_eq!(memory.made(), 1);
    replica.keeper.step(clock.now()).await.unwrap_err();
    away.bring_back();
    // It may have arrived nevertheless, so it is kept for as long as a write may take.
    let kids = |replica: &Replica| {
        let manifest = replica.keeper.manifest().unwrap();
        let kids = manifest.keys().iter().map(|key| key.kid().to_owned());
        kids.collect::<Vec<_>>()
    };
    replica.keeper.step(clock.now()).await.unwrap();
    assert_eq!((memory.kids().len(), kids(&replica).len()), (2, 1));
    clock.turn(10);
    replica.keeper.step(clock.now()).await.unwrap();
    assert_eq!(memory.kids().len(), 2);
    clock.turn(1);
    replica.keeper.step(clock.now()).await.unwrap();
    assert_eq!(memory.kids(), kids(&replica));
    replica.issuer.issue(&claims()).unwrap();
}

/// A key that no manifest took is not forgotten because the device fails just then.
#[tokio::test]
async fn a_key_that_could_not_be_destroyed_is_tried_again() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replicas = [0, 1].map(|_| Replica::new(&store, &memory, policy(), &clock));
    let [first, second] = &replicas;
    // So that its key goes on waiting for its turn.
    for replica in &replicas {
        *replica.eye.is_blind.lock().unwrap() = true;
    }
    first.keeper.initialize(clock.now()).await.unwrap();
    let (keeper, now, device) = (first.keeper.clone(), clock.now(), memory.clone());
    // The first replica is faster, and the device is lost right after that.
    memory.on_made(move || {
        let keeper = keeper.clone();
        let step = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(keeper.step(now)).unwrap()
        });
        step.join().unwrap();
        device.fail(Some("the device is on fire"));
    });
    let report = second.keeper.step(clock.now()).await.unwrap();
    assert!(!report.troubles.is_empty());
    assert_eq!(memory.kids().len(), 2);
    memory.fail(None);
    second.keeper.step(clock.now()).await.unwrap();
    let manifest = second.keeper.manifest().unwrap();
    let [key] = manifest.keys() else {
        panic!("{:?}", manifest.keys());
    };
    assert_eq!(memory.kids(), [key.kid()]);
}

#[tokio::test]
async fn a_key_that_nobody_can_fetch_is_never_put_to_use() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = at_work(&store, &memory, &clock).await;
    *replica.eye.is_blind.lock().unwrap() = true;
    let first = replica
        .issuer
        .prepare(&claims())
        .unwrap()
        .jwk()
        .kid()
        .to_owned();
    let mut troubles = Vec::new();
    for _ in 0..6000 / 20 {
        clock.turn(20);
        let report = replica.keeper.step(clock.now()).await.unwrap();
        troubles.extend(report.troubles);
        let signed_by = replica.issuer.prepare(&claims()).unwrap();
        assert_eq!(signed_by.jwk().kid(), first);
    }
    assert!(matches!(troubles.first(), Some(Trouble::Probe { .. })));
    // Seen at last, it takes over no sooner than relying parties have forgotten the old JWKS.
    *replica.eye.is_blind.lock().unwrap() = false;
    replica.keeper.step(clock.now()).await.unwrap();
    let seen = clock.now();
    while replica.issuer.prepare(&claims()).unwrap().jwk().kid() == first {
        clock.turn(1);
        replica.keeper.step(clock.now()).await.unwrap();
    }
    let waited = clock.now().as_secs() - seen.as_secs();
    assert_eq!(waited, 120 + 10, "cache and two clock errors");
}

#[tokio::test]
async fn a_cache_that_hands_out_the_old_jwks_holds_up_the_key() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = at_work(&store, &memory, &clock).await;
    let old = replica.issuer.jwks().unwrap().bytes().to_vec();
    *replica.eye.cached.lock().unwrap() = Some(old);
    let first = replica.issuer.prepare(&claims()).unwrap();
    let mut troubles = Vec::new();
    for _ in 0..6000 / 20 {
        clock.turn(20);
        let report = replica.keeper.step(clock.now()).await.unwrap();
        troubles.extend(report.troubles);
        let token = replica.issuer.prepare(&claims()).unwrap();
        assert_eq!(token.jwk().kid(), first.jwk().kid());
    }
    let trouble = troubles.first().unwrap().to_string();
    assert!(trouble.contains("lacks it"), "{trouble}");
}

#[tokio::test]
async fn events_tell_what_happens() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let count = Arc::new(AtomicU64::new(0));
    let (told, counted) = (Arc::clone(&lines), Arc::clone(&count));
    let replica = Replica::with(&store, policy().nobody_has_fetched(), &clock, |builder| {
        builder.backend("memory", memory).on_event(move |event| {
            counted.fetch_add(1, Ordering::Relaxed);
            told.lock().unwrap().push(event.to_string());
        })
    });
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let lines = lines.lock().unwrap().join("\n");
    for line in [
        "manifest 1: create",
        "manifest 2: provision",
        "manifest 3: announce",
        "is active",
    ] {
        assert!(lines.contains(line), "{line} is missing in\n{lines}");
    }
    assert!(count.load(Ordering::Relaxed) >= 4);
}

/// What fails is due all the time, and a device that is down is not helped by being asked each second.
#[tokio::test]
async fn what_fails_again_and_again_is_tried_less_often() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let failures = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&failures);
    let mut policy = policy();
    policy.times = policy.times.with_lease(Duration::from_secs(600));
    let replica = Replica::with(&store, policy, &clock, |builder| {
        builder
            .backend("memory", memory.clone())
            .on_event(move |event| {
                if matches!(event, Event::Failed(_)) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
    });
    replica.keeper.initialize(clock.now()).await.unwrap();
    memory.fail(Some("the device is on fire"));
    let running = replica.keeper.run(&clock);
    let stopped = tokio::time::timeout(Duration::from_secs(6), running).await;
    assert!(stopped.is_err());
    // At the start, and 1 s and 2 s and then 4 s later.
    assert_eq!(failures.load(Ordering::Relaxed), 3);
}

/// Clones are one keeper, and steps of it come one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_one_keeper_do_not_meet() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    let step = |keeper: Keeper| {
        let now = clock.now();
        tokio::spawn(async move { keeper.step(now).await.unwrap().troubles.len() })
    };
    let steps: Vec<_> = (0..8).map(|_| step(replica.keeper.clone())).collect();
    for step in steps {
        assert_eq!(step.await.unwrap(), 0);
    }
    assert_eq!(memory.made(), 1);
}
