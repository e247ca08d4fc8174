//! Signs with keys in a YubiHSM 2.
//!
//! The device is reached through yubihsm-connector over HTTP, or with the feature `usb` directly:
//!
//! ```no_run
//! use chancery_core::{Algorithm, Signer};
//! use chancery_yubihsm::{NewKey, Password, YubiHsm};
//!
//! let password = Password::file("/run/secrets/yubihsm");
//! let device = YubiHsm::http("http://127.0.0.1:12345", 2, &password)?;
//!
//! let key = device.generate(Algorithm::Es256, &NewKey::new("issuer 2026"))?;
//! let signer = device.signer().id(key.id()).open()?;
//! assert_eq!(signer.jwk().kid(), key.kid());
//! # Ok::<(), chancery_yubihsm::YubiHsmError>(())
//! ```
//!
//! Messages travel by the `yubihsm` crate's connectors. The secure channel within is this crate's
//! own, since that crate's client cannot close a session, of which a device has only 16, and keeps
//! a session that the device has forgotten.

mod channel;
mod connector;
mod device;
mod error;
mod key;
mod link;
mod object;
mod password;
mod signer;
mod wire;
mod yubihsm;

pub use error::{ConnectorError, DeviceCode, Holder, YubiHsmError};
pub use key::{NewKey, YubiHsmKey};
pub use link::MOST_SESSIONS;
pub use object::{Capability, Domains};
pub use password::{Password, PasswordError};
pub use signer::SignerBuilder;
pub use yubihsm::YubiHsm;
