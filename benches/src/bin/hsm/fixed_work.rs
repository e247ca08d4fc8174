//! So many signatures from start to end: opening included, every one verified.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use chancery::{Algorithm, Signer, SigningInput};
use chancery_hsm::HsmOptions;

use crate::Outcome;
use crate::callers::{MESSAGE, median};
use crate::keys::{EC, RSA, module, token, token_with_keys};

const SIGNATURES: usize = 1000;
const CALLERS: usize = 8;
const ROUNDS: usize = 5;

pub(crate) fn run() -> Outcome {
    drop(token_with_keys(module())?);
    for (algorithm, label) in [(Algorithm::Es256, EC), (Algorithm::Rs256, RSA)] {
        let mut opened = Vec::new();
        let mut done = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let token = token(module())?;
            let options = HsmOptions::new();
            let signer = token.signer().label(label).options(options).open()?;
            opened.push(start.elapsed().as_secs_f64());
            sign(&signer, algorithm)?;
            done.push(start.elapsed().as_secs_f64());
        }
        println!(
            "{algorithm} softhsm: opened in {:.1} ms, {SIGNATURES} verified signatures of {CALLERS} \
             callers after {:.0} ms",
            median(opened) * 1e3,
            median(done) * 1e3,
        );
    }
    Ok(())
}

fn sign(signer: &impl Signer, algorithm: Algorithm) -> Outcome {
    let left = AtomicUsize::new(SIGNATURES);
    let next = || {
        let take = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| -> Outcome {
                    while next() {
                        signer.sign(&SigningInput::new(algorithm, MESSAGE))?;
                    }
                    Ok(())
                })
            })
            .collect();
        callers
            .into_iter()
            .try_for_each(|caller| caller.join().map_err(|_| "a caller panicked")?)
    })
}
