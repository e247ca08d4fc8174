//! A model check of the rotation of keys: what no relying party may ever meet, searched for in all
//! that replicas, clocks, a slow store and operators can do.
//!
//! The property: for every token that is accepted at a true time up to `exp` + G + r, any JWKS that
//! was fetched within H before, or while it is accepted, from any replica with a valid lease, has
//! its key, unless that was revoked. Besides, no private half is destroyed while a replica may sign
//! with it, and no lane goes dark unless an operator wants it.
//!
//! What a replica does follows from the version of the manifest that it read, its clock and the
//! time. So a *history*, that is the versions and when each came into the store, says all that any
//! replica may do, and [`property`] checks it for all replicas and relying parties at once.
//! [`explore`] makes all histories of a few changes with the library's own `plan` and `apply`, and
//! [`random`] long ones by chance, with three replicas that may be stopped anywhere; [`issuer`]
//! compares the reckoning with a real issuer. In [`sound`] nothing may be found; in [`weakened`]
//! each inequality is off by a second, and something must be.
//!
//! What is assumed:
//! - A clock, read in whole seconds, is never off by more than ε, which covers the rounding. Within
//!   that it may wander, and does so as it hurts most.
//! - A change is in the store at most ε after its clock was read, or never. The keeper gives up a
//!   write after ε; one that is held up between the look at the clock and the request is beyond
//!   this (`inequality_1_a_late_write`).
//! - A replica dates its lease from before it read, and relies on it for L − 2ε.
//! - A new policy is true of relying parties before they get worse and after they got better.
//! - A replica with no key to publish is not asked (`inequality_8_counts_on_readiness`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod explore;
mod issuer;
mod property;
mod random;
mod setting;
mod sound;
mod version;
mod weakened;
mod world;
