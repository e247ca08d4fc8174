//! Objects as files of a directory.
//!
//! A writer holds the lock of the folder that the object is in, from before it compares until its
//! change is on the disk. The system drops the lock of a process that dies. Readers need none: a
//! name changes from one whole file to the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::content::{LARGEST, Object, Version, VersionKind};
use crate::error::StoreError;
use crate::object_path::RESERVED;

const LOCK: &str = ".chancery-lock";
/// Belongs to whoever holds the lock; what a dead process left behind, the next one removes.
const TEMPORARY: &str = ".chancery-new";

/// How long to wait for others, who may have been stopped while they held the lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    access: Access,
}

/// Who can read files and folders that are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    Owner,
    Everybody,
}

impl Directory {
    /// Makes the directory where it is missing.
    pub(crate) fn open(root: PathBuf, access: Access) -> Result<Self, StoreError> {
        // The process may change its own directory later.
        let root = std::path::absolute(&root).map_err(|source| failed(&root, source))?;
        access
            .make_folders(&root)
            .map_err(|source| failed(&root, source))?;
        if !root.is_dir() {
            return Err(failed(&root, io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self { root, access })
    }

    /// What an object is called in errors.
    pub(crate) fn name(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    pub(crate) fn read(
        &self,
        path: &str,
        unless: Option<&Version>,
    ) -> Result<Option<Object>, StoreError> {
        let file = self.root.join(path);
        let found = read(&file, unless).map_err(|error| error.of(&file))?;
        match found {
            Found::Object(object) => Ok(Some(object)),
            Found::Unchanged => Ok(None),
            Found::Nothing if unless.is_none() => Ok(None),
            Found::Nothing => Err(StoreError::NotFound {
                object: self.name(path),
            }),
        }
    }

    /// Creates an object, or replaces the one that is expected; not after this moment.
    pub(crate) fn write(
        &self,
        path: &str,
        bytes: &[u8],
        expected: Option<&Version>,
        until: Instant,
    ) -> Result<Version, StoreError> {
        let file = self.root.join(path);
        let folder = folder(&file);
        let conflict = || StoreError::Conflict {
            object: self.name(path),
        };
        if expected.is_none() {
            // It was made when it was opened. Where it is gone since, such as with a volume, nothing
            // may be kept in its place.
            if !self.root.is_dir() {
                return Err(failed(&self.root, io::ErrorKind::NotFound.into()));
            }
            self.access
                .make_folders(folder)
                .map_err(|source| failed(folder, source))?;
        } else if !folder.is_dir() {
            return Err(conflict());
        }
        let _lock = lock(folder, until)?;
        let current = match read(&file, None).map_err(|error| error.of(&file))? {
            Found::Object(object) => Some(object.version),
            Found::Nothing | Found::Unchanged => None,
        };
        if current.as_ref() != expected {
            return Err(conflict());
        }
        let temporary = folder.join(TEMPORARY);
        let written = self
            .write_new(&temporary, bytes, expected)
            .and_then(|version| {
                // Whoever asked has given it up, and may have been stopped meanwhile.
                if until <= Instant::now() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                fs::rename(&temporary, &file)?;
                Ok(version)
            });
        let version = written.map_err(|source| {
            // What is left takes space, and the next writer removes it too.
            let _ = fs::remove_file(&temporary);
            failed(&file, source)
        })?;
        sync_folder(folder).map_err(|source| failed(folder, source))?;
        Ok(version)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), StoreError> {
        let file = self.root.join(path);
        let folder = folder(&file);
        if !folder.is_dir() {
            return Ok(());
        }
        let _lock = lock(folder, Instant::now() + LOCK_DEADLINE)?;
        match fs::remove_file(&file) {
            Ok(()) => sync_folder(folder).map_err(|source| failed(folder, source)),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(failed(&file, error)),
        }
    }

    /// The paths below a prefix, which is cut off.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut paths = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(below) = folders.pop() {
            let folder = self.root.join(prefix).join(&below);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(failed(&folder, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|source| failed(&folder, source))?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                if name.starts_with(RESERVED) {
                    continue;
                }
                let path = format!("{below}{name}");
                let kind = entry
                    .file_type()
                    .map_err(|source| failed(&entry.path(), source))?;
                if kind.is_dir() {
                    folders.push(path + "/");
                } else {
                    paths.push(path);
                }
            }
        }
        Ok(paths)
    }

    /// Writes a file that is on the disk when this returns.
    fn write_new(
        &self,
        temporary: &Path,
        bytes: &[u8],
        previous: Option<&Version>,
    ) -> io::Result<Version> {
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.access.create(temporary)?;
        file.write_all(bytes)?;
        if let Some(Version(VersionKind::File { modified, .. })) = previous {
            move_past(&file, *modified)?;
        }
        file.sync_all()?;
        Ok(version(file.metadata()?.modified()?, bytes))
    }
}

impl Access {
    /// Makes a folder and those above it, where they are missing.
    fn make_folders(self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.make_folders(above)?;
        }
        match fs::create_dir(folder) {
            Ok(()) => {
                self.allow(folder, 0o700, 0o755)?;
                folder.parent().map_or(Ok(()), sync_folder)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn create(self, file: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Nobody else may open it before its mode is what it is to be.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let created = options.open(file)?;
        self.allow(file, 0o600, 0o644)?;
        Ok(created)
    }

    /// Sets the mode whatever the process's mask is.
    #[cfg(unix)]
    fn allow(self, path: &Path, owner: u32, everybody: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = match self {
            Self::Owner => owner,
            Self::Everybody => everybody,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    #[cfg(not(unix))]
    fn allow(self, _path: &Path, _owner: u32, _everybody: u32) -> io::Result<()> {
        Ok(())
    }
}

enum Found {
    Nothing,
    Unchanged,
    Object(Object),
}

enum ReadError {
    Io(io::Error),
    TooLarge(u64),
}

impl ReadError {
    fn of(self, file: &Path) -> StoreError {
        match self {
            Self::Io(source) => failed(file, source),
            Self::TooLarge(size) => StoreError::TooLarge {
                object: file.display().to_string(),
                size,
                limit: LARGEST,
            },
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read(path: &Path, unless: Option<&Version>) -> Result<Found, ReadError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Found::Nothing);
    }
    let modified = metadata.modified()?;
    if let Some(Version(VersionKind::File {
        modified: known,
        size,
        ..
    })) = unless
        && (*known, *size) == (modified, metadata.len())
    {
        return Ok(Found::Unchanged);
    }
    if metadata.len() > LARGEST {
        return Err(ReadError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Found::Object(Object {
        version: version(modified, &bytes),
        bytes,
        content_type: None,
        cache_control: None,
    }))
}

fn version(modified: SystemTime, bytes: &[u8]) -> Version {
    Version(VersionKind::File {
        modified,
        size: bytes.len() as u64,
        digest: Sha256::digest(bytes).into(),
    })
}

/// Holds the lock of a folder until it is dropped.
fn lock(folder: &Path, until: Instant) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let deadline = until.min(Instant::now() + LOCK_DEADLINE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    // Whoever can open it can lock it, and keep everybody waiting.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    loop {
        // Each time anew: where somebody has removed the file, others lock its successor.
        let file = options
            .open(&path)
            .map_err(|source| failed(&path, source))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable {
                    object: path.display().to_string(),
                    source: "another process holds the lock, and does not let go of it".into(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(&path, source)),
        }
    }
}

/// Makes a file's time later than another, so that it counts changes even where the clock stands
/// still or goes back. File systems keep times in steps of different lengths.
fn move_past(file: &File, previous: SystemTime) -> io::Result<()> {
    const STEPS: [Duration; 5] = [
        Duration::from_nanos(1),
        Duration::from_micros(1),
        Duration::from_millis(1),
        Duration::from_secs(1),
        Duration::from_secs(2),
    ];
    for step in STEPS {
        if file.metadata()?.modified()? > previous {
            return Ok(());
        }
        let later = previous
            .checked_add(step)
            .ok_or(io::ErrorKind::InvalidData)?;
        file.set_modified(later)?;
    }
    if file.metadata()?.modified()? > previous {
        Ok(())
    } else {
        Err(io::Error::other(
            "the file system does not keep a file's time",
        ))
    }
}

fn folder(file: &Path) -> &Path {
    // An object's path is not empty, so it has a folder.
    file.parent().unwrap_or(file)
}

/// A name outlives a crash when its folder has reached the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// A file among the folders of a path is no object either.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        object: path.display().to_string(),
        source,
    }
}
