//! Where the password of an authentication key comes from.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::{env, fs, io};

use zeroize::Zeroizing;

/// The password of an authentication key, or where it is read from. It is wiped when dropped and
/// never shown.
pub struct Password(Source);

type Callback = dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync;

enum Source {
    Given(Zeroizing<String>),
    File(PathBuf),
    Environment(String),
    Callback(Box<Callback>),
}

impl Password {
    /// The password itself.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(Source::Given(Zeroizing::new(password.into())))
    }

    /// A file that holds the password, UTF-8; one line break at its end is left out.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// A variable of the environment. Other processes of the same user can read it.
    #[must_use]
    pub fn environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// A function that is called when the device is opened.
    #[must_use]
    pub fn callback(
        callback: impl Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Callback(Box::new(callback)))
    }

    pub(crate) fn read(&self) -> Result<Zeroizing<String>, PasswordError> {
        let password = match &self.0 {
            Source::Given(password) => password.clone(),
            Source::File(path) => {
                let mut text = fs::read_to_string(path)
                    .map(Zeroizing::new)
                    .map_err(|source| PasswordError::File {
                        path: path.clone(),
                        source,
                    })?;
                let len = text.strip_suffix('\n').map_or(text.len(), |line| {
                    line.strip_suffix('\r').unwrap_or(line).len()
                });
                text.truncate(len);
                text
            }
            Source::Environment(name) => Zeroizing::new(
                env::var(name).map_err(|_| PasswordError::Environment { name: name.clone() })?,
            ),
            Source::Callback(callback) => {
                Zeroizing::new(callback().map_err(PasswordError::Callback)?)
            }
        };
        if password.is_empty() {
            return Err(PasswordError::Empty);
        }
        Ok(password)
    }
}

/// Shows where the password comes from.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Given(_) => f.write_str("Password(given)"),
            Source::File(path) => write!(f, "Password(file {})", path.display()),
            Source::Environment(name) => write!(f, "Password(environment {name})"),
            Source::Callback(_) => f.write_str("Password(callback)"),
        }
    }
}

/// Why a password could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum PasswordError {
    /// The file cannot be read, or is no UTF-8.
    File {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The variable is not set, or is no UTF-8.
    Environment {
        /// Its name.
        name: String,
    },
    /// The function failed.
    Callback(Box<dyn Error + Send + Sync>),
    /// The password is empty.
    Empty,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => {
                write!(f, "cannot read the password from {}", path.display())
            }
            Self::Environment { name } => {
                write!(
                    f,
                    "the environment variable {name} is not set, or is no UTF-8"
                )
            }
            Self::Callback(_) => f.write_str("the function that gives the password failed"),
            Self::Empty => f.write_str("the password is empty"),
        }
    }
}

impl Error for PasswordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Callback(error) => Some(error.as_ref()),
            Self::Environment { .. } | Self::Empty => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_gives_the_password() {
        let path = env::temp_dir().join(format!("chancery-password-{}", std::process::id()));
        for (text, password) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("a\n\n", "a\n"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(*Password::file(&path).read().unwrap(), password);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(*Password::new("secret").read().unwrap(), "secret");
        assert_eq!(
            *Password::callback(|| Ok("secret".into())).read().unwrap(),
            "secret"
        );
        let home = env::var("PATH").unwrap();
        assert_eq!(*Password::environment("PATH").read().unwrap(), home);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Password::file("/nonexistent/password").read().unwrap_err();
        assert!(error.to_string().contains("/nonexistent/password"));
        let error = Password::environment("CHANCERY_NOT_SET")
            .read()
            .unwrap_err();
        assert!(error.to_string().contains("CHANCERY_NOT_SET"));
        assert!(matches!(
            Password::callback(|| Err("vault is sealed".into())).read(),
            Err(PasswordError::Callback(_))
        ));
        assert!(matches!(
            Password::new("").read(),
            Err(PasswordError::Empty)
        ));
    }

    #[test]
    fn the_password_is_not_shown() {
        let password = Password::new("hunter2");
        assert!(!format!("{password:?}").contains("hunter2"));
    }
}
