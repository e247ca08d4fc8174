//! Workers, queue and ladder together, over a device that fails in some places.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chancery_core::{PendingSignature, SignErrorKind, Signature, Signer as _, SigningInput};
use chancery_software::VerifyingKey;
use shuttle::thread;

use super::{KEY, explore, job, not_signed, outcome, sign};
use crate::device::{Device, DeviceError, DeviceErrorKind, Session};
use crate::options::HsmOptions;
use crate::shared::Shared;
use crate::sync::AtomicUsize;
use crate::trouble::Trouble;
use crate::worker;

/// A device whose opening, or signing, fails at certain calls, each counted from 0.
#[derive(Debug)]
struct Faulty {
    opens: AtomicUsize,
    signs: Arc<AtomicUsize>,
    opening_fails: fn(usize) -> Option<DeviceErrorKind>,
    signing_fails: fn(usize) -> bool,
}

impl Device for Faulty {
    type Session = FaultySession;

    fn open(&self) -> Result<FaultySession, DeviceError> {
        let number = self.opens.fetch_add(1, Ordering::SeqCst);
        match (self.opening_fails)(number) {
            Some(kind) => Err(DeviceError::new(kind, "as the model has it")),
            None => Ok(FaultySession {
                signs: Arc::clone(&self.signs),
                fails: self.signing_fails,
                is_tested: false,
            }),
        }
    }

    fn reset(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

struct FaultySession {
    signs: Arc<AtomicUsize>,
    fails: fn(usize) -> bool,
    is_tested: bool,
}

impl Session for FaultySession {
    fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError> {
        if std::mem::replace(&mut self.is_tested, true) {
            let number = self.signs.fetch_add(1, Ordering::SeqCst);
            if (self.fails)(number) {
                return Err(DeviceError::new(DeviceErrorKind::Failed, "once"));
            }
        }
        Ok(sign(input.as_bytes()))
    }
}

struct Model {
    shared: Arc<Shared>,
    device: Arc<Faulty>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Model {
    /// Starts workers, of which the first has a session.
    fn new(
        workers: usize,
        opening_fails: fn(usize) -> Option<DeviceErrorKind>,
        signing_fails: fn(usize) -> bool,
    ) -> Self {
        let options = HsmOptions::new().with_workers(workers.try_into().unwrap());
        let key = VerifyingKey::new(KEY.jwk()).unwrap();
        let mut model = Self {
            shared: Arc::new(Shared::new(key, options)),
            device: Arc::new(Faulty {
                opens: AtomicUsize::new(0),
                signs: Arc::new(AtomicUsize::new(0)),
                opening_fails,
                signing_fails,
            }),
            workers: Vec::new(),
        };
        for worker in 0..workers {
            let shared = Arc::clone(&model.shared);
            let device = Arc::clone(&model.device);
            let run = move || worker::run(worker, &shared, &*device);
            model.workers.push(thread::spawn(run));
            if worker == 0 {
                let never = std::time::Instant::now() + std::time::Duration::from_secs(3600);
                let _ = model.shared.ladder.first_try(never);
            }
        }
        model
    }

    fn push(&self) -> PendingSignature {
        let (job, pending) = job("a.b", false);
        if let Err((ticket, error)) = self.shared.queue.push(job) {
            not_signed(ticket, error);
        }
        pending
    }

    /// Lets the workers run until a call is answered.
    fn answer(mut pending: PendingSignature) -> Result<(), SignErrorKind> {
        loop {
            if let Some(outcome) = outcome(&mut pending) {
                return outcome;
            }
            thread::yield_now();
        }
    }

    fn shut_down(self) {
        self.shared.ladder.close();
        self.shared.refuse(&Trouble::shut_down());
        for worker in self.workers {
            worker.join().unwrap();
        }
        assert_eq!(self.shared.ladder.sessions().0, 0);
    }
}

#[test]
fn sessions_that_fail_are_replaced_and_no_call_is_lost() {
    explore(300, || {
        let model = Model::new(2, |_| None, |sign| sign == 1);
        let calls = [model.push(), model.push(), model.push()];
        assert_eq!(calls.map(Model::answer), [Ok(()); 3]);
        model.shut_down();
    });
}

#[test]
fn the_end_finds_every_worker_wherever_it_is() {
    explore(300, || {
        let model = Model::new(
            2,
            |open| (open == 2).then_some(DeviceErrorKind::Failed),
            |_| true,
        );
        let calls = [model.push(), model.push()];
        model.shut_down();
        for call in calls {
            assert_eq!(Model::answer(call), Err(SignErrorKind::Unavailable));
        }
    });
}

#[test]
fn a_wrong_pin_is_seen_once_and_by_all() {
    explore(300, || {
        let model = Model::new(
            3,
            |open| (open >= 3).then_some(DeviceErrorKind::WrongPin),
            |sign| sign == 0,
        );
        let calls = [model.push(), model.push()];
        for call in calls {
            let outcome = Model::answer(call);
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::WrongPin)));
        }
        let device = Arc::clone(&model.device);
        model.shut_down();
        assert!(device.opens.load(Ordering::SeqCst) <= 4);
    });
}

#[test]
fn a_key_that_is_back_is_signed_with_although_it_had_changed_for_another_worker() {
    explore(300, || {
        // Both lose their sessions; one finds another key, then the key is back, but there is no
        // more than one session.
        let model = Model::new(
            2,
            |open| match open {
                2 => Some(DeviceErrorKind::KeyChanged),
                4.. => Some(DeviceErrorKind::Failed),
                _ => None,
            },
            |sign| sign < 2,
        );
        let calls = [model.push(), model.push()];
        for call in calls {
            let outcome = Model::answer(call);
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::KeyChanged)));
        }
        // By now each worker has done what it had to, and one is left with a session.
        while model.device.opens.load(Ordering::SeqCst) < 5 {
            thread::yield_now();
        }
        assert_eq!(Model::answer(model.push()), Ok(()));
        model.shut_down();
    });
}
