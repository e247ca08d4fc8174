//! Devices to test `chancery-yubihsm` with, and a proxy that injects faults on the way to them.
//!
//! [`MockDevice`] is the `yubihsm` crate's own mock behind its own connector server.
//! [`SimulatedDevice`] speaks the documented protocol itself, and has what the mock lacks: P-384,
//! RSA, an audit log that fills up, sessions that expire and run out, and rights that are enforced.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this"
)]

mod backend;
mod http;
mod mock;
mod object;
mod proxy;
mod scp03;
mod simulated;

pub use backend::Backend;
pub use mock::MockDevice;
pub use object::{Kind, Object};
pub use proxy::{Fault, Proxy};
pub use simulated::{SimulatedDevice, capability};

/// The authentication key and the password that new devices have.
pub const AUTHENTICATION_KEY: u16 = 1;
/// See [`AUTHENTICATION_KEY`].
pub const PASSWORD: &str = "password";
