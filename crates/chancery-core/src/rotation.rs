//! Key rotation that no relying party notices: the manifest of keys, the rules it obeys, and the
//! plan of what comes next.
//!
//! Nothing here does anything: a [`Manifest`] is a value, [`plan`] says what comes next,
//! [`Manifest::apply`] makes the next manifest, and somebody else makes keys, fetches documents and
//! keeps manifests.
//!
//! # A key's life
//!
//! A key is made (`Provisioned`), enters the JWKS (`Announced`), is fetched through the public URL
//! (`Observed`), signs (`Active`), stays in the JWKS for as long as its tokens live (`Draining`),
//! leaves it (`Retired`), and its private half is gone (`Destroyed`). One that was compromised is
//! `Revoked`: out at once. Which [`KeyState`] it is in follows from its [`Moments`] and the time.
//!
//! # The inequalities
//!
//! The times are those of [`RotationTimes`]; H is the larger of C and R.
//!
//! | | | |
//! |---|---|---|
//! | 1 | activate | ≥ max(announce + L, observed) + H + 2ε |
//! | 2 | stop | = activate of the next key of the lane, unless the key ended otherwise |
//! | 3 | retire | ≥ stop + L + D + T + G + r + 2ε |
//! | 4 | destroy | ≥ stop + L + D + 2ε |
//! | 8 | activate, of the very first keys | ≥ observed + W + 2ε, or at once where nobody has fetched |
//! | 9 | all of these | by every one of the times that were in force while something was cached |
//! | 10 | published keys | ≤ 100 |
//!
//! They hold together: for a token that is accepted at a moment up to `exp` + G + r, any JWKS that
//! was fetched within H before, from any replica, has its key. For that, an announcement and an end
//! of signing are dated ε ahead: a lease later, every replica knows of them, which counts from when
//! they are in the store, by whatever clock. So ε has to cover, besides the clocks, how long a
//! manifest takes to be written once its change was applied.

mod backend;
mod bounds;
mod change;
mod check;
mod check_change;
mod error;
mod json;
mod key;
mod lane;
mod manifest;
mod plan;
mod policy;
mod times;

pub use self::backend::{BackendError, CreatedKey, KeyBackend};
pub use self::change::Change;
pub use self::error::{Inequality, ManifestError};
pub use self::key::{Bootstrap, KeyState, ManagedKey, Moments};
pub use self::manifest::{HistoryEntry, Manifest};
pub use self::plan::{Action, Plan, Step, plan};
pub use self::policy::{Lane, Role, RotationPolicy, RotationPolicyError};
pub use self::times::{RotationTimes, TimesRecord};
