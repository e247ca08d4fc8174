//! Keys as files of a folder that all issuers share.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use chancery::rotation::{BackendError, CreatedKey, KeyBackend};
use chancery::software::{Engine, PrivateKey, SoftwareSigner};
use chancery::{Algorithm, Jwk, Signer};

/// A backend without a password, for keys that live for seconds.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    folder: PathBuf,
}

impl KeyFiles {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl KeyBackend for KeyFiles {
    fn create(&self, algorithm: Algorithm, _: &str) -> Result<CreatedKey, BackendError> {
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs).map_err(failed)?;
        let signer = SoftwareSigner::new(&key, algorithm, Engine::AwsLcRs).map_err(failed)?;
        let reference = format!("{}.der", signer.jwk().kid());
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.folder.join(&reference))
            .map_err(failed)?;
        file.write_all(&key.to_pkcs8_der().map_err(failed)?)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        Ok(CreatedKey {
            signer: Arc::new(signer),
            reference,
        })
    }

    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        let der = fs::read(self.folder.join(reference)).map_err(failed)?;
        let key = PrivateKey::from_pkcs8_der(&der).map_err(failed)?;
        let signer = SoftwareSigner::new(&key, jwk.algorithm(), Engine::AwsLcRs).map_err(failed)?;
        if signer.jwk() != jwk {
            return Err(BackendError::new("the file holds another key"));
        }
        Ok(Arc::new(signer))
    }

    fn destroy(&self, reference: &str, _: &Jwk) -> Result<(), BackendError> {
        match fs::remove_file(self.folder.join(reference)) {
            // Without the folder, nobody knows whether the key is gone.
            Err(error) if error.kind() == ErrorKind::NotFound && self.folder.is_dir() => Ok(()),
            outcome => outcome.map_err(failed),
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    BackendError::new(error.to_string()).with_source(error)
}
