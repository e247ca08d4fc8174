//! Key files: made once, kept private, shared by racing processes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Barrier;

use chancery_software::{KeyFile, KeyFileError};

use super::*;

const ENGINE: Engine = Engine::ALL[0];

#[test]
fn the_key_of_the_first_run_is_used_again() {
    let folder = Folder::new("again");
    let file = KeyFile::new(folder.0.join("key.pem"));
    let first = generate(&file).unwrap();
    let second = generate(&file).unwrap();
    assert_eq!(
        first.to_pkcs8_der().unwrap(),
        second.to_pkcs8_der().unwrap()
    );
    let third = file.load(PASSWORD).unwrap();
    assert_eq!(first.to_pkcs8_der().unwrap(), third.to_pkcs8_der().unwrap());
    // Nothing is left beside it.
    assert_eq!(folder.names(), ["key.pem"]);
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
}

#[test]
fn runs_that_race_end_with_one_key() {
    let folder = Folder::new("race");
    let start = Barrier::new(4);
    let keys: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            let file = KeyFile::new(folder.0.join("key.pem"));
            start.wait();
            generate(&file).unwrap().to_pkcs8_der().unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(folder.names(), ["key.pem"]);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let folder = Folder::new("overwrite");
    let path = folder.0.join("key.pem");
    fs::write(&path, "something else").unwrap();
    let file = KeyFile::new(&path);
    let key = PrivateKey::generate(Algorithm::EdDsa, ENGINE).unwrap();
    let error = file.create(&key, PASSWORD).unwrap_err();
    assert!(
        matches!(&error, KeyFileError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "something else");
    assert_eq!(folder.names(), ["key.pem"]);
}

#[test]
fn a_wrong_password_does_not_replace_the_key() {
    let folder = Folder::new("password");
    let file = KeyFile::new(folder.0.join("key.pem"));
    generate(&file).unwrap();
    let before = fs::read(file.path()).unwrap();
    let error = file
        .load_or_generate(b"hunter3", Algorithm::EdDsa, ENGINE)
        .unwrap_err();
    assert!(matches!(
        &error,
        KeyFileError::Key {
            source: KeyError::WrongPassword,
            ..
        }
    ));
    assert!(error.to_string().contains("key.pem"));
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[test]
fn an_empty_password_creates_no_file() {
    let folder = Folder::new("empty");
    let file = KeyFile::new(folder.0.join("key.pem"));
    let error = file
        .load_or_generate(b"", Algorithm::EdDsa, ENGINE)
        .unwrap_err();
    assert!(matches!(
        error,
        KeyFileError::Key {
            source: KeyError::EmptyPassword,
            ..
        }
    ));
    assert!(folder.names().is_empty());
}

#[test]
fn a_file_with_a_key_of_another_kind_is_refused() {
    let folder = Folder::new("kind");
    let file = KeyFile::new(folder.0.join("key.pem"));
    generate(&file).unwrap();
    assert!(matches!(
        file.load_or_generate(PASSWORD, Algorithm::Es256, ENGINE),
        Err(KeyFileError::Key {
            source: KeyError::Algorithm { .. },
            ..
        })
    ));
}

#[test]
fn what_is_no_key_file_is_refused() {
    let folder = Folder::new("content");
    assert!(matches!(
        KeyFile::new(&folder.0).load(PASSWORD),
        Err(KeyFileError::NotAKeyFile { .. })
    ));
    let missing = KeyFile::new(folder.0.join("missing/key.pem"));
    let error = generate(&missing).unwrap_err();
    assert!(matches!(
        &error,
        KeyFileError::Io {
            action: "create",
            ..
        }
    ));
    assert!(std::error::Error::source(&error).is_some());

    let file = KeyFile::new(folder.0.join("key.pem"));
    for (content, is_expected) in [
        (vec![b'-'; 70_000], not_a_key_file as fn(&_) -> bool),
        (data("p256.pem"), not_encrypted),
    ] {
        fs::write(file.path(), content).unwrap();
        #[cfg(unix)]
        set_mode(&file, 0o600);
        let error = file.load(PASSWORD).unwrap_err();
        assert!(is_expected(&error), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_made_for_its_owner_alone_and_refused_when_it_is_not() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new("permissions");
    let file = KeyFile::new(folder.0.join("key.pem"));
    generate(&file).unwrap();
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    for open in [0o640, 0o604, 0o610, 0o602, 0o666] {
        set_mode(&file, open);
        let error = file.load(PASSWORD).unwrap_err();
        assert!(matches!(error, KeyFileError::Permissions { mode, .. } if mode == open));
        let command = format!("chmod 600 '{}'", file.path().display());
        assert!(error.to_string().contains(&command));
    }
    set_mode(&file, 0o400);
    assert!(file.load(PASSWORD).is_ok());
}

fn generate(file: &KeyFile) -> Result<PrivateKey, KeyFileError> {
    file.load_or_generate(PASSWORD, Algorithm::EdDsa, ENGINE)
}

#[cfg(unix)]
fn set_mode(file: &KeyFile, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
}

fn not_a_key_file(error: &KeyFileError) -> bool {
    matches!(error, KeyFileError::NotAKeyFile { .. })
}

fn not_encrypted(error: &KeyFileError) -> bool {
    let KeyFileError::Key { source, .. } = error else {
        return false;
    };
    matches!(source, KeyError::NotEncrypted)
}

/// A folder of one test's own, removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("chancery-key-file-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
