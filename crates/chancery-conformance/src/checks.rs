//! The checks, each of one promise that a signer makes.

use std::error::Error;
use std::thread;
use std::time::Duration;

use chancery_core::{Algorithm, Jwk, KeyType, SignErrorKind, Signature, Signer, SigningInput};
use chancery_software::VerifyingKey;

use crate::block_on::block_on;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
/// The number is the length of the longest input that the signer has to sign.
type Check = fn(&dyn Signer, usize) -> Outcome;

/// How long a signature may take before a signer counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

const THREADS: usize = 8;
const SIGNATURES_A_THREAD: usize = 4;

pub(crate) const ALL: &[(&str, Check)] = &[
    ("the public key can be published and read back", publishable),
    ("signatures have the algorithm and length of the key", shape),
    ("signatures verify over exactly the signed bytes", verifies),
    ("input of every size is signed", sizes),
    ("the digest is not confused with the bytes", digest_or_bytes),
    (
        "deterministic algorithms repeat, randomized ones do not",
        randomness,
    ),
    ("a future resolves without a runtime", begins),
    ("a pending signature can be waited for", waits),
    ("an abandoned signature does no harm", abandons),
    ("threads share the signer", threads),
    ("the public key never changes", constant),
    ("debug output stays on one subject", redacts),
];

fn publishable(signer: &dyn Signer, _: usize) -> Outcome {
    let jwk = signer.jwk();
    let json = serde_json::to_vec(jwk)?;
    let parsed = Jwk::from_json(&json)?;
    ensure(parsed == *jwk, "the rendered JWK reads back as another key")
}

fn shape(signer: &dyn Signer, _: usize) -> Outcome {
    let (_, signature) = sign(signer, b"chancery.conformance")?;
    ensure(
        signature.algorithm() == signer.jwk().algorithm(),
        "the signature is of another algorithm than the key",
    )?;
    ensure(
        signature.as_bytes().len() == signer.jwk().signature_len(),
        "the signature has another length than the key makes",
    )
}

fn verifies(signer: &dyn Signer, _: usize) -> Outcome {
    let key = VerifyingKey::new(signer.jwk())?;
    let (input, signature) = sign(signer, b"eyJhbGciOiJub25lIn0.e30")?;
    key.verify(&input, &signature)?;
    let mut tampered = input;
    tampered[0] ^= 1;
    ensure(
        key.verify(&tampered, &signature).is_err(),
        "a signature verifies over other bytes",
    )
}

/// What is longer than the device takes is refused as that, or signed all the same.
fn sizes(signer: &dyn Signer, longest: usize) -> Outcome {
    let key = VerifyingKey::new(signer.jwk())?;
    let algorithm = signer.jwk().algorithm();
    for len in [0, 1, 55, 56, 63, 64, 111, 112, 127, 128, 1024, 20_000] {
        let message = vec![b'a'; len];
        match signer.sign(&SigningInput::new(algorithm, &message)) {
            Ok(signature) => key
                .verify(&message, &signature)
                .map_err(|error| format!("{len} bytes of input: {error}"))?,
            Err(error) if len > longest && error.kind() == SignErrorKind::Unsupported => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A signer that signs the digest as if it were the message, or the other way round, is caught by
/// input that is itself as long as a digest.
fn digest_or_bytes(signer: &dyn Signer, _: usize) -> Outcome {
    let key = VerifyingKey::new(signer.jwk())?;
    let message = b"chancery.conformance";
    let digest = SigningInput::new(signer.jwk().algorithm(), message)
        .digest()
        .as_bytes()
        .to_vec();
    let (input, signature) = sign(signer, &digest)?;
    key.verify(&input, &signature)?;
    ensure(
        key.verify(message, &signature).is_err(),
        "a digest given as input is taken for the digest of the input",
    )
}

fn randomness(signer: &dyn Signer, _: usize) -> Outcome {
    let (_, first) = sign(signer, b"chancery.conformance")?;
    let (_, second) = sign(signer, b"chancery.conformance")?;
    let repeats = first.as_bytes() == second.as_bytes();
    match signer.jwk().algorithm() {
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => ensure(repeats, "a deterministic algorithm gave two signatures"),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
            ensure(!repeats, "the salt of two signatures is the same")
        }
        // ECDSA may be randomized or follow RFC 6979; but two messages never share r, since that
        // gives the private key away.
        _ => distinct_nonces(signer, &first),
    }
}

fn distinct_nonces(signer: &dyn Signer, first: &Signature) -> Outcome {
    let KeyType::Ec(curve) = signer.jwk().algorithm().key_type() else {
        return Ok(());
    };
    let (_, other) = sign(signer, b"chancery.conformance.2")?;
    let r = ..curve.coordinate_len();
    ensure(
        first.as_bytes()[r] != other.as_bytes()[r],
        "two messages were signed with the same nonce",
    )
}

fn begins(signer: &dyn Signer, _: usize) -> Outcome {
    let message = b"chancery.future";
    let input = SigningInput::new(signer.jwk().algorithm(), message);
    let pending = signer.begin_sign(&input);
    let signature = block_on(pending, PATIENCE).ok_or("the future did not resolve in 30 s")??;
    Ok(VerifyingKey::new(signer.jwk())?.verify(message, &signature)?)
}

fn waits(signer: &dyn Signer, _: usize) -> Outcome {
    let message = b"chancery.wait";
    let input = SigningInput::new(signer.jwk().algorithm(), message);
    let signature = signer.begin_sign(&input).wait()?;
    Ok(VerifyingKey::new(signer.jwk())?.verify(message, &signature)?)
}

fn abandons(signer: &dyn Signer, _: usize) -> Outcome {
    let input = SigningInput::new(signer.jwk().algorithm(), b"chancery.abandoned");
    for _ in 0..4 {
        drop(signer.begin_sign(&input));
    }
    verifies(signer, usize::MAX)
}

fn threads(signer: &dyn Signer, _: usize) -> Outcome {
    let key = VerifyingKey::new(signer.jwk())?;
    let key = &key;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..SIGNATURES_A_THREAD {
                        let message = format!("thread {thread}, round {round}");
                        let (input, signature) = sign(signer, message.as_bytes())?;
                        key.verify(&input, &signature)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err("the signer panicked".into()))
        })
    })
}

fn constant(signer: &dyn Signer, _: usize) -> Outcome {
    let before = signer.jwk().clone();
    sign(signer, b"chancery.constant")?;
    ensure(*signer.jwk() == before, "the public key changed")
}

/// `Debug` shows which key it is, and has no room for the key itself.
fn redacts(signer: &dyn Signer, _: usize) -> Outcome {
    let debug = format!("{signer:?}");
    ensure(
        debug.contains(signer.jwk().kid()),
        "the debug output does not name the kid",
    )?;
    ensure(
        debug.len() < 1000,
        "the debug output is long enough to hold a private key",
    )
}

fn sign(
    signer: &dyn Signer,
    message: &[u8],
) -> Result<(Vec<u8>, Signature), Box<dyn Error + Send + Sync>> {
    let input = SigningInput::new(signer.jwk().algorithm(), message);
    Ok((message.to_vec(), signer.sign(&input)?))
}

fn ensure(holds: bool, otherwise: &'static str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
