//! What the tests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_core::{Signer, SigningInput};
use chancery_software::VerifyingKey;
use chancery_yubihsm::{Password, YubiHsm};
use chancery_yubihsm_tests::{AUTHENTICATION_KEY, Backend, PASSWORD, Proxy};

/// A device behind a connector.
pub(crate) struct Rig<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) proxy: Proxy,
}

impl<B: Backend + 'static> Rig<B> {
    pub(crate) fn new(backend: B) -> Self {
        let backend = Arc::new(backend);
        let proxy = Proxy::start(backend.clone());
        Self { backend, proxy }
    }

    pub(crate) fn open(&self) -> YubiHsm {
        self.open_as(AUTHENTICATION_KEY, PASSWORD).unwrap()
    }

    pub(crate) fn open_as(
        &self,
        authentication_key: u16,
        password: &str,
    ) -> Result<YubiHsm, chancery_yubihsm::YubiHsmError> {
        YubiHsm::http(
            &self.proxy.url(),
            authentication_key,
            &Password::new(password),
        )
    }

    /// Waits until the device has this many sessions.
    pub(crate) fn wait_for_sessions(&self, sessions: usize) {
        let start = Instant::now();
        while self.backend.sessions() != sessions {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{} sessions, not {sessions}",
                self.backend.sessions()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Signs, and has somebody else verify.
pub(crate) fn sign_and_verify(signer: &dyn Signer, message: &[u8]) {
    let input = SigningInput::new(signer.jwk().algorithm(), message);
    let signature = signer.sign(&input).unwrap();
    VerifyingKey::new(signer.jwk())
        .unwrap()
        .verify(message, &signature)
        .unwrap();
}
