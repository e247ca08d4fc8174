//! The crate against SoftHSM 2.
//!
//! `cargo xtask test` sets up what the tests need and runs them. By hand:
//! `CHANCERY_SOFTHSM=/usr/lib/softhsm/libsofthsm2.so cargo test -p chancery-pkcs11 -- --ignored`.

// The lints let the tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod algorithms;
mod backend;
mod exit;
mod halves;
mod keys;
mod opening;
mod pins;
mod recovery;
mod sharing;
mod support;
