//! What every signing device needs: worker threads, a bounded queue, deadlines, recovery, and
//! verification before release.
//!
//! A backend implements [`Device`] and gets an [`HsmSigner`]:
//!
//! ```
//! # #[cfg(feature = "ring")] {
//! use std::sync::Arc;
//!
//! use chancery_core::{Algorithm, Signature, Signer, SigningInput};
//! use chancery_hsm::{Device, DeviceError, DeviceErrorKind, HsmOptions, HsmSigner, Session};
//! use chancery_software::{Engine, SoftwareSigner};
//!
//! #[derive(Debug)]
//! struct Appliance(Arc<SoftwareSigner>);
//! struct Connection(Arc<SoftwareSigner>);
//!
//! impl Device for Appliance {
//!     type Session = Connection;
//!     fn open(&self) -> Result<Connection, DeviceError> {
//!         Ok(Connection(Arc::clone(&self.0)))
//!     }
//!     fn reset(&self) -> Result<(), DeviceError> {
//!         Ok(())
//!     }
//! }
//!
//! impl Session for Connection {
//!     fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError> {
//!         self.0.sign(input).map_err(|error| {
//!             DeviceError::new(DeviceErrorKind::Failed, "the appliance did not sign")
//!                 .with_source(error)
//!         })
//!     }
//! }
//!
//! let key = Arc::new(SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?);
//! let jwk = key.jwk().clone();
//! let signer = HsmSigner::open(Appliance(key), jwk, HsmOptions::new())?;
//! signer.sign(&SigningInput::new(Algorithm::Es256, b"header.payload"))?;
//! println!("{:?}", signer.health());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod device;
mod event;
mod health;
mod ladder;
#[cfg(all(test, chancery_shuttle))]
mod model;
mod options;
mod processors;
mod queue;
mod shared;
mod signer;
mod sync;
mod thread_time;
mod trouble;
mod worker;

/// Where the PIN or password of a device comes from, and why there is none.
pub use chancery_software::{Secret, SecretError};
pub use device::{Device, DeviceError, DeviceErrorKind, Session};
pub use event::Event;
pub use health::{Health, State};
pub use options::HsmOptions;
pub use signer::HsmSigner;
