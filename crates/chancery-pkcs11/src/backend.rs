//! The keys of a token, for a keeper that rotates them.

use std::error::Error;
use std::sync::Arc;

use chancery_core::rotation::{BackendError, CreatedKey, KeyBackend};
use chancery_core::{Algorithm, Curve, Jwk, KeyType, Signer};
use chancery_hsm::HsmOptions;

use crate::deadline::Operation;
use crate::error::Pkcs11Error;
use crate::generate::KeyPair;
use crate::key_object::{KeySelector, private_keys};
use crate::module::Access;
use crate::token::Token;
use crate::token_key::TokenKey;
use crate::uri::Pkcs11Uri;

/// Keys on a token that a keeper makes, opens and destroys.
///
/// The keys never leave the token, so all replicas need to reach the same one. RSA keys have 2048
/// bits. A key is referred to by a URI of its label and its id, such as
/// `pkcs11:object=issuer-es256;type=private;id=%01%FF`, without token, module and PIN, which each
/// replica knows by itself.
///
/// Each call has the token's deadline
/// ([`TokenBuilder::deadline`](crate::TokenBuilder::deadline)) for all that it does.
///
/// ```no_run
/// use chancery_core::Algorithm;
/// use chancery_core::rotation::KeyBackend;
/// use chancery_pkcs11::{Pin, Token, TokenBackend};
///
/// let token = Token::builder("/usr/lib/softhsm/libsofthsm2.so")
///     .label("issuer")
///     .pin(Pin::file("/run/credentials/issuer/pin"))
///     .open()?;
/// let backend = TokenBackend::new(token);
/// let key = backend.create(Algorithm::Es256, "issuer-es256")?;
/// println!("{} lies at {}", key.signer.jwk().kid(), key.reference);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenBackend {
    token: Token,
    options: HsmOptions,
}

impl TokenBackend {
    /// Keys on this token.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self {
            token,
            options: HsmOptions::new(),
        }
    }

    /// How each of the signers uses the token. A keeper has one open for each key that signs or is
    /// about to, and each holds a session for every worker.
    #[must_use]
    pub fn with_options(mut self, options: HsmOptions) -> Self {
        self.options = options;
        self
    }

    /// Generates a key. Its label is the name, or begins with it where another key has that name:
    /// one that was left behind must not keep a new one from being made.
    fn generate(&self, key_pair: KeyPair, name: &str) -> Result<TokenKey, Pkcs11Error> {
        match self.token.generate(key_pair, name, None) {
            Err(Pkcs11Error::Taken { .. }) => {
                let mut suffix = [0; 4];
                getrandom::getrandom(&mut suffix).map_err(|_| Pkcs11Error::Random)?;
                let suffix = u32::from_be_bytes(suffix);
                self.token
                    .generate(key_pair, &format!("{name}-{suffix:08x}"), None)
            }
            generated => generated,
        }
    }

    fn signer(&self, uri: &Pkcs11Uri, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        let failed = || format!("key {} cannot be opened on the token", jwk.kid());
        let signer = self
            .token
            .signer()
            .uri(uri)
            .and_then(|signer| {
                signer
                    .algorithm(jwk.algorithm())
                    .options(self.options.clone())
                    .open()
            })
            .map_err(because(failed()))?;
        let found = signer.jwk();
        if found.public_key() != jwk.public_key() || found.kid() != jwk.kid() {
            return Err(is_another(uri, jwk));
        }
        Ok(Arc::new(signer))
    }

    /// Whether there is a private key of that label and id.
    fn is_there(&self, uri: &Pkcs11Uri) -> Result<bool, Pkcs11Error> {
        let selector = KeySelector {
            label: uri.object().map(str::to_owned),
            id: uri.id().map(<[u8]>::to_vec),
        };
        self.token.despite_restarts(|| {
            let (session, token) = self.token.session(Access::ReadWrite)?;
            let key = private_keys(&session, &selector)?.next().transpose()?;
            if key.is_none() && !(self.token.has_pin() && self.token.sees_private(&session)?) {
                return Err(Pkcs11Error::NoKey {
                    wanted: selector.to_string(),
                    token: token.name,
                    found: Vec::new(),
                    is_logged_in: false,
                });
            }
            Ok(key.is_some())
        })
    }
}

impl TokenBackend {
    fn create_now(&self, algorithm: Algorithm, name: &str) -> Result<CreatedKey, BackendError> {
        let key_pair = match algorithm.key_type() {
            KeyType::Ec(Curve::P256) => KeyPair::P256,
            KeyType::Ec(Curve::P384) => KeyPair::P384,
            KeyType::Rsa => KeyPair::Rsa { bits: 2048 },
            KeyType::Ed25519 => KeyPair::Ed25519,
            _ => {
                return Err(BackendError::new(format!(
                    "no key for {algorithm} is generated on a token; use ES256, ES384, RS256 or EdDSA"
                )));
            }
        };
        let failed = not_made(algorithm);
        let key = self
            .generate(key_pair, name)
            .map_err(because(failed.clone()))?;
        let uri = Pkcs11Uri::of_private_key(Some(key.label().to_owned()), Some(key.id().to_vec()));
        let opened = key
            .jwk()
            .clone()
            .with_algorithm(algorithm)
            .map_err(because(failed))
            .and_then(|jwk| self.signer(&uri, &jwk));
        match opened {
            Ok(signer) => Ok(CreatedKey {
                signer,
                reference: uri.to_string(),
            }),
            Err(error) => Err(match self.token.destroy(key.kid()) {
                Ok(()) => error,
                Err(left) => BackendError::new(format!(
                    "a key was made on the token as {uri}, cannot be used ({error}) and is still there ({left}); destroy it by hand"
                ))
                .with_source(error),
            }),
        }
    }

    fn destroy_now(&self, uri: &Pkcs11Uri, jwk: &Jwk) -> Result<(), BackendError> {
        let failed = || not_destroyed(jwk);
        let is_meant = |key: &TokenKey| {
            uri.object().is_none_or(|label| label == key.label())
                && uri.id().is_none_or(|id| id == key.id())
        };
        let keys = self.token.keys().map_err(because(failed()))?;
        if keys
            .iter()
            .any(|key| is_meant(key) && key.kid() != jwk.kid())
        {
            return Err(is_another(uri, jwk));
        }
        match self.token.destroy(jwk.kid()) {
            Err(Pkcs11Error::NoKey { .. }) => {}
            destroyed => return destroyed.map_err(because(failed())),
        }
        match self.is_there(uri) {
            Ok(false) => Ok(()),
            // It cannot sign, or it would be on the list.
            Ok(true) => Err(is_another(uri, jwk)),
            Err(error) => Err(because(failed())(error)),
        }
    }
}

impl KeyBackend for TokenBackend {
    fn create(&self, algorithm: Algorithm, name: &str) -> Result<CreatedKey, BackendError> {
        let (backend, name) = (self.clone(), name.to_owned());
        let created = self.token.by_deadline(Operation::Generate, move |_| {
            backend.create_now(algorithm, &name)
        });
        created.map_err(because(not_made(algorithm)))?
    }

    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        self.signer(&parse(reference)?, jwk)
    }

    fn destroy(&self, reference: &str, jwk: &Jwk) -> Result<(), BackendError> {
        let (backend, uri, key) = (self.clone(), parse(reference)?, jwk.clone());
        let destroyed = self
            .token
            .by_deadline(Operation::Destroy, move |_| backend.destroy_now(&uri, &key));
        destroyed.map_err(because(not_destroyed(jwk)))?
    }
}

fn not_made(algorithm: Algorithm) -> String {
    format!("no key for {algorithm} could be made on the token")
}

fn not_destroyed(jwk: &Jwk) -> String {
    format!("key {} could not be destroyed on the token", jwk.kid())
}

/// Reads a reference, which names a key and nothing else.
fn parse(reference: &str) -> Result<Pkcs11Uri, BackendError> {
    // The reference is not repeated: who writes a PIN into it should not find it in a log.
    let uri: Pkcs11Uri = reference
        .parse()
        .map_err(because("the reference is no PKCS#11 URI".to_owned()))?;
    let label = uri.object().map(str::to_owned);
    let id = uri.id().map(<[u8]>::to_vec);
    if (label.is_none() && id.is_none()) || uri != Pkcs11Uri::of_private_key(label, id) {
        return Err(BackendError::new(
            "the reference must be a PKCS#11 URI of `object`, `id` and `type=private` alone; \
             token, module and PIN are those that the backend was made with",
        ));
    }
    Ok(uri)
}

fn is_another(uri: &Pkcs11Uri, jwk: &Jwk) -> BackendError {
    BackendError::new(format!(
        "{uri} is another key than {}, which the manifest names; find out who replaced it",
        jwk.kid()
    ))
}

fn because<E: Error + Send + Sync + 'static>(message: String) -> impl FnOnce(E) -> BackendError {
    move |error| BackendError::new(message).with_source(error)
}
