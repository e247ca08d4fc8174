//! The bounded queue between callers and workers.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{SignError, SignErrorKind, SignatureCompleter};

use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, lock, wait};
use crate::trouble::Trouble;

/// How long a thread looks for what it waits for before it goes to sleep, letting other threads run
/// in between: a module in this process signs in less time than it takes to wake a thread.
pub(crate) const LOOK: Duration = Duration::from_micros(100);

/// How long a worker may sleep while others are woken.
const LONG: Duration = Duration::from_secs(1);

/// A signature that somebody waits for.
#[derive(Debug)]
pub(crate) struct Job {
    /// The signing input.
    pub(crate) message: Vec<u8>,
    /// How often the device has signed it wrongly.
    pub(crate) bad_signatures: usize,
    pub(crate) ticket: Ticket,
}

impl Job {
    fn is_abandoned(&self) -> bool {
        self.ticket.completer.is_abandoned()
    }
}

/// Who waits for a signature, since when and until when.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) completer: SignatureCompleter,
    pub(crate) submitted: Instant,
    pub(crate) deadline: Instant,
}

/// What a worker signs. Its ticket stays with the queue, so that a caller whose worker hangs can be
/// told so.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) message: Vec<u8>,
    pub(crate) bad_signatures: usize,
}

/// Jobs in the order in which they came, and the tickets of those that workers are at.
///
/// All jobs of a queue have the same time to live, so what came later never expires earlier.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The number of waiting jobs, to look at without the lock.
    depth: AtomicUsize,
    /// What each worker sleeps on.
    work: Vec<Condvar>,
    watch: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Job>,
    hands: Vec<Hand>,
    /// The workers that sleep, and since when, the one that has slept least last.
    sleepers: VecDeque<(usize, Instant)>,
    /// The number of workers that look for a job before they go to sleep.
    lookers: usize,
    /// Whether the watchdog sleeps with no deadline to wake it.
    watchdog_is_idle: bool,
    /// Why no job is taken at all.
    refusal: Option<Trouble>,
}

#[derive(Debug)]
enum Hand {
    Empty,
    Signing(Ticket),
    /// The caller was told that the deadline had passed; the worker is still at it.
    Overdue,
}

impl Queue {
    pub(crate) fn new(workers: usize, capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                hands: (0..workers).map(|_| Hand::Empty).collect(),
                sleepers: VecDeque::with_capacity(workers),
                lookers: 0,
                watchdog_is_idle: false,
                refusal: None,
            }),
            depth: AtomicUsize::new(0),
            work: (0..workers).map(|_| Condvar::new()).collect(),
            watch: Condvar::new(),
            capacity,
        }
    }

    /// Adds a job at the end, or hands its ticket back with the reason why not.
    pub(crate) fn push(&self, job: Job) -> Result<(), (Ticket, SignError)> {
        // What is dropped wakes who listened once, and so is dropped after the lock.
        let mut abandoned = Vec::new();
        let mut state = lock(&self.state);
        if let Some(refusal) = &state.refusal {
            let error = refusal.error();
            return Err((job.ticket, error));
        }
        if state.waiting.len() >= self.capacity {
            // The oldest are given up first. To look at all would make refusals dear.
            while let Some(oldest) = state.waiting.pop_front_if(|job| job.is_abandoned()) {
                abandoned.push(oldest);
            }
        }
        if state.waiting.len() >= self.capacity {
            let waiting = state.waiting.len();
            let error = SignError::new(
                SignErrorKind::Busy,
                format!("{waiting} signatures are waiting already"),
            );
            return Err((job.ticket, error));
        }
        state.waiting.push_back(job);
        let wake_watchdog = std::mem::take(&mut state.watchdog_is_idle);
        self.unlock_and_wake(state);
        if wake_watchdog {
            self.watch.notify_one();
        }
        Ok(())
    }

    /// Waits for the next job whose caller still waits for it, and takes it. `None` when the queue is
    /// closed for good. Where the next one is likely to come soon, it looks for it before it sleeps.
    pub(crate) fn next(&self, worker: usize, mut may_look: bool) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = self.take(&mut state) {
                if job.is_abandoned() {
                    drop(state);
                    // This wakes who listened once, which must not be under the lock.
                    drop(job);
                    state = lock(&self.state);
                    continue;
                }
                state.hands[worker] = Hand::Signing(job.ticket);
                return Some(Work {
                    message: job.message,
                    bad_signatures: job.bad_signatures,
                });
            }
            if state.is_closed() {
                return None;
            }
            if may_look {
                state.lookers += 1;
                drop(state);
                may_look = self.look();
                state = lock(&self.state);
                state.lookers -= 1;
            } else {
                state.sleepers.push_back((worker, Instant::now()));
                state = wait(&self.work[worker], state, None);
                // It is there still when nobody woke this one on purpose.
                state.sleepers.retain(|(sleeper, _)| *sleeper != worker);
            }
        }
    }

    /// Puts down what a worker was at; hands out its ticket, unless the caller was told already
    /// that the deadline had passed.
    pub(crate) fn finish(&self, worker: usize) -> Option<Ticket> {
        let mut state = lock(&self.state);
        let hand = std::mem::replace(&mut state.hands[worker], Hand::Empty);
        self.unlock_and_wake_watchdog(state);
        match hand {
            Hand::Signing(ticket) => Some(ticket),
            Hand::Empty | Hand::Overdue => None,
        }
    }

    /// Puts back, as the next one, what a worker could not do, unless nobody waits for it any more.
    /// It may be one more than the queue's capacity. Hands out the ticket when nothing is taken.
    pub(crate) fn put_back(&self, worker: usize, work: Work) -> Option<(Ticket, SignError)> {
        let mut state = lock(&self.state);
        let Hand::Signing(ticket) = std::mem::replace(&mut state.hands[worker], Hand::Empty) else {
            return None;
        };
        if let Some(refusal) = &state.refusal {
            let error = refusal.error();
            self.unlock_and_wake_watchdog(state);
            return Some((ticket, error));
        }
        state.waiting.push_front(Job {
            message: work.message,
            bad_signatures: work.bad_signatures,
            ticket,
        });
        self.unlock_and_wake(state);
        None
    }

    /// Waits until deadlines have passed, and hands out the tickets. `None` when the queue is
    /// closed for good and empty.
    pub(crate) fn expired(&self) -> Option<Vec<Ticket>> {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            let expired = self.take_expired(&mut state, now);
            if !expired.is_empty() {
                return Some(expired);
            }
            let alarm = state.deadlines().min();
            if alarm.is_none() && state.is_closed() {
                return None;
            }
            state.watchdog_is_idle = alarm.is_none();
            state = wait(&self.watch, state, alarm.map(|alarm| alarm - now));
        }
    }

    /// The number of jobs that no worker has taken yet.
    pub(crate) fn depth(&self) -> usize {
        self.depth.load(Ordering::Acquire)
    }

    /// The number of workers that are still at a job whose deadline has passed.
    pub(crate) fn overdue(&self) -> usize {
        let state = lock(&self.state);
        let overdue = |hand: &&Hand| matches!(hand, Hand::Overdue);
        state.hands.iter().filter(overdue).count()
    }

    /// Refuses the jobs to come, and hands out the tickets of those that wait. A final refusal,
    /// after which no worker comes back, is not replaced.
    pub(crate) fn refuse(&self, trouble: &Trouble) -> Vec<Ticket> {
        let mut state = lock(&self.state);
        if !state.is_closed() {
            state.refusal = Some(trouble.clone());
        }
        let waiting = std::mem::take(&mut state.waiting);
        self.depth.store(0, Ordering::Release);
        drop(state);
        for work in &self.work {
            work.notify_one();
        }
        self.watch.notify_all();
        waiting.into_iter().map(|job| job.ticket).collect()
    }

    /// Takes jobs again.
    pub(crate) fn accept(&self) {
        let mut state = lock(&self.state);
        if !state.is_closed() {
            state.refusal = None;
        }
    }

    /// Looks for a waiting job for a while; tells whether there was one.
    fn look(&self) -> bool {
        let until = Instant::now() + LOOK;
        while self.depth() == 0 {
            if Instant::now() >= until {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    fn take(&self, state: &mut State) -> Option<Job> {
        let job = state.waiting.pop_front()?;
        self.depth.store(state.waiting.len(), Ordering::Release);
        Some(job)
    }

    fn take_expired(&self, state: &mut State, now: Instant) -> Vec<Ticket> {
        let mut expired = Vec::new();
        let mut index = 0;
        while let Some(job) = state.waiting.get(index) {
            if job.ticket.deadline > now {
                index += 1;
            } else if let Some(job) = state.waiting.remove(index) {
                expired.push(job.ticket);
            }
        }
        self.depth.store(state.waiting.len(), Ordering::Release);
        for hand in &mut state.hands {
            if matches!(hand, Hand::Signing(ticket) if ticket.deadline <= now)
                && let Hand::Signing(ticket) = std::mem::replace(hand, Hand::Overdue)
            {
                expired.push(ticket);
            }
        }
        expired
    }

    fn unlock_and_wake(&self, mut state: MutexGuard<'_, State>) {
        self.depth.store(state.waiting.len(), Ordering::Release);
        // Each of those who look finds one before it sleeps.
        let is_needed = state.waiting.len() > state.lookers;
        let sleeper = if is_needed {
            state.next_to_wake()
        } else {
            None
        };
        drop(state);
        if let Some(worker) = sleeper {
            self.work[worker].notify_one();
        }
    }

    /// Lets the watchdog end where it waits for nothing but what this worker was at.
    fn unlock_and_wake_watchdog(&self, state: MutexGuard<'_, State>) {
        let is_closed = state.is_closed();
        drop(state);
        if is_closed {
            self.watch.notify_one();
        }
    }
}

impl State {
    /// Takes a worker from those that sleep: the one that has slept least, whose session and whose
    /// processor's caches are warm. But one that has slept long comes first, lest its session go
    /// stale and nobody notice until all are needed at once.
    fn next_to_wake(&mut self) -> Option<usize> {
        let (worker, since) = *self.sleepers.front()?;
        if since.elapsed() > LONG {
            self.sleepers.pop_front();
            return Some(worker);
        }
        self.sleepers.pop_back().map(|(worker, _)| worker)
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let signing = self.hands.iter().filter_map(|hand| match hand {
            Hand::Signing(ticket) => Some(ticket.deadline),
            Hand::Empty | Hand::Overdue => None,
        });
        let waiting = self.waiting.iter().map(|job| job.ticket.deadline);
        signing.chain(waiting)
    }

    fn is_closed(&self) -> bool {
        self.refusal.as_ref().is_some_and(Trouble::is_final)
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use std::sync::mpsc;

    use chancery_core::PendingSignature;

    use super::*;

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
        let queue = Queue::new(3, 8);
        let (took, taken) = mpsc::channel();
        let mut order = Vec::new();
        thread::scope(|scope| {
            for worker in 0..3 {
                let (queue, took) = (&queue, took.clone());
                scope.spawn(move || queue.next(worker, false).map(|_| took.send(worker)));
                while lock(&queue.state).sleepers.len() <= worker {
                    thread::yield_now();
                }
            }
            thread::sleep(time);
            for _ in 0..3 {
                let submitted = Instant::now();
                let deadline = submitted + Duration::from_secs(60);
                let (completer, _pending) = PendingSignature::channel(deadline);
                let job = Job {
                    message: Vec::new(),
                    bad_signatures: 0,
                    ticket: Ticket {
                        completer,
                        submitted,
                        deadline,
                    },
                };
                let _ = queue.push(job);
                order.extend(taken.recv_timeout(Duration::from_secs(60)));
            }
            queue.refuse(&Trouble::shut_down());
        });
        order
    }
}
