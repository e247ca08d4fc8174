//! Keys in memory that lie in files as plain PKCS#8.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chancery::rotation::{BackendError, CreatedKey, KeyBackend};
use chancery::software::{Engine, PrivateKey, SoftwareSigner};
use chancery::{Algorithm, Jwk, Signer};

use crate::Outcome;

/// A folder of them, and the engine that signs.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    folder: PathBuf,
    engine: Engine,
}

impl KeyFiles {
    pub(crate) fn new(folder: &str, engine: Engine) -> Self {
        Self {
            folder: folder.into(),
            engine,
        }
    }

    fn make(&self, algorithm: Algorithm) -> Outcome<CreatedKey> {
        // ring makes no RSA keys.
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs)?;
        let reference = algorithm.name().to_owned();
        fs::write(self.folder.join(&reference), &*key.to_pkcs8_der()?)?;
        let signer = Arc::new(SoftwareSigner::new(&key, algorithm, self.engine)?);
        Ok(CreatedKey { signer, reference })
    }

    fn load(&self, reference: &str, algorithm: Algorithm) -> Outcome<SoftwareSigner> {
        let key = PrivateKey::from_pkcs8_der(&fs::read(self.folder.join(reference))?)?;
        Ok(SoftwareSigner::new(&key, algorithm, self.engine)?)
    }
}

impl KeyBackend for KeyFiles {
    fn create(&self, algorithm: Algorithm, _name: &str) -> Result<CreatedKey, BackendError> {
        let made = self.make(algorithm);
        made.map_err(|error| BackendError::new("no key was made").with_source(error))
    }

    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        match self.load(reference, jwk.algorithm()) {
            Ok(signer) => Ok(Arc::new(signer)),
            Err(error) => Err(BackendError::new("the key was not loaded").with_source(error)),
        }
    }

    fn destroy(&self, reference: &str, _jwk: &Jwk) -> Result<(), BackendError> {
        let removed = fs::remove_file(self.folder.join(reference));
        removed.map_err(|error| BackendError::new("the key is still there").with_source(error))
    }
}
