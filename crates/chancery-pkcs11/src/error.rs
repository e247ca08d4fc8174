//! Why a token, a key or a signer could not be opened, or a key made.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chancery_core::{Algorithm, KeyType, SignError};
use chancery_hsm::{DeviceError, DeviceErrorKind};

use crate::PinError;
use crate::deadline::Operation;
use crate::module_error::ModuleError;
use crate::public_half::UnusableKey;

/// Why a token, a key or a signer could not be opened, or a key made or destroyed.
///
/// Each says what was wrong, where, and what to do. None holds a PIN.
#[derive(Debug)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// There is no file at the module's path.
    ModuleNotFound {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no PKCS#11 module, or one that cannot be loaded.
    ModuleLoad {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The string for `C_Initialize` holds a zero byte, or the module is in use with another one.
    Reserved {
        /// The module.
        path: PathBuf,
    },
    /// The URI says too little, or something that does not go with a signing key.
    Uri {
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// No token matches.
    NoToken {
        /// What was asked for.
        wanted: String,
        /// What is there.
        found: Vec<String>,
    },
    /// Several tokens match.
    SeveralTokens {
        /// What was asked for.
        wanted: String,
        /// Those that match.
        found: Vec<String>,
    },
    /// There is no PIN to log in with.
    Pin(PinError),
    /// The token refuses the PIN, which is not tried a second time by this process.
    WrongPin {
        /// The token.
        token: String,
        /// What it said.
        error: ModuleError,
        /// Whether it was tried now, and not remembered from an earlier time.
        was_tried: bool,
    },
    /// No key matches.
    NoKey {
        /// What was asked for.
        wanted: String,
        /// The token.
        token: String,
        /// The private keys that are there.
        found: Vec<String>,
        /// Whether a PIN was given; without one, most tokens hide their keys.
        is_logged_in: bool,
    },
    /// Several keys match.
    SeveralKeys {
        /// What was asked for.
        wanted: String,
        /// The token.
        token: String,
        /// Those that match.
        found: Vec<String>,
    },
    /// The token has the private key more than once.
    Copies {
        /// The key, by its thumbprint.
        kid: String,
        /// The token.
        token: String,
        /// The copies.
        found: Vec<String>,
    },
    /// The key cannot sign tokens.
    UnusableKey {
        /// The key.
        key: String,
        /// Why not.
        reason: UnusableKey,
    },
    /// The key could leave the token, and that was to be refused.
    Extractable {
        /// The key.
        key: String,
    },
    /// Under the key's name stands another key than the one that was opened first.
    KeyChanged {
        /// The key that was opened first, by its thumbprint.
        expected: String,
        /// What stands there now.
        found: String,
    },
    /// The algorithm does not go with the key.
    Algorithm {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// The key that was found.
        key_type: KeyType,
    },
    /// The key made no signature that its public half verifies.
    SelfTest {
        /// The key.
        key: String,
        /// Each way that was tried, and what came of it.
        attempts: Vec<String>,
        /// Whether the device failed each time, and may be back by now.
        device_failed: bool,
    },
    /// A key of that label or id is there already.
    Taken {
        /// The token.
        token: String,
        /// The keys that are there.
        found: Vec<String>,
    },
    /// RSA keys of that length are not generated.
    RsaLength {
        /// The length that was asked for, in bits.
        bits: u32,
    },
    /// What the token generated is not what was asked for.
    Generated {
        /// What is wrong with it.
        reason: String,
        /// What could not be destroyed again; empty where all of it could.
        left_behind: Vec<String>,
    },
    /// The key is gone, but something of it is left.
    DestroyedPartly {
        /// The key.
        key: String,
        /// What could not be destroyed, and why.
        error: ModuleError,
    },
    /// The system gave no random bytes.
    Random,
    /// An operation did not return by its deadline. What it was at goes on until the module returns,
    /// and no further.
    NotReturned {
        /// What was asked for.
        operation: Operation,
        /// The module, as it was named.
        module: PathBuf,
        /// The deadline.
        after: Duration,
    },
    /// An operation was not begun, since the module has not returned from too many others.
    NotBegun {
        /// What was asked for.
        operation: Operation,
        /// The module, as it was named.
        module: PathBuf,
        /// How many of the others have reached their deadlines.
        given_up: usize,
    },
    /// The system gave no thread to call the module on.
    Thread(io::Error),
    /// A call to the module failed.
    Module(ModuleError),
    /// The signer did not start.
    Signer(SignError),
}

impl Pkcs11Error {
    /// Whether a session was lost on the way, so that all may be well in another one.
    pub(crate) fn is_of_session(&self) -> bool {
        match self {
            Self::Module(error) | Self::DestroyedPartly { error, .. } => error.is_of_session(),
            _ => false,
        }
    }

    /// Whether it may be that the device went away and came back, which the module has not noticed.
    pub(crate) fn may_be_stale(&self) -> bool {
        match self {
            Self::Module(error) | Self::DestroyedPartly { error, .. } => error.is_of_device(),
            Self::NoToken { found, .. } => found.is_empty(),
            Self::SelfTest { device_failed, .. } => *device_failed,
            _ => false,
        }
    }
}

impl fmt::Display for Pkcs11Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModuleNotFound { path, error } => write!(
                f,
                "there is no PKCS#11 module at {}: {error}; give the path of the library that came \
                 with the device",
                path.display()
            ),
            Self::ModuleLoad { path, reason } => write!(
                f,
                "{} cannot be loaded as a PKCS#11 module: {reason}; it must be one for this \
                 system and processor, with all that it depends on installed",
                path.display()
            ),
            Self::Reserved { path } => write!(
                f,
                "{} is in use with another string for C_Initialize, or the string holds a zero \
                 byte; a process starts a module once, so give all its tokens the same string",
                path.display()
            ),
            Self::Uri { reason } => write!(f, "the PKCS#11 URI cannot be opened: {reason}"),
            Self::NoToken { wanted, found } => {
                write!(f, "no token matches: wanted {wanted}")?;
                list(f, "the module has", "no token at all", found)
            }
            Self::SeveralTokens { wanted, found } => {
                write!(f, "several tokens match: wanted {wanted}")?;
                list(f, "name one of them more closely", "none", found)
            }
            Self::Pin(error) => error.fmt(f),
            Self::WrongPin {
                token,
                error,
                was_tried: true,
            } => write!(
                f,
                "{token} refused the PIN ({error}); it is not tried again, because tokens lock: \
                 put the right one in place, or have the token unlocked, and restart"
            ),
            Self::WrongPin {
                token,
                error,
                was_tried: false,
            } => write!(
                f,
                "{token} refused this PIN before ({error}), and it was not tried again; give \
                 another one, or have the token unlocked and restart"
            ),
            Self::NoKey {
                wanted,
                token,
                found,
                is_logged_in,
            } => {
                write!(f, "no private key matches on {token}: wanted {wanted}")?;
                if !is_logged_in {
                    f.write_str("; no PIN was given, and most tokens hide their keys without one")?;
                }
                list(f, "there are", "it has no private key", found)
            }
            Self::SeveralKeys {
                wanted,
                token,
                found,
            } => {
                write!(f, "several private keys match on {token}: wanted {wanted}")?;
                list(f, "name one of them by both label and id", "none", found)
            }
            Self::Copies { kid, token, found } => {
                write!(
                    f,
                    "{token} has the private key of thumbprint {kid} more than once, and only one \
                     key is destroyed at a time"
                )?;
                list(
                    f,
                    "destroy by hand those that are not wanted of",
                    "none",
                    found,
                )
            }
            Self::UnusableKey { key, reason } => write!(f, "{key} cannot be used: {reason}"),
            Self::Extractable { key } => write!(
                f,
                "{key} is extractable: it can leave the token, or be read; generate one that \
                 cannot, or do not refuse extractable keys"
            ),
            Self::KeyChanged { expected, found } => write!(
                f,
                "the key on the token is not the one that was opened (thumbprint {expected}), but \
                 {found}; it is not signed with: put the old key back, or publish the new one \
                 under its own kid and restart"
            ),
            Self::Algorithm {
                algorithm,
                key_type,
            } => write!(
                f,
                "{algorithm} does not go with this key, which is {key_type}; name an algorithm \
                 that does, or another key"
            ),
            Self::SelfTest { key, attempts, .. } => {
                write!(
                    f,
                    "{key} made no signature that its public half verifies; the module has no \
                     usable mechanism, or the public key object with its id is another key's; sign \
                     with another algorithm or key, or put its own public key beside it"
                )?;
                list(f, "tried", "nothing was tried", attempts)
            }
            Self::Taken { token, found } => {
                write!(f, "{token} has a key of that label or id")?;
                list(f, "choose another one than of", "none", found)
            }
            Self::RsaLength { bits } => write!(
                f,
                "RSA keys are generated with 2048, 3072 or 4096 bits, not {bits}"
            ),
            Self::Generated {
                reason,
                left_behind,
            } => {
                write!(
                    f,
                    "the token generated a key pair that is not safe to use: {reason}"
                )?;
                if left_behind.is_empty() {
                    f.write_str("; it was destroyed again")
                } else {
                    list(f, "destroy by hand", "nothing", left_behind)
                }
            }
            Self::DestroyedPartly { key, error } => write!(
                f,
                "the private half of {key} was destroyed, but not its public half: {error}; destroy \
                 that by hand, as it keeps other keys from having its label or id"
            ),
            Self::Random => f.write_str("the operating system gave no random bytes"),
            Self::NotReturned {
                operation,
                module,
                after,
            } => {
                write!(
                    f,
                    "{operation} did not return within {after:?}: the module {}, its device or the \
                     source of the PIN hangs, or needs longer; look at the device, restart it or \
                     fail it over, and restart the service if that does not help",
                    module.display()
                )?;
                f.write_str(match operation {
                    Operation::Generate => {
                        "; the key may come to be all the same, so once the module answers, list \
                         the keys before trying again"
                    }
                    Operation::Destroy => {
                        "; the key may be destroyed all the same, so once the module answers, list \
                         the keys"
                    }
                    _ => "",
                })
            }
            Self::NotBegun {
                operation,
                module,
                given_up,
            } => write!(
                f,
                "{operation} was not begun: the module {} is at as many operations as it may be at \
                 once, {given_up} of which have not returned by their deadlines; look at the \
                 device and at the source of the PIN, restart what hangs or fail it over, and \
                 restart the service if that does not help",
                module.display()
            ),
            Self::Thread(error) => {
                write!(
                    f,
                    "the system gave no thread to call the module on: {error}; allow the service \
                     more of them"
                )
            }
            Self::Module(error) => write!(
                f,
                "the PKCS#11 module failed: {error}; its own log and the device's tool may tell why"
            ),
            Self::Signer(error) => error.fmt(f),
        }
    }
}

/// Appends what is there to a message.
fn list(f: &mut fmt::Formatter<'_>, heading: &str, none: &str, found: &[String]) -> fmt::Result {
    if found.is_empty() {
        return write!(f, "; {none}");
    }
    write!(f, "; {heading}: {}", found.join("; "))
}

impl Error for Pkcs11Error {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // Where the text of the cause is part of this one, the cause's own cause comes next.
        match self {
            Self::ModuleNotFound { error, .. } | Self::Thread(error) => error.source(),
            Self::Pin(error) => error.source(),
            Self::UnusableKey { reason, .. } => reason.source(),
            Self::Signer(error) => error.source(),
            _ => None,
        }
    }
}

impl From<PinError> for Pkcs11Error {
    fn from(error: PinError) -> Self {
        Self::Pin(error)
    }
}

impl From<SignError> for Pkcs11Error {
    fn from(error: SignError) -> Self {
        Self::Signer(error)
    }
}

/// For a device that opens a key once more. Modules' codes mean too many things for more kinds.
impl From<Pkcs11Error> for DeviceError {
    fn from(error: Pkcs11Error) -> Self {
        let kind = match &error {
            Pkcs11Error::WrongPin { .. } => DeviceErrorKind::WrongPin,
            Pkcs11Error::KeyChanged { .. } => DeviceErrorKind::KeyChanged,
            Pkcs11Error::NoKey { .. }
            | Pkcs11Error::UnusableKey {
                reason: UnusableKey::PublicHalfMissing,
                ..
            } => DeviceErrorKind::KeyMissing,
            Pkcs11Error::UnusableKey { .. } | Pkcs11Error::Extractable { .. } => {
                DeviceErrorKind::Unsupported
            }
            _ => DeviceErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use super::*;
    use crate::module_error::CallError;

    /// Those that name no other key or token to take.
    #[test]
    fn errors_say_what_to_do() {
        let failed = || ModuleError::from(CallError::Stale);
        for (error, advice) in [
            (
                Pkcs11Error::Algorithm {
                    algorithm: Algorithm::Es256,
                    key_type: KeyType::Rsa,
                },
                "name an algorithm that does",
            ),
            (
                Pkcs11Error::SelfTest {
                    key: "the EC key `key`".to_owned(),
                    attempts: Vec::new(),
                    device_failed: false,
                },
                "sign with another algorithm or key",
            ),
            (
                Pkcs11Error::DestroyedPartly {
                    key: "the EC key `key`".to_owned(),
                    error: failed(),
                },
                "destroy that by hand",
            ),
            (
                Pkcs11Error::Thread(io::Error::from(io::ErrorKind::WouldBlock)),
                "allow the service more of them",
            ),
            (
                Pkcs11Error::Module(failed()),
                "its own log and the device's tool",
            ),
        ] {
            let said = error.to_string();
            assert!(said.contains(advice), "{said}");
        }
    }
}
