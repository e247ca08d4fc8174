//! What several test programs share.

// The lints let tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod http;
pub mod jws;
pub mod pem;
pub mod programs;
pub mod verifiers;
