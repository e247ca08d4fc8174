//! Key rotation that no relying party notices: the manifest of keys, the rules it obeys, and the
//! plan of what comes next.

mod backend;

pub use self::backend::{BackendError, CreatedKey, KeyBackend};
