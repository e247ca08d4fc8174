//! Why a key could not be loaded, made or stored.

use std::fmt;

use chancery_core::{Algorithm, Curve, JwkError, KeyType, PublicKeyError};

use crate::engine::Engine;

/// Why a private key could not be loaded, made or stored.
///
/// No variant holds a byte of the key or of the password.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The text has no PEM block.
    NotPem,
    /// The PEM block has no matching END line.
    PemEnd,
    /// What stands inside the PEM block is not base64.
    PemBase64,
    /// There is more than one PEM block, or text after it.
    PemTrailing,
    /// The PEM block holds something other than a private key.
    PemLabel {
        /// What it holds by its label, such as `CERTIFICATE`.
        label: String,
    },
    /// The key is encrypted and no password was given.
    Encrypted,
    /// A password was given and the key is not encrypted.
    NotEncrypted,
    /// The PEM block is encrypted in the legacy way of OpenSSL, `Proc-Type: 4,ENCRYPTED`.
    LegacyEncryption,
    /// The key is encrypted by something other than PBES2 with AES-CBC and scrypt or PBKDF2 with
    /// SHA-2 (RFC 8018).
    UnsupportedEncryption,
    /// The encrypted key asks for more time or memory to derive its encryption key than a genuine
    /// one does.
    EncryptionCost,
    /// The password is wrong, or the encrypted bytes are damaged.
    WrongPassword,
    /// A key was to be encrypted under an empty password.
    EmptyPassword,
    /// The bytes are not the DER structure that they should be.
    Der {
        /// The name of the structure.
        structure: &'static str,
        /// What was wrong, and at which byte.
        source: Asn1Error,
    },
    /// The key is of a kind that JOSE does not sign with, or that this library leaves out.
    UnsupportedKey {
        /// Its name or object identifier.
        kind: String,
    },
    /// The bytes are not a JSON object of strings in the form a private JWK has.
    JwkSyntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A member of the JWK is missing, repeated, of a wrong value or length, or not canonical
    /// base64url.
    JwkMember {
        /// The name of the member.
        name: &'static str,
    },
    /// `use` or `key_ops` of the JWK say that the key is not for signing.
    JwkPurpose {
        /// The member that says so.
        member: &'static str,
    },
    /// The private key has a wrong length for its kind.
    PrivateLength {
        /// The kind of key.
        key_type: KeyType,
    },
    /// The public half is weak or malformed.
    PublicKey(PublicKeyError),
    /// The EC key came without its public half.
    PublicHalfMissing {
        /// Its curve.
        curve: Curve,
    },
    /// The public half that came with the key belongs to another key.
    PublicKeyMismatch,
    /// The algorithm does not go with the key, or the key is bound to another by its `alg`.
    Algorithm {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// What the key is, or is for.
        key: String,
    },
    /// The engine does not have the algorithm.
    UnsupportedAlgorithm {
        /// The algorithm.
        algorithm: Algorithm,
        /// The engine.
        engine: Engine,
    },
    /// The engine cannot generate RSA keys.
    RsaGeneration {
        /// The engine.
        engine: Engine,
    },
    /// The length asked for is none that RSA keys are generated with here.
    RsaLength {
        /// The number of bits asked for.
        bits: usize,
    },
    /// The engine refused the key.
    Rejected {
        /// The engine.
        engine: Engine,
        /// The engine's word for it.
        reason: String,
    },
    /// What the key signed for a probe does not verify under its public half.
    Probe,
    /// The `kid` is not one that a JWK can have.
    Kid(JwkError),
    /// The certificate chain is not one of this key.
    CertificateChain(JwkError),
    /// The operating system or the engine gave no random bytes.
    Random,
    /// The key could not be encoded or encrypted.
    Encode,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str(
                "no line that is `-----BEGIN …-----` and nothing else; is this a PEM file, and are \
                 its line breaks still there?",
            ),
            Self::PemEnd => f.write_str("the PEM block has no matching END line; is it cut off?"),
            Self::PemBase64 => f.write_str("the PEM block is not base64; is it damaged?"),
            Self::PemTrailing => f.write_str(
                "there is more after the private key; keep nothing but the key in the file",
            ),
            Self::PemLabel { label } => write!(
                f,
                "the PEM block is a {label}; give the file of the private key"
            ),
            Self::Encrypted => f.write_str(
                "the private key is encrypted; load it with its password, by \
                 PrivateKey::from_encrypted_pem or PrivateKey::from_encrypted_pkcs8_der",
            ),
            Self::NotEncrypted => f.write_str(
                "a password was given, but the private key is not encrypted; encrypt it with \
                 `openssl pkcs8 -topk8 -scrypt -in key.pem -out encrypted.pem`, or load it with \
                 PrivateKey::from_pem",
            ),
            Self::LegacyEncryption => f.write_str(
                "the private key is encrypted in OpenSSL's legacy way, which protects it badly; \
                 convert it with `openssl pkcs8 -topk8 -scrypt -in key.pem -out converted.pem`",
            ),
            Self::UnsupportedEncryption => f.write_str(
                "the private key is encrypted by a method other than PBES2 with AES-CBC and \
                 scrypt or PBKDF2 with SHA-2; convert it with `openssl pkcs8 -in key.pem | \
                 openssl pkcs8 -topk8 -scrypt -out converted.pem`",
            ),
            Self::EncryptionCost => f.write_str(
                "deriving the encryption key would take more than 256 MiB or 10 million rounds; \
                 encrypt the private key anew with `openssl pkcs8 -topk8 -scrypt`",
            ),
            Self::WrongPassword => {
                f.write_str("the password is wrong, or the encrypted private key is damaged")
            }
            Self::EmptyPassword => {
                f.write_str("the password is empty, which would leave the private key unprotected")
            }
            Self::Der { structure, source } => {
                write!(f, "not a DER-encoded {structure}: {source}")
            }
            Self::UnsupportedKey { kind } => write!(
                f,
                "a key of the kind {kind} cannot be used; use P-256, P-384, P-521, Ed25519 or \
                 RSA of 2048 to 4096 bits with the identifier rsaEncryption"
            ),
            Self::JwkSyntax { line, column } => write!(
                f,
                "not a private JWK at line {line} column {column}: it must be one JSON object \
                 whose key members are strings without escapes"
            ),
            Self::JwkMember { name } => write!(
                f,
                "member `{name}` of the private JWK is missing, repeated or wrong"
            ),
            Self::JwkPurpose { member } => {
                write!(f, "`{member}` of the JWK says that it is not for signing")
            }
            Self::PrivateLength { key_type } => {
                write!(
                    f,
                    "the private part is not of the length that {key_type} has"
                )
            }
            Self::PublicKey(error) => error.fmt(f),
            Self::PublicHalfMissing { curve } => write!(
                f,
                "the {curve} key has no public half; enable the feature `derive-public-key`, or \
                 add it with `openssl pkey -in key.pem -out complete.pem`"
            ),
            Self::PublicKeyMismatch => {
                f.write_str("the public half that came with the private key is another key's")
            }
            Self::Algorithm { algorithm, key } => {
                write!(f, "{algorithm} does not go with this key, which is {key}")
            }
            Self::UnsupportedAlgorithm { algorithm, engine } => write!(
                f,
                "{engine} has no {algorithm}; enable the feature `aws-lc-rs` and choose \
                 Engine::AwsLcRs"
            ),
            Self::RsaGeneration { engine } => write!(
                f,
                "{engine} cannot generate RSA keys; enable the feature `aws-lc-rs` and choose \
                 Engine::AwsLcRs, or load a key made with `openssl genpkey -algorithm RSA \
                 -pkeyopt rsa_keygen_bits:2048 -out key.pem`"
            ),
            Self::RsaLength { bits } => write!(
                f,
                "RSA keys are generated with 2048, 3072 or 4096 bits, not {bits}"
            ),
            Self::Rejected { engine, reason } => write!(
                f,
                "{engine} refused the private key ({reason}): its parts do not belong together, \
                 or it is outside of what the engine takes; ring takes RSA keys only with an \
                 exponent of at least 65537 and primes of a multiple of 512 bits, aws-lc-rs \
                 others, too"
            ),
            Self::Probe => f.write_str(
                "the key signs what its public half does not verify; it is damaged or mismatched",
            ),
            Self::Kid(error) => error.fmt(f),
            Self::CertificateChain(error) => error.fmt(f),
            Self::Random => f.write_str("the operating system gave no random bytes"),
            Self::Encode => f.write_str("the private key could not be encoded"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Der { source, .. } => Some(source),
            Self::PublicKey(error) => error.source(),
            Self::Kid(error) | Self::CertificateChain(error) => error.source(),
            _ => None,
        }
    }
}

/// What a DER decoder found wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asn1Error(pub(crate) pkcs8::der::Error);

impl fmt::Display for Asn1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Asn1Error {}
