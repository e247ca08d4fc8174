//! URLs, options and paths.

use chancery_store::{Store, StoreError};

use crate::suite::text;

const NONE: [(&str, &str); 0] = [];

#[track_caller]
fn refused(url: &str, options: &[(&str, &str)]) -> String {
    match Store::open(url, options.iter().copied()) {
        Err(error @ StoreError::InvalidLocation { .. }) => {
            assert!(!error.is_retryable());
            error.to_string()
        }
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn urls_name_stores() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}/issuer", directory.path().display());
    let store = Store::open(&url, NONE).unwrap();
    store.create("a", &text(b"1")).await.unwrap();
    assert!(directory.path().join("issuer/a").exists());
    assert_eq!(
        store.to_string(),
        format!("{}/issuer/", directory.path().display())
    );
    assert_eq!(format!("{store:?}"), format!("Store({store})"));

    for url in ["memory:///", "memory:///issuer", "memory:///issuer/"] {
        let store = Store::open(url, NONE).unwrap();
        store.create("a", &text(b"1")).await.unwrap();
        assert_eq!(store.list().await.unwrap(), ["a"]);
        assert!(
            url.starts_with(store.to_string().trim_end_matches('/')),
            "{store}"
        );
    }
}

#[test]
fn what_is_no_store_is_refused() {
    for (url, reason) in [
        ("secret", "\"a URL\": it is none"),
        (
            "ftp://host/a",
            "\"ftp://host\": the scheme is none of s3, gs, az, file, memory",
        ),
        ("s3:///a", "\"s3://\": the bucket or container is missing"),
        (
            "s3://user:secret@bucket",
            "\"s3://bucket\": credentials go into options",
        ),
        (
            "az://container?sig=secret",
            "\"az://container\": a query or a fragment",
        ),
        (
            "file://host/a",
            "\"file://host\": a directory's URL is file:///directory",
        ),
    ] {
        let said = refused(url, &[]);
        assert!(said.starts_with("cannot open a store by "), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let said = refused("memory:///", &[("timeout", "1 second")]);
    assert!(said.ends_with("it takes no options"), "{said}");
    let prefix = Store::open("memory:///a/../.chancery", NONE);
    assert!(
        matches!(prefix, Err(StoreError::InvalidPath { .. })),
        "{prefix:?}"
    );
}

#[cfg(all(feature = "aws", feature = "azure", feature = "gcp"))]
#[test]
fn options_are_known_by_name() {
    for url in ["s3://bucket", "gs://bucket", "az://container"] {
        let said = refused(url, &[("secret_acess_key", "hush")]);
        assert!(
            said.contains("\"secret_acess_key\": this store has no such option"),
            "{said}"
        );
        let error = Store::open(url, [("timeout", "hush")]).unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
        assert!(error.to_string().contains(url), "{error}");
    }
    let options = [
        ("aws_access_key_id", "anybody"),
        ("aws_secret_access_key", "hush"),
        ("AWS_SESSION_TOKEN", "hush"),
    ];
    let store = Store::open("s3://bucket/issuer", options).unwrap();
    assert_eq!(format!("{store:?}"), "Store(s3://bucket/issuer/)");
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_missing_feature_is_named() {
    let said = refused("s3://bucket", &[]);
    assert!(said.ends_with("built without its feature `aws`"), "{said}");
}

#[tokio::test]
async fn what_is_no_path_is_refused() {
    let store = Store::memory();
    let content = text(b"1");
    let version = store.create("a", &content).await.unwrap();
    for path in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        "a b",
        "a\\b",
        "a%2Fb",
        "ü",
        "a\0",
        "C:",
        ".chancery-lock",
        ".chancery-probe",
        "a/.chancery-new",
    ] {
        for outcome in [
            store.read(path).await.map(drop),
            store.read_if_changed(path, &version).await.map(drop),
            store.create(path, &content).await.map(drop),
            store.replace(path, &content, &version).await.map(drop),
            store.delete(path).await,
            store.below(path).map(drop),
        ] {
            let Err(error @ StoreError::InvalidPath { .. }) = outcome else {
                panic!("{path:?}: {outcome:?}");
            };
            assert!(error.to_string().starts_with(&format!("path {path:?}: ")));
        }
    }
    for path in [
        "A-Z_09.json",
        ".well-known/openid-configuration",
        "...",
        "a/.b",
    ] {
        store.create(path, &content).await.unwrap();
    }
}
