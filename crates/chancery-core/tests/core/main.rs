//! Tests of the core from outside, with a signer and a clock of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod claims;
mod documents;
mod issuer_url;
mod jwk;
mod key_set;
mod leases;
mod lifetimes;
mod pending_signature;
mod policy;
mod private_claims;
mod private_values;
mod properties;
mod redaction;
mod rotation;
mod signature;
mod support;
mod thread_safety;
mod time;
mod token_policy;
mod tokens;
