//! What every store has to do, whatever it is made of.

use std::sync::Arc;

use chancery_store::{Content, Store, StoreError, Version};
use tokio::task::JoinSet;

const WRITERS: usize = 8;
const ROUNDS: usize = 200;
const INCREMENTS: usize = 25;

/// In what stores differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// Keeps the headers that an object is served with.
    pub(crate) headers: bool,
    /// Derives versions from content alone.
    pub(crate) versions_by_content: bool,
}

/// Holds an empty store to all that its methods promise.
pub(crate) async fn conforms(store: &Store, traits: Traits) {
    assert_eq!(store.list().await.unwrap(), [""; 0]);
    store.check_conditional_writes().await.unwrap();

    let below = |prefix| store.below(prefix).unwrap();
    reads_what_was_written(&below("read"), traits).await;
    creates_once(&below("create")).await;
    replaces_what_was_read(&below("replace"), traits).await;
    reads_what_has_changed(&below("poll")).await;
    deletes(&below("delete")).await;
    takes_any_bytes(&below("bytes")).await;
    lists(&below("list")).await;
    one_of_many_wins(&below("race")).await;
    counts(&below("count")).await;

    // The probe stays, and is nobody's object.
    store.check_conditional_writes().await.unwrap();
    let paths = store.list().await.unwrap();
    assert!(
        !paths.iter().any(|path| path.contains("chancery")),
        "{paths:?}"
    );
}

pub(crate) fn text(bytes: &[u8]) -> Content<'_> {
    Content::new(bytes, "text/plain")
}

async fn bytes(store: &Store, path: &str) -> Option<Vec<u8>> {
    let object = store.read(path).await.unwrap();
    object.map(|object| object.bytes().to_vec())
}

#[track_caller]
fn assert_conflict(outcome: Result<Version, StoreError>) {
    match outcome {
        Err(error @ StoreError::Conflict { .. }) => assert!(!error.is_retryable()),
        other => panic!("{other:?}"),
    }
}

async fn reads_what_was_written(store: &Store, traits: Traits) {
    assert!(store.read("a").await.unwrap().is_none());
    assert!(store.read("a/b").await.unwrap().is_none());

    let content = Content::new(b"{}", "application/json").with_cache_control("max-age=60");
    let version = store.create("a", &content).await.unwrap();
    let object = store.read("a").await.unwrap().unwrap();
    assert_eq!(object.bytes(), b"{}");
    assert_eq!(*object.version(), version);
    let headers = (object.content_type(), object.cache_control());
    if traits.headers {
        assert_eq!(headers, (Some("application/json"), Some("max-age=60")));
    } else {
        assert_eq!(headers, (None, None));
    }
    // Somebody else's folder is no object, and an object is nobody's folder.
    assert!(store.read("a/b").await.unwrap().is_none());
    let path = ".well-known/openid-configuration";
    store.create(path, &content).await.unwrap();
    assert!(store.read(".well-known").await.unwrap().is_none());
    assert_eq!(bytes(store, path).await.unwrap(), b"{}");
    let below = store.below(".well-known").unwrap();
    assert_eq!(bytes(&below, "openid-configuration").await.unwrap(), b"{}");
}

async fn creates_once(store: &Store) {
    store.create("a", &text(b"first")).await.unwrap();
    assert_conflict(store.create("a", &text(b"second")).await);
    assert_conflict(store.create("a", &text(b"first")).await);
    assert_eq!(bytes(store, "a").await.unwrap(), b"first");
}

async fn replaces_what_was_read(store: &Store, traits: Traits) {
    let first = store.create("a", &text(b"1")).await.unwrap();
    let second = store.replace("a", &text(b"2"), &first).await.unwrap();
    assert_ne!(first, second);
    assert_conflict(store.replace("a", &text(b"3"), &first).await);
    // Not even when it would change nothing.
    assert_conflict(store.replace("a", &text(b"2"), &first).await);
    assert_eq!(bytes(store, "a").await.unwrap(), b"2");

    // There and back again.
    let third = store.replace("a", &text(b"1"), &second).await.unwrap();
    assert_eq!(first == third, traits.versions_by_content);
    let stale = store.replace("a", &text(b"4"), &first).await;
    if traits.versions_by_content {
        stale.unwrap();
    } else {
        assert_conflict(stale);
        store.replace("a", &text(b"4"), &third).await.unwrap();
    }
    assert_eq!(bytes(store, "a").await.unwrap(), b"4");

    // What is gone has no version, and another store's are none here.
    let version = store.create("b", &text(b"1")).await.unwrap();
    store.delete("b").await.unwrap();
    assert_conflict(store.replace("b", &text(b"2"), &version).await);
    assert_conflict(store.replace("c/d", &text(b"2"), &version).await);
    assert!(store.read("b").await.unwrap().is_none());
    let directory = tempfile::tempdir().unwrap();
    let other = Store::local(directory.path()).unwrap();
    let foreign = other.create("a", &text(b"4")).await.unwrap();
    assert_conflict(store.replace("a", &text(b"5"), &foreign).await);
}

async fn reads_what_has_changed(store: &Store) {
    let first = store.create("a", &text(b"1")).await.unwrap();
    assert!(store.read_if_changed("a", &first).await.unwrap().is_none());
    let second = store.replace("a", &text(b"2"), &first).await.unwrap();
    let object = store.read_if_changed("a", &first).await.unwrap().unwrap();
    assert_eq!(object.bytes(), b"2");
    assert_eq!(*object.version(), second);
    assert!(store.read_if_changed("a", &second).await.unwrap().is_none());
    store.delete("a").await.unwrap();
    let gone = store.read_if_changed("a", &second).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
}

async fn deletes(store: &Store) {
    store.delete("a").await.unwrap();
    store.delete("a/b/c").await.unwrap();
    store.create("a", &text(b"1")).await.unwrap();
    store.create("ab", &text(b"1")).await.unwrap();
    store.delete("a").await.unwrap();
    store.delete("a").await.unwrap();
    assert!(store.read("a").await.unwrap().is_none());
    assert!(store.read("ab").await.unwrap().is_some());
    store.create("a", &text(b"2")).await.unwrap();
    assert_eq!(bytes(store, "a").await.unwrap(), b"2");
}

async fn takes_any_bytes(store: &Store) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for (path, size) in [("none", 0), ("all", 256), ("mebibyte", 1 << 20)] {
        let content: Vec<u8> = all.iter().copied().cycle().take(size).collect();
        let content = Content::new(&content, "application/octet-stream");
        let version = store.create(path, &content).await.unwrap();
        let object = store.read(path).await.unwrap().unwrap();
        assert_eq!(*object.version(), version);
        assert!(object.bytes() == all.iter().copied().cycle().take(size).collect::<Vec<_>>());
    }
}

async fn lists(store: &Store) {
    let paths = ["a.json", "a/b.json", "a/b/c-d", "a_b/2026-01-01", "z"];
    for path in paths.iter().rev() {
        store.create(path, &text(path.as_bytes())).await.unwrap();
    }
    assert_eq!(store.list().await.unwrap(), paths);
    let below = store.below("a").unwrap();
    assert_eq!(below.list().await.unwrap(), ["b.json", "b/c-d"]);
    let nothing = store.below("nothing").unwrap();
    assert_eq!(nothing.list().await.unwrap(), [""; 0]);
}

/// All want to write the same, so that nothing but the store's answer tells the winner.
async fn one_of_many_wins(store: &Store) {
    let mut version = None;
    for round in 0..ROUNDS {
        let content = Arc::new(round.to_string());
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (store, content, version) = (store.clone(), Arc::clone(&content), version.clone());
            writers.spawn(async move {
                let content = text(content.as_bytes());
                match version {
                    None => store.create("a", &content).await,
                    Some(version) => store.replace("a", &content, &version).await,
                }
            });
        }
        let mut won = Vec::new();
        for outcome in writers.join_all().await {
            match outcome {
                Ok(version) => won.push(version),
                lost => assert_conflict(lost),
            }
        }
        assert_eq!(won.len(), 1, "winners of round {round}");
        let object = store.read("a").await.unwrap().unwrap();
        assert_eq!(object.bytes(), content.as_bytes());
        assert_eq!(*object.version(), won[0]);
        version = won.pop();
    }
}

/// No increment is lost and none is made twice.
async fn counts(store: &Store) {
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..INCREMENTS {
                increment(&store).await;
            }
        });
    }
    writers.join_all().await;
    let count = bytes(store, "counter").await.unwrap();
    assert_eq!(count, (WRITERS * INCREMENTS).to_string().as_bytes());
}

/// Adds one to a counter, however often that takes; hands back what it made of it.
pub(crate) async fn increment(store: &Store) -> usize {
    loop {
        let counter = store.read("counter").await.unwrap();
        let count = match &counter {
            None => 1,
            Some(counter) => {
                str::from_utf8(counter.bytes())
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
                    + 1
            }
        };
        let content = count.to_string();
        let content = text(content.as_bytes());
        let written = match &counter {
            None => store.create("counter", &content).await,
            Some(counter) => store.replace("counter", &content, counter.version()).await,
        };
        match written {
            Ok(_) => return count,
            lost => assert_conflict(lost),
        }
    }
}

mod tests {
    use super::{Traits, conforms};
    use chancery_store::Store;

    #[tokio::test(flavor = "multi_thread")]
    async fn memory() {
        let traits = Traits {
            headers: true,
            versions_by_content: false,
        };
        conforms(&Store::memory(), traits).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn directory() {
        let traits = Traits {
            headers: false,
            versions_by_content: false,
        };
        let directory = tempfile::tempdir().unwrap();
        conforms(&Store::local(directory.path()).unwrap(), traits).await;
        let public = Store::public_directory(directory.path().join("public")).unwrap();
        conforms(&public, traits).await;
    }
}
