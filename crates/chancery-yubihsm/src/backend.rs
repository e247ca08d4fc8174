//! The keys of a device, for a keeper that rotates them.

use std::error::Error;
use std::sync::Arc;

use chancery_core::rotation::{BackendError, CreatedKey, KeyBackend};
use chancery_core::{Algorithm, Jwk, Signer};
use chancery_hsm::HsmOptions;

use crate::error::YubiHsmError;
use crate::key::{NewKey, YubiHsmKey};
use crate::link::Link;
use crate::object::{self, Domains};
use crate::yubihsm::YubiHsm;

/// How many identifiers are tried.
const MOST_TRIES: usize = 16;

/// How much of a name stands in a label of 40 bytes.
const LONGEST_NAME: usize = 31;

/// Keys in a device that a keeper makes, opens and destroys.
///
/// The keys never leave the device, so all replicas need to reach the same one, with authentication
/// keys that see the same domains: what an authentication key does not see counts as destroyed. A
/// key is referred to by its object identifier, such as `0x1234`.
///
/// ```no_run
/// use chancery_core::Algorithm;
/// use chancery_core::rotation::KeyBackend;
/// use chancery_yubihsm::{Domains, Password, YubiHsm, YubiHsmBackend};
///
/// let password = Password::file("/run/credentials/yubihsm");
/// let device = YubiHsm::http("http://127.0.0.1:12345", 1, &password)?;
/// let backend = YubiHsmBackend::new(device).with_domains(Domains::new(&[3])?);
/// let key = backend.create(Algorithm::Es256, "issuer-es256")?;
/// println!("{} is object {}", key.signer.jwk().kid(), key.reference);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct YubiHsmBackend {
    device: YubiHsm,
    domains: Option<Domains>,
    options: Option<HsmOptions>,
}

impl YubiHsmBackend {
    /// Keys in this device.
    #[must_use]
    pub const fn new(device: YubiHsm) -> Self {
        Self {
            device,
            domains: None,
            options: None,
        }
    }

    /// The domains of new keys; without this call all domains of the authentication key.
    #[must_use]
    pub const fn with_domains(mut self, domains: Domains) -> Self {
        self.domains = Some(domains);
        self
    }

    /// How each of the signers uses the device. A keeper has one open for each key that signs or is
    /// about to, and each worker holds one of the device's 16 sessions; without this call each
    /// signer has two.
    #[must_use]
    pub fn with_options(mut self, options: HsmOptions) -> Self {
        self.options = Some(options);
        self
    }

    fn signer(&self, id: u16, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        let mut signer = self.device.signer().id(id).algorithm(jwk.algorithm());
        if let Some(options) = &self.options {
            signer = signer.options(options.clone());
        }
        // Read before the workers start, which would sign with whatever key it is.
        let failed = || format!("key {} cannot be opened in the YubiHSM", jwk.kid());
        let found = self.at(id).map_err(because(failed()))?;
        if found.is_some_and(|found| found != jwk.kid()) {
            return Err(is_another(id, jwk));
        }
        let signer = signer.open().map_err(because(failed()))?;
        if signer.jwk().public_key() != jwk.public_key() || signer.jwk().kid() != jwk.kid() {
            return Err(is_another(id, jwk));
        }
        Ok(Arc::new(signer))
    }

    /// Generates a key under an identifier and a label that nobody else uses, so that it is found
    /// should the answer get lost on the way.
    fn generate(&self, algorithm: Algorithm, name: &str) -> Result<YubiHsmKey, YubiHsmError> {
        for _ in 0..MOST_TRIES {
            let mut random = [0; 6];
            getrandom::getrandom(&mut random).map_err(|_| YubiHsmError::Random)?;
            let [high, low, a, b, c, d] = random;
            // The first and the last are not for objects.
            let id = u16::from_be_bytes([high, low]).clamp(1, 0xfffe);
            let begin: String = name.chars().take(LONGEST_NAME).collect();
            let label = format!("{begin}-{a:02x}{b:02x}{c:02x}{d:02x}");
            let mut new = NewKey::new(&label).with_id(id);
            if let Some(domains) = self.domains {
                new = new.with_domains(domains);
            }
            if self.at(id)?.is_some() {
                continue;
            }
            match self.device.generate(algorithm, &new) {
                Err(YubiHsmError::IdentifierTaken) => {}
                Ok(key) => return Ok(key),
                Err(error) => {
                    let keys = self.device.keys().unwrap_or_default();
                    let made = keys
                        .into_iter()
                        .find(|key| key.id() == id && key.label() == label);
                    return made.ok_or(error);
                }
            }
        }
        Err(YubiHsmError::NewKey(
            "one identifier after the other is taken; is the device full?",
        ))
    }

    /// The kid of the key with this identifier, which is empty for a key that cannot sign tokens.
    fn at(&self, id: u16) -> Result<Option<String>, YubiHsmError> {
        let link = &mut Link::open(&self.device.access)?;
        if !object::asymmetric_keys(link, None)?.contains(&id) {
            return Ok(None);
        }
        match YubiHsmKey::read(link, id) {
            Ok(key) => Ok(Some(key.kid().to_owned())),
            Err(YubiHsmError::UnsupportedKey { .. } | YubiHsmError::PublicKey(_)) => {
                Ok(Some(String::new()))
            }
            Err(error) => Err(error),
        }
    }
}

impl KeyBackend for YubiHsmBackend {
    fn create(&self, algorithm: Algorithm, name: &str) -> Result<CreatedKey, BackendError> {
        let failed = format!("no key for {algorithm} could be made in the YubiHSM");
        let key = self
            .generate(algorithm, name)
            .map_err(because(failed.clone()))?;
        let opened = key
            .jwk()
            .clone()
            .with_algorithm(algorithm)
            .map_err(because(failed))
            .and_then(|jwk| self.signer(key.id(), &jwk));
        match opened {
            Ok(signer) => Ok(CreatedKey {
                signer,
                reference: reference(key.id()),
            }),
            Err(error) => Err(match self.device.destroy(key.kid()) {
                Ok(()) => error,
                Err(left) => BackendError::new(format!(
                    "a key was made in the YubiHSM as object {}, cannot be used ({error}) and is still there ({left}); delete it by hand",
                    reference(key.id())
                ))
                .with_source(error),
            }),
        }
    }

    fn open(&self, reference: &str, jwk: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        self.signer(parse(reference)?, jwk)
    }

    fn destroy(&self, reference: &str, jwk: &Jwk) -> Result<(), BackendError> {
        let id = parse(reference)?;
        let failed = || format!("key {} could not be destroyed in the YubiHSM", jwk.kid());
        let found = self.at(id).map_err(because(failed()))?;
        if found.is_some_and(|found| found != jwk.kid()) {
            return Err(is_another(id, jwk));
        }
        match self.device.destroy(jwk.kid()) {
            Err(YubiHsmError::KeyMissing { .. }) => Ok(()),
            destroyed => destroyed.map_err(because(failed())),
        }
    }
}

fn reference(id: u16) -> String {
    format!("{id:#06x}")
}

/// Reads what [`reference`] writes, and nothing else.
fn parse(text: &str) -> Result<u16, BackendError> {
    text.strip_prefix("0x")
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        .filter(|&id| reference(id) == text)
        .ok_or_else(|| {
            BackendError::new(
                "the reference must be the identifier of an object, as `0x` and four hexadecimal digits",
            )
        })
}

fn is_another(id: u16, jwk: &Jwk) -> BackendError {
    BackendError::new(format!(
        "object {} is another key than {}, which the manifest names; find out who replaced it",
        reference(id),
        jwk.kid()
    ))
}

fn because<E: Error + Send + Sync + 'static>(message: String) -> impl FnOnce(E) -> BackendError {
    move |error| BackendError::new(message).with_source(error)
}
