//! Tokens, keys and documents of an OpenID Connect issuer: the core of chancery, without a crypto
//! engine, an async runtime, a framework or I/O.
//!
//! - [`Issuer`] mints a [`Token`] from [`Claims`] and renders the discovery and JWKS [`Document`]s.
//! - [`KeySet`] holds the keys and the times at which each is published and signs.
//! - [`Signer`] is what a key backend implements; [`Jwk`] is the public half it publishes.
//! - [`rotation`] replaces keys over the years so that no relying party notices.
//!
//! Services link the facade, the crate `chancery`, whose documentation shows the whole job.

mod algorithm;
mod algorithm_set;
mod base64url;
mod claims;
mod document;
mod issue_error;
mod issuer;
mod issuer_builder;
mod issuer_url;
mod json_value;
mod jwk;
mod key_set;
mod lease;
mod payload;
mod pending_signature;
mod private_claims;
mod provider_metadata;
mod public_key;
pub mod rotation;
mod sign_error;
mod signature;
mod signer;
mod time;
mod token;
mod token_id;
mod token_policy;
mod token_type;

pub use crate::algorithm::{Algorithm, Curve, Digest, HashAlgorithm, KeyType, UnknownAlgorithm};
pub use crate::algorithm_set::AlgorithmSet;
pub use crate::claims::{Claims, ClaimsError};
pub use crate::document::Document;
pub use crate::issue_error::{DocumentError, IssueError, RandomError};
pub use crate::issuer::Issuer;
pub use crate::issuer_builder::{IssuerBuilder, IssuerError};
pub use crate::issuer_url::{IssuerUrl, IssuerUrlError};
pub use crate::jwk::{JsonError, Jwk, JwkError, JwkSet};
pub use crate::key_set::{KeySet, KeySetError, Schedule, ScheduledKey};
pub use crate::lease::{Lease, Limits};
pub use crate::pending_signature::{PendingSignature, SignatureCompleter};
pub use crate::private_claims::PrivateClaimError;
pub use crate::provider_metadata::{ProviderMetadata, ProviderMetadataError};
pub use crate::public_key::{PublicKey, PublicKeyError};
pub use crate::sign_error::{SignError, SignErrorKind};
pub use crate::signature::{DerError, Signature, SignatureError};
pub use crate::signer::{Signer, SigningInput};
pub use crate::time::{Clock, SystemClock, UnixTime, UnixTimeError};
pub use crate::token::{Token, UnsignedToken};
pub use crate::token_policy::{PolicyError, TokenPolicy, TokenRequest, TokenTerms};
pub use crate::token_type::TokenType;
