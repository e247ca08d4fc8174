//! The module's servers are stopped while callers sign: they are there, take what they are sent, and
//! do not answer.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery::software::VerifyingKey;
use chancery::{Signer as _, SigningInput};
use chancery_hsm::{HsmSigner, State};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::module::Module;
use crate::restart::{wait, wait_for};

const CALLERS: usize = 16;
const DEADLINE: Duration = Duration::from_millis(400);

/// How much later than its deadline a call may return, on a machine that has other things to do.
const GRACE: Duration = Duration::from_millis(50);

/// How long they stay stopped once that is known: long enough for calls that begin meanwhile.
const STANDSTILL: Duration = Duration::from_secs(1);

/// How soon there are signatures again.
const RESUMPTION: Duration = Duration::from_secs(2);

const MESSAGE: &[u8] = b"header.payload";

/// What became of a caller's calls.
#[derive(Debug, Default)]
struct Calls {
    signed: usize,
    not_signed: usize,
    longest: Duration,
}

/// Each signer says that it hangs, and is at work again soon after; or goes on all the while, where it
/// needs no server to sign.
///
/// A machine that is too busy to tell whether all is in time gets a few more tries.
pub(crate) fn no_call_outlives_its_deadline(module: &Module) {
    for tries_left in (0..5).rev() {
        let (longest, overslept) = run(module);
        println!("the longest call took {longest:?}, and a bare sleep {overslept:?} too long");
        if longest <= DEADLINE + GRACE {
            return;
        }
        assert!(overslept >= GRACE / 2 && tries_left > 0);
    }
}

/// Hands back how long the longest call took, and how long a thread overslept that does nothing but
/// sleep.
fn run(module: &Module) -> (Duration, Duration) {
    let at_work = module.expected.at_work();
    let signers: Vec<HsmSigner> = at_work
        .map(|(algorithm, options)| {
            module.key(algorithm);
            let options = options.with_deadline(DEADLINE);
            module.open(algorithm, options).unwrap()
        })
        .collect();
    let is_over = AtomicBool::new(false);
    let (calls, overslept) = thread::scope(|scope| {
        let sleeper = scope.spawn(|| oversleep(&is_over));
        let callers: Vec<_> = (0..CALLERS)
            .flat_map(|_| &signers)
            .map(|signer| scope.spawn(|| call(signer, &is_over)))
            .collect();
        let stopped = scope.spawn(|| stop(module, &signers)).join();
        is_over.store(true, Ordering::Relaxed);
        let calls = callers.into_iter().map(|caller| caller.join().unwrap());
        let calls: Vec<Calls> = calls.collect();
        stopped.unwrap();
        (calls, sleeper.join().unwrap())
    });
    for calls in &calls {
        assert!(calls.signed > 0, "{calls:?}");
        if module.expected.signs_alone {
            assert_eq!(calls.not_signed, 0, "{calls:?}");
        } else {
            assert!(calls.not_signed > 1, "{calls:?}");
        }
    }
    for signer in &signers {
        let health = signer.health();
        println!("{health:?}");
        assert_eq!(health.state, State::Ready);
        assert_eq!((health.withheld, health.busy), (0, 0));
    }
    let longest = calls.iter().map(|calls| calls.longest).max();
    (longest.unwrap(), overslept)
}

fn oversleep(is_over: &AtomicBool) -> Duration {
    const NAP: Duration = Duration::from_millis(5);
    let mut longest = NAP;
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        thread::sleep(NAP);
        longest = longest.max(start.elapsed());
    }
    longest - NAP
}

/// Signs until it is over, one call after the other, and verifies what it gets.
fn call(signer: &HsmSigner, is_over: &AtomicBool) -> Calls {
    let key = VerifyingKey::new(signer.jwk()).unwrap();
    let input = SigningInput::new(signer.jwk().algorithm(), MESSAGE);
    let mut calls = Calls::default();
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let outcome = signer.sign(&input);
        calls.longest = calls.longest.max(start.elapsed());
        match outcome {
            Ok(signature) => {
                key.verify(MESSAGE, &signature).unwrap();
                calls.signed += 1;
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                calls.not_signed += 1;
            }
        }
    }
    calls
}

/// Stops the servers while all signers sign, until all say that they hang, and waits for their return.
/// Those that sign alone must not even notice.
fn stop(module: &Module, signers: &[HsmSigner]) {
    let signed = || -> Vec<u64> {
        let signed = signers.iter().map(|signer| signer.health().signed);
        signed.collect()
    };
    let have_signed_since = |before: &[u64]| {
        let mut signed = signed().into_iter().zip(before);
        signed.all(|(now, &then)| now > then + 10)
    };
    let are_all = |state| {
        let mut signers = signers.iter();
        signers.all(|signer| signer.health().state == state)
    };
    let start = signed();
    wait(|| have_signed_since(&start));

    let stopped = Stopped::stop(module.servers.as_deref().unwrap());
    if module.expected.signs_alone {
        thread::sleep(DEADLINE * 4);
        assert!(are_all(State::Ready));
    } else {
        wait_for(DEADLINE * 4, || are_all(State::Hung));
    }
    thread::sleep(STANDSTILL);
    let before = signed();
    drop(stopped);
    wait_for(RESUMPTION, || have_signed_since(&before));
}

/// Servers that stand still, until this is dropped, also when a test fails.
struct Stopped {
    groups: Vec<Pid>,
}

impl Stopped {
    fn stop(servers: &Path) -> Self {
        let groups = fs::read_to_string(servers).unwrap();
        let groups = groups
            .lines()
            .map(|group| Pid::from_raw(group.parse().unwrap()).unwrap());
        let stopped = Self {
            groups: groups.collect(),
        };
        for &group in &stopped.groups {
            kill_process_group(group, Signal::STOP).unwrap();
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &group in &self.groups {
            let _ = kill_process_group(group, Signal::CONT);
        }
    }
}
