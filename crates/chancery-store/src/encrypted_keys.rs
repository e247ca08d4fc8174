//! Private keys, encrypted, in the store that the replicas share.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use chancery_core::rotation::{BackendError, CreatedKey, KeyBackend};
use chancery_core::{Algorithm, Jwk, Signer};
use chancery_software::{Engine, PrivateKey, Secret, SoftwareSigner};
use tokio::runtime::Handle;

use crate::content::Content;
use crate::error::StoreError;
use crate::store::Store;

const CONTENT_TYPE: &str = "application/x-pem-file";

/// Keys in memory that lie encrypted in a store, so that replicas which share the store and a
/// password share the keys.
///
/// A key is the object `keys/<kid>.pem`: PKCS#8, encrypted with AES-256-CBC under scrypt, which
/// `openssl pkey` reads. Whoever can read the store can try passwords against it, so the password
/// should have as much entropy as a key: 32 random bytes in base64, from a file or a secret manager.
/// A bucket that keeps old versions of its objects keeps destroyed keys too.
///
/// Its methods wait for the store on the tokio runtime of the thread that they are called on, and
/// take a quarter of a second to stretch the password. Call them within
/// [`spawn_blocking`](tokio::task::spawn_blocking); a keeper does so on threads of its own. Called
/// directly by an async function they panic, and on a thread without a runtime they give an error.
///
/// ```
/// use chancery_core::Algorithm;
/// use chancery_core::rotation::KeyBackend;
/// use chancery_software::{Engine, Secret};
/// use chancery_store::{EncryptedKeys, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = EncryptedKeys::new(
///     Store::memory(),
///     // Better: Secret::file("/run/credentials/issuer/password")
///     Secret::new("EgWbPDU2zMEWJiFcDIMCszb9xaMWDGWQWTBDqLSE2A4="),
///     Engine::Ring,
/// );
/// let key = tokio::task::spawn_blocking(move || keys.create(Algorithm::Es256, "issuer")).await??;
/// assert_eq!(key.reference, format!("keys/{}.pem", key.signer.jwk().kid()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EncryptedKeys {
    store: Store,
    password: Secret,
    engine: Engine,
}

impl EncryptedKeys {
    /// Keys in this store, under this password, that sign with this engine. ring cannot generate
    /// RSA keys.
    #[must_use]
    pub const fn new(store: Store, password: Secret, engine: Engine) -> Self {
        Self {
            store,
            password,
            engine,
        }
    }

    /// The key, decrypted, if it is there.
    fn load(&self, reference: &str, jwk: &Jwk) -> Result<Option<SoftwareSigner>, BackendError> {
        if reference != reference_of(jwk) {
            return Err(BackendError::new(format!(
                "{reference:?} is no reference of key {}, which lies at {}",
                jwk.kid(),
                reference_of(jwk)
            )));
        }
        let failed = || format!("key {} cannot be read from {reference}", jwk.kid());
        let Some(object) = wait(self.store.read(reference))?.map_err(because(failed()))? else {
            return Ok(None);
        };
        let password = self.password.read().map_err(because(failed()))?;
        let key = PrivateKey::from_encrypted_pem(object.bytes(), password.as_bytes())
            .map_err(because(failed()))?;
        let is_another = || {
            format!(
                "{reference} is another key than {}, which the manifest names; find out who replaced it",
                jwk.kid()
            )
        };
        if key.key_type() != jwk.algorithm().key_type() {
            return Err(BackendError::new(is_another()));
        }
        let signer =
            SoftwareSigner::new(&key, jwk.algorithm(), self.engine).map_err(because(failed()))?;
        if signer.jwk().public_key() != jwk.public_key() || signer.jwk().kid() != jwk.kid() {
            return Err(BackendError::new(is_another()));
        }
        Ok(Some(signer))
    }
}

impl KeyBackend for EncryptedKeys {
    fn create(&self, algorithm: Algorithm, _name: &str) -> Result<CreatedKey, BackendError> {
        let failed = || format!("no key for {algorithm} could be made");
        let password = self.password.read().map_err(because(failed()))?;
        let key = PrivateKey::generate(algorithm, self.engine).map_err(because(failed()))?;
        let signer =
            SoftwareSigner::new(&key, algorithm, self.engine).map_err(because(failed()))?;
        let pem = key
            .to_encrypted_pem(password.as_bytes())
            .map_err(because(failed()))?;
        let reference = reference_of(signer.jwk());
        let content = Content::new(pem.as_bytes(), CONTENT_TYPE);
        if let Err(error) = wait(self.store.create(&reference, &content))? {
            // It may have been written nevertheless.
            if matches!(error, StoreError::Unavailable { .. })
                && let Err(left) = wait(self.store.delete(&reference))?
            {
                return Err(BackendError::new(format!(
                    "{}: {error}; {reference} may be left behind in the store ({left}), and is of no use to anybody",
                    failed()
                ))
                .with_source(error));
            }
            return Err(because(failed())(error));
        }
        Ok(CreatedKey {
            signer: Arc::new(signer),
            reference,
        })
    }

    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        match self.load(reference, jwk)? {
            Some(signer) => Ok(Arc::new(signer)),
            None => Err(BackendError::new(format!(
                "{reference} is not in the store, so key {} cannot sign; put it back, or revoke the key",
                jwk.kid()
            ))),
        }
    }

    fn destroy(&self, reference: &str, jwk: &Jwk) -> Result<(), BackendError> {
        if self.load(reference, jwk)?.is_none() {
            return Ok(());
        }
        wait(self.store.delete(reference))?.map_err(because(format!(
            "key {} could not be deleted as {reference}",
            jwk.kid()
        )))
    }
}

/// Where a key lies. A thumbprint is a segment of a path; any other `kid` may be none, which the
/// store refuses.
fn reference_of(jwk: &Jwk) -> String {
    format!("keys/{}.pem", jwk.kid())
}

/// Waits for the store on this thread.
fn wait<T>(
    outcome: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, BackendError> {
    let runtime = Handle::try_current().map_err(because(
        "the keys of a store are reached on tokio: call this within tokio::task::spawn_blocking"
            .to_owned(),
    ))?;
    Ok(runtime.block_on(outcome))
}

fn because<E: Error + Send + Sync + 'static>(message: String) -> impl FnOnce(E) -> BackendError {
    move |error| BackendError::new(message).with_source(error)
}
