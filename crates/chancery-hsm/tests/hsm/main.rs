//! A signer over a device that follows a script, and that fails in every way there is.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]

#[path = "../device/mod.rs"]
mod device;

mod conformance;
mod ending;
mod events;
mod health;
mod hooks;
mod key;
mod opening;
mod panics;
mod pin;
mod queueing;
mod recovery;
mod signatures;
