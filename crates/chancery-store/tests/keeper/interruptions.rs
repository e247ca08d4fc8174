//! Steps that are cut off or held up at a bad moment, by whoever drives the keeper or by the machine.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::rotation::{
    BackendError, CreatedKey, KeyBackend, KeyState, Lane, Manifest, RotationPolicy, RotationTimes,
};
use chancery_core::{Algorithm, Claims, Clock, Jwk, Signer};
use chancery_store::{Event, Store};
use tokio::runtime;
use tokio::time::timeout;

use crate::support::{Hands, Memory, Replica, policy};

fn claims() -> Claims {
    Claims::new("job:1").with_audience("sts.amazonaws.com")
}

fn kids(replica: &Replica) -> Vec<String> {
    let manifest = replica.keeper.manifest().unwrap();
    let keys = manifest.keys().iter();
    let mut kids: Vec<_> = keys.map(|key| key.kid().to_owned()).collect();
    kids.sort();
    kids
}

fn sorted(mut kids: Vec<String>) -> Vec<String> {
    kids.sort();
    kids
}

/// What some backends have done while others were waited for is not forgotten.
#[tokio::test]
async fn a_step_that_is_cut_off_loses_no_key_that_was_made() {
    for _ in 0..4 {
        let (store, clock) = (Store::memory(), Hands::at_start());
        let (fast, slow) = (Memory::default(), Memory::default());
        let mut policy = policy().nobody_has_fetched();
        for (algorithm, backend) in [(Algorithm::Es384, "slow"), (Algorithm::EdDsa, "memory")] {
            let mut lane = policy.lanes[0].clone();
            lane.algorithm = algorithm;
            backend.clone_into(&mut lane.backend);
            policy = policy.with_lane(lane);
        }
        let replica = Replica::with(&store, policy, &clock, |builder| {
            builder
                .backend("memory", fast.clone())
                .backend("slow", slow.clone())
        });
        replica.keeper.initialize(clock.now()).await.unwrap();
        slow.hang(Duration::from_millis(600));
        let step = replica.keeper.step(clock.now());
        timeout(Duration::from_millis(200), step).await.unwrap_err();
        let report = replica.keeper.step(clock.now()).await.unwrap();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        assert_eq!((fast.made(), slow.made()), (2, 1));
        assert_eq!(
            sorted([fast.kids(), slow.kids()].concat()),
            kids(&replica),
            "each key that was made is in the manifest"
        );
        replica.issuer.issue(&claims()).unwrap();
    }
}

/// Drops a future where it waits for the so-manieth time.
async fn cut_off_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Three replicas whose steps are cut off wherever they are just then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_are_cut_off_anywhere_lose_and_leave_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let store = Store::local(folder.path()).unwrap();
    let replicas = [0, 1, 2].map(|_| Replica::new(&store, &memory, policy(), &clock));
    replicas[0].keeper.initialize(clock.now()).await.unwrap();
    let mut cut_off = 0;
    for round in 0..4 * 3600 / 10 {
        let now = clock.now();
        let steps = replicas.iter().zip([1, 5, 11]).map(|(replica, place)| {
            let polls = (round * 7 + place * (round / 13)) % 17;
            cut_off_after(polls, replica.keeper.step(now))
        });
        for outcome in futures_util::future::join_all(steps).await {
            match outcome {
                Some(report) => assert!(report.is_ok(), "{report:?}"),
                None => cut_off += 1,
            }
        }
        let manifest = store.read("manifest.json").await.unwrap().unwrap();
        let manifest = Manifest::from_json(manifest.bytes()).unwrap();
        let there = memory.kids();
        for key in manifest.keys() {
            let is_due = key.moments().destroy.is_some_and(|due| due <= now);
            assert!(
                is_due || there.iter().any(|kid| kid == key.kid()),
                "{key:?}"
            );
        }
        clock.turn(10);
    }
    assert!(cut_off > 100, "{cut_off} steps were cut off");
    // What is unsettled is settled when no write can be on its way any more.
    for _ in 0..6 {
        for replica in &replicas {
            replica.keeper.step(clock.now()).await.unwrap();
        }
        clock.turn(10);
    }
    let manifest = replicas[0].keeper.manifest().unwrap();
    let alive = manifest.keys().iter();
    let alive = alive.filter(|key| key.moments().destroyed_at.is_none());
    let alive = alive.map(|key| key.kid().to_owned()).collect();
    assert_eq!(sorted(memory.kids()), sorted(alive));
    assert!(manifest.keys().len() >= 2, "{:?}", manifest.keys());
}

/// A backend that hands over one key, whoever asks, as that of the guide does.
#[derive(Clone, Debug)]
struct Same {
    signer: Arc<dyn Signer>,
    is_there: Arc<AtomicBool>,
    meanwhile: Meanwhile,
}

#[derive(Clone, Default)]
struct Meanwhile(Arc<Mutex<Option<Call>>>);

type Call = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl KeyBackend for Same {
    fn create(&self, _: Algorithm, _: &str) -> Result<CreatedKey, BackendError> {
        let meanwhile = self.meanwhile.0.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let (signer, reference) = (Arc::clone(&self.signer), "same".to_owned());
        Ok(CreatedKey { signer, reference })
    }

    fn open(&self, _: &str, _: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        Ok(Arc::clone(&self.signer))
    }

    fn destroy(&self, _: &str, _: &Jwk) -> Result<(), BackendError> {
        self.is_there.store(false, Ordering::SeqCst);
        Ok(())
    }
}

/// So it looks too when the answer to a write was lost, and the next write finds the key there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_manifest_has_already_is_not_destroyed() {
    let (store, clock) = (Store::memory(), Hands::at_start());
    let signer = Memory::default().create(Algorithm::Es256, "same").unwrap();
    let same = Same {
        signer: signer.signer,
        is_there: Arc::new(AtomicBool::new(true)),
        meanwhile: Meanwhile::default(),
    };
    let [first, second] = [0, 1].map(|_| {
        Replica::with(&store, policy().nobody_has_fetched(), &clock, |builder| {
            builder.backend("memory", same.clone())
        })
    });
    first.keeper.initialize(clock.now()).await.unwrap();
    let (keeper, now) = (first.keeper.clone(), clock.now());
    let runtime = runtime::Handle::current();
    *same.meanwhile.0.lock().unwrap() = Some(Box::new(move || {
        let step = thread::spawn(move || runtime.block_on(keeper.step(now)));
        step.join().unwrap().unwrap();
    }));
    let report = second.keeper.step(clock.now()).await.unwrap();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(same.is_there.load(Ordering::SeqCst));
    assert_eq!(kids(&second), [same.signer.jwk().kid()]);
    for replica in [&first, &second] {
        replica.issuer.issue(&claims()).unwrap();
    }
}

/// A replica is stopped between reading and planning, for longer than its lease. Meanwhile a
/// successor is revoked, so that the key which was to be destroyed by now signs on.
#[tokio::test]
async fn a_replica_that_wakes_up_destroys_nothing_by_an_old_manifest() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let seconds = Duration::from_secs;
    let nothing = Duration::ZERO;
    let times = RotationTimes::default()
        .with_max_age(nothing)
        .with_refresh(nothing)
        .with_lease(seconds(1))
        .with_clock_error(nothing)
        .with_signing_deadline(nothing)
        .with_longest_lifetime(seconds(1))
        .with_leeway(nothing)
        .with_clock_lag(nothing)
        .with_negative_cache(nothing);
    let lane = Lane::new(Algorithm::Es256, "memory")
        .with_active_for(seconds(10), seconds(100))
        .with_margin(seconds(2));
    let policy = RotationPolicy::new(1)
        .with_times(times)
        .with_lane(lane)
        .nobody_has_fetched();
    let awake = Replica::new(&store, &memory, policy.clone(), &clock);
    awake.keeper.initialize(clock.now()).await.unwrap();
    for _ in 0..9 {
        awake.keeper.step(clock.now()).await.unwrap();
        clock.turn(1);
    }
    let manifest = awake.keeper.manifest().unwrap();
    let [first, second] = manifest.keys() else {
        panic!("{:?}", manifest.keys());
    };
    let (first, second) = (first.kid().to_owned(), second.kid().to_owned());
    let stop = manifest.key(&first).unwrap().moments().stop.unwrap();
    assert!(clock.now() < stop);

    let is_frozen = Arc::new(AtomicBool::new(false));
    let (keeper, now) = (awake.keeper.clone(), clock.now());
    let freeze = {
        let revoked = second.clone();
        move |event: &Event<'_>| {
            let reads = matches!(event, Event::Followed { .. });
            if !reads || is_frozen.swap(true, Ordering::SeqCst) {
                return;
            }
            let (keeper, revoked) = (keeper.clone(), revoked.clone());
            let revoke = thread::spawn(move || {
                let runtime = runtime::Builder::new_current_thread();
                let runtime = { runtime }.enable_all().build().unwrap();
                runtime.block_on(keeper.revoke(&revoked, true, now))
            });
            revoke.join().unwrap().unwrap();
            // Until the first key is to be destroyed by what was read.
            thread::sleep(Duration::from_millis(2500));
        }
    };
    let asleep = Replica::with(&store, policy, &clock, |builder| {
        builder.backend("memory", memory.clone()).on_event(freeze)
    });
    asleep.keeper.step(now).await.unwrap();
    clock.set(now.checked_add(seconds(3)).unwrap());
    awake.keeper.step(clock.now()).await.unwrap();
    let manifest = awake.keeper.manifest().unwrap();
    assert_eq!(manifest.state(&first, clock.now()), Some(KeyState::Active));
    assert!(memory.kids().contains(&first), "the key that signs is gone");
}

/// Whoever runs the keeper can stop the process although a device does not answer.
#[test]
fn a_backend_that_hangs_does_not_hold_up_the_end() {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
            let replica = Replica::new(&store, &memory, policy(), &clock);
            replica.keeper.initialize(clock.now()).await.unwrap();
            memory.hang(Duration::from_secs(3600));
            let step = replica.keeper.step(clock.now());
            timeout(Duration::from_millis(300), step).await.unwrap_err();
        });
        let begin = Instant::now();
        drop(runtime);
        ended.send(begin.elapsed()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(5)).unwrap();
}

/// A replica with a policy that cannot be put in force signs by the one that is.
#[tokio::test]
async fn a_policy_that_conflicts_keeps_no_replica_from_signing() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let policy = policy().nobody_has_fetched();
    let replica = Replica::new(&store, &memory, policy.clone(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let mut other = policy;
    other.lanes[0].active_for += Duration::from_secs(1);
    let confused = Replica::new(&store, &memory, other, &clock);
    let report = confused.keeper.step(clock.now()).await.unwrap();
    let [trouble] = report.troubles.as_slice() else {
        panic!("{:?}", report.troubles);
    };
    assert!(
        trouble.to_string().contains("raise the version"),
        "{trouble}"
    );
    confused.issuer.issue(&claims()).unwrap();
    assert!(confused.keeper.is_ready(clock.now()));
}

/// A load balancer sends nobody to a replica that refuses to sign.
#[tokio::test]
async fn a_replica_whose_clock_went_back_is_not_ready() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let policy = policy().nobody_has_fetched();
    let replica = Replica::new(&store, &memory, policy, &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let right = clock.now();
    clock.turn(40);
    replica.issuer.issue(&claims()).unwrap();
    clock.set(right);
    // The manifest is read again by the clock as it is now.
    replica.keeper.step(clock.now()).await.unwrap();
    let issued = replica.issuer.issue(&claims());
    assert_eq!(
        replica.keeper.is_ready(clock.now()),
        issued.is_ok(),
        "{issued:?}"
    );
    assert!(!replica.keeper.status(clock.now()).problems().is_empty());
    clock.set(right.checked_add(Duration::from_secs(30)).unwrap());
    replica.keeper.step(clock.now()).await.unwrap();
    replica.issuer.issue(&claims()).unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
}
