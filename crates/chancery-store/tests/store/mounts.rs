//! File systems that are full or read-only. A test starts itself again, in a mount namespace.

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_store::{Store, StoreError};

use crate::suite::text;

const DIRECTORY: &str = "CHANCERY_STORE_TEST_MOUNT";

#[tokio::test]
#[ignore = "needs the right to mount: cargo xtask test runs it"]
async fn a_full_disk_loses_nothing() {
    let Some(directory) = as_child() else {
        inside(
            "mounts::a_full_disk_loses_nothing",
            r#"mount -t tmpfs -o size=256k tmpfs "$0""#,
        );
        return;
    };
    let store = Store::local(&directory).unwrap();
    let version = store.create("a", &text(&[b'1'; 5000])).await.unwrap();
    let filler = directory.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);

    let larger = [b'2'; 9000];
    for outcome in [
        store.replace("a", &text(&larger), &version).await,
        store.create("b", &text(&larger)).await,
    ] {
        let Err(error @ StoreError::Io { .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(is(&error, ErrorKind::StorageFull), "{error:?}");
        assert!(error.is_retryable());
    }
    let object = store.read("a").await.unwrap().unwrap();
    assert_eq!(
        (object.bytes(), object.version()),
        (&[b'1'; 5000][..], &version)
    );
    assert!(store.read("b").await.unwrap().is_none());
    assert!(!directory.join(".chancery-new").exists());

    fs::remove_file(filler).unwrap();
    store.replace("a", &text(&larger), &version).await.unwrap();
    store.create("b", &text(&larger)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the right to mount: cargo xtask test runs it"]
async fn a_read_only_directory_loses_nothing() {
    let Some(directory) = as_child() else {
        inside(
            "mounts::a_read_only_directory_loses_nothing",
            r#"mount --bind "$0" "$0" && echo 1 > "$0/a" && mount -o remount,bind,ro "$0""#,
        );
        return;
    };
    let store = Store::local(&directory).unwrap();
    let object = store.read("a").await.unwrap().unwrap();
    for outcome in [
        store
            .replace("a", &text(b"2"), object.version())
            .await
            .map(drop),
        store.create("b", &text(b"2")).await.map(drop),
        store.create("c/d", &text(b"2")).await.map(drop),
        store.delete("a").await,
        store.check_conditional_writes().await,
        Store::local(directory.join("e")).map(drop),
    ] {
        let Err(error @ StoreError::Io { .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(is(&error, ErrorKind::ReadOnlyFilesystem), "{error:?}");
        assert!(!error.is_retryable());
    }
    assert_eq!(store.list().await.unwrap(), ["a"]);
    let unchanged = store.read_if_changed("a", object.version()).await.unwrap();
    assert!(unchanged.is_none());
    assert_eq!(store.read("a").await.unwrap().unwrap().bytes(), b"1\n");
}

/// As root in a confined container, or as anybody: a limit for the size of a file is met in the
/// middle of a write, as the end of a disk is.
#[tokio::test]
async fn a_file_that_is_cut_short_loses_nothing() {
    let Some(directory) = as_child() else {
        // Without the signal, which would end the process.
        again(
            "mounts::a_file_that_is_cut_short_loses_nothing",
            Command::new("sh").args(["-c", r#"trap "" XFSZ; ulimit -f 8; shift; exec "$@""#]),
        );
        return;
    };
    let store = Store::local(&directory).unwrap();
    let version = store.create("a", &text(b"1")).await.unwrap();
    let outcome = store.replace("a", &text(&[b'2'; 9000]), &version).await;
    let Err(error @ StoreError::Io { .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(is(&error, ErrorKind::FileTooLarge), "{error:?}");
    assert_eq!(store.read("a").await.unwrap().unwrap().bytes(), b"1");
    assert!(!directory.join(".chancery-new").exists());
    store.replace("a", &text(b"2"), &version).await.unwrap();
}

fn is(error: &StoreError, kind: ErrorKind) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == kind)
}

fn as_child() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Runs a test once more after something was mounted, which nobody else sees and which is gone when
/// the process ends.
fn inside(test: &str, mount: &str) {
    let script = format!(r#"{mount} && shift && exec "$@""#);
    // Whoever is not root may mount as the root of a namespace.
    let own = ["--mount"];
    let mapped = ["--user", "--map-root-user", "--mount"];
    let may = Command::new("unshare").args(own).arg("true").output();
    let namespaces = match may.is_ok_and(|output| output.status.success()) {
        true => &own[..],
        false => &mapped,
    };
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c"]).arg(script);
    again(test, &mut command);
}

/// Runs a test once more by a script, which gets the directory as `$0` and is to execute what
/// follows its first argument.
fn again(test: &str, command: &mut Command) {
    let directory = tempfile::tempdir().unwrap();
    let output = command
        .args([
            directory.path(),
            Path::new("--"),
            &env::current_exe().unwrap(),
        ])
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // Quoted, so that nobody counts the test twice.
    assert!(
        output.status.success() && said.contains("test result: ok. 1 passed"),
        "{}\n> {}\n{}",
        output.status,
        said.replace('\n', "\n> "),
        String::from_utf8_lossy(&output.stderr)
    );
}
