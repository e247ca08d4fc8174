//! Where a PIN or a password comes from.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

/// No PIN or password is longer, in bytes.
const MAX_LEN: usize = 1024;

/// Where the PIN of a token, or the password of a device or of encrypted keys, comes from.
///
/// It is read anew for each use: when a device is opened, when a login was lost, when a key is
/// decrypted, perhaps by several threads at once. What was read is overwritten as soon as that is
/// done. Nobody but those who wait for it is held up by a source that takes long.
///
/// ```
/// use chancery_software::Secret;
///
/// let secrets = [
///     Secret::new("1234"),
///     Secret::file("/run/credentials/issuer/pin"),
///     Secret::environment("TOKEN_PIN"),
///     Secret::callback(|| Ok("1234".to_owned())),
/// ];
/// assert_eq!(format!("{:?}", secrets[0]), "Secret(a string)");
/// ```
#[derive(Clone)]
pub struct Secret(Source);

type Callback = dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync;

#[derive(Clone)]
enum Source {
    Value(Arc<Zeroizing<String>>),
    File(PathBuf),
    Environment(String),
    Callback(Arc<Callback>),
}

impl Secret {
    /// The PIN or password itself. It is overwritten when its last owner is dropped.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Source::Value(Arc::new(Zeroizing::new(secret.into()))))
    }

    /// A file that holds it, in UTF-8, and at most one line break after it.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// An environment variable of that name. Other processes of the same user can read it.
    #[must_use]
    pub fn environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// A function that fetches it, and whose error must not hold it. It may itself log
    /// in to the device with another one.
    #[must_use]
    pub fn callback(
        fetch: impl Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Callback(Arc::new(fetch)))
    }

    /// Reads it, as a backend does each time that it needs it.
    ///
    /// # Errors
    /// [`SecretError`] when the source gives none, or one that is empty, longer than 1024 bytes, or not
    /// UTF-8.
    pub fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let secret = match &self.0 {
            Source::Value(secret) => Zeroizing::clone(secret),
            Source::File(path) => read_file(path)?,
            Source::Environment(name) => match env::var(name) {
                Ok(secret) => Zeroizing::new(secret),
                Err(env::VarError::NotPresent) => {
                    return Err(SecretError::Unset { name: name.clone() });
                }
                Err(env::VarError::NotUnicode(secret)) => {
                    drop(Zeroizing::new(secret.into_encoded_bytes()));
                    return Err(self.unusable("is not UTF-8"));
                }
            },
            Source::Callback(fetch) => Zeroizing::new(fetch().map_err(SecretError::Callback)?),
        };
        if secret.is_empty() {
            return Err(self.unusable("is empty"));
        }
        if secret.len() > MAX_LEN {
            return Err(self.unusable("is longer than 1024 bytes"));
        }
        Ok(secret)
    }

    fn unusable(&self, reason: &'static str) -> SecretError {
        SecretError::Unusable {
            secret: self.to_string(),
            reason,
        }
    }
}

/// One that has been read already, and is shared.
impl From<Arc<Zeroizing<String>>> for Secret {
    fn from(secret: Arc<Zeroizing<String>>) -> Self {
        Self(Source::Value(secret))
    }
}

/// Says where it comes from, never what it is.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("a string"),
            Source::File(path) => write!(f, "the file {}", path.display()),
            Source::Environment(name) => write!(f, "the environment variable {name}"),
            Source::Callback(_) => f.write_str("a callback"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

fn read_file(path: &PathBuf) -> Result<Zeroizing<String>, SecretError> {
    let failed = |error| SecretError::File {
        path: path.clone(),
        error,
    };
    // Room for all that is read, since a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 4));
    let file = File::open(path).map_err(failed)?;
    let limit = u64::try_from(MAX_LEN + 3).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    let secret = match bytes.as_slice() {
        [secret @ .., b'\r', b'\n'] | [secret @ .., b'\n'] => secret,
        secret => secret,
    };
    match std::str::from_utf8(secret) {
        Ok(secret) => Ok(Zeroizing::new(secret.to_owned())),
        Err(_) => Err(Secret::file(path).unusable("is not UTF-8")),
    }
}

/// Why there is no PIN or password to try. It never holds one.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecretError {
    /// The file could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The environment variable is not set.
    Unset {
        /// Its name.
        name: String,
    },
    /// The callback failed.
    Callback(Box<dyn Error + Send + Sync>),
    /// What came is none.
    Unusable {
        /// Where it came from.
        secret: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(
                f,
                "the secret's file {} cannot be read: {error}; check its path and its owner",
                path.display()
            ),
            Self::Unset { name } => write!(
                f,
                "the environment variable {name}, which should hold the secret, is not set"
            ),
            Self::Callback(error) => write!(f, "the callback gave no secret: {error}"),
            Self::Unusable { secret, reason } => write!(f, "the secret from {secret} {reason}"),
        }
    }
}

impl Error for SecretError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Their own texts are part of this one.
            Self::File { error, .. } => error.source(),
            Self::Callback(error) => error.source(),
            Self::Unset { .. } | Self::Unusable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_gives_the_secret() {
        let path = env::temp_dir().join(format!("chancery-secret-{}", std::process::id()));
        for content in ["1234", "1234\n", "1234\r\n"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(*Secret::file(&path).read().unwrap(), "1234");
        }
        for (content, reason) in [
            (b"".to_vec(), "is empty"),
            (b"\n".to_vec(), "is empty"),
            (vec![0xff], "is not UTF-8"),
            (vec![b'1'; 5000], "is longer than 1024 bytes"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = Secret::file(&path).read().unwrap_err();
            assert!(error.to_string().ends_with(reason), "{error}");
        }
        std::fs::write(&path, "a\n\n").unwrap();
        assert_eq!(*Secret::file(&path).read().unwrap(), "a\n");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            Secret::file(&path).read(),
            Err(SecretError::File { .. })
        ));
        assert_eq!(*Secret::new("1234").read().unwrap(), "1234");
        assert_eq!(
            *Secret::callback(|| Ok("1234".into())).read().unwrap(),
            "1234"
        );
        assert!(Secret::environment("PATH").read().is_ok());
        let unset = Secret::environment("CHANCERY_UNSET").read();
        assert!(matches!(unset, Err(SecretError::Unset { .. })));
        let error = Secret::callback(|| Err("the vault is sealed".into())).read();
        assert_eq!(
            error.unwrap_err().to_string(),
            "the callback gave no secret: the vault is sealed"
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = Secret::new("correct horse");
        assert!(!format!("{secret:?} {secret}").contains("horse"));
    }
}
