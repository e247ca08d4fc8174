//! The module under test, and what is expected of it.

use std::env;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use chancery::Algorithm;
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_pkcs11::{KeyPair, Pin, Pkcs11Error, Token, TokenBuilder, TokenKey};

/// A module as the environment describes it.
pub(crate) struct Module {
    path: PathBuf,
    token: Which,
    pub(crate) pin: PathBuf,
    reserved: Option<String>,
    /// Has the numbers of the process groups of the module's servers, a line for each. Remove it, and
    /// those that sign are killed and started again.
    pub(crate) servers: Option<PathBuf>,
    pub(crate) expected: &'static Expected,
}

enum Which {
    Label(String),
    Slot(u64),
}

/// What a module can do.
pub(crate) struct Expected {
    module: &'static str,
    edwards: bool,
    elliptic: bool,
    /// Algorithms that it cannot use, or we don't, with a key that is there all the same.
    pub(crate) keys_of_no_use: &'static [Algorithm],
    /// The signers that are at work when its servers get killed or stopped, and their workers where
    /// they are fewer than by default.
    at_work: &'static [(Algorithm, Option<usize>)],
    /// Its servers take no part in a signature, and get stopped but not killed.
    pub(crate) signs_alone: bool,
}

const EXPECTED: &[Expected] = &[
    Expected {
        module: "softhsm",
        edwards: true,
        elliptic: true,
        keys_of_no_use: &[Algorithm::Es512],
        at_work: &[],
        signs_alone: false,
    },
    Expected {
        module: "p11-kit",
        // The token can, but its protocol does not know the mechanism.
        edwards: false,
        elliptic: true,
        keys_of_no_use: &[Algorithm::Es512, Algorithm::EdDsa],
        // Two, since they are in each other's way in the client as workers are.
        at_work: &[(Algorithm::Es256, None), (Algorithm::Rs256, None)],
        signs_alone: false,
    },
    Expected {
        module: "nss",
        edwards: false,
        elliptic: true,
        keys_of_no_use: &[],
        at_work: &[],
        signs_alone: false,
    },
    Expected {
        module: "tpm",
        edwards: false,
        elliptic: true,
        keys_of_no_use: &[],
        at_work: &[(Algorithm::Es256, Some(2)), (Algorithm::Rs256, Some(2))],
        signs_alone: false,
    },
    Expected {
        module: "opencryptoki",
        edwards: false,
        elliptic: false,
        keys_of_no_use: &[],
        at_work: &[(Algorithm::Rs256, None)],
        // Its daemon only knows which processes use it.
        signs_alone: true,
    },
    Expected {
        module: "kryoptic",
        edwards: true,
        elliptic: true,
        keys_of_no_use: &[],
        at_work: &[],
        signs_alone: false,
    },
];

impl Module {
    /// `None` when no module is described.
    pub(crate) fn from_environment() -> Option<Self> {
        let name = env::var("CHANCERY_MODULE").ok()?;
        let required = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        Some(Self {
            path: required("CHANCERY_MODULE_PATH").into(),
            token: match env::var("CHANCERY_MODULE_SLOT") {
                Ok(slot) => Which::Slot(slot.parse().expect("the number of a slot")),
                Err(_) => Which::Label(required("CHANCERY_MODULE_TOKEN")),
            },
            pin: required("CHANCERY_MODULE_PIN").into(),
            reserved: env::var("CHANCERY_MODULE_RESERVED").ok(),
            servers: env::var_os("CHANCERY_MODULE_SERVERS").map(PathBuf::from),
            expected: EXPECTED
                .iter()
                .find(|expected| expected.module == name)
                .unwrap_or_else(|| panic!("what is expected of {name} is not written down")),
        })
    }

    /// Its token, to be opened with a PIN.
    pub(crate) fn token_builder(&self) -> TokenBuilder {
        let mut builder = Token::builder(&self.path);
        builder = match &self.token {
            Which::Label(label) => builder.label(label),
            Which::Slot(slot) => builder.slot(*slot),
        };
        match &self.reserved {
            Some(reserved) => builder.reserved(reserved),
            None => builder,
        }
    }

    pub(crate) fn token(&self) -> Token {
        let builder = self.token_builder().pin(Pin::file(&self.pin));
        builder.open().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether a URI can say all that it takes to open the token.
    pub(crate) const fn is_opened_by_uri(&self) -> bool {
        self.reserved.is_none()
    }

    pub(crate) fn uri(&self, key: &TokenKey) -> String {
        let token = match &self.token {
            Which::Label(label) => format!("token={label}"),
            Which::Slot(slot) => format!("slot-id={slot}"),
        };
        format!(
            "pkcs11:{token};object={};type=private?module-path={}&pin-source=file:{}",
            key.label(),
            self.path.display(),
            self.pin.display(),
        )
    }

    /// The keys on the token in an order that lasts: modules have one of their own for each start.
    pub(crate) fn keys(&self) -> Vec<TokenKey> {
        let keys = self.token().keys();
        let mut keys = keys.unwrap_or_else(|error| panic!("{error}"));
        keys.sort_by(|one, other| one.kid().cmp(other.kid()));
        keys
    }

    /// The key of an algorithm, which is generated the first time.
    pub(crate) fn key(&self, algorithm: Algorithm) -> TokenKey {
        let token = self.token();
        let label = algorithm.name();
        match self.keys().into_iter().find(|key| key.label() == label) {
            Some(key) => key,
            None => token
                .generate(key_pair(algorithm), label, None)
                .unwrap_or_else(|error| panic!("{error}")),
        }
    }

    /// A signer with that key.
    pub(crate) fn signer(&self, algorithm: Algorithm) -> HsmSigner {
        self.key(algorithm);
        self.open(algorithm, two_workers())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens a signer with a key that is there.
    pub(crate) fn open(
        &self,
        algorithm: Algorithm,
        options: HsmOptions,
    ) -> Result<HsmSigner, Pkcs11Error> {
        self.token()
            .signer()
            .label(algorithm.name())
            .algorithm(algorithm)
            .refuse_extractable()
            .options(options)
            .open()
    }
}

impl Expected {
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        Algorithm::all().filter(|&algorithm| match algorithm {
            Algorithm::Es512 => false,
            Algorithm::Es256 | Algorithm::Es384 => self.elliptic,
            Algorithm::EdDsa | Algorithm::Ed25519 => self.edwards,
            _ => true,
        })
    }

    /// The signers that are at work when its servers get killed or stopped; none when it has no
    /// servers.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = (Algorithm, HsmOptions)> {
        self.at_work.iter().map(|&(algorithm, workers)| {
            let options = HsmOptions::new();
            match workers.and_then(NonZeroUsize::new) {
                Some(workers) => (algorithm, options.with_workers(workers)),
                None => (algorithm, options),
            }
        })
    }

    /// The others, apart from those of which there is no key.
    pub(crate) fn refused(&self) -> impl Iterator<Item = Algorithm> {
        let expected: Vec<Algorithm> = self.algorithms().collect();
        Algorithm::all().filter(move |algorithm| {
            !expected.contains(algorithm)
                && (self.keys_of_no_use.contains(algorithm) || *algorithm != Algorithm::Es512)
        })
    }
}

/// Enough to be in each other's way, and few enough for a dozen signers.
fn two_workers() -> HsmOptions {
    HsmOptions::new().with_workers(NonZeroUsize::MIN.saturating_add(1))
}

pub(crate) fn key_pair(algorithm: Algorithm) -> KeyPair {
    match algorithm {
        Algorithm::Es256 => KeyPair::P256,
        Algorithm::Es384 => KeyPair::P384,
        Algorithm::EdDsa | Algorithm::Ed25519 => KeyPair::Ed25519,
        Algorithm::Rs384 => KeyPair::Rsa { bits: 3072 },
        _ => KeyPair::Rsa { bits: 2048 },
    }
}
