//! Changes that take long: their moments count on them being in force soon, or not at all.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use chancery_core::Algorithm;
use chancery_core::Clock as _;
use chancery_core::rotation::{Lane, Manifest, RotationPolicy};
use chancery_store::{KeeperError, Store, Trouble};

use crate::support::{Hands, Memory, Replica, policy, times};

/// A keeper of a directory, by whose times a write may take a second.
async fn keeper(folder: &Path) -> (Store, Memory, Hands, Replica) {
    let (store, memory, clock) = (
        Store::local(folder).unwrap(),
        Memory::default(),
        Hands::at_start(),
    );
    let times = times().with_clock_error(Duration::from_secs(1));
    let policy = RotationPolicy::new(1)
        .with_times(times)
        .nobody_has_fetched()
        .with_lane(Lane::new(Algorithm::Es256, "memory"));
    let replica = Replica::new(&store, &memory, policy, &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    (store, memory, clock, replica)
}

/// Keeps all others from writing until it is dropped.
fn lock(folder: &Path) -> File {
    let lock = folder.join(".chancery-lock");
    let lock = File::options().write(true).open(lock).unwrap();
    lock.lock().unwrap();
    lock
}

/// A keeper that cannot get at the lock gives up after ε. What it has given up must not come into
/// force when the lock is free again.
#[tokio::test]
async fn a_change_that_was_given_up_is_not_made_later() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, clock, replica) = keeper(folder.path()).await;
    let lock = lock(folder.path());
    let report = replica.keeper.step(clock.now()).await.unwrap();
    assert!(
        matches!(report.troubles[..], [Trouble::Change(_)]),
        "{:?}",
        report.troubles
    );
    drop(lock);

    // Longer than it takes to find the lock free.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let manifest = store.read("manifest.json").await.unwrap().unwrap();
    let manifest = Manifest::from_json(manifest.bytes()).unwrap();
    assert_eq!(manifest.revision(), 1);
}

/// The key was made, and the step is cut off while the manifest that has it is being written.
#[tokio::test]
async fn a_key_whose_write_was_cut_off_is_destroyed_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_, memory, clock, replica) = keeper(folder.path()).await;
    let lock = lock(folder.path());
    let step = replica.keeper.step(clock.now());
    let cut_off = tokio::time::timeout(Duration::from_millis(500), step).await;
    assert!(cut_off.is_err());
    assert_eq!(memory.made(), 1);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    drop(lock);
    for _ in 0..2 {
        clock.turn(3);
        replica.keeper.step(clock.now()).await.unwrap();
    }
    let manifest = replica.keeper.manifest().unwrap();
    let [key] = manifest.keys() else {
        panic!("{:?}", manifest.keys());
    };
    assert_eq!(memory.kids(), [key.kid()]);
}

/// What it would change would be in force sooner than others expect.
#[tokio::test]
async fn a_keeper_whose_clock_went_back_does_nothing() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    // Long after the last change.
    clock.turn(1000);
    let now = clock.now();
    replica.keeper.step(now).await.unwrap();
    clock.set(now.saturating_sub(times().clock_errors() + Duration::from_secs(1)));
    let went_back = replica.keeper.step(clock.now()).await.unwrap_err();
    assert!(
        matches!(went_back, KeeperError::ClockWentBack { seen, .. } if seen == now),
        "{went_back:?}"
    );
    assert!(!replica.keeper.is_ready(clock.now()));
    clock.set(now.saturating_sub(times().clock_errors()));
    replica.keeper.step(clock.now()).await.unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
}
