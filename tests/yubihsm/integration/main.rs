//! Signs through real sessions with mock and simulated devices.

#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod backend;
mod foreign;
mod management;
mod rig;
mod sessions;
mod signing;
mod support;
