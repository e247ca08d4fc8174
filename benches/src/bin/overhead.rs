//! Compares a whole token with the raw signature of the same engine, interleaved in one run.
//!
//! One line a case: the ratio of the two, what the token costs beyond the signature, and the
//! allocations that are chancery's own. All figures are medians over rounds; within a round the
//! two run one after the other, in an order that changes, on the thread's own CPU clock.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use chancery::software::{Engine, PrivateKey, SoftwareSigner};
use chancery::{Algorithm, Claims, Issuer, Jwk, Signature, Signer};
use chancery_benches::raw::RawKey;
use chancery_benches::timing::{Outcome, allocations, alone, batch, batch_size, median};
use chancery_benches::{FreeSigner, Payload, issuer};

const ROUNDS: usize = 301;

fn main() -> Outcome {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse()?,
        None => ROUNDS,
    };
    for (algorithm, engine) in [
        (Algorithm::Es256, Engine::Ring),
        (Algorithm::Es256, Engine::AwsLcRs),
        (Algorithm::EdDsa, Engine::Ring),
        (Algorithm::EdDsa, Engine::AwsLcRs),
        (Algorithm::Rs256, Engine::Ring),
        (Algorithm::Rs256, Engine::AwsLcRs),
        (Algorithm::Ps256, Engine::AwsLcRs),
        (Algorithm::Es384, Engine::AwsLcRs),
        (Algorithm::Es512, Engine::AwsLcRs),
    ] {
        // Only aws-lc-rs generates RSA keys; the key itself is the same for both engines.
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs)?;
        for payload in Payload::ALL {
            measure_token(&key, algorithm, engine, payload, rounds)?;
        }
    }
    measure_encoding(rounds)?;
    measure_documents(rounds)
}

/// Where the key and the stack happen to lie in memory moves an RSA signature by more than a token
/// costs. So the key is parsed anew in so many places, and each batch runs at another depth of the
/// stack.
const LAYOUTS: usize = 15;

fn measure_token(
    key: &PrivateKey,
    algorithm: Algorithm,
    engine: Engine,
    payload: Payload,
    rounds: usize,
) -> Outcome {
    let claims = payload.claims()?;
    let (mut reused, mut whole) = (Vec::new(), Vec::new());
    let (mut own, mut own_of_issue) = (Vec::new(), Vec::new());
    let mut kept = Vec::new();
    for layout in 0..LAYOUTS {
        let load = || RawKey::new(key, algorithm, engine);
        let first = load()?;
        let signer = Arc::new(SoftwareSigner::new(key, algorithm, engine)?);
        let second = load()?;
        // What is not used stays where it is, and the next keys come elsewhere.
        let (raw, unused) = if layout % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        black_box(unused);
        let issuer = issuer(Arc::clone(&signer) as Arc<dyn Signer>)?;
        assert_payload_size(&issuer, &claims, payload)?;
        let unsigned = issuer.prepare(&claims)?;
        let input = unsigned.signing_input().as_bytes().to_vec();
        let mut out = String::new();
        issuer.issue_into(&claims, &mut out)?;

        let mut sign = || raw.sign(black_box(&input));
        let mut token = || {
            issuer.issue_into(black_box(&claims), &mut out)?;
            black_box(&out);
            Ok(())
        };
        let count = rounds.div_ceil(LAYOUTS);
        let rounds = layout * count..(layout + 1) * count;
        reused.extend(paired(&mut sign, &mut token, rounds.clone())?);
        own.push(allocations(&mut token)? - allocations(&mut sign)?);
        let mut issue = || {
            black_box(issuer.issue(&claims)?);
            Ok(())
        };
        own_of_issue.push(allocations(&mut issue)? - allocations(&mut sign)?);
        // What a service pays that builds the claims anew for each token and keeps the token.
        let mut built = || {
            black_box(issuer.issue(&payload.claims()?)?);
            Ok(())
        };
        whole.extend(paired(&mut sign, &mut built, rounds)?);
        kept.push((first, second, signer, vec![0_u8; 1009 * (layout + 1)]));
    }
    let size = payload.size();
    // The engines' own allocations vary by one from signature to signature, hence the median.
    let (own, own_of_issue) = (median(own), median(own_of_issue));
    let (ratio, overhead) = compared(&reused);
    println!(
        "{algorithm} {engine} {size} B  ratio {ratio:.3}  overhead {overhead:.0} ns  allocations {own}"
    );
    let (ratio, overhead) = compared(&whole);
    println!(
        "  claims built for each, issue()  ratio {ratio:.3}  overhead {overhead:.0} ns  allocations of issue() {own_of_issue}"
    );
    Ok(())
}

/// The medians of the ratio and of the difference.
fn compared(pairs: &[(f64, f64)]) -> (f64, f64) {
    (
        median(pairs.iter().map(|(raw, token)| token / raw)),
        median(pairs.iter().map(|(raw, token)| token - raw)),
    )
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
        assert_payload_size(&issuer, &claims, payload)?;
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
fn assert_payload_size(issuer: &Issuer, claims: &Claims, payload: Payload) -> Outcome {
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
    rounds: Range<usize>,
) -> Outcome<Vec<(f64, f64)>> {
    let iterations = batch_size(first)?;
    rounds
        .map(|round| {
            // Both visit all depths, and never the same one together.
            let (depth_of_first, depth_of_second) = (round * 5 % 64, (round * 5 + 23) % 64);
            Ok(if round % 2 == 0 {
                let first = batch_at(depth_of_first, first, iterations)?;
                (first, batch_at(depth_of_second, second, iterations)?)
            } else {
                let second = batch_at(depth_of_second, second, iterations)?;
                (batch_at(depth_of_first, first, iterations)?, second)
            })
        })
        .collect()
}

/// Runs a batch with so many cache lines more on the stack.
#[inline(never)]
fn batch_at(depth: usize, work: &mut dyn FnMut() -> Outcome, iterations: u32) -> Outcome<f64> {
    let line = black_box([0_u8; 64]);
    let time = match depth.checked_sub(1) {
        None => batch(work, iterations),
        Some(depth) => batch_at(depth, work, iterations),
    };
    black_box(line);
    time
}
