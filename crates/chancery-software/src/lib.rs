//! Signing keys in memory on ring or aws-lc-rs, and the verification of tokens.
//!
//! - [`PrivateKey`] loads keys in every common format, generates them, and encrypts them to be
//!   stored; [`KeyFile`] keeps one in a file.
//! - [`SoftwareSigner`] signs with one.
//! - [`Verifier`] checks tokens strictly; [`verify_jws`] and [`VerifyingKey`] are the layers below
//!   it.
//!
//! The feature `ring` is on by default. The feature `aws-lc-rs` adds ES512 and the generation of
//! RSA keys, `derive-public-key` completes EC keys that came without their public half. Both
//! engines may be on: each key says which one it uses, and ring verifies what it can.

mod asn1;
mod encryption;
mod engine;
mod jws;
mod key_error;
mod key_file;
mod pem;
mod private_jwk;
mod private_key;
mod secret;
mod software_signer;
mod verifier;
mod verify_error;
mod verifying_key;

pub use crate::engine::Engine;
pub use crate::jws::{VerifiedJws, verify_jws};
pub use crate::key_error::{Asn1Error, KeyError};
pub use crate::key_file::{KeyFile, KeyFileError};
pub use crate::private_key::PrivateKey;
pub use crate::secret::{Secret, SecretError};
pub use crate::software_signer::SoftwareSigner;
pub use crate::verifier::{VerifiedToken, Verifier};
pub use crate::verify_error::VerifyError;
pub use crate::verifying_key::VerifyingKey;
