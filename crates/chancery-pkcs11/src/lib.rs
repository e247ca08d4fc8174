//! Signs with keys in any PKCS#11 module: a hardware security module, a TPM, a card, or a token in
//! software.
//!
//! - [`Token`] opens a token of a module, lists its keys, and generates and destroys them.
//! - [`Token::signer`] opens an [`HsmSigner`](chancery_hsm::HsmSigner) with one of the keys, which
//!   signs on threads of its own and recovers from what befalls a device.
//! - [`TokenBackend`] makes, opens and destroys the keys of a keeper that rotates them.
//! - [`Pkcs11Uri`] names all of this in one line of configuration; [`open`] opens it.
//!
//! A module is loaded and initialised once for the whole process, whoever uses it: several tokens
//! of it, several signers on one token, and an application that called `C_Initialize` itself go
//! together. Only what was initialised here is ever finalised here. When the process exits, it waits
//! for calls in flight, for up to a second, and no other is made: modules crash when they are called
//! then.
//!
//! A module may hang, and a call into it cannot be taken back. So whatever calls a module does so on
//! a thread that nobody waits for longer than a deadline: signatures on the workers of their signer,
//! by the deadline of its options; all else on a thread of its own, by that of the token
//! ([`TokenBuilder::deadline`]).

mod backend;
mod deadline;
mod destroy;
mod device;
mod error;
mod exit;
mod gate;
mod generate;
mod key_object;
mod key_session;
mod login;
mod mechanism;
mod module;
mod module_error;
mod percent;
mod public_half;
mod selector;
mod signer_builder;
mod single_part;
mod sync;
mod token;
mod token_key;
mod uri;

// What the tests in here share with those outside.
#[cfg(test)]
extern crate self as chancery_pkcs11;
#[cfg(test)]
#[cfg(not(chancery_shuttle))]
#[allow(clippy::expect_used, clippy::unwrap_used)]
#[path = "../tests/softhsm/support.rs"]
mod softhsm;

pub use crate::backend::TokenBackend;
pub use crate::deadline::Operation;
pub use crate::error::Pkcs11Error;
pub use crate::generate::KeyPair;
pub use crate::module_error::ModuleError;
pub use crate::public_half::UnusableKey;
pub use crate::signer_builder::{SignerBuilder, Warning};
pub use crate::token::{Token, TokenBuilder, open};
pub use crate::token_key::{TokenKey, UnlistedKey};
pub use crate::uri::{ObjectType, Pkcs11Uri, Pkcs11UriError};
/// Where the user PIN of a token comes from, and why there is none.
pub use chancery_hsm::{Secret as Pin, SecretError as PinError};
