//! The kit fails signers that are broken on purpose, each by the check that is meant for it.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "ring")]

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chancery_conformance::check;
use chancery_core::{
    Algorithm, Jwk, PendingSignature, SignError, SignErrorKind, Signature, SignatureError, Signer,
    SigningInput,
};
use chancery_software::{Engine, SoftwareSigner};

/// What a broken signer does with the work of a sound one.
type Breakage = fn(&Broken, &SigningInput<'_>) -> Result<Signature, SignError>;

struct Broken {
    sound: SoftwareSigner,
    /// The key that is published; it need not be the one that signs.
    jwk: Jwk,
    breakage: Breakage,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broken({})", self.jwk.kid())
    }
}

impl Signer for Broken {
    fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        (self.breakage)(self, input)
    }
}

impl Broken {
    fn new(algorithm: Algorithm, breakage: Breakage) -> Self {
        let sound = SoftwareSigner::generate(algorithm, Engine::Ring).unwrap();
        Self {
            jwk: sound.jwk().clone(),
            sound,
            breakage,
        }
    }

    fn failed_check(&self) -> &'static str {
        check(self).unwrap_err().check()
    }
}

fn to_sign_error(error: SignatureError) -> SignError {
    SignError::new(SignErrorKind::BadSignature, "malformed").with_source(error)
}

#[test]
fn a_signature_of_the_wrong_length() {
    let broken = Broken::new(Algorithm::Es256, |_, _| {
        Signature::new(Algorithm::Es384, &[1; 96]).map_err(to_sign_error)
    });
    assert_eq!(
        broken.failed_check(),
        "signatures have the algorithm and length of the key"
    );
}

#[test]
fn der_instead_of_r_and_s() {
    // SEQUENCE of two INTEGERs, as a device returns it, passed on without conversion.
    let broken = Broken::new(Algorithm::Es256, |broken, input| {
        let signature = broken.sound.sign(input)?;
        let (r, s) = signature.as_bytes().split_at(32);
        let mut der = vec![0x30, 70, 0x02, 33, 0];
        der.extend_from_slice(r);
        der.extend_from_slice(&[0x02, 33, 0]);
        der.extend_from_slice(s);
        Signature::new(Algorithm::Es256, &der).map_err(to_sign_error)
    });
    let failure = check(&broken).unwrap_err();
    assert_eq!(
        failure.check(),
        "signatures have the algorithm and length of the key"
    );
    assert!(
        std::error::Error::source(&failure)
            .unwrap()
            .to_string()
            .contains("72 bytes"),
        "{failure}"
    );
}

#[test]
fn another_key_than_the_published_one() {
    let other = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    let mut broken = Broken::new(Algorithm::Es256, |broken, input| broken.sound.sign(input));
    broken.jwk = other.jwk().clone();
    assert_eq!(
        broken.failed_check(),
        "signatures verify over exactly the signed bytes"
    );
}

#[test]
fn another_algorithm_than_the_published_one() {
    // The key signs as EdDSA and is published as Ed25519: the same key, another `alg`.
    let mut broken = Broken::new(Algorithm::EdDsa, |broken, input| {
        let input = SigningInput::new(Algorithm::EdDsa, input.as_bytes());
        broken.sound.sign(&input)
    });
    broken.jwk = broken
        .jwk
        .clone()
        .with_algorithm(Algorithm::Ed25519)
        .unwrap();
    assert_eq!(
        broken.failed_check(),
        "signatures have the algorithm and length of the key"
    );
}

#[test]
fn a_flipped_bit() {
    for position in [0, 31, 32, 63] {
        let mut broken = Broken::new(Algorithm::Es256, |_, _| unreachable!());
        broken.breakage = match position {
            0 => |broken, input| flipped(broken, input, 0),
            31 => |broken, input| flipped(broken, input, 31),
            32 => |broken, input| flipped(broken, input, 32),
            _ => |broken, input| flipped(broken, input, 63),
        };
        assert_eq!(
            broken.failed_check(),
            "signatures verify over exactly the signed bytes"
        );
    }
}

fn flipped(
    broken: &Broken,
    input: &SigningInput<'_>,
    position: usize,
) -> Result<Signature, SignError> {
    let signature = broken.sound.sign(input)?;
    let mut bytes = signature.as_bytes().to_vec();
    bytes[position] ^= 1;
    Signature::new(Algorithm::Es256, &bytes).map_err(to_sign_error)
}

#[test]
fn a_digest_signed_as_if_it_were_the_message() {
    let broken = Broken::new(Algorithm::EdDsa, |broken, input| {
        let digest = *input.digest();
        broken
            .sound
            .sign(&SigningInput::new(Algorithm::EdDsa, digest.as_bytes()))
    });
    assert_eq!(
        broken.failed_check(),
        "signatures verify over exactly the signed bytes"
    );
}

/// `sign` is sound, `begin_sign` is not.
#[derive(Debug)]
struct BrokenFuture(SoftwareSigner);

impl Signer for BrokenFuture {
    fn jwk(&self) -> &Jwk {
        self.0.jwk()
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        self.0.sign(input)
    }

    fn begin_sign(&self, _: &SigningInput<'_>) -> PendingSignature {
        let other = SigningInput::new(self.jwk().algorithm(), b"something else");
        PendingSignature::ready(self.0.sign(&other))
    }
}

#[test]
fn a_future_that_resolves_to_another_signature() {
    let signer = SoftwareSigner::generate(Algorithm::EdDsa, Engine::Ring).unwrap();
    let failure = check(&BrokenFuture(signer)).unwrap_err();
    assert_eq!(failure.check(), "a future resolves without a runtime");
}

/// A sound signer, but for one thing that depends on what it is asked.
struct Faulty {
    sound: SoftwareSigner,
    other: SoftwareSigner,
    fault: Fault,
    is_broken: AtomicBool,
    at_work: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    RefusesEmptyInput,
    MixesUpThreads,
    ChangesItsKey,
    ShowsTooMuch,
    NeverAnswersWhenWaitedFor,
    BreaksWhenAbandoned,
}

impl Faulty {
    fn failed_check(fault: Fault) -> &'static str {
        let faulty = Self {
            sound: SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap(),
            other: SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap(),
            fault,
            is_broken: AtomicBool::new(false),
            at_work: AtomicUsize::new(0),
        };
        check(&faulty).unwrap_err().check()
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.fault == Fault::ShowsTooMuch {
            "[48, 130, 1, 34]".repeat(100)
        } else {
            String::new()
        };
        write!(f, "Faulty({}, {shown})", self.sound.jwk().kid())
    }
}

impl Signer for Faulty {
    fn jwk(&self) -> &Jwk {
        if self.fault == Fault::ChangesItsKey && self.is_broken.load(Ordering::SeqCst) {
            self.other.jwk()
        } else {
            self.sound.jwk()
        }
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        match self.fault {
            Fault::RefusesEmptyInput if input.as_bytes().is_empty() => {
                Err(SignError::new(SignErrorKind::Failed, "nothing to sign"))
            }
            Fault::MixesUpThreads => {
                let others = self.at_work.fetch_add(1, Ordering::SeqCst);
                // Long enough for another thread to come in.
                std::thread::sleep(Duration::from_millis(2));
                let signer = if others == 0 {
                    &self.sound
                } else {
                    &self.other
                };
                let signature = signer.sign(input);
                self.at_work.fetch_sub(1, Ordering::SeqCst);
                signature
            }
            Fault::ChangesItsKey => {
                let is_last = input.as_bytes() == b"chancery.constant";
                self.is_broken.store(is_last, Ordering::SeqCst);
                self.sound.sign(input)
            }
            Fault::BreaksWhenAbandoned if self.is_broken.load(Ordering::SeqCst) => {
                Err(SignError::new(SignErrorKind::Failed, "the session is lost"))
            }
            _ => self.sound.sign(input),
        }
    }

    fn begin_sign(&self, input: &SigningInput<'_>) -> PendingSignature {
        match (self.fault, input.as_bytes()) {
            (Fault::NeverAnswersWhenWaitedFor, b"chancery.wait") => {
                let (completer, pending) = PendingSignature::channel(Instant::now());
                std::mem::forget(completer);
                pending
            }
            (Fault::BreaksWhenAbandoned, b"chancery.abandoned") => {
                self.is_broken.store(true, Ordering::SeqCst);
                PendingSignature::ready(self.sound.sign(input))
            }
            _ => PendingSignature::ready(self.sign(input)),
        }
    }
}

#[test]
fn faults_that_show_in_one_situation_alone() {
    for (fault, check) in [
        (Fault::RefusesEmptyInput, "input of every size is signed"),
        (Fault::MixesUpThreads, "threads share the signer"),
        (Fault::ChangesItsKey, "the public key never changes"),
        (Fault::ShowsTooMuch, "debug output stays on one subject"),
        (
            Fault::NeverAnswersWhenWaitedFor,
            "a pending signature can be waited for",
        ),
        (
            Fault::BreaksWhenAbandoned,
            "an abandoned signature does no harm",
        ),
    ] {
        assert_eq!(Faulty::failed_check(fault), check);
    }
}
