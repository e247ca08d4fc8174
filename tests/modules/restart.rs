//! The module's servers get killed while callers sign.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery::{Algorithm, Signer as _, SigningInput};
use chancery_hsm::{Event, HsmOptions, HsmSigner, State};

use crate::module::{Module, key_pair};

const CALLERS: usize = 4;
const ROUNDS: usize = 2;

/// A signer at work, and how often it lost a session.
struct Work {
    signer: HsmSigner,
    lost: Arc<AtomicUsize>,
}

/// Callers see no error, though the servers are away for half a second, twice.
pub(crate) fn goes_unnoticed(module: &Module) {
    let file = module.servers.as_deref().unwrap();
    let at_work = module.expected.at_work();
    let works: Vec<Work> = at_work
        .map(|(algorithm, options)| Work::start(module, algorithm, options))
        .collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .flat_map(|_| &works)
            .map(|work| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        work.sign();
                    }
                })
            })
            .collect();
        let killed = scope.spawn(|| {
            for _ in 0..ROUNDS {
                kill(file, &works);
            }
        });
        let killed = killed.join();
        stop.store(true, Ordering::Relaxed);
        let failed = callers.into_iter().filter_map(|caller| caller.join().err());
        assert_eq!(failed.count(), 0);
        killed.unwrap();
    });
    for Work { signer, .. } in &works {
        let health = signer.health();
        println!("{health:?}");
        assert_eq!(health.state, State::Ready);
        assert_eq!((health.failed, health.timed_out, health.busy), (0, 0, 0));
    }
}

/// Whoever has slept through it finds all as it was, with no signer at work that has noticed.
pub(crate) fn is_slept_through(module: &Module) {
    let file = module.servers.as_deref().unwrap();
    let (algorithm, _) = module.expected.at_work().next().unwrap();
    let before = module.keys();
    let pair = key_pair(algorithm);
    let token = module.token();
    let asleep = module.signer(algorithm);
    let outlived: [&dyn Fn(); 4] = [
        &|| assert_eq!(token.keys().unwrap().len(), before.len()),
        &|| assert_eq!(module.signer(algorithm).jwk(), asleep.jwk()),
        &|| {
            let key = token.generate(pair, "after a restart", None).unwrap();
            token.destroy(key.kid()).unwrap();
        },
        &|| {
            let input = SigningInput::new(algorithm, b"header.payload");
            asleep.sign(&input).unwrap();
        },
    ];
    for first in outlived {
        fs::remove_file(file).unwrap();
        wait(|| file.exists());
        first();
        assert_eq!(module.keys(), before);
    }
}

/// Kills the servers, which are started again after a while, and waits until all signers have gone
/// through it.
fn kill(file: &Path, works: &[Work]) {
    let sign_more = || {
        let before: Vec<u64> = works.iter().map(Work::signed).collect();
        wait(|| {
            let mut works = works.iter().zip(&before);
            works.all(|(work, before)| work.signed() >= before + 10)
        });
    };
    sign_more();
    let lost = works.iter().map(Work::lost).collect::<Vec<_>>();
    fs::remove_file(file).unwrap();
    wait(|| {
        works
            .iter()
            .zip(&lost)
            .all(|(work, lost)| work.lost() > *lost)
    });
    wait(|| file.exists());
    sign_more();
}

impl Work {
    fn start(module: &Module, algorithm: Algorithm, options: HsmOptions) -> Self {
        module.key(algorithm);
        let lost = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lost);
        let options = options.on_event(move |event| match event {
            Event::SessionLost { .. } => {
                println!("{algorithm}: {event}");
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Event::Recovered { .. } => println!("{algorithm}: {event}"),
            _ => {}
        });
        let signer = module.open(algorithm, options).unwrap();
        Self { signer, lost }
    }

    fn sign(&self) {
        let input = SigningInput::new(self.signer.jwk().algorithm(), b"header.payload");
        self.signer.sign(&input).unwrap();
    }

    fn signed(&self) -> u64 {
        self.signer.health().signed
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

#[track_caller]
pub(crate) fn wait(until: impl Fn() -> bool) {
    wait_for(Duration::from_secs(30), until);
}

/// Waits for so long at most.
#[track_caller]
pub(crate) fn wait_for(time: Duration, until: impl Fn() -> bool) {
    let deadline = Instant::now() + time;
    while !until() {
        assert!(Instant::now() < deadline, "what should come about does not");
        thread::sleep(Duration::from_millis(10));
    }
}
