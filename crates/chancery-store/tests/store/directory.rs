//! What only directories have: modes, locks, leftovers, strangers, and the file system's own limits.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use chancery_store::{Store, StoreError};
use tempfile::TempDir;

use crate::suite::text;

const LOCK: &str = ".chancery-lock";
const TEMPORARY: &str = ".chancery-new";

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::local(directory.path()).unwrap();
    (directory, store)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn files_are_the_owners_or_everybodys() {
    let directory = tempfile::tempdir().unwrap();
    let private = directory.path().join("private/issuer");
    let public = directory.path().join("public/issuer");
    for (store, root, folder, file) in [
        (Store::local(&private).unwrap(), &private, 0o700, 0o600),
        (
            Store::public_directory(&public).unwrap(),
            &public,
            0o755,
            0o644,
        ),
    ] {
        let version = store.create("a/b", &text(b"1")).await.unwrap();
        store.replace("a/b", &text(b"2"), &version).await.unwrap();
        for made in [root.parent().unwrap(), root, &root.join("a")] {
            assert_eq!(mode(made), folder, "{made:?}");
        }
        assert_eq!(mode(&root.join("a/b")), file);
        assert_eq!(mode(&root.join("a").join(LOCK)), 0o600);
    }
    // What was there keeps its mode.
    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o750)).unwrap();
    Store::local(&open).unwrap();
    assert_eq!(mode(&open), 0o750);
}

/// A volume that is not mounted any more leaves an empty place, or none.
#[tokio::test]
async fn a_directory_that_is_gone_is_not_made_anew() {
    let (directory, store) = store();
    store.create("keys/a", &text(b"1")).await.unwrap();
    let (root, aside) = (
        directory.path().to_owned(),
        directory.path().with_extension("aside"),
    );
    fs::rename(&root, &aside).unwrap();
    let outcome = store.create("keys/b", &text(b"2")).await;
    assert!(
        matches!(&outcome, Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound),
        "{outcome:?}"
    );
    assert!(!root.exists());
    fs::rename(&aside, &root).unwrap();
    store.create("keys/b", &text(b"2")).await.unwrap();
}

#[tokio::test]
async fn what_a_dead_writer_left_is_replaced() {
    let (directory, store) = store();
    let version = store.create("a", &text(b"1")).await.unwrap();
    let leftover = directory.path().join(TEMPORARY);
    fs::write(&leftover, b"half of something longer").unwrap();
    assert_eq!(store.list().await.unwrap(), ["a"]);
    store.replace("a", &text(b"2"), &version).await.unwrap();
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"2");
    assert!(!leftover.exists());
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for() {
    let (directory, store) = store();
    store.create("a", &text(b"1")).await.unwrap();
    let lock = File::open(directory.path().join(LOCK)).unwrap();
    lock.lock().unwrap();
    let start = Instant::now();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create("b", &text(b"1")).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Nobody waits for it to read.
    assert!(store.read("a").await.unwrap().is_some());
    assert!(!waiting.is_finished());
    lock.unlock().unwrap();
    waiting.await.unwrap().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

/// Such as that of a process which was stopped.
#[tokio::test]
async fn a_lock_that_is_not_let_go_of_is_given_up() {
    let (directory, store) = store();
    let version = store.create("a", &text(b"1")).await.unwrap();
    let lock = File::open(directory.path().join(LOCK)).unwrap();
    lock.lock().unwrap();
    let outcome = store.replace("a", &text(b"2"), &version).await;
    let Err(error @ StoreError::Unavailable { .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(error.is_retryable());
    lock.unlock().unwrap();
    // It was given up for good.
    let object = store.read("a").await.unwrap().unwrap();
    assert_eq!((object.bytes(), object.version()), (&b"1"[..], &version));
}

/// Whoever waits for the old file would otherwise hold a lock that the next one does not see.
#[tokio::test]
async fn a_lock_file_that_is_removed_is_made_again() {
    let (directory, store) = store();
    store.create("a", &text(b"1")).await.unwrap();
    let path = directory.path().join(LOCK);
    let old = File::open(&path).unwrap();
    old.lock().unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create("b", &text(b"1")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::remove_file(&path).unwrap();
    let new = File::create(&path).unwrap();
    new.lock().unwrap();
    old.unlock().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !waiting.is_finished(),
        "it took the lock of a file that is gone"
    );
    new.unlock().unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn every_change_is_told_from_every_other_whatever_the_clock_does() {
    let (directory, store) = store();
    let mut version = store.create("a", &text(b"1")).await.unwrap();
    let mut seen = vec![version.clone()];
    for _ in 0..200 {
        version = store.replace("a", &text(b"1"), &version).await.unwrap();
        assert!(!seen.contains(&version));
        let changed = store.read_if_changed("a", seen.last().unwrap()).await;
        assert!(changed.unwrap().is_some());
        seen.push(version.clone());
    }
    // The clock was ahead, and is set back.
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let path = directory.path().join("a");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(tomorrow)
        .unwrap();
    let ahead = store.read("a").await.unwrap().unwrap();
    let next = store
        .replace("a", &text(b"1"), ahead.version())
        .await
        .unwrap();
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > tomorrow);
    assert!(store.read_if_changed("a", &next).await.unwrap().is_none());
    assert!(
        store
            .read_if_changed("a", ahead.version())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn what_others_change_is_noticed() {
    let (directory, store) = store();
    let version = store.create("a", &text(b"1")).await.unwrap();
    let path = directory.path().join("a");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    // A restored backup, with the time that it had.
    fs::write(&path, b"2").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let outcome = store.replace("a", &text(b"3"), &version).await;
    assert!(
        matches!(outcome, Err(StoreError::Conflict { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn strangers_are_passed_over() {
    let (directory, store) = store();
    for name in ["a b", "ü", "lost+found/c", ".chancery-else"] {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    store.create("a", &text(b"1")).await.unwrap();
    assert_eq!(store.list().await.unwrap(), ["a"]);
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let (directory, store) = store();
    File::create(directory.path().join("a"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let outcome = store.read("a").await;
    let Err(error @ StoreError::TooLarge { .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let said = error.to_string();
    assert!(
        said.ends_with("/a has 1099511627776 bytes, more than 16777216"),
        "{said}"
    );
}

#[tokio::test]
async fn a_folder_is_no_object_and_an_object_no_folder() {
    let (directory, store) = store();
    store.create("a/b", &text(b"1")).await.unwrap();
    assert!(store.read("a").await.unwrap().is_none());
    assert!(store.read("a/b/c").await.unwrap().is_none());
    store.delete("a/b/c").await.unwrap();
    for path in ["a", "a/b/c"] {
        let outcome = store.create(path, &text(b"1")).await;
        assert!(matches!(outcome, Err(StoreError::Io { .. })), "{outcome:?}");
    }
    assert!(!directory.path().join(TEMPORARY).exists());
    let file = directory.path().join("a/b");
    let outcome = Store::local(&file);
    assert!(matches!(outcome, Err(StoreError::Io { .. })), "{outcome:?}");
    // A link to a directory is one.
    let link = directory.path().join("link");
    symlink(directory.path().join("a"), &link).unwrap();
    let linked = Store::local(&link).unwrap();
    assert_eq!(linked.list().await.unwrap(), ["b"]);
}
