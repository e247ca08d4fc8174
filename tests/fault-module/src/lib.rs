//! A PKCS#11 module for tests: it passes calls on to a real module, and injects faults that the
//! test switches on and off while it runs.
//!
//! - As a shared library it is loaded in the place of the real module, which
//!   `CHANCERY_FAULT_TARGET` names (SoftHSM when unset).
//! - As a Rust library it has [`Faults`], the client that finds the same shared library in the
//!   process, [`Fault`], which says what goes wrong when, and [`SoftHsm`], a token to try it on.
//!
//! ```no_run
//! use chancery_fault_module::{Effect, Fault, Faults, Function, When};
//!
//! let faults = Faults::load()?;
//! let removed = faults.inject(Fault {
//!     function: Function::Sign,
//!     effect: Effect::Return(cryptoki_sys::CKR_DEVICE_REMOVED),
//!     when: When::Always,
//! });
//! // Sign through the module at `Faults::path()`, then:
//! assert!(removed.end() > 0);
//! # Ok::<(), std::io::Error>(())
//! ```

mod client;
mod control;
mod fault;
mod functions;
mod latency;
mod module;
mod signature;
mod soft_hsm;

pub use crate::client::{Faults, Injection};
pub use crate::fault::{Effect, Fault, Function, When};
pub use crate::soft_hsm::SoftHsm;
