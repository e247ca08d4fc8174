//! Signs through real sessions with mock and simulated devices.

mod management;
mod rig;
mod sessions;
mod signing;
mod support;
