//! Signing keys in memory on ring or aws-lc-rs, and the verification of tokens.

mod asn1;
mod encryption;
mod engine;
mod key_error;
mod pem;
mod private_jwk;
mod private_key;
mod software_signer;
mod verify_error;
mod verifying_key;

pub use crate::engine::Engine;
pub use crate::key_error::{Asn1Error, KeyError};
pub use crate::private_key::PrivateKey;
pub use crate::software_signer::SoftwareSigner;
pub use crate::verify_error::VerifyError;
pub use crate::verifying_key::VerifyingKey;
