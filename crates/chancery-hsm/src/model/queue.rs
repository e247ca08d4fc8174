//! The queue: no job is lost, none is answered twice, and nobody sleeps while there is work.

use std::sync::Arc;

use chancery_core::{PendingSignature, SignErrorKind};
use shuttle::thread;

use super::{Count, explore, job, not_signed, outcome, signed, trouble};
use crate::queue::Queue;
use crate::trouble::Trouble;

/// A queue between threads that push and threads that take.
struct Model {
    queue: Queue,
    /// Calls that were answered.
    answered: Count,
}

impl Model {
    fn new(workers: usize, capacity: usize) -> Arc<Self> {
        Self::with_queue(Queue::new(workers, capacity, 2))
    }

    /// With a device that computes on the workers' threads.
    fn with_processors(workers: usize, processors: usize) -> Arc<Self> {
        let queue = Queue::new(workers, 8, processors);
        queue.set_computes_here(true);
        Self::with_queue(queue)
    }

    fn with_queue(queue: Queue) -> Arc<Self> {
        let answered = Count::default();
        Arc::new(Self { queue, answered })
    }

    fn push(&self, message: &str, is_late: bool) -> PendingSignature {
        let (job, pending) = job(message, is_late);
        if let Err((ticket, error)) = self.queue.push(job) {
            not_signed(ticket, error);
            self.answered.add();
        }
        pending
    }

    /// Takes one job and signs it; false when the queue is closed.
    fn sign_one(&self, worker: usize, may_look: bool) -> bool {
        let Some(_work) = self.queue.next(worker, may_look) else {
            return false;
        };
        if let Some(ticket) = self.queue.finish(worker) {
            signed(ticket);
            self.answered.add();
        }
        true
    }

    /// Takes one job and fails; false when the queue is closed.
    fn fail_one(&self, worker: usize, may_look: bool) -> bool {
        let Some(work) = self.queue.next(worker, may_look) else {
            return false;
        };
        if let Some((ticket, error)) = self.queue.put_back(worker, work) {
            not_signed(ticket, error);
            self.answered.add();
        }
        true
    }

    fn watch_deadlines(&self) {
        while let Some(expired) = self.queue.expired() {
            for ticket in expired {
                not_signed(ticket, trouble(SignErrorKind::Timeout).error());
                self.answered.add();
            }
        }
    }

    fn refuse(&self, trouble: &Trouble) {
        for ticket in self.queue.refuse(trouble) {
            not_signed(ticket, trouble.error());
            self.answered.add();
        }
    }
}

/// Pushes from threads of their own.
fn pushers(
    model: &Arc<Model>,
    pushers: usize,
    jobs: usize,
    is_late: bool,
) -> Vec<thread::JoinHandle<Vec<PendingSignature>>> {
    (0..pushers)
        .map(|_| {
            let model = Arc::clone(model);
            thread::spawn(move || (0..jobs).map(|_| model.push("a.b", is_late)).collect())
        })
        .collect()
}

fn outcomes(
    pushers: Vec<thread::JoinHandle<Vec<PendingSignature>>>,
) -> Vec<Result<(), SignErrorKind>> {
    let pending = pushers
        .into_iter()
        .flat_map(|pusher| pusher.join().unwrap());
    pending
        .map(|mut pending| outcome(&mut pending).expect("a call was not answered"))
        .collect()
}

fn spawn(model: &Arc<Model>, run: impl Fn(&Model) + Send + 'static) -> thread::JoinHandle<()> {
    let model = Arc::clone(model);
    thread::spawn(move || run(&model))
}

/// A worker that signs until the queue is closed.
fn signs(model: &Arc<Model>, worker: usize, may_look: bool) -> thread::JoinHandle<()> {
    spawn(
        model,
        move |model| while model.sign_one(worker, may_look) {},
    )
}

#[test]
fn every_job_is_signed_once_and_no_wake_up_is_lost() {
    explore(4_000, || {
        let model = Model::new(3, 8);
        let workers: Vec<_> = (0..3)
            .map(|worker| signs(&model, worker, worker != 0))
            .collect();
        let pushers = pushers(&model, 2, 2, false);
        // Nothing else wakes the workers until all is signed.
        model.answered.wait_for(4);
        model.refuse(&Trouble::shut_down());
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(outcomes(pushers), [Ok(()); 4]);
        assert!(model.answered.is(4), "a call was answered twice");
        assert_eq!(model.queue.depth(), 0);
    });
}

#[test]
fn no_wake_up_is_lost_though_no_more_workers_are_woken_than_there_are_processors() {
    for processors in [1, 2] {
        explore(4_000, move || {
            let model = Model::with_processors(3, processors);
            let workers: Vec<_> = (0..3)
                .map(|worker| signs(&model, worker, worker == 0))
                .collect();
            let pushers = pushers(&model, 2, 2, false);
            model.answered.wait_for(4);
            model.refuse(&Trouble::shut_down());
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(outcomes(pushers), [Ok(()); 4]);
            assert_eq!(model.queue.processors().workers(), 0);
        });
    }
}

#[test]
fn a_worker_that_loses_its_session_leaves_its_processor_to_another() {
    explore(4_000, || {
        let model = Model::with_processors(3, 1);
        // Each does one thing and is never seen again; whatever it left is for the next.
        let puts_back = spawn(&model, |model| {
            model.fail_one(0, true);
        });
        let gives_up = spawn(&model, |model| {
            if model.queue.next(1, false).is_some() {
                signed(model.queue.give_up(1).unwrap());
                model.answered.add();
            }
        });
        let signs = signs(&model, 2, false);
        let pushers = pushers(&model, 3, 1, false);
        model.answered.wait_for(3);
        model.refuse(&Trouble::shut_down());
        for worker in [puts_back, gives_up, signs] {
            worker.join().unwrap();
        }
        assert_eq!(model.queue.processors().workers(), 0);
    });
}

#[test]
fn each_waiting_job_wakes_a_worker_even_if_the_others_hang() {
    explore(4_000, || {
        let model = Model::new(3, 8);
        // Each takes one job and is never seen again.
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                spawn(&model, move |model| {
                    assert!(model.sign_one(worker, worker != 0));
                })
            })
            .collect();
        let pushers = pushers(&model, 3, 1, false);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(outcomes(pushers), [Ok(()); 3]);
    });
}

#[test]
fn a_job_that_is_put_back_wakes_another_worker() {
    explore(4_000, || {
        let model = Model::new(3, 8);
        // One fails twice and is never seen again, with whatever it took.
        let fails = spawn(&model, |model| {
            let _ = model.fail_one(0, true) && model.fail_one(0, false);
        });
        let signs: Vec<_> = (1..3)
            .map(|worker| signs(&model, worker, worker == 1))
            .collect();
        let pushers = pushers(&model, 2, 1, false);
        model.answered.wait_for(2);
        model.refuse(&Trouble::shut_down());
        fails.join().unwrap();
        for worker in signs {
            worker.join().unwrap();
        }
        assert_eq!(outcomes(pushers), [Ok(()); 2]);
    });
}

#[test]
fn a_job_that_is_put_back_is_the_next_one() {
    explore(4_000, || {
        let model = Model::new(1, 8);
        let _first = model.push("first", false);
        let _second = model.push("second", false);
        let pusher = spawn(&model, |model| drop(model.push("third", false)));
        let work = model.queue.next(0, false).unwrap();
        assert_eq!(work.message, b"first");
        assert!(model.queue.put_back(0, work).is_none());
        let again = model.queue.next(0, false).unwrap();
        assert_eq!(again.message, b"first");
        pusher.join().unwrap();
    });
}

#[test]
fn late_calls_are_told_by_the_watchdog_or_signed_and_never_both() {
    explore(4_000, || {
        let model = Model::new(2, 8);
        let watchdog = spawn(&model, Model::watch_deadlines);
        let signs = signs(&model, 0, false);
        let fails = spawn(&model, |model| {
            let _ = model.fail_one(1, true);
        });
        let pushers = pushers(&model, 2, 2, true);
        // Were the watchdog not woken, nobody would tell those that the workers leave behind.
        model.answered.wait_for(4);
        model.refuse(&Trouble::shut_down());
        for thread in [watchdog, signs, fails] {
            thread.join().unwrap();
        }
        for outcome in outcomes(pushers) {
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::Timeout)));
        }
        assert!(model.answered.is(4), "a call was answered twice");
        assert_eq!(model.queue.overdue(), 0);
    });
}

#[test]
fn late_calls_are_told_although_no_worker_ever_comes() {
    explore(4_000, || {
        let model = Model::new(1, 8);
        let watchdog = spawn(&model, Model::watch_deadlines);
        let pushers = pushers(&model, 2, 2, true);
        model.answered.wait_for(4);
        model.refuse(&Trouble::shut_down());
        watchdog.join().unwrap();
        assert_eq!(outcomes(pushers), [Err(SignErrorKind::Timeout); 4]);
    });
}

#[test]
fn the_end_reaches_every_thread_and_every_call() {
    explore(4_000, || {
        let model = Model::new(2, 8);
        let threads = [
            spawn(&model, Model::watch_deadlines),
            signs(&model, 0, false),
            spawn(&model, |model| {
                let _ = model.fail_one(1, true) && model.fail_one(1, true);
                while model.sign_one(1, true) {}
            }),
        ];
        let pushers = pushers(&model, 2, 1, false);
        // At any time.
        model.refuse(&trouble(SignErrorKind::WrongPin));
        for thread in threads {
            thread.join().unwrap();
        }
        for outcome in outcomes(pushers) {
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::WrongPin)));
        }
        assert!(model.answered.is(2), "a call was answered twice");
        // For good.
        model.queue.accept();
        model.refuse(&trouble(SignErrorKind::KeyChanged));
        let mut late = model.push("a.b", false);
        assert_eq!(outcome(&mut late), Some(Err(SignErrorKind::WrongPin)));
    });
}

#[test]
fn a_refusal_that_passes_keeps_no_worker_from_later_jobs() {
    explore(4_000, || {
        let model = Model::new(2, 8);
        let workers: Vec<_> = (0..2)
            .map(|worker| signs(&model, worker, worker == 0))
            .collect();
        let pushers = pushers(&model, 2, 1, false);
        model.refuse(&trouble(SignErrorKind::KeyChanged));
        model.queue.accept();
        let mut later = model.push("a.b", false);
        model.answered.wait_for(3);
        assert_eq!(outcome(&mut later), Some(Ok(())));
        model.refuse(&Trouble::shut_down());
        for worker in workers {
            worker.join().unwrap();
        }
        for outcome in outcomes(pushers) {
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::KeyChanged)));
        }
    });
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    explore(4_000, || {
        let model = Model::new(1, 1);
        let pushers = pushers(&model, 3, 1, false);
        let worker = signs(&model, 0, true);
        assert!(model.queue.depth() <= 1);
        model.answered.wait_for(3);
        model.refuse(&Trouble::shut_down());
        worker.join().unwrap();
        let outcomes = outcomes(pushers);
        assert!(outcomes.contains(&Ok(())));
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(()) | Err(SignErrorKind::Busy)));
        }
    });
}
