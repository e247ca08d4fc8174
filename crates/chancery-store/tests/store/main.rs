//! Tests of stores, all in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod directory;
mod encrypted_keys;
#[cfg(all(feature = "aws", feature = "gcp"))]
mod faults;
mod mounts;
mod opening;
mod processes;
#[cfg(all(feature = "aws", feature = "gcp"))]
mod server;
#[cfg(all(feature = "aws", feature = "azure"))]
mod services;
mod suite;
