//! Issuing in all its forms.

use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{
    Algorithm, IssueError, Issuer, Jwk, PendingSignature, Schedule, ScheduledKey, SignError,
    SignErrorKind, Signature, Signer, SigningInput,
};

use crate::support::{FakeSigner, Parts, always, builder, claims, issuer, jwk, mark};

/// An issuer whose one key answers as the closure says.
fn issuer_with(
    algorithm: Algorithm,
    sign: impl Fn(&Jwk, &SigningInput<'_>) -> Result<Signature, SignError> + Send + Sync + 'static,
) -> Issuer {
    let signer = FakeSigner::with(algorithm, "key", sign);
    builder(vec![ScheduledKey::new(signer, Schedule::ALWAYS)])
        .build()
        .unwrap()
}

/// Drives a future on this thread, which sleeps while there is nothing to do. One that nobody
/// wakes fails the test after a minute.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                let left = patience.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "nobody woke the future");
                thread::park_timeout(left);
            }
        }
    }
}

/// A signer with a worker thread, as a device has one.
#[derive(Debug)]
struct Worker {
    jwk: Jwk,
    queue: mpsc::Sender<(Vec<u8>, chancery_core::SignatureCompleter)>,
}

impl Worker {
    fn start(algorithm: Algorithm, kid: &str) -> Arc<Self> {
        let (queue, jobs) = mpsc::channel::<(Vec<u8>, chancery_core::SignatureCompleter)>();
        let key = jwk(algorithm, kid);
        let worker = key.clone();
        thread::spawn(move || {
            for (input, completer) in jobs {
                thread::sleep(Duration::from_millis(2));
                let signature = Signature::new(worker.algorithm(), &mark(&worker, &input));
                completer.complete(Ok(signature.unwrap()));
            }
        });
        Arc::new(Self { jwk: key, queue })
    }
}

impl Signer for Worker {
    fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        self.begin_sign(input).wait()
    }

    fn begin_sign(&self, input: &SigningInput<'_>) -> PendingSignature {
        let (completer, pending) =
            PendingSignature::channel(Instant::now() + Duration::from_secs(60));
        self.queue
            .send((input.as_bytes().to_vec(), completer))
            .unwrap();
        pending
    }
}

#[test]
fn a_token_is_signed_over_exactly_its_header_and_payload() {
    for algorithm in Algorithm::all() {
        let issuer = builder(vec![always(algorithm, "key")]).build().unwrap();
        let token = issuer.issue(&claims()).unwrap();
        let parts = Parts::of(token.as_str());
        assert!(parts.is_signed_by(&jwk(algorithm, "key")), "{algorithm}");
        assert_eq!(token.as_ref(), token.as_str());
        assert_eq!(token.clone().into_string(), token.as_str());
    }
}

#[test]
fn the_signer_gets_the_digest_of_what_it_signs() {
    use chancery_core::HashAlgorithm;

    for algorithm in Algorithm::all() {
        let issuer = issuer_with(algorithm, |jwk, input| {
            let hash = match jwk.algorithm().name() {
                "ES256" | "RS256" | "PS256" => HashAlgorithm::Sha256,
                "ES384" | "RS384" | "PS384" => HashAlgorithm::Sha384,
                _ => HashAlgorithm::Sha512,
            };
            assert_eq!(input.digest(), &hash.digest(input.as_bytes()));
            Ok(Signature::new(jwk.algorithm(), &vec![7; jwk.signature_len()]).unwrap())
        });
        issuer.issue(&claims()).unwrap();
    }
}

#[test]
fn every_way_of_issuing_gives_the_same_token() {
    let issuer = issuer();
    let claims = claims().with_token_id("1");
    let expected = issuer.issue(&claims).unwrap();
    let mut buffer = String::new();
    issuer.issue_into(&claims, &mut buffer).unwrap();
    assert_eq!(buffer, expected.as_str());
    assert_eq!(block_on(issuer.issue_async(&claims)).unwrap(), expected);
    let unsigned = issuer.prepare(&claims).unwrap();
    let signature = FakeSigner::new(Algorithm::Es256, "es256")
        .sign(&unsigned.signing_input())
        .unwrap();
    assert_eq!(unsigned.assemble(&signature).unwrap(), expected);
}

#[test]
fn a_buffer_is_replaced_and_used_again() {
    let issuer = issuer();
    let mut buffer = String::from("what was there before");
    issuer.issue_into(&claims(), &mut buffer).unwrap();
    assert!(Parts::of(&buffer).is_signed_by(&jwk(Algorithm::Es256, "es256")));
    let long = claims()
        .with_private_claim("long", &"x".repeat(5000))
        .unwrap();
    issuer.issue_into(&long, &mut buffer).unwrap();
    let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
    for _ in 0..10 {
        issuer.issue_into(&claims(), &mut buffer).unwrap();
        assert!(Parts::of(&buffer).is_signed_by(&jwk(Algorithm::Es256, "es256")));
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
    }
}

#[test]
fn a_buffer_is_empty_after_an_error() {
    let failing = issuer_with(Algorithm::Es256, |_, _| {
        Err(SignError::new(SignErrorKind::Busy, "64 wait"))
    });
    let wrong = issuer_with(Algorithm::Es256, |_, _| {
        Ok(Signature::new(Algorithm::EdDsa, &[0; 64]).unwrap())
    });
    let refused = claims().with_nonce("");
    for (issuer, claims) in [
        (&failing, &claims()),
        (&wrong, &claims()),
        (&issuer(), &refused),
    ] {
        let mut buffer = String::from("an older token");
        assert!(issuer.issue_into(claims, &mut buffer).is_err());
        assert_eq!(buffer, "");
    }
}

#[test]
fn the_signers_error_comes_out_with_its_kind_and_cause() {
    use std::error::Error as _;

    for kind in [
        SignErrorKind::WrongPin,
        SignErrorKind::KeyMissing,
        SignErrorKind::KeyChanged,
        SignErrorKind::Busy,
        SignErrorKind::Timeout,
        SignErrorKind::Unavailable,
        SignErrorKind::Unsupported,
        SignErrorKind::BadSignature,
        SignErrorKind::Failed,
    ] {
        let issuer = issuer_with(Algorithm::Es256, move |_, _| {
            Err(SignError::new(kind, "slot 3").with_source("the cable is out"))
        });
        for error in [
            issuer.issue(&claims()).unwrap_err(),
            issuer
                .issue_into(&claims(), &mut String::new())
                .unwrap_err(),
            block_on(issuer.issue_async(&claims())).unwrap_err(),
        ] {
            assert!(error.to_string().contains("slot 3"));
            assert_eq!(error.source().unwrap().to_string(), "the cable is out");
            let IssueError::Sign(error) = error else {
                panic!("{error}");
            };
            assert_eq!(error.kind(), kind);
            assert_eq!(
                error.is_retryable(),
                matches!(
                    kind,
                    SignErrorKind::Busy | SignErrorKind::Timeout | SignErrorKind::Unavailable
                )
            );
        }
    }
}

#[test]
fn a_signature_of_the_wrong_algorithm_or_length_is_withheld() {
    for (key, algorithm, length) in [
        (Algorithm::Es256, Algorithm::EdDsa, 64),
        (Algorithm::EdDsa, Algorithm::Es256, 64),
        (Algorithm::EdDsa, Algorithm::Ed25519, 64),
        (Algorithm::Es256, Algorithm::Es384, 96),
        (Algorithm::Rs256, Algorithm::Ps256, 256),
        (Algorithm::Rs256, Algorithm::Rs512, 256),
        // The key of the tests has 2048 bits.
        (Algorithm::Rs256, Algorithm::Rs256, 257),
        (Algorithm::Rs256, Algorithm::Rs256, 384),
        (Algorithm::Rs256, Algorithm::Rs256, 512),
    ] {
        let signature = Signature::new(algorithm, &vec![1; length]).unwrap();
        let answer = signature.clone();
        let issuer = issuer_with(key, move |_, _| Ok(answer.clone()));
        let sign_error = |error| match error {
            IssueError::Sign(error) => error,
            other => panic!("{other}"),
        };
        for error in [
            sign_error(issuer.issue(&claims()).unwrap_err()),
            sign_error(
                issuer
                    .issue_into(&claims(), &mut String::new())
                    .unwrap_err(),
            ),
            sign_error(block_on(issuer.issue_async(&claims())).unwrap_err()),
            issuer
                .prepare(&claims())
                .unwrap()
                .assemble(&signature)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind(), SignErrorKind::BadSignature);
            let message = error.to_string();
            assert!(message.contains(&length.to_string()), "{message}");
        }
    }
}

#[test]
fn an_unsigned_token_says_what_to_sign_and_with_which_key() {
    let issuer = builder(vec![always(Algorithm::Ps384, "remote")])
        .build()
        .unwrap();
    let unsigned = issuer.prepare(&claims()).unwrap();
    assert_eq!(unsigned.jwk(), &jwk(Algorithm::Ps384, "remote"));
    let input = unsigned.signing_input();
    assert_eq!(input.algorithm(), Algorithm::Ps384);
    let signed = String::from_utf8(input.as_bytes().to_vec()).unwrap();
    let signature = Signature::new(Algorithm::Ps384, &[9; 256]).unwrap();
    let token = unsigned.assemble(&signature).unwrap();
    assert_eq!(Parts::of(token.as_str()).signing_input, signed);
    assert_eq!(Parts::of(token.as_str()).signature, [9; 256]);
}

#[test]
fn an_async_caller_waits_for_a_worker_without_a_runtime() {
    let worker = Worker::start(Algorithm::Es256, "worker");
    let issuer = builder(vec![ScheduledKey::new(worker, Schedule::ALWAYS)])
        .build()
        .unwrap();
    for _ in 0..5 {
        let token = block_on(issuer.issue_async(&claims())).unwrap();
        assert!(Parts::of(token.as_str()).is_signed_by(&jwk(Algorithm::Es256, "worker")));
    }
    let token = issuer.issue(&claims()).unwrap();
    assert!(Parts::of(token.as_str()).is_signed_by(&jwk(Algorithm::Es256, "worker")));
}

#[test]
fn many_async_callers_share_one_worker() {
    let worker = Worker::start(Algorithm::Es384, "worker");
    let issuer = builder(vec![ScheduledKey::new(worker, Schedule::ALWAYS)])
        .build()
        .unwrap();
    thread::scope(|scope| {
        for index in 0..8 {
            let issuer = &issuer;
            scope.spawn(move || {
                let id = format!("token-{index}");
                let claims = claims().with_token_id(&id);
                let token = block_on(issuer.issue_async(&claims)).unwrap();
                let parts = Parts::of(token.as_str());
                assert!(parts.is_signed_by(&jwk(Algorithm::Es384, "worker")));
                assert_eq!(parts.payload.text("jti"), id);
            });
        }
    });
}

#[test]
fn a_worker_that_dies_leaves_no_caller_waiting() {
    #[derive(Debug)]
    struct Dying(Jwk);

    impl Signer for Dying {
        fn jwk(&self) -> &Jwk {
            &self.0
        }

        fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
            self.begin_sign(input).wait()
        }

        fn begin_sign(&self, _: &SigningInput<'_>) -> PendingSignature {
            let (completer, pending) =
                PendingSignature::channel(Instant::now() + Duration::from_secs(60));
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(2));
                drop(completer);
            });
            pending
        }
    }

    let signer = Arc::new(Dying(jwk(Algorithm::Es256, "dying")));
    let issuer = builder(vec![ScheduledKey::new(signer, Schedule::ALWAYS)])
        .build()
        .unwrap();
    for error in [
        issuer.issue(&claims()).unwrap_err(),
        block_on(issuer.issue_async(&claims())).unwrap_err(),
    ] {
        let IssueError::Sign(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.kind(), SignErrorKind::Unavailable);
    }
}
