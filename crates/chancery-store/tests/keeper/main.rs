//! The keeper, over a store in memory and by a clock that the tests turn.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod faults;
mod guide;
#[cfg(feature = "probe")]
mod http_probe;
mod interruptions;
mod late;
mod life;
mod operator;
mod publication;
mod replicas;
mod status;
mod support;
