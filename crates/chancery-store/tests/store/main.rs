//! Tests of stores, all in one binary.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod directory;
mod processes;
mod services;
mod suite;
