use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use chancery_core::PendingSignature;

use super::*;

const LONG_ENOUGH: Duration = Duration::from_secs(60);

#[test]
fn the_worker_that_slept_least_is_woken_first() {
    assert_eq!(woken_after(Duration::ZERO), [2, 1, 0]);
}

#[test]
fn workers_that_slept_long_are_woken_before() {
    assert_eq!(woken_after(LONG + Duration::from_millis(50)), [0, 1, 2]);
}

/// In which order three workers are woken that went to sleep one after the other.
fn woken_after(time: Duration) -> Vec<usize> {
    let mut order = Vec::new();
    with_workers(&Queue::new(3, 8, 3), |queue, taken| {
        thread::sleep(time);
        for _ in 0..3 {
            let _pending = push(queue, Instant::now());
            order.extend(taken.recv_timeout(LONG_ENOUGH));
        }
    });
    order
}

#[test]
fn where_the_device_computes_here_no_more_workers_are_woken_than_there_are_processors() {
    let queue = Queue::new(3, 8, 1);
    queue.set_computes_here(true);
    with_workers(&queue, |queue, taken| {
        let soon = Instant::now();
        let _signing = push(queue, soon);
        let first = taken.recv_timeout(LONG_ENOUGH).unwrap();
        let asleep = || lock(&queue.state).sleepers.clone();
        let before = asleep();
        let _waiting = push(queue, soon);
        assert!(taken.recv_timeout(Duration::from_millis(100)).is_err());
        assert_eq!((queue.depth(), asleep()), (1, before));
        // Its session is lost, and with it a thread that computes.
        assert!(queue.give_up(first).is_some());
        assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
    });
}

#[test]
fn a_worker_that_is_stuck_makes_room_for_another() {
    let queue = Queue::new(3, 8, 1);
    queue.set_computes_here(true);
    with_workers(&queue, |queue, taken| {
        let _stuck = push(queue, Instant::now());
        assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
        thread::sleep(2 * STUCK);
        let _next = push(queue, Instant::now());
        assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
    });
}

#[test]
fn a_worker_that_a_hook_holds_up_makes_room_for_another() {
    let queue = Queue::new(3, 8, 1);
    queue.set_computes_here(true);
    with_workers(&queue, |queue, taken| {
        let _signed = push(queue, Instant::now());
        let first = taken.recv_timeout(LONG_ENOUGH).unwrap();
        // It does not come back for the next job.
        assert!(queue.finish(first).is_some());
        thread::sleep(2 * STUCK);
        let _next = push(queue, Instant::now());
        assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
    });
}

#[test]
fn a_worker_that_was_stuck_leaves_the_next_job_to_the_one_in_its_place() {
    // On a busy machine that one may seem stuck as well.
    assert!((0..20).any(|_| the_next_job_is_left().unwrap()));
}

fn the_next_job_is_left() -> Result<bool, RecvTimeoutError> {
    let queue = Queue::new(3, 8, 1);
    queue.set_computes_here(true);
    with_workers(&queue, |queue, taken| {
        let _stuck = push(queue, Instant::now());
        let first = taken.recv_timeout(LONG_ENOUGH)?;
        thread::sleep(2 * STUCK);
        let _next = push(queue, Instant::now());
        let second = taken.recv_timeout(LONG_ENOUGH)?;
        // Both sign, and one is enough.
        assert!(queue.finish(first).is_some());
        let _waiting = push(queue, Instant::now());
        thread::scope(|scope| {
            let _end = End(queue);
            let comes = scope.spawn(|| queue.next(first, true));
            let sleeps = || {
                let sleepers = &lock(&queue.state).sleepers;
                sleepers.iter().any(|sleeper| sleeper.0 == first)
            };
            while !sleeps() && !comes.is_finished() {
                thread::yield_now();
            }
            let is_left = queue.depth() == 1;
            assert!(queue.finish(second).is_some());
            if is_left {
                assert!(queue.next(second, false).is_some());
            }
            Ok(is_left)
        })
    })
}

#[test]
fn the_watchdog_sees_who_is_stuck_though_no_other_call_comes() {
    let queue = Queue::new(3, 8, 1);
    queue.set_computes_here(true);
    with_workers(&queue, |queue, taken| {
        thread::scope(|scope| {
            let _end = End(queue);
            scope.spawn(|| while queue.expired().is_some() {});
            let soon = Instant::now();
            let _pending = [0; 3].map(|_| push(queue, soon));
            // All three, each of which is stuck at once.
            for _ in 0..3 {
                assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
            }
        });
    });
}

#[test]
fn the_watchdog_learns_that_the_device_computes_here() {
    let queue = Queue::new(3, 8, 1);
    with_workers(&queue, |queue, taken| {
        thread::scope(|scope| {
            let _end = End(queue);
            scope.spawn(|| while queue.expired().is_some() {});
            let soon = Instant::now();
            let _stuck = push(queue, soon);
            assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
            // By now the watchdog most likely sleeps until the deadline.
            thread::sleep(2 * STUCK);
            queue.set_computes_here(true);
            // As if the first had just been taken.
            let _next = push(queue, soon);
            assert!(taken.recv_timeout(LONG_ENOUGH).is_ok());
        });
    });
}

/// Starts three workers, waits until all sleep, and has each take one job, say so, and be seen no
/// more.
fn with_workers<T>(queue: &Queue, test: impl FnOnce(&Queue, &Receiver<usize>) -> T) -> T {
    let (took, taken) = mpsc::channel();
    thread::scope(|scope| {
        // What ends the threads when an assertion fails, too.
        let _end = End(queue);
        for worker in 0..3 {
            let took = took.clone();
            scope.spawn(move || queue.next(worker, false).map(|_| took.send(worker)));
            while lock(&queue.state).sleepers.len() <= worker {
                thread::yield_now();
            }
        }
        test(queue, &taken)
    })
}

struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        for worker in 0..3 {
            self.0.give_up(worker);
        }
        self.0.refuse(&Trouble::shut_down());
    }
}

/// Hands out what the caller has, without which a job is not signed.
fn push(queue: &Queue, submitted: Instant) -> PendingSignature {
    let deadline = submitted + 2 * LONG_ENOUGH;
    let (completer, pending) = PendingSignature::channel(deadline);
    let job = Job {
        message: Vec::new(),
        bad_signatures: 0,
        ticket: Ticket {
            completer,
            submitted,
            deadline,
        },
    };
    assert!(queue.push(job).is_ok());
    pending
}
