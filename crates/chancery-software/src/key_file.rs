//! A private key in an encrypted file.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chancery_core::Algorithm;
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::key_error::KeyError;
use crate::private_key::PrivateKey;

/// The longest file that is read; an encrypted RSA key of 4096 bits takes some 3.5 kB.
const MAX_LEN: u64 = 65_536;

/// A private key in a file of its own: encrypted PKCS#8 in PEM, readable by its owner alone.
///
/// The file is written beside its place and then linked into it: it is there whole or not at all,
/// an existing one is never overwritten, and of two processes that start at once both end with the
/// key of the first.
///
/// On Unix the file is made with mode 0600, and one that others can read is refused. Elsewhere
/// the folder's own access control has to see to it.
///
/// ```
/// # #[cfg(feature = "ring")] {
/// use chancery_core::{Algorithm, Signer as _};
/// use chancery_software::{Engine, KeyFile, SoftwareSigner};
///
/// # let folder = std::env::temp_dir().join(format!("chancery-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let file = KeyFile::new(folder.join("signing-key.pem"));
/// let key = file.load_or_generate(b"a long passphrase", Algorithm::Es256, Engine::Ring)?;
/// let first = SoftwareSigner::new(&key, Algorithm::Es256, Engine::Ring)?;
///
/// // The next run finds the same key.
/// let key = file.load_or_generate(b"a long passphrase", Algorithm::Es256, Engine::Ring)?;
/// let second = SoftwareSigner::new(&key, Algorithm::Es256, Engine::Ring)?;
/// assert_eq!(first.jwk(), second.jwk());
/// # std::fs::remove_dir_all(&folder)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// Names the file, which need not be there yet. Its folder must be.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the key, or generates one and creates the file when it is not there.
    ///
    /// # Errors
    /// Those of [`KeyFile::load`], [`KeyFile::create`] and [`PrivateKey::generate`], and
    /// [`KeyError::Algorithm`] when the file holds a key that the algorithm does not go with.
    pub fn load_or_generate(
        &self,
        password: &[u8],
        algorithm: Algorithm,
        engine: Engine,
    ) -> Result<PrivateKey, KeyFileError> {
        let key = match self.load(password) {
            Err(error) if error.is_io(io::ErrorKind::NotFound) => {
                let key = PrivateKey::generate(algorithm, engine).map_err(|e| self.key_error(e))?;
                match self.create(&key, password) {
                    // Another process was faster: its key is the one that counts.
                    Err(error) if error.is_io(io::ErrorKind::AlreadyExists) => {
                        self.load(password)?
                    }
                    created => created.map(|()| key)?,
                }
            }
            loaded => loaded?,
        };
        match key.material_for(algorithm) {
            Ok(_) => Ok(key),
            Err(error) => Err(self.key_error(error)),
        }
    }

    /// Loads the key.
    ///
    /// # Errors
    /// [`KeyFileError::Io`] when the file is not there or cannot be read,
    /// [`KeyFileError::Permissions`] when others can read it, [`KeyFileError::NotAKeyFile`] when
    /// it is too long or no file, and [`KeyFileError::Key`] for what is wrong with its content.
    pub fn load(&self, password: &[u8]) -> Result<PrivateKey, KeyFileError> {
        let failed = |error| self.io_error("read", error);
        // Asked first because opening a pipe would wait for its other end.
        if !fs::metadata(&self.path).map_err(failed)?.is_file() {
            return Err(self.not_a_key_file());
        }
        let file = File::open(&self.path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > MAX_LEN {
            return Err(self.not_a_key_file());
        }
        self.check_permissions(&metadata)?;
        // Long enough from the start, so that nothing is left behind by growing.
        let len = usize::try_from(metadata.len()).unwrap_or(0);
        let mut pem = Zeroizing::new(Vec::with_capacity(len + 1));
        file.take(MAX_LEN).read_to_end(&mut pem).map_err(failed)?;
        PrivateKey::from_encrypted_pem(&pem, password).map_err(|error| self.key_error(error))
    }

    /// Creates the file with a key, encrypted under the password.
    ///
    /// # Errors
    /// [`KeyFileError::Io`] when it is there already ([`io::ErrorKind::AlreadyExists`]) or cannot
    /// be written, [`KeyFileError::Key`] when the password is empty.
    pub fn create(&self, key: &PrivateKey, password: &[u8]) -> Result<(), KeyFileError> {
        let pem = key
            .to_encrypted_pem(password)
            .map_err(|error| self.key_error(error))?;
        let temporary = self.temporary_path()?;
        let written = write_new(&temporary, pem.as_bytes())
            .and_then(|()| fs::hard_link(&temporary, &self.path));
        // Linked or not, the temporary name has done its work; where it could not be made there
        // is none.
        let _ = fs::remove_file(&temporary);
        written
            .and_then(|()| sync_folder(self.folder()))
            .map_err(|error| self.io_error("create", error))
    }

    #[cfg(unix)]
    fn check_permissions(&self, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
        use std::os::unix::fs::PermissionsExt as _;

        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 {
            Ok(())
        } else {
            Err(KeyFileError::Permissions {
                path: self.path.clone(),
                mode,
            })
        }
    }

    #[cfg(not(unix))]
    fn check_permissions(&self, _metadata: &fs::Metadata) -> Result<(), KeyFileError> {
        Ok(())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// A name in the same folder, and so on the same file system, that nobody else uses.
    fn temporary_path(&self) -> Result<PathBuf, KeyFileError> {
        let mut random = [0; 8];
        getrandom::getrandom(&mut random).map_err(|_| self.key_error(KeyError::Random))?;
        let mut name = OsString::from(".");
        name.push(self.path.file_name().ok_or_else(|| self.not_a_key_file())?);
        name.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
        Ok(self.folder().join(name))
    }

    fn io_error(&self, action: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io {
            path: self.path.clone(),
            action,
            source,
        }
    }

    fn key_error(&self, source: KeyError) -> KeyFileError {
        KeyFileError::Key {
            path: self.path.clone(),
            source,
        }
    }

    fn not_a_key_file(&self) -> KeyFileError {
        KeyFileError::NotAKeyFile {
            path: self.path.clone(),
        }
    }
}

/// Writes a new file, down to the disk.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes the folder's new entry down to the disk, where folders can be opened.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Why a key file could not be loaded or created.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file could not be read or created.
    Io {
        /// The path of the file.
        path: PathBuf,
        /// `read` or `create`.
        action: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// Others than the owner have access to the file.
    Permissions {
        /// The path of the file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The path is not that of a file, or of one far too long for a key.
    NotAKeyFile {
        /// The path.
        path: PathBuf,
    },
    /// The key in the file cannot be used, or none could be made for it.
    Key {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

impl KeyFileError {
    fn is_io(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == kind)
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                path,
                action,
                source,
            } => write!(f, "cannot {action} key file {}: {source}", path.display()),
            Self::Permissions { path, mode } => write!(
                f,
                "key file {path} has mode {mode:04o}, so that others have access to it; take that \
                 from them with `chmod 600 '{path}'`",
                path = path.display()
            ),
            Self::NotAKeyFile { path } => write!(
                f,
                "{} is not a file of at most {MAX_LEN} bytes",
                path.display()
            ),
            Self::Key { path, source } => write!(f, "key file {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Key { source, .. } => Some(source),
            _ => None,
        }
    }
}
