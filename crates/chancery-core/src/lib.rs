//! Core.

mod algorithm;
mod base64url;
mod jwk;
mod pending_signature;
mod public_key;
mod sign_error;
mod signature;
mod signer;
mod time;

pub use crate::algorithm::{Algorithm, Curve, Digest, HashAlgorithm, KeyType, UnknownAlgorithm};
pub use crate::jwk::{JsonError, Jwk, JwkError, JwkSet};
pub use crate::pending_signature::{PendingSignature, SignatureCompleter};
pub use crate::public_key::{PublicKey, PublicKeyError};
pub use crate::sign_error::{SignError, SignErrorKind};
pub use crate::signature::{DerError, Signature, SignatureError};
pub use crate::signer::{Signer, SigningInput};
pub use crate::time::{Clock, SystemClock, UnixTime, UnixTimeError};
