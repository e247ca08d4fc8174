//! Operations with a deadline, and how they may end.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{Signer as _, SigningInput};
use chancery_fault_module::{Effect, Fault, Faults, Function, Injection, SoftHsm, When};
use chancery_hsm::HsmSigner;
use chancery_pkcs11::{Operation, Pin, Pkcs11Error, Token, TokenBuilder};

/// How long operations may take here.
pub(crate) const DEADLINE: Duration = Duration::from_millis(300);

/// How much later they may return.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

pub(crate) fn builder_with(pin: Pin) -> TokenBuilder {
    Token::builder(Faults::path().unwrap())
        .label(SoftHsm::LABEL)
        .pin(pin)
}

pub(crate) fn builder() -> TokenBuilder {
    builder_with(Pin::new(SoftHsm::PIN))
}

pub(crate) fn open() -> (Faults, Token) {
    let faults = Faults::load().unwrap();
    (faults, builder().deadline(DEADLINE).open().unwrap())
}

pub(crate) fn inject(faults: &Faults, function: Function, effect: Effect, when: When) -> Injection {
    faults.inject(Fault {
        function,
        effect,
        when,
    })
}

pub(crate) fn hang(faults: &Faults, function: Function) -> Injection {
    inject(faults, function, Effect::Hang, When::Always)
}

/// Does something that must have returned by the deadline.
pub(crate) fn in_time<T>(operation: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let outcome = operation();
    let took = began.elapsed();
    assert!(took < DEADLINE + GRACE, "{took:?}");
    outcome
}

pub(crate) fn not_returned<T: Debug>(outcome: Result<T, Pkcs11Error>, expected: Operation) {
    match outcome {
        Err(Pkcs11Error::NotReturned {
            operation, after, ..
        }) => assert_eq!((operation, after), (expected, DEADLINE)),
        outcome => panic!("{expected:?}: {outcome:?}"),
    }
}

pub(crate) fn said<T: Debug>(outcome: &Result<T, Pkcs11Error>) -> String {
    let text = outcome.as_ref().unwrap_err().to_string();
    println!("said: {text}");
    text
}

pub(crate) fn signs(signer: &HsmSigner) {
    let input = SigningInput::new(signer.jwk().algorithm(), b"header.payload");
    // Verified before it is released.
    signer.sign(&input).unwrap();
}

/// Waits until every worker has a session.
pub(crate) fn at_rest(signer: &HsmSigner) {
    let until = Instant::now() + Duration::from_secs(5);
    while signer.health().sessions < signer.health().workers {
        assert!(Instant::now() < until, "{:?}", signer.health());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until what was given up has ended, by the sessions that it held. One keeps the login.
pub(crate) fn closes_all_sessions(faults: &Faults) {
    closes_all_sessions_but(faults, 0);
}

pub(crate) fn closes_all_sessions_but(faults: &Faults, others: usize) {
    let until = Instant::now() + Duration::from_secs(5);
    // Who closes one may be about to open another.
    let mut closed = Instant::now();
    while closed.elapsed() < GRACE {
        if faults.open_sessions() > others + 1 {
            closed = Instant::now();
        }
        assert!(Instant::now() < until, "{} open", faults.open_sessions());
        thread::sleep(Duration::from_millis(1));
    }
}
