//! What the tests share: SoftHSM in a process of its own, behind the module with faults.

use std::env;
use std::process::Command;

use chancery_fault_module::{Effect, Fault, Faults, Function, Injection, SoftHsm, When};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

pub(crate) const DIGEST: [u8; 32] = [7; 32];
pub(crate) const OTHER_DIGEST: [u8; 32] = [9; 32];
/// Object identifier of P-256 (RFC 5480 §2.1.1.1), in DER.
const P256: [u8; 10] = [6, 8, 42, 134, 72, 206, 61, 3, 1, 7];

pub(crate) type Outcome<T = ()> = cryptoki::error::Result<T>;

/// A logged-in session through the module with faults, and a P-256 key.
pub(crate) struct Device {
    pub(crate) faults: Faults,
    pub(crate) pkcs11: Pkcs11,
    pub(crate) slot: Slot,
    pub(crate) session: Session,
    pub(crate) key: ObjectHandle,
    pub(crate) public_key: ObjectHandle,
}

impl Device {
    pub(crate) fn new() -> Self {
        let faults = Faults::load().unwrap();
        let pkcs11 = Pkcs11::new(Faults::path().unwrap()).unwrap();
        initialize(&pkcs11).unwrap();
        let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
        let session = pkcs11.open_rw_session(slot).unwrap();
        let pin = AuthPin::from(SoftHsm::PIN);
        session.login(UserType::User, Some(&pin)).unwrap();
        let (public_key, key) = generate(&session, 1).unwrap();
        Self {
            faults,
            pkcs11,
            slot,
            session,
            key,
            public_key,
        }
    }

    pub(crate) fn inject(&self, function: Function, effect: Effect, when: When) -> Injection {
        self.faults.inject(Fault {
            function,
            effect,
            when,
        })
    }

    /// Another session; the login is the application's.
    pub(crate) fn login(&self) -> Session {
        self.pkcs11.open_ro_session(self.slot).unwrap()
    }

    pub(crate) fn find(&self, id: u8) -> Vec<ObjectHandle> {
        find(&self.session, id).unwrap()
    }

    pub(crate) fn sign_with(&self, session: &Session) -> Outcome<Vec<u8>> {
        session.sign(&Mechanism::Ecdsa, self.key, &DIGEST)
    }

    pub(crate) fn sign(&self, digest: &[u8]) -> Outcome<Vec<u8>> {
        self.session.sign(&Mechanism::Ecdsa, self.key, digest)
    }

    pub(crate) fn verifies(&self, digest: &[u8], signature: &[u8]) -> bool {
        let session = self.login();
        let outcome = session.verify(&Mechanism::Ecdsa, self.public_key, digest, signature);
        outcome.is_ok()
    }
}

/// The real module, as somebody else in this process would use it.
pub(crate) fn real() -> Pkcs11 {
    Pkcs11::new(SoftHsm::MODULE).unwrap()
}

pub(crate) fn initialize(pkcs11: &Pkcs11) -> Outcome {
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

pub(crate) fn find(session: &Session, id: u8) -> Outcome<Vec<ObjectHandle>> {
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(vec![id]),
    ];
    session.find_objects(&template)
}

pub(crate) fn generate(session: &Session, id: u8) -> Outcome<(ObjectHandle, ObjectHandle)> {
    let common = [Attribute::Token(true), Attribute::Id(vec![id])];
    let mut public = vec![Attribute::EcParams(P256.to_vec()), Attribute::Verify(true)];
    let mut private = vec![Attribute::Sign(true), Attribute::Sensitive(true)];
    public.extend(common.clone());
    private.extend(common);
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
}

/// The number of objects on the token, as somebody else sees them.
pub(crate) fn objects() -> usize {
    let real = real();
    let slot = real.get_slots_with_initialized_token().unwrap()[0];
    let session = real.open_ro_session(slot).unwrap();
    session
        .find_objects(&[Attribute::Token(true)])
        .unwrap()
        .len()
}

/// Runs a test in a process of its own, with a token of its own: PKCS#11 modules are one to a
/// process, and SoftHSM takes its configuration from the environment.
pub(crate) fn in_own_process(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "CHANCERY_FAULT_MODULE_TEST";
    if env::var_os(CHILD).is_some_and(|name| name == test) {
        return body();
    }
    let soft_hsm = SoftHsm::new().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(SoftHsm::VARIABLE, soft_hsm.configuration())
        .env(CHILD, test)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Quoted, so that nobody counts the test twice.
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test}: {}\n> {}\n{stderr}",
        output.status,
        stdout.replace('\n', "\n> ")
    );
}
