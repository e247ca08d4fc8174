//! The token in a file: whole, private, and fresh.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chancery_core::Algorithm::Es256;
use chancery_core::{Claims, IssueError, UnixTime};
use chancery_federation::{TokenFile, TokenFileError};

use crate::support::{NOW, TurnableClock, builder};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn entries(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn claims() -> Claims {
    Claims::new("job:42")
        .with_audience("sts.amazonaws.com")
        .with_lifetime(Duration::from_secs(600))
}

fn time(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds).unwrap()
}

#[test]
fn the_file_is_replaced_and_private() {
    let folder = folder("token-file");
    let file = TokenFile::new(folder.join("token"));
    file.write("first").unwrap();
    fs::write(folder.join("token"), "x".repeat(10_000)).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        file.write("second").unwrap();
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    #[cfg(not(unix))]
    file.write("second").unwrap();
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "second");
    assert_eq!(entries(&folder), ["token"]);
}

#[test]
fn a_reader_never_finds_half_a_token() {
    let folder = folder("token-file-atomic");
    let file = TokenFile::new(folder.join("token"));
    let texts: Vec<String> = ["a", "b"].map(|letter| letter.repeat(100_000)).into();
    file.write(&texts[0]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = texts
        .iter()
        .cloned()
        .map(|text| {
            let (file, done) = (file.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    file.write(&text).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..300 {
        let read = fs::read_to_string(file.path()).unwrap();
        assert!(texts.contains(&read), "{} bytes", read.len());
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(entries(&folder), ["token"]);
}

#[test]
fn a_failure_names_the_file_and_leaves_the_old_token() {
    let folder = folder("token-file-failure");
    let missing = TokenFile::new(folder.join("no-such-folder/token"));
    let error = missing.write("token").unwrap_err();
    assert!(
        error.to_string().contains("no-such-folder/token"),
        "{error}"
    );
    assert!(!error.to_string().contains("tokentoken"));
    // A folder cannot be replaced by a file.
    fs::create_dir(folder.join("taken")).unwrap();
    assert!(TokenFile::new(folder.join("taken")).write("token").is_err());
    assert_eq!(entries(&folder), ["taken"]);
    assert!(TokenFile::new("/").write("token").is_err());
}

#[test]
fn the_token_is_refreshed_at_half_of_its_life() {
    let folder = folder("token-file-refresh");
    let clock = TurnableClock::at(NOW);
    let issuer = builder("https://id.example.com", &[Es256])
        .clock(clock.clone())
        .build()
        .unwrap();
    let path = folder.join("token");
    let mut keeper = TokenFile::new(&path)
        .keep(Arc::new(issuer), claims())
        .with_clock(clock.clone());
    let read = || fs::read_to_string(&path).unwrap();

    assert_eq!(keeper.expires(), None);
    assert_eq!(keeper.refresh().unwrap(), time(NOW + 300));
    assert_eq!(keeper.expires(), Some(time(NOW + 600)));
    let first = read();
    clock.turn(NOW + 299);
    assert_eq!(keeper.refresh().unwrap(), time(NOW + 300));
    assert_eq!(read(), first);
    clock.turn(NOW + 300);
    assert_eq!(keeper.refresh().unwrap(), time(NOW + 600));
    let second = read();
    assert_ne!(second, first);

    // A next phase has its own token at once.
    keeper.set_claims(claims().with_scope("write"));
    keeper.refresh().unwrap();
    assert_ne!(read(), second);

    // The issuer's default lifetime holds where the claims have none.
    keeper.set_claims(Claims::new("job:42").with_audience("aud"));
    assert_eq!(keeper.refresh().unwrap(), time(NOW + 300 + 450));

    // What cannot be issued leaves the old token, and is tried again.
    let third = read();
    keeper.set_claims(Claims::new("job:42"));
    assert!(matches!(
        keeper.refresh(),
        Err(TokenFileError::Issue {
            source: IssueError::Claims(_),
            ..
        })
    ));
    assert_eq!(read(), third);
    assert!(keeper.refresh().is_err());
}

#[test]
fn a_thread_keeps_the_token_fresh_and_ends_with_its_guard() {
    let folder = folder("token-file-thread");
    let issuer = chancery_core::Issuer::builder(
        chancery_core::IssuerUrl::parse("https://id.example.com").unwrap(),
        chancery_core::KeySet::new(vec![crate::support::key(Es256)]).unwrap(),
    )
    .build()
    .unwrap();
    let path = folder.join("token");
    let short = claims().with_lifetime(Duration::from_secs(2));
    let errors = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&errors);
    let guard = TokenFile::new(&path)
        .keep(Arc::new(issuer), short)
        .spawn(move |error| noted.lock().unwrap().push(error.to_string()))
        .unwrap();
    let first = fs::read_to_string(&path).unwrap();
    wait_until("the token is replaced", || {
        fs::read_to_string(&path).is_ok_and(|token| token != first)
    });

    // A folder that is gone for a while is reported, and used again when it is back.
    fs::remove_dir_all(&folder).unwrap();
    wait_until("the failure is reported", || {
        !errors.lock().unwrap().is_empty()
    });
    fs::create_dir_all(&folder).unwrap();
    wait_until("the token is back", || path.exists());
    let started = Instant::now();
    drop(guard);
    assert!(started.elapsed() < Duration::from_secs(2));
    let last = fs::read_to_string(&path).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(fs::read_to_string(&path).unwrap(), last);
}

#[test]
fn the_first_token_is_there_or_nothing_is_started() {
    let issuer = builder("https://id.example.com", &[Es256]).build().unwrap();
    let keeper = TokenFile::new("/no/such/folder/token").keep(Arc::new(issuer), claims());
    assert!(matches!(
        keeper.spawn(|_| ()),
        Err(TokenFileError::Io { .. })
    ));
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
