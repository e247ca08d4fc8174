//! Signs with keys in a YubiHSM 2.
//!
//! The device is reached through yubihsm-connector over HTTP, or with the feature `usb` directly:
//!
//! ```
//! use chancery_core::{Algorithm, Signer, SigningInput};
//! use chancery_yubihsm::{NewKey, Password, YubiHsm};
//!
//! # use yubihsm::connector::{Connector, http::{HttpConfig, Server}};
//! # let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
//! # let config = HttpConfig { port, ..HttpConfig::default() };
//! # let server = Server::new(&config, Connector::mockhsm())?;
//! # std::thread::spawn(move || loop { let _ = server.handle_request(); });
//! # let (connector, password) = (config.to_string(), Password::new("password"));
//! // Such as http://127.0.0.1:12345, and Password::file("/run/credentials/yubihsm").
//! let device = YubiHsm::http(&connector, 1, &password)?;
//!
//! let key = device.generate(Algorithm::Es256, &NewKey::new("issuer-2026"))?;
//! let signer = device.signer().id(key.id()).open()?;
//! assert_eq!(signer.jwk().kid(), key.kid());
//! signer.sign(&SigningInput::new(Algorithm::Es256, b"header.payload"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`YubiHsmBackend`] makes, opens and destroys the keys of a keeper that rotates them.
//!
//! Messages travel by the `yubihsm` crate's connectors. The secure channel within is this crate's
//! own, since that crate's client cannot close a session, of which a device has only 16, and keeps
//! a session that the device has forgotten.

mod access;
mod backend;
mod channel;
mod connector;
mod device;
mod error;
mod key;
mod link;
mod object;
mod signer;
mod wire;
mod yubihsm;

pub use access::MOST_SESSIONS;
pub use backend::YubiHsmBackend;
/// Where the password of an authentication key comes from, and why there is none.
pub use chancery_hsm::{Secret as Password, SecretError as PasswordError};
pub use error::{ConnectorError, DeviceCode, Holder, YubiHsmError};
pub use key::{NewKey, YubiHsmKey};
pub use object::{Capability, Domains};
pub use signer::SignerBuilder;
pub use yubihsm::YubiHsm;
