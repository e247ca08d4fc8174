//! The backends, and how two processes come to the same keys.

use std::path::Path;

use chancery::Algorithm;
use chancery::rotation::KeyBackend;
use chancery::software::{Engine, Secret};
use chancery::store::{EncryptedKeys, Store};
use chancery_yubihsm::{Password, YubiHsm, YubiHsmBackend};
use chancery_yubihsm_tests::{AUTHENTICATION_KEY, MockDevice, PASSWORD};

use crate::key_files::KeyFiles;
use crate::{Outcome, module};

pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) algorithms: &'static [Algorithm],
    /// Makes a place for keys, for which it may use a folder, and says where it is.
    pub(crate) set_up: fn(&Path) -> Outcome<String>,
    /// What makes and opens keys in that place.
    pub(crate) open: fn(&str) -> Outcome<Box<dyn KeyBackend>>,
}

/// Those that need nothing besides this program.
pub(crate) const BACKENDS: &[Backend] = &[
    Backend {
        name: "ring",
        algorithms: ES256_AND_RS256,
        set_up: folder,
        open: |folder| Ok(Box::new(KeyFiles::new(folder, Engine::Ring))),
    },
    Backend {
        name: "aws-lc-rs",
        algorithms: ES256_AND_RS256,
        set_up: folder,
        open: |folder| Ok(Box::new(KeyFiles::new(folder, Engine::AwsLcRs))),
    },
    Backend {
        name: "store",
        algorithms: ES256_AND_RS256,
        set_up: folder,
        open: |folder| {
            let (store, password) = (Store::local(folder)?, Secret::new("password"));
            // ring makes no RSA keys.
            let keys = EncryptedKeys::new(store, password, Engine::AwsLcRs);
            Ok(Box::new(keys))
        },
    },
    Backend {
        name: "yubihsm-mock",
        // The mock has no RSA.
        algorithms: &[Algorithm::Es256],
        set_up: |_| Ok(MockDevice::start().url()),
        open: |url| {
            let device = YubiHsm::http(url, AUTHENTICATION_KEY, &Password::new(PASSWORD))?;
            Ok(Box::new(YubiHsmBackend::new(device)))
        },
    },
];

/// The PKCS#11 module that the environment describes.
pub(crate) const MODULE: Backend = Backend {
    name: "module",
    algorithms: ES256_AND_RS256,
    set_up: |_| Ok(String::new()),
    open: |_| module::open(),
};

const ES256_AND_RS256: &[Algorithm] = &[Algorithm::Es256, Algorithm::Rs256];

fn folder(folder: &Path) -> Outcome<String> {
    Ok(folder.to_str().ok_or("the folder is not UTF-8")?.to_owned())
}
