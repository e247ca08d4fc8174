//! Callers of a signer.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use chancery_core::{
    PendingSignature, SignError, SignErrorKind, Signature, Signer as _, SigningInput,
};
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_software::VerifyingKey;

/// After this time, something that should happen counts as not happening.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options with so many workers.
pub(crate) fn workers(workers: usize) -> HsmOptions {
    HsmOptions::new().with_workers(NonZeroUsize::new(workers).unwrap())
}

/// Signs, and sees to it that what is released verifies.
pub(crate) fn sign(signer: &HsmSigner, message: &str) -> Result<Signature, SignError> {
    let signature = signer.sign(&input(signer, message))?;
    let key = VerifyingKey::new(signer.jwk()).unwrap();
    key.verify(message.as_bytes(), &signature).unwrap();
    Ok(signature)
}

/// Starts signing.
pub(crate) fn begin(signer: &HsmSigner, message: &str) -> PendingSignature {
    signer.begin_sign(&input(signer, message))
}

/// Signs, and must be told why not. It is awaited, since a caller that blocks gives up by itself
/// where the machine is slow.
pub(crate) fn refused(signer: &HsmSigner, message: &str) -> SignErrorKind {
    block_on(begin(signer, message)).unwrap_err().kind()
}

fn input<'a>(signer: &HsmSigner, message: &'a str) -> SigningInput<'a> {
    SigningInput::new(signer.jwk().algorithm(), message.as_bytes())
}

/// Runs callers side by side, and hands out what they return, in their order.
pub(crate) fn callers<T: Send>(number: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let call = &call;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..number)
            .map(|caller| scope.spawn(move || call(caller)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Polls a future on this thread until it is ready, with no runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let started = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = PATIENCE.saturating_sub(started.elapsed());
        assert!(!left.is_zero(), "the future was never ready");
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
