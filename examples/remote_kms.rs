//! Signs with a key that only a remote service can use, in the two ways there are.
//!
//! ```sh
//! cargo run --example remote_kms
//! ```
//!
//! The "remote" service here is a thread that owns the key and, as cloud KMSs do, answers with a
//! DER-encoded ECDSA signature after some milliseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery::software::{Verifier, VerifyingKey};
use chancery::{
    Claims, Issuer, IssuerUrl, Jwk, JwkSet, KeySet, PendingSignature, Schedule, ScheduledKey,
    SignError, SignErrorKind, Signature, SignatureCompleter, Signer, SigningInput, Token,
};

use crate::kms::Kms;

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.amazonaws.com";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), kms::Error> {
    let kms = Arc::new(Kms::start()?);
    let claims = Claims::new("job:42").with_audience(AUDIENCE);

    let token = split_phase(&kms, &claims)?;
    verify("prepare and assemble", &kms, &token)?;

    let token = with_signer(&kms, &claims).await?;
    verify("a Signer with begin_sign", &kms, &token)
}

/// The caller talks to the service itself, between `prepare` and `assemble`.
fn split_phase(kms: &Kms, claims: &Claims) -> Result<Token, kms::Error> {
    let key = ScheduledKey::without_signer(kms.jwk().clone(), Schedule::ALWAYS);
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, KeySet::new(vec![key])?);

    let unsigned = issuer.prepare(claims)?;
    let input = unsigned.signing_input();
    let der = kms.sign(input.as_bytes())?;
    let signature = Signature::from_der(input.algorithm(), &der)?;
    // A service may answer with anything: nothing leaves before it has been verified.
    VerifyingKey::new(unsigned.jwk())?.verify(input.as_bytes(), &signature)?;
    Ok(unsigned.assemble(&signature)?)
}

/// The service is a `Signer`, and the issuer works as with any other key, blocking or not.
async fn with_signer(kms: &Arc<Kms>, claims: &Claims) -> Result<Token, kms::Error> {
    let signer = KmsSigner {
        verifying_key: VerifyingKey::new(kms.jwk())?,
        kms: Arc::clone(kms),
    };
    let key = ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS);
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, KeySet::new(vec![key])?);
    Ok(issuer.issue_async(claims).await?)
}

fn verify(way: &str, kms: &Kms, token: &Token) -> Result<(), kms::Error> {
    let jwks = JwkSet::new(vec![kms.jwk().clone()])?;
    let verified = Verifier::new(ISSUER, AUDIENCE, jwks).verify(token.as_str())?;
    println!(
        "Signed by way of {way}, verified with {} key {}:\n{}\n",
        verified.algorithm(),
        verified.kid(),
        token.as_str()
    );
    Ok(())
}

/// Signs with the remote key.
#[derive(Debug)]
struct KmsSigner {
    kms: Arc<Kms>,
    verifying_key: VerifyingKey,
}

/// Callers that block wait no longer than this. Those that await need the KMS client's own timeout
/// to be no longer, since a future has no clock.
const DEADLINE: Duration = Duration::from_secs(2);

impl Signer for KmsSigner {
    fn jwk(&self) -> &Jwk {
        self.kms.jwk()
    }

    fn sign(&self, input: &SigningInput<'_>) -> Result<Signature, SignError> {
        self.begin_sign(input).wait()
    }

    fn begin_sign(&self, input: &SigningInput<'_>) -> PendingSignature {
        let (completer, pending) = PendingSignature::channel(Instant::now() + DEADLINE);
        let (message, key) = (input.as_bytes().to_vec(), self.verifying_key.clone());
        self.kms
            .begin_sign(input.as_bytes().to_vec(), move |answer| {
                complete(completer, &key, &message, answer);
            });
        pending
    }
}

/// Hands the service's answer over, once it has been converted and verified.
fn complete(
    completer: SignatureCompleter,
    key: &VerifyingKey,
    message: &[u8],
    answer: Result<Vec<u8>, kms::Error>,
) {
    let outcome = answer
        .map_err(|error| {
            SignError::new(SignErrorKind::Unavailable, "the KMS did not sign").with_source(error)
        })
        .and_then(|der| {
            let signature = Signature::from_der(key.jwk().algorithm(), &der)?;
            key.verify(message, &signature).map_err(|error| {
                SignError::new(SignErrorKind::BadSignature, "the KMS signed something else")
                    .with_source(error)
            })?;
            Ok(signature)
        });
    completer.complete(outcome);
}

/// Stands for a cloud's key management service and its client.
mod kms {
    use std::sync::mpsc::{self, SyncSender, TrySendError};
    use std::thread;
    use std::time::Duration;

    use chancery::{Algorithm, Curve, Jwk, PublicKey};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    /// How many requests may wait.
    const QUEUE: usize = 64;

    pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
    type Reply = Box<dyn FnOnce(Result<Vec<u8>, Error>) + Send>;

    #[derive(Debug)]
    pub(crate) struct Kms {
        jwk: Jwk,
        requests: SyncSender<Request>,
    }

    struct Request {
        message: Vec<u8>,
        reply: Reply,
    }

    impl Kms {
        pub(crate) fn start() -> Result<Self, Error> {
            let random = SystemRandom::new();
            let curve = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let failed = |_| Error::from("no random numbers");
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(failed)?;
            let key = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random)
                .map_err(|error| error.to_string())?;
            let point = key.public_key().as_ref().to_vec();
            let (curve, algorithm) = (Curve::P256, Algorithm::Es256);
            let jwk = Jwk::new(algorithm, PublicKey::Ec { curve, point })?;
            let (requests, inbox) = mpsc::sync_channel::<Request>(QUEUE);
            thread::spawn(move || {
                for Request { message, reply } in inbox {
                    thread::sleep(Duration::from_millis(5));
                    reply(match key.sign(&random, &message) {
                        Ok(signature) => Ok(signature.as_ref().to_vec()),
                        Err(_) => Err("the service failed".into()),
                    });
                }
            });
            Ok(Self { jwk, requests })
        }

        pub(crate) fn jwk(&self) -> &Jwk {
            &self.jwk
        }

        /// Asks for a signature and waits for it.
        pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            let (answer, answered) = mpsc::channel();
            self.begin_sign(message.to_vec(), move |signature| {
                // Nobody is waiting any more when this fails.
                let _ = answer.send(signature);
            });
            answered.recv()?
        }

        /// Asks for a signature and returns at once.
        pub(crate) fn begin_sign(
            &self,
            message: Vec<u8>,
            reply: impl FnOnce(Result<Vec<u8>, Error>) + Send + 'static,
        ) {
            let reply = Box::new(reply);
            match self.requests.try_send(Request { message, reply }) {
                Ok(()) => {}
                Err(TrySendError::Full(unsent)) => (unsent.reply)(Err("too many requests".into())),
                Err(TrySendError::Disconnected(unsent)) => {
                    (unsent.reply)(Err("the service is gone".into()));
                }
            }
        }
    }
}
