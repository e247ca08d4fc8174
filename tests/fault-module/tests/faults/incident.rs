//! What somebody else does to the token or to the module, in this process or beside it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use chancery_fault_module::{Faults, SoftHsm};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

/// The key that signs.
pub(crate) const KEY: (&str, u8) = ("signing", 1);
/// A key that was never published.
pub(crate) const OTHER_KEY: (&str, u8) = ("unpublished", 2);

/// What tells a key that was added from the one whose label and id it has.
const ADDED: &[u8] = b"added";

/// Object identifier of P-256 (RFC 5480 §2.1.1.1), in DER.
const P256: [u8; 10] = [6, 8, 42, 134, 72, 206, 61, 3, 1, 7];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    None,
    CloseSessions,
    LogOut,
    Finalize,
    FinalizeAndInitialize,
    /// The same, six times.
    FinalizeAndInitializeAgain,
    /// The token's files vanish, and come back.
    TakeTokenAway,
    /// Another token stands in its place, with another key under the same label and id; then the
    /// old one is back.
    SwapToken,
    /// Another token stands in its place, without the key; then the old one is back.
    SwapForEmptyToken,
    /// The key is destroyed, and another one generated under its label and id.
    ReplaceKey,
    /// Another key gets the same label and id and sessions are closed; then it is destroyed.
    AddKey,
    /// The PIN is changed, and the application logged out.
    ChangePin,
}

impl Incident {
    pub(crate) fn swaps_token(self) -> bool {
        matches!(self, Self::SwapToken | Self::SwapForEmptyToken)
    }

    pub(crate) fn begin(self, faults: &Faults) {
        match self {
            Self::None => {}
            Self::CloseSessions => faults.close_sessions(),
            Self::LogOut => faults.alone(log_out),
            Self::Finalize => faults.alone(finalize),
            Self::FinalizeAndInitialize => faults.alone(finalize_and_initialize),
            Self::FinalizeAndInitializeAgain => {
                for _ in 0..6 {
                    faults.alone(finalize_and_initialize);
                    thread::sleep(Duration::from_millis(30));
                }
            }
            Self::TakeTokenAway => rename("tokens", "tokens-away"),
            Self::SwapToken | Self::SwapForEmptyToken => {
                rename("tokens", "tokens-away");
                rename("tokens-other", "tokens");
            }
            Self::ReplaceKey => faults.alone(|| {
                let session = open();
                destroy(&session, Attribute::Id(vec![KEY.1]));
                generate(&session, KEY, &[]);
            }),
            Self::AddKey => {
                faults.alone(|| generate(&open(), KEY, ADDED));
                faults.close_sessions();
            }
            Self::ChangePin => faults.alone(|| {
                let pin = |pin: &str| AuthPin::from(pin);
                open()
                    .set_pin(&pin(SoftHsm::PIN), &pin("87654321"))
                    .unwrap();
                log_out();
            }),
        }
    }

    pub(crate) fn end(self, faults: &Faults) {
        match self {
            Self::TakeTokenAway => rename("tokens-away", "tokens"),
            Self::SwapToken | Self::SwapForEmptyToken => {
                rename("tokens", "tokens-other");
                rename("tokens-away", "tokens");
            }
            Self::AddKey => faults.alone(|| {
                destroy(&open(), Attribute::Subject(ADDED.to_vec()));
            }),
            _ => {}
        }
    }
}

/// Makes the keys on the token, before anybody else uses it.
pub(crate) fn provision(incident: Incident) {
    provision_token(&[KEY, OTHER_KEY]);
    if incident.swaps_token() {
        rename("tokens", "tokens-away");
        rename("tokens-other", "tokens");
        provision_token(match incident {
            Incident::SwapToken => &[KEY, OTHER_KEY],
            _ => &[OTHER_KEY],
        });
        rename("tokens", "tokens-other");
        rename("tokens-away", "tokens");
    }
}

fn provision_token(keys: &[(&str, u8)]) {
    initialize();
    let session = open();
    let pin = AuthPin::from(SoftHsm::PIN);
    session.login(UserType::User, Some(&pin)).unwrap();
    for key in keys {
        generate(&session, *key, &[]);
    }
    drop(session);
    finalize();
}

/// The real module, as somebody else in this process would use it. It stays loaded.
fn real() -> Pkcs11 {
    static REAL: LazyLock<Pkcs11> = LazyLock::new(|| Pkcs11::new(SoftHsm::MODULE).unwrap());
    REAL.clone()
}

/// Initialises the module, as an application may that uses it as well.
pub(crate) fn initialize() {
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    real().initialize(arguments).unwrap();
}

fn finalize() {
    real().finalize().unwrap();
}

fn finalize_and_initialize() {
    finalize();
    initialize();
}

fn slot() -> Slot {
    real().get_slots_with_initialized_token().unwrap()[0]
}

fn open() -> Session {
    real().open_rw_session(slot()).unwrap()
}

fn log_out() {
    open().logout().unwrap();
}

fn generate(session: &Session, (label, id): (&str, u8), subject: &[u8]) {
    let common = [
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(vec![id]),
        Attribute::Subject(subject.to_vec()),
    ];
    let mut public = vec![Attribute::EcParams(P256.to_vec()), Attribute::Verify(true)];
    let mut private = vec![
        Attribute::Private(true),
        Attribute::Sign(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    public.extend(common.clone());
    private.extend(common);
    session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .unwrap();
}

/// Destroys both halves of the keys that have this attribute.
fn destroy(session: &Session, attribute: Attribute) {
    let objects = session.find_objects(&[attribute]).unwrap();
    assert_eq!(objects.len(), 2, "a public and a private key");
    for object in objects {
        session.destroy_object(object).unwrap();
    }
}

/// Renames a folder beside SoftHSM's configuration.
fn rename(from: &str, to: &str) {
    let configuration = PathBuf::from(env::var_os(SoftHsm::VARIABLE).unwrap());
    let folder = configuration.parent().unwrap();
    fs::rename(folder.join(from), folder.join(to)).unwrap();
}
