//! Many processes on one directory, and processes that are killed while they write.
//!
//! A test starts itself again, in other processes, with the directory in the environment.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use chancery_store::{Store, StoreError};
use tokio::runtime::{Builder, Runtime};

use crate::suite::{increment, text};

const DIRECTORY: &str = "CHANCERY_STORE_TEST_DIRECTORY";

const PROCESSES: usize = 6;
const INCREMENTS: usize = 50;

const KILLS: usize = 10_000;
const VICTIMS: usize = 4;
/// Enough for several writes of the system.
const OBJECT: usize = 48 << 10;

#[test]
fn many_processes_lose_no_increment() {
    if let Some(store) = as_child() {
        for _ in 0..INCREMENTS {
            runtime().block_on(increment(&store));
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let name = "processes::many_processes_lose_no_increment";
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| start(name, directory.path()))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let store = Store::local(directory.path()).unwrap();
    let counter = runtime().block_on(store.read("counter")).unwrap().unwrap();
    let expected = (PROCESSES * INCREMENTS).to_string();
    assert_eq!(counter.bytes(), expected.as_bytes());
}

/// A child counts in one object, and creates and deletes another. It says each number that the
/// store has taken. Whenever it dies, both objects are whole, and no number that it said is lost.
#[test]
#[ignore = "takes a minute: cargo xtask test runs it"]
fn killed_writers_tear_nothing_and_lose_nothing() {
    if let Some(store) = as_child() {
        runtime().block_on(write_until_killed(&store));
        return;
    }
    let victims: Vec<_> = (0..VICTIMS)
        .map(|seed| thread::spawn(move || kill_many(seed as u64, KILLS / VICTIMS)))
        .collect();
    let mut left = 0;
    for victim in victims {
        left += victim.join().unwrap();
    }
    println!("{KILLS} kills, of which {left} left a temporary file");
    // Or they did not strike while something was written.
    assert!(left > KILLS / 20, "{left} temporary files");
}

async fn write_until_killed(store: &Store) {
    loop {
        let there = store.read("counter").await.unwrap();
        let count = there.as_ref().map_or(0, |object| count(object.bytes())) + 1;
        let content = filled(count);
        match &there {
            None => store.create("counter", &text(&content)).await,
            Some(there) => {
                store
                    .replace("counter", &text(&content), there.version())
                    .await
            }
        }
        .unwrap();
        // At once, or not at all.
        stderr().write_all(format!("{count}\n").as_bytes()).unwrap();
        match store.create("key", &text(&content)).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => store.delete("key").await.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Hands back how many children left a temporary file behind.
fn kill_many(mut random: u64, kills: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let name = "processes::killed_writers_tear_nothing_and_lose_nothing";
    let runtime = runtime();
    let store = Store::local(directory.path()).unwrap();
    let mut left = 0;
    let mut last = 0;
    for _ in 0..kills {
        let mut child = start(name, directory.path());
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        // It is at work from now on.
        let first = said.next().unwrap().unwrap();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        thread::sleep(Duration::from_micros((random >> 33) % 3000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success(), "it ended by itself");
        let acknowledged = said.last().map_or(first, Result::unwrap);
        let acknowledged = number(&acknowledged);

        left += usize::from(directory.path().join(".chancery-new").exists());
        let object = runtime.block_on(store.read("counter")).unwrap().unwrap();
        let found = count(object.bytes());
        assert!(acknowledged > last, "{acknowledged} follows {last}");
        // The last change may have been made and not been said.
        let possible = acknowledged..=acknowledged + 1;
        assert!(possible.contains(&found), "{found} is not in {possible:?}");
        if let Some(key) = runtime.block_on(store.read("key")).unwrap() {
            assert!(count(key.bytes()) <= found);
        }
        last = found;
    }
    left
}

/// A number over and over, so that content of two writes is never taken for one.
fn filled(count: u64) -> Vec<u8> {
    let mut content = String::new();
    while content.len() < OBJECT {
        writeln!(content, "{count}").unwrap();
    }
    content.into_bytes()
}

fn count(content: &[u8]) -> u64 {
    let first = content.split(|byte| *byte == b'\n').next().unwrap();
    let count = number(str::from_utf8(first).unwrap());
    assert!(content == filled(count), "torn");
    count
}

#[track_caller]
fn number(line: &str) -> u64 {
    line.parse().unwrap_or_else(|_| panic!("{line}"))
}

/// The store of a process that was started by a test.
fn as_child() -> Option<Store> {
    let directory = PathBuf::from(env::var_os(DIRECTORY)?);
    Some(Store::local(directory).unwrap())
}

fn start(test: &str, directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}
