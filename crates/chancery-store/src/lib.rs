//! Small objects that many processes read and change: key manifests, encrypted keys, published
//! documents. They lie in a directory of this machine or in an object store.
//!
//! # Every change is a compare-and-swap
//!
//! A [`Store`] has no way to write over an object unseen: [`create`](Store::create) wants it to be
//! absent and [`replace`](Store::replace) wants the [`Version`] that was read. Of several writers one
//! wins; the others get [`StoreError::Conflict`], read again and decide anew. This is all that
//! replicas of a service share.
//!
//! ```
//! use chancery_store::{Content, Store, StoreError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), StoreError> {
//! let store = Store::memory();
//! store.create("counter", &Content::new(b"1", "text/plain")).await?;
//!
//! let Some(counter) = store.read("counter").await? else { unreachable!() };
//! let two = Content::new(b"2", "text/plain");
//! store.replace("counter", &two, counter.version()).await?;
//!
//! // Whoever read before that has to read again.
//! let stale = store.replace("counter", &two, counter.version()).await;
//! assert!(matches!(stale, Err(StoreError::Conflict { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! A server that ignores conditions would break this without a word:
//! [`check_conditional_writes`](Store::check_conditional_writes) finds out, and belongs where a
//! service opens a store that it writes to.
//!
//! # Runtime
//!
//! Every method runs on tokio, with its timers enabled, and panics elsewhere. None takes longer than
//! 20 seconds.

mod client;
mod cloud;
mod content;
mod directory;
mod encrypted_keys;
mod error;
mod keeper;
mod object_path;
mod open;
mod probe;
mod publication;
mod random;
mod status;
mod store;
mod timeline;

pub use content::{Content, Object, Version};
pub use encrypted_keys::EncryptedKeys;
pub use error::StoreError;
pub use keeper::event::Event;
#[cfg(feature = "probe")]
pub use keeper::http_probe::HttpProbe;
pub use keeper::probe::{Probe, ProbeError};
pub use keeper::trouble::{KeeperError, Trouble};
pub use keeper::view::Report;
pub use keeper::{Keeper, KeeperBuilder};
pub use publication::{Publication, PublishError};
pub use status::{KeyStatus, LaneStatus, ReplicaStatus, Status};
pub use store::Store;
pub use timeline::Timeline;
