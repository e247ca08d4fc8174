//! Callers that sign without pause.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{SignErrorKind, Signer, SigningInput};
use chancery_hsm::HsmSigner;
use chancery_software::VerifyingKey;

const CALLERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(15);

/// What the callers met.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    signed: AtomicUsize,
    wrong: AtomicUsize,
    errors: Mutex<Vec<(SignErrorKind, String)>>,
    longest: Mutex<Duration>,
    is_stopped: AtomicBool,
    is_paused: AtomicBool,
}

impl Traffic {
    /// Has 16 callers sign while `script` runs.
    pub(crate) fn run<T>(&self, signer: &HsmSigner, script: impl FnOnce() -> T) -> T {
        let key = VerifyingKey::new(signer.jwk()).unwrap();
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                let key = &key;
                scope.spawn(move || {
                    let mut round = 0;
                    while !self.is_stopped.load(Ordering::SeqCst) {
                        if self.is_paused.load(Ordering::SeqCst) {
                            thread::sleep(Duration::from_millis(5));
                            continue;
                        }
                        round += 1;
                        self.call(signer, key, &format!("header.caller-{caller}-{round}"));
                    }
                });
            }
            let result = script();
            self.is_stopped.store(true, Ordering::SeqCst);
            result
        })
    }

    fn call(&self, signer: &HsmSigner, key: &VerifyingKey, text: &str) {
        let start = Instant::now();
        let input = SigningInput::new(signer.jwk().algorithm(), text.as_bytes());
        let result = signer.sign(&input);
        let took = start.elapsed();
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = took.max(*longest);
        drop(longest);
        match result {
            Ok(signature) if key.verify(text.as_bytes(), &signature).is_ok() => {
                self.signed.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {
                self.wrong.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                self.errors
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((error.kind(), error.to_string()));
                // Errors that come at once would otherwise come by the million.
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Waits until so many more signatures were made. Whether they were.
    pub(crate) fn flows(&self, more: usize) -> bool {
        let start = Instant::now();
        let wanted = self.signed.load(Ordering::SeqCst) + more;
        while self.signed.load(Ordering::SeqCst) < wanted {
            if start.elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Lets nobody call for a while.
    pub(crate) fn pause(&self, pause: Duration) {
        self.is_paused.store(true, Ordering::SeqCst);
        thread::sleep(pause);
        self.is_paused.store(false, Ordering::SeqCst);
    }

    pub(crate) fn errors(&self) -> Vec<(SignErrorKind, String)> {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn wrong(&self) -> usize {
        self.wrong.load(Ordering::SeqCst)
    }

    pub(crate) fn longest(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{CALLERS} callers, {} signatures, {} errors, longest call {} ms",
            self.signed.load(Ordering::SeqCst),
            self.errors().len(),
            self.longest().as_millis()
        )
    }
}
