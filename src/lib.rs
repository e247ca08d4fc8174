//! Makes a service an OpenID Connect issuer that AWS, Google Cloud, Azure, Vault and Kubernetes
//! trust.
//!
//! A service that runs jobs for its customers can hand each job a signed token that says who it
//! is. The customer's cloud exchanges the token for credentials, so that nobody stores a secret.
//! For that the service needs a signing key, two documents at well-known URLs, and a token for
//! each job. This page shows the whole of it.
//!
//! # A key
//!
//! A [`Signer`] signs with one key and one algorithm. Keys in memory are in [`software`]; here one
//! is created on the first run and kept in an encrypted file:
//!
//! ```
//! # #[cfg(feature = "ring")] {
//! use std::sync::Arc;
//! use chancery::software::{Engine, KeyFile, SoftwareSigner};
//! use chancery::{Algorithm, KeySet, Schedule, ScheduledKey};
//!
//! # let folder = std::env::temp_dir().join(format!("chancery-facade-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("signing-key.pem");
//! # let password = "a long passphrase";
//! let key = KeyFile::new(&path).load_or_generate(
//!     password.as_bytes(),
//!     Algorithm::Es256,
//!     Engine::Ring,
//! )?;
//! let signer = SoftwareSigner::new(&key, Algorithm::Es256, Engine::Ring)?;
//! let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
//! # std::fs::remove_dir_all(&folder)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`KeySet`] holds all keys, with the times at which each is published and signs, and is shared
//! by as many issuers as there are tenants.
//!
//! # An issuer and its documents
//!
//! ```
//! # #[cfg(feature = "ring")] {
//! # use std::sync::Arc;
//! # use chancery::software::{Engine, SoftwareSigner};
//! # use chancery::{Algorithm, KeySet, Schedule, ScheduledKey};
//! # let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
//! # let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
//! use chancery::{Issuer, IssuerUrl};
//!
//! let issuer = Issuer::new(IssuerUrl::parse("https://id.example.com")?, keys);
//!
//! // In a web server's handler of GET requests: answer the paths that are the issuer's.
//! let path = "/.well-known/openid-configuration";
//! if let Some(document) = issuer.document(path)? {
//!     assert_eq!(document.content_type(), "application/json");
//!     assert!(document.bytes().starts_with(br#"{"issuer":"https://id.example.com""#));
//! }
//!
//! // Another tenant of the same service: another URL, the same keys.
//! let tenant = issuer.tenant(IssuerUrl::parse("https://acme.example.com")?);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Issuer::builder`] sets lifetimes, audiences, algorithms and what else the documents say.
//!
//! # A token
//!
//! ```
//! # #[cfg(feature = "ring")] {
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use chancery::software::{Engine, SoftwareSigner};
//! # use chancery::{Algorithm, Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey};
//! # let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
//! # let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
//! # let issuer = Issuer::new(IssuerUrl::parse("https://id.example.com")?, keys);
//! use chancery::software::Verifier;
//! use chancery::{Claims, JwkSet};
//!
//! let claims = Claims::new("space:production:stack:42")
//!     .with_audience("sts.amazonaws.com")
//!     .with_lifetime(Duration::from_secs(15 * 60))
//!     .with_private_claim("runId", "01JD3Z8M4T6V9X2B")?;
//! let token = issuer.issue(&claims)?;
//!
//! // What a relying party does with the published documents:
//! let jwks = JwkSet::from_json(issuer.jwks()?.bytes())?;
//! let verified =
//!     Verifier::new("https://id.example.com", "sts.amazonaws.com", jwks).verify(token.as_str())?;
//! assert_eq!(verified.subject(), Some("space:production:stack:42"));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Issuer::issue`] blocks while the key signs, [`Issuer::issue_async`] does not,
//! [`Issuer::issue_into`] uses a buffer again, and [`Issuer::prepare`] leaves the signature to a
//! remote service.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `ring` | yes | keys in memory on ring |
//! | `aws-lc-rs` | | keys in memory on aws-lc-rs: also ES512, and the generation of RSA keys |
//! | `derive-public-key` | | loads EC private keys that came without their public half |
//! | `federation` | | relying parties and their rules, subjects, trust policies, a local STS |
//! | `pkcs11` | | keys in a PKCS#11 module, such as that of an HSM; wants an engine to verify with |
//! | `yubihsm` | | keys in a YubiHSM 2, over its HTTP connector; wants an engine to verify with |
//! | `yubihsm-usb` | | a YubiHSM 2 in a USB port, without a connector |
//! | `yubihsm-experimental-rsa` | | RS256 on a YubiHSM 2, which is untested with real devices |
//! | `store` | | keys that rotate by themselves, on any number of replicas that share a store |
//! | `store-aws`, `store-azure`, `store-gcp` | | that store in S3, Azure Blob or Google Cloud Storage |
//! | `store-probe` | | the look from outside at what is published, over HTTP |
//! | `tracing` | | events of signing devices and of the keeper through `tracing` |
//!
//! Features only add. With no engine at all the core is left: tokens, documents, and the
//! [`Signer`] trait for a backend of your own, which `chancery-conformance` tests.

pub use chancery_core::{
    Algorithm, AlgorithmSet, Claims, ClaimsError, Clock, Curve, DerError, Digest, Document,
    DocumentError, HashAlgorithm, IssueError, Issuer, IssuerBuilder, IssuerError, IssuerUrl,
    IssuerUrlError, JsonError, Jwk, JwkError, JwkSet, KeySet, KeySetError, KeyType, Lease, Limits,
    PendingSignature, PolicyError, PrivateClaimError, ProviderMetadata, ProviderMetadataError,
    PublicKey, PublicKeyError, RandomError, Schedule, ScheduledKey, SignError, SignErrorKind,
    Signature, SignatureCompleter, SignatureError, Signer, SigningInput, SystemClock, Token,
    TokenPolicy, TokenRequest, TokenTerms, TokenType, UnixTime, UnixTimeError, UnknownAlgorithm,
    UnsignedToken,
};

/// The rotation of keys: the manifest, its rules and its plan.
pub use chancery_core::rotation;

/// Relying parties, subjects, trust policies and a local STS.
#[cfg(feature = "federation")]
pub use chancery_federation as federation;

/// Manifests, encrypted keys and published documents in a store that replicas share, and the keeper
/// that rotates keys.
#[cfg(feature = "store")]
pub use chancery_store as store;

/// Keys in memory, and the verification of tokens.
#[cfg(any(
    feature = "ring",
    feature = "aws-lc-rs",
    feature = "derive-public-key",
    feature = "yubihsm"
))]
pub mod software {
    pub use chancery_software::{
        Asn1Error, Engine, KeyError, KeyFile, KeyFileError, PrivateKey, Secret, SecretError,
        SoftwareSigner, VerifiedJws, VerifiedToken, Verifier, VerifyError, VerifyingKey,
        verify_jws,
    };
}

/// What keys in a device have in common: how the signer uses it, and how it fares.
#[cfg(any(feature = "pkcs11", feature = "yubihsm"))]
pub mod hsm {
    pub use chancery_hsm::{
        Device, DeviceError, DeviceErrorKind, Event, Health, HsmOptions, HsmSigner, Secret,
        SecretError, Session, State,
    };
}

/// Keys in a PKCS#11 module, such as that of an HSM.
#[cfg(feature = "pkcs11")]
pub mod pkcs11 {
    pub use chancery_pkcs11::{
        KeyPair, ModuleError, ObjectType, Pin, PinError, Pkcs11Error, Pkcs11Uri, Pkcs11UriError,
        SignerBuilder, Token, TokenBackend, TokenBuilder, TokenKey, UnlistedKey, UnusableKey,
        Warning, open,
    };
}

/// Keys in a YubiHSM 2.
#[cfg(feature = "yubihsm")]
pub mod yubihsm {
    pub use chancery_yubihsm::{
        Capability, ConnectorError, DeviceCode, Domains, Holder, MOST_SESSIONS, NewKey, Password,
        PasswordError, SignerBuilder, YubiHsm, YubiHsmBackend, YubiHsmError, YubiHsmKey,
    };
}
