//! The module's servers get killed while callers sign.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use chancery::{Algorithm, Signer, SigningInput};
use chancery_hsm::{Event, HsmOptions, State};

use crate::module::Module;

const CALLERS: usize = 4;
const ROUNDS: usize = 2;

/// Callers of two signers see no error, though the servers are away for half a second, twice.
pub(crate) fn goes_unnoticed(module: &Module) {
    let file = module.servers.as_deref().unwrap();
    let algorithms = [Algorithm::Es256, Algorithm::Rs256];
    let before = algorithms.map(|algorithm| module.key(algorithm));
    let lost = Arc::new(AtomicUsize::new(0));
    let signers = algorithms.map(|algorithm| {
        let lost = Arc::clone(&lost);
        let options = HsmOptions::new().on_event(move |event| {
            if let Event::SessionLost { .. } | Event::Recovered { .. } = event {
                println!("{algorithm}: {event}");
            }
            if let Event::SessionLost { .. } = event {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        module.open(algorithm, options).unwrap()
    });
    let stop = AtomicBool::new(false);
    let signed = AtomicUsize::new(0);
    let ready = Barrier::new(signers.len() * CALLERS + 1);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .flat_map(|_| &signers)
            .map(|signer| {
                scope.spawn(|| {
                    ready.wait();
                    while !stop.load(Ordering::Relaxed) {
                        sign(signer);
                        signed.fetch_add(1, Ordering::Relaxed);
                    }
                    // And each of them once more when all is well again.
                    sign(signer);
                })
            })
            .collect();
        ready.wait();
        let killing = thread::Builder::new();
        let killer = killing.spawn_scoped(scope, || {
            for round in 1..=ROUNDS {
                wait(|| signed.load(Ordering::Relaxed) >= 10 * round);
                let (signed_before, lost_before) =
                    (signed.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
                fs::remove_file(file).unwrap();
                wait(|| file.exists());
                wait(|| {
                    signers
                        .iter()
                        .all(|signer| signer.health().state == State::Ready)
                });
                wait(|| signed.load(Ordering::Relaxed) > signed_before + 10);
                assert!(lost.load(Ordering::Relaxed) > lost_before);
            }
        });
        let killed = killer.unwrap().join();
        stop.store(true, Ordering::Relaxed);
        let failed = callers.into_iter().filter_map(|caller| caller.join().err());
        assert_eq!(failed.count(), 0);
        killed.unwrap();
    });
    for (signer, key) in signers.iter().zip(before) {
        let health = signer.health();
        println!("{health:?}");
        assert_eq!(health.state, State::Ready);
        assert_eq!((health.failed, health.timed_out, health.busy), (0, 0, 0));
        assert_eq!(signer.jwk().public_key(), key.jwk().public_key());
    }
}

fn sign(signer: &impl Signer) {
    let input = SigningInput::new(signer.jwk().algorithm(), b"header.payload");
    signer.sign(&input).unwrap();
}

fn wait(until: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !until() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
}
