//! A model check of the rotation of keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod explore;
mod property;
mod sound;
mod version;
mod world;
