//! What can go wrong with a YubiHSM 2.

use std::error::Error;
use std::fmt;

use chancery_core::{Algorithm, JwkError, SignError};
use chancery_hsm::DeviceErrorKind;

use crate::PasswordError;
use crate::object::{Capability, Domains};

/// Why a YubiHSM 2 could not be used. None holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum YubiHsmError {
    /// The address of the connector cannot be used.
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The password could not be read.
    Password(PasswordError),
    /// The device does not have this password for the authentication key. It is not tried again.
    WrongPassword {
        /// The identifier of the authentication key.
        authentication_key: u16,
    },
    /// The device has no such authentication key.
    AuthenticationKeyMissing {
        /// Its identifier.
        authentication_key: u16,
    },
    /// The device did not prove that it knows the password, though it did before: an answer was
    /// damaged on the way, or the password was changed.
    Unproven {
        /// The identifier of the authentication key.
        authentication_key: u16,
    },
    /// The connector, or the device behind it, did not answer as it should.
    Unreachable(ConnectorError),
    /// All sessions of the device are taken.
    SessionsFull,
    /// The signers of one [`YubiHsm`](crate::YubiHsm) hold as many sessions as they may.
    SessionLimit {
        /// How many that are.
        most: usize,
    },
    /// The audit log of the device is full, and the device is set to do nothing unlogged.
    AuditLogFull,
    /// No key matches, of those that the authentication key sees.
    KeyMissing {
        /// What was looked for.
        wanted: String,
        /// The domains of the authentication key, as far as they were asked for.
        domains: Option<Domains>,
    },
    /// More than one key matches.
    KeyAmbiguous {
        /// What was looked for.
        wanted: String,
        /// The identifiers of those that match.
        found: Vec<u16>,
    },
    /// Under the key's identifier stands another key than the one that was opened.
    KeyChanged {
        /// The identifier.
        id: u16,
    },
    /// An object lacks a capability.
    MissingCapability {
        /// Which object.
        holder: Holder,
        /// The capability that it lacks.
        capability: Capability,
    },
    /// The authentication key is not in the domains that it was to put a key into.
    MissingDomains {
        /// The identifier of the authentication key.
        authentication_key: u16,
        /// The domains that it is not in.
        domains: Domains,
    },
    /// The key is of a kind that tokens are not signed with.
    UnsupportedKey {
        /// Its identifier.
        id: u16,
        /// The device's number for its algorithm.
        algorithm: u8,
    },
    /// The key, or this crate, cannot sign with the algorithm.
    UnsupportedAlgorithm {
        /// The algorithm.
        algorithm: Algorithm,
        /// Why not.
        reason: &'static str,
    },
    /// The device's public key is none that can be published.
    PublicKey(JwkError),
    /// What was to be imported or generated cannot be.
    NewKey(&'static str),
    /// The device has a key with the identifier of a new one already.
    IdentifierTaken,
    /// The data of a command is longer than the device takes.
    TooLong {
        /// The number of bytes.
        found: usize,
        /// The most that fit.
        most: usize,
    },
    /// The device refused a command.
    Device(DeviceCode),
    /// The device or the connector broke the protocol.
    Protocol(&'static str),
    /// The operating system gave no random numbers.
    Random,
    /// The signer could not be started.
    Sign(SignError),
}

impl YubiHsmError {
    /// What it means for the next try.
    pub(crate) const fn kind(&self) -> DeviceErrorKind {
        match self {
            Self::WrongPassword { .. } => DeviceErrorKind::WrongPin,
            Self::KeyChanged { .. } => DeviceErrorKind::KeyChanged,
            Self::KeyMissing { .. }
            | Self::KeyAmbiguous { .. }
            | Self::AuthenticationKeyMissing { .. } => DeviceErrorKind::KeyMissing,
            Self::MissingCapability { .. }
            | Self::MissingDomains { .. }
            | Self::UnsupportedKey { .. }
            | Self::UnsupportedAlgorithm { .. }
            | Self::TooLong { .. } => DeviceErrorKind::Unsupported,
            _ => DeviceErrorKind::Failed,
        }
    }
}

impl fmt::Display for YubiHsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, reason } => write!(f, "connector address `{address}`: {reason}"),
            Self::Password(_) => f.write_str("the password of the authentication key could not be read"),
            Self::WrongPassword { authentication_key } => write!(
                f,
                "wrong password for authentication key {authentication_key}; it is not tried again"
            ),
            Self::AuthenticationKeyMissing { authentication_key } => {
                write!(f, "the device has no authentication key {authentication_key}")
            }
            Self::Unproven { authentication_key } => write!(
                f,
                "the device no longer proves that it knows the password of authentication key \
                 {authentication_key}: answers are damaged on the way, or it was changed"
            ),
            Self::Unreachable(_) => f.write_str("no answer from the connector or the device"),
            Self::SessionsFull => f.write_str(
                "all 16 sessions of the device are taken; close other clients, or wait 30 s for \
                 abandoned sessions to expire",
            ),
            Self::SessionLimit { most } => write!(
                f,
                "this process holds the {most} sessions that it leaves itself of the device's 16; \
                 give its signers fewer workers"
            ),
            Self::AuditLogFull => f.write_str(
                "the audit log of the device is full and force-audit is on, so it refuses to work: \
                 read the log and set the log index with an authentication key that has \
                 get-log-entries (yubihsm-shell: `audit get`, `audit set`); it is never cleared from here",
            ),
            Self::KeyMissing { wanted, domains } => {
                write!(f, "the authentication key sees no asymmetric key with {wanted}")?;
                if let Some(domains) = domains {
                    write!(f, " in its domains, {domains}")?;
                }
                f.write_str(": there is none, or it is in other domains")
            }
            Self::KeyAmbiguous { wanted, found } => {
                write!(f, "{} asymmetric keys have {wanted}: ", found.len())?;
                for (i, id) in found.iter().enumerate() {
                    write!(f, "{}{id}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("; name one by its identifier")
            }
            Self::KeyChanged { id } => write!(
                f,
                "key {id} is not the one that was opened; its public half differs"
            ),
            Self::MissingCapability { holder, capability } => {
                write!(f, "{holder} lacks the capability {capability}")
            }
            Self::MissingDomains {
                authentication_key,
                domains,
            } => write!(
                f,
                "authentication key {authentication_key} is not in the domains {domains}, so it \
                 makes no key in them"
            ),
            Self::UnsupportedKey { id, algorithm } => write!(
                f,
                "key {id} is of algorithm {algorithm}; use P-256, P-384 or Ed25519"
            ),
            Self::UnsupportedAlgorithm { algorithm, reason } => write!(f, "{algorithm}: {reason}"),
            Self::PublicKey(_) => f.write_str("the public key cannot be published"),
            Self::NewKey(reason) => f.write_str(reason),
            Self::IdentifierTaken => {
                f.write_str("the device has a key with this identifier already; name another one")
            }
            Self::TooLong { found, most } => write!(
                f,
                "{found} bytes are too long for the device, which takes {most} at most; only \
                 Ed25519 signs the text itself, ES256 signs texts of any length"
            ),
            Self::Device(code) => write!(f, "the device refused: {code}"),
            Self::Protocol(what) => write!(f, "the protocol was broken: {what}"),
            Self::Random => f.write_str("the operating system gave no random numbers"),
            Self::Sign(_) => f.write_str("the signer could not be started"),
        }
    }
}

impl Error for YubiHsmError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Password(error) => Some(error),
            Self::Unreachable(error) => Some(error),
            Self::PublicKey(error) => Some(error),
            Self::Sign(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DeviceCode> for YubiHsmError {
    fn from(code: DeviceCode) -> Self {
        match code {
            DeviceCode::SESSIONS_FULL => Self::SessionsFull,
            DeviceCode::LOG_FULL => Self::AuditLogFull,
            code => Self::Device(code),
        }
    }
}

impl From<PasswordError> for YubiHsmError {
    fn from(error: PasswordError) -> Self {
        Self::Password(error)
    }
}

impl From<JwkError> for YubiHsmError {
    fn from(error: JwkError) -> Self {
        Self::PublicKey(error)
    }
}

impl From<SignError> for YubiHsmError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

/// An object that needs a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// The signing key.
    Key {
        /// Its identifier.
        id: u16,
    },
    /// The authentication key that the session was opened with.
    AuthenticationKey {
        /// Its identifier.
        id: u16,
    },
    /// What the authentication key may give to keys that it makes: its delegated capabilities.
    Delegation {
        /// The identifier of the authentication key.
        id: u16,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { id } => write!(f, "key {id}"),
            Self::AuthenticationKey { id } => write!(f, "authentication key {id}"),
            Self::Delegation { id } => write!(
                f,
                "authentication key {id}, among its delegated capabilities,"
            ),
        }
    }
}

/// The number with which a YubiHSM 2 refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCode(pub(crate) u8);

impl DeviceCode {
    pub(crate) const INVALID_SESSION: Self = Self(0x03);
    pub(crate) const AUTHENTICATION_FAILED: Self = Self(0x04);
    pub(crate) const SESSIONS_FULL: Self = Self(0x05);
    pub(crate) const LOG_FULL: Self = Self(0x0a);
    pub(crate) const OBJECT_NOT_FOUND: Self = Self(0x0b);
    pub(crate) const OBJECT_EXISTS: Self = Self(0x11);

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use yubihsm::device::ErrorKind;
        match ErrorKind::from_u8(self.0) {
            ErrorKind::Unknown { .. } => write!(f, "code {:#04x}", self.0),
            known => write!(f, "{known} ({:#04x})", self.0),
        }
    }
}

/// What the connector's library said, as text: its own types stay inside.
#[derive(Debug)]
pub struct ConnectorError(String);

impl ConnectorError {
    pub(crate) fn new(error: &yubihsm::connector::Error) -> Self {
        // What the operating system said, such as "Connection refused", is in the `Debug` of the
        // innermost error alone.
        let debug = format!("{error:?}");
        let detail = debug
            .split_once("description: Some(\"")
            .and_then(|(_, rest)| rest.split_once("\")"))
            .map(|(detail, _)| detail.replace("\\\"", "\""));
        if let Some(detail) = detail {
            return Self(detail);
        }
        let mut texts = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            texts.push(error.to_string());
            cause = error.source();
        }
        texts.dedup();
        Self(texts.join(": "))
    }

    pub(crate) fn panicked() -> Self {
        Self(
            "the connector's library panicked at the answer; is this the address of a connector?"
                .to_owned(),
        )
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConnectorError {}
