//! Compares a whole token with the raw signature of the same engine, interleaved in one run.
//!
//! One line a case: the ratio of the two, what the token costs beyond the signature, and the
//! allocations that are chancery's own. All figures are medians over rounds; within a round the
//! two run one after the other, in an order that changes, on the thread's own CPU clock.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chancery::software::{Engine, PrivateKey, SoftwareSigner};
use chancery::{Algorithm, Claims, Issuer, Jwk, Signature, Signer};
use chancery_benches::raw::RawKey;
use chancery_benches::{FreeSigner, Payload, issuer};
use cpu_time::ThreadTime;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 301;

/// How long one batch of a round takes, about: far above the clock's grain.
const BATCH: Duration = Duration::from_millis(2);

fn main() -> Outcome {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse()?,
        None => ROUNDS,
    };
    for (algorithm, engine, name) in [
        (Algorithm::Es256, Engine::Ring, "ring"),
        (Algorithm::Es256, Engine::AwsLcRs, "aws-lc-rs"),
        (Algorithm::EdDsa, Engine::Ring, "ring"),
        (Algorithm::EdDsa, Engine::AwsLcRs, "aws-lc-rs"),
        (Algorithm::Rs256, Engine::Ring, "ring"),
        (Algorithm::Rs256, Engine::AwsLcRs, "aws-lc-rs"),
        (Algorithm::Ps256, Engine::AwsLcRs, "aws-lc-rs"),
        (Algorithm::Es384, Engine::AwsLcRs, "aws-lc-rs"),
        (Algorithm::Es512, Engine::AwsLcRs, "aws-lc-rs"),
    ] {
        // Only aws-lc-rs generates RSA keys; the key itself is the same for both engines.
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs)?;
        let signer = Arc::new(SoftwareSigner::new(&key, algorithm, engine)?);
        let raw = RawKey::new(&key, algorithm, engine)?;
        let issuer = issuer(signer)?;
        for payload in Payload::ALL {
            measure_token(
                &format!("{algorithm} {name}"),
                &issuer,
                &raw,
                payload,
                rounds,
            )?;
        }
    }
    measure_encoding(rounds)?;
    measure_documents(rounds)
}

fn measure_token(
    name: &str,
    issuer: &Issuer,
    raw: &RawKey,
    payload: Payload,
    rounds: usize,
) -> Outcome {
    let claims = payload.claims()?;
    assert_payload_len(issuer, &claims, payload)?;
    let input = issuer.prepare(&claims)?.signing_input().as_bytes().to_vec();
    let mut out = String::new();
    issuer.issue_into(&claims, &mut out)?;

    let mut sign = || raw.sign(black_box(&input));
    let mut token = || {
        issuer.issue_into(black_box(&claims), &mut out)?;
        black_box(&out);
        Ok(())
    };
    let pairs = paired(&mut sign, &mut token, rounds)?;
    let ratio = median(pairs.iter().map(|(raw, token)| token / raw));
    let overhead = median(pairs.iter().map(|(raw, token)| token - raw));
    let allocations = allocations(&mut token)?.saturating_sub(allocations(&mut sign)?);
    let len = payload.size();
    println!(
        "{name} {len} B  ratio {ratio:.3}  overhead {overhead:.0} ns  allocations {allocations}"
    );

    // What a service pays that builds the claims anew for each token and keeps the token.
    let mut whole = || {
        black_box(issuer.issue(&payload.claims()?)?);
        Ok(())
    };
    let pairs = paired(&mut sign, &mut whole, rounds)?;
    let ratio = median(pairs.iter().map(|(raw, whole)| whole / raw));
    let overhead = median(pairs.iter().map(|(raw, whole)| whole - raw));
    let mut issue = || {
        black_box(issuer.issue(&claims)?);
        Ok(())
    };
    let own = crate::allocations(&mut issue)?.saturating_sub(crate::allocations(&mut sign)?);
    println!(
        "  claims built for each, issue()  ratio {ratio:.3}  overhead {overhead:.0} ns  allocations of issue() {own}"
    );
    Ok(())
}

/// Encoding alone: a signer that costs nothing, and a `jti` that is given.
fn measure_encoding(rounds: usize) -> Outcome {
    let jwk = Jwk::from_json(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )?;
    let signature = Signature::new(Algorithm::Es256, &[7; 64])?;
    let issuer = issuer(Arc::new(FreeSigner(jwk, signature)))?;
    for payload in Payload::ALL {
        let claims = payload.claims()?.with_token_id("kPrK_qmxVWaYVA9wwBF6Iu");
        assert_payload_len(&issuer, &claims, payload)?;
        let mut out = String::new();
        let nanoseconds = alone(
            &mut || {
                issuer.issue_into(black_box(&claims), &mut out)?;
                black_box(&out);
                Ok(())
            },
            rounds,
        )?;
        println!("encoding {} B  {nanoseconds:.0} ns", payload.size());
    }
    Ok(())
}

fn measure_documents(rounds: usize) -> Outcome {
    let signer = Arc::new(SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?);
    let kid = signer.jwk().kid().to_owned();
    let issuer = issuer(signer)?;
    let path = issuer.jwks()?.path().to_owned();
    let nanoseconds = alone(
        &mut || {
            black_box(issuer.document(black_box(&path))?);
            Ok(())
        },
        rounds,
    )?;
    println!("document of {kid}, cached  {nanoseconds:.0} ns");
    Ok(())
}

/// A benchmark of another payload would be one of something else.
fn assert_payload_len(issuer: &Issuer, claims: &Claims, payload: Payload) -> Outcome {
    let token = issuer.issue(claims)?;
    let encoded = token.as_str().split('.').nth(1).unwrap_or_default();
    let len = encoded.len() * 3 / 4;
    if len != payload.size() {
        return Err(format!("the payload has {len} bytes instead of {}", payload.size()).into());
    }
    Ok(())
}

/// Nanoseconds an iteration of the two, for each round.
fn paired(
    first: &mut dyn FnMut() -> Outcome,
    second: &mut dyn FnMut() -> Outcome,
    rounds: usize,
) -> Outcome<Vec<(f64, f64)>> {
    let iterations = batch_size(first)?;
    (0..rounds)
        .map(|round| {
            Ok(if round % 2 == 0 {
                let first = batch(first, iterations)?;
                (first, batch(second, iterations)?)
            } else {
                let second = batch(second, iterations)?;
                (batch(first, iterations)?, second)
            })
        })
        .collect()
}

fn alone(work: &mut dyn FnMut() -> Outcome, rounds: usize) -> Outcome<f64> {
    let iterations = batch_size(work)?;
    let times: Vec<f64> = (0..rounds)
        .map(|_| batch(work, iterations))
        .collect::<Outcome<_>>()?;
    Ok(median(times.into_iter()))
}

fn batch_size(work: &mut dyn FnMut() -> Outcome) -> Outcome<u32> {
    let mut iterations = 1;
    loop {
        let nanoseconds = batch(work, iterations)? * f64::from(iterations);
        if nanoseconds > BATCH.as_secs_f64() * 1e9 {
            return Ok(iterations);
        }
        iterations *= 2;
    }
}

fn batch(work: &mut dyn FnMut() -> Outcome, iterations: u32) -> Outcome<f64> {
    let start = ThreadTime::now();
    for _ in 0..iterations {
        work()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(iterations))
}

fn allocations(work: &mut dyn FnMut() -> Outcome) -> Outcome<u64> {
    let mut outcome = Ok(());
    let counted = allocation_counter::measure(|| outcome = work());
    outcome.map(|()| counted.count_total)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
