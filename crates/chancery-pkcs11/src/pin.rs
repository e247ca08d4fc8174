//! Where the PIN comes from.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

/// No PIN is longer, and no file that is one either.
const MAX_LEN: usize = 1024;

/// Where the user PIN of a token comes from.
///
/// It is read anew for each login: when the token is opened, and when a login was lost, perhaps by
/// several threads at once. What was read is overwritten as soon as the login is done. Nobody but
/// those who wait for this PIN is held up by a source that takes long.
///
/// ```
/// use chancery_pkcs11::Pin;
///
/// let pins = [
///     Pin::new("1234"),
///     Pin::file("/run/credentials/issuer/pin"),
///     Pin::environment("TOKEN_PIN"),
///     Pin::callback(|| Ok("1234".to_owned())),
/// ];
/// assert_eq!(format!("{:?}", pins[0]), "Pin(a string)");
/// ```
#[derive(Clone)]
pub struct Pin(Source);

type Callback = dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync;

#[derive(Clone)]
enum Source {
    Value(Arc<Zeroizing<String>>),
    File(PathBuf),
    Environment(String),
    Callback(Arc<Callback>),
}

impl Pin {
    /// The PIN itself. It is overwritten when its last owner is dropped.
    #[must_use]
    pub fn new(pin: impl Into<String>) -> Self {
        Self(Source::Value(Arc::new(Zeroizing::new(pin.into()))))
    }

    /// A file that holds the PIN, and at most a line break after it.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// An environment variable of that name.
    #[must_use]
    pub fn environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// A function that fetches the PIN. Its error must not hold the PIN. It may itself open the
    /// token by another PIN.
    #[must_use]
    pub fn callback(
        fetch: impl Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Callback(Arc::new(fetch)))
    }

    pub(crate) const fn shared(pin: Arc<Zeroizing<String>>) -> Self {
        Self(Source::Value(pin))
    }

    pub(crate) fn read(&self) -> Result<Zeroizing<String>, PinError> {
        let pin = match &self.0 {
            Source::Value(pin) => Zeroizing::clone(pin),
            Source::File(path) => read_file(path)?,
            Source::Environment(name) => match env::var(name) {
                Ok(pin) => Zeroizing::new(pin),
                Err(env::VarError::NotPresent) => {
                    return Err(PinError::Unset { name: name.clone() });
                }
                Err(env::VarError::NotUnicode(pin)) => {
                    drop(Zeroizing::new(pin.into_encoded_bytes()));
                    return Err(self.unusable("is not UTF-8"));
                }
            },
            Source::Callback(fetch) => Zeroizing::new(fetch().map_err(PinError::Callback)?),
        };
        if pin.is_empty() {
            return Err(self.unusable("is empty"));
        }
        if pin.len() > MAX_LEN {
            return Err(self.unusable("is longer than 1024 bytes"));
        }
        Ok(pin)
    }

    fn unusable(&self, reason: &'static str) -> PinError {
        PinError::Unusable {
            pin: self.to_string(),
            reason,
        }
    }
}

/// Says where the PIN comes from, never what it is.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("a string"),
            Source::File(path) => write!(f, "the file {}", path.display()),
            Source::Environment(name) => write!(f, "the environment variable {name}"),
            Source::Callback(_) => f.write_str("a callback"),
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

fn read_file(path: &PathBuf) -> Result<Zeroizing<String>, PinError> {
    let failed = |error| PinError::File {
        path: path.clone(),
        error,
    };
    // Room for all that is read, since a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 4));
    let file = File::open(path).map_err(failed)?;
    let limit = u64::try_from(MAX_LEN + 3).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    let pin = match bytes.as_slice() {
        [pin @ .., b'\r', b'\n'] | [pin @ .., b'\n'] => pin,
        pin => pin,
    };
    match std::str::from_utf8(pin) {
        Ok(pin) => Ok(Zeroizing::new(pin.to_owned())),
        Err(_) => Err(Pin::file(path).unusable("is not UTF-8")),
    }
}

/// Why there is no PIN to try. It never holds one.
#[derive(Debug)]
#[non_exhaustive]
pub enum PinError {
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
    /// What came is no PIN.
    Unusable {
        /// Where it came from.
        pin: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(
                f,
                "the PIN file {} cannot be read: {error}; check its path and its owner",
                path.display()
            ),
            Self::Unset { name } => write!(
                f,
                "the environment variable {name}, which should hold the PIN, is not set"
            ),
            Self::Callback(error) => write!(f, "the callback gave no PIN: {error}"),
            Self::Unusable { pin, reason } => write!(f, "the PIN from {pin} {reason}"),
        }
    }
}

impl Error for PinError {
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
    fn every_source_gives_the_pin() {
        let path = env::temp_dir().join(format!("chancery-pin-{}", std::process::id()));
        for content in ["1234", "1234\n", "1234\r\n"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(*Pin::file(&path).read().unwrap(), "1234");
        }
        for (content, reason) in [
            (b"".to_vec(), "is empty"),
            (b"\n".to_vec(), "is empty"),
            (vec![0xff], "is not UTF-8"),
            (vec![b'1'; 5000], "is longer than 1024 bytes"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = Pin::file(&path).read().unwrap_err();
            assert!(error.to_string().ends_with(reason), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            Pin::file(&path).read(),
            Err(PinError::File { .. })
        ));
        assert_eq!(*Pin::new("1234").read().unwrap(), "1234");
        assert_eq!(*Pin::callback(|| Ok("1234".into())).read().unwrap(), "1234");
        assert!(Pin::environment("PATH").read().is_ok());
        let unset = Pin::environment("CHANCERY_UNSET").read();
        assert!(matches!(unset, Err(PinError::Unset { .. })));
        let error = Pin::callback(|| Err("the vault is sealed".into())).read();
        assert_eq!(
            error.unwrap_err().to_string(),
            "the callback gave no PIN: the vault is sealed"
        );
    }

    #[test]
    fn no_pin_is_shown() {
        let pin = Pin::new("correct horse");
        assert!(!format!("{pin:?} {pin}").contains("horse"));
    }
}
