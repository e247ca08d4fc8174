//! The bounded queue between callers and workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chancery_core::{SignError, SignErrorKind, SignatureCompleter};

use crate::processors::Processors;
use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, lock, wait};
use crate::trouble::Trouble;

/// How long a worker looks for the next job before it goes to sleep.
const LOOK: Duration = Duration::from_micros(100);

/// How long a worker may sleep while others are woken.
const LONG: Duration = Duration::from_secs(1);

/// After how long at one job a worker no longer counts as one that computes, whatever its device did
/// at first, so that another may take its processor.
const STUCK: Duration = Duration::from_millis(20);

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
    processors: Processors,
    /// Whether the device computes on the threads that call it, so that more of them than there are
    /// processors only take these from each other, and from the callers.
    computes_here: AtomicBool,
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
    /// The worker sleeps, or has no session.
    Idle,
    /// It is awake, between two jobs, since then.
    Free(Instant),
    /// It signs, since then.
    Signing(Ticket, Instant),
    /// The caller was told that the deadline had passed; the worker is still at it.
    Overdue,
}

impl Hand {
    const fn takes_a_processor(&self) -> bool {
        matches!(self, Self::Free(_) | Self::Signing(..))
    }

    fn ticket(self) -> Option<Ticket> {
        match self {
            Self::Signing(ticket, _) => Some(ticket),
            Self::Idle | Self::Free(_) | Self::Overdue => None,
        }
    }

    /// Whether it takes no processor after all, or would not leave it to others: it waits for a
    /// device that had computed before, or for somebody's hook.
    fn is_stuck(&self, now: Instant) -> bool {
        matches!(self, Self::Free(since) | Self::Signing(_, since)
            if now.saturating_duration_since(*since) > STUCK)
    }
}

impl Queue {
    pub(crate) fn new(workers: usize, capacity: usize, processors: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                hands: (0..workers).map(|_| Hand::Idle).collect(),
                sleepers: VecDeque::with_capacity(workers),
                lookers: 0,
                watchdog_is_idle: false,
                refusal: None,
            }),
            depth: AtomicUsize::new(0),
            work: (0..workers).map(|_| Condvar::new()).collect(),
            watch: Condvar::new(),
            capacity,
            processors: Processors::new(processors),
            computes_here: AtomicBool::new(false),
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
        let now = job.ticket.submitted;
        state.waiting.push_back(job);
        let wake_watchdog = std::mem::take(&mut state.watchdog_is_idle);
        self.unlock_and_wake(state, now);
        if wake_watchdog {
            self.watch.notify_one();
        }
        Ok(())
    }

    /// Waits for the next job whose caller still waits for it, and takes it. `None` when the queue is
    /// closed for good. Where the next one is likely to come soon, it looks for it before it sleeps.
    pub(crate) fn next(&self, worker: usize, mut may_look: bool) -> Option<Work> {
        let mut state = lock(&self.state);
        // One that was woken takes the job: left to the next one that is woken, and so on, it would
        // wait for long on a busy machine.
        let mut may_leave_it = true;
        loop {
            let now = Instant::now();
            self.hold(&mut state, worker, Hand::Free(now));
            if !(may_leave_it && self.are_too_many(&state, now))
                && let Some(job) = self.take(&mut state)
            {
                if job.is_abandoned() {
                    drop(state);
                    // This wakes who listened once, which must not be under the lock.
                    drop(job);
                    state = lock(&self.state);
                    continue;
                }
                self.hold(&mut state, worker, Hand::Signing(job.ticket, now));
                return Some(Work {
                    message: job.message,
                    bad_signatures: job.bad_signatures,
                });
            }
            if state.is_closed() {
                self.hold(&mut state, worker, Hand::Idle);
                return None;
            }
            if may_look && state.waiting.is_empty() {
                state.lookers += 1;
                drop(state);
                let find = || (self.depth() > 0).then_some(());
                may_look = self.processors.look(LOOK, find).is_some();
                state = lock(&self.state);
                state.lookers -= 1;
            } else {
                self.hold(&mut state, worker, Hand::Idle);
                state.sleepers.push_back((worker, now));
                state = wait(&self.work[worker], state, None);
                // It is there still when nobody woke this one on purpose.
                state.sleepers.retain(|(sleeper, _)| *sleeper != worker);
                may_leave_it = false;
            }
        }
    }

    /// Puts down what a worker has done, which comes for the next job at once; hands out its ticket,
    /// unless the caller was told already that the deadline had passed.
    pub(crate) fn finish(&self, worker: usize) -> Option<Ticket> {
        let mut state = lock(&self.state);
        let hand = self.hold(&mut state, worker, Hand::Free(Instant::now()));
        self.unlock_and_wake_watchdog(state);
        hand.ticket()
    }

    /// Puts down what a worker cannot do, whose session is lost; hands out its ticket, unless the
    /// caller was told already that the deadline had passed.
    pub(crate) fn give_up(&self, worker: usize) -> Option<Ticket> {
        let mut state = lock(&self.state);
        let hand = self.hold(&mut state, worker, Hand::Idle);
        if state.is_closed() {
            self.unlock_and_wake_watchdog(state);
        } else {
            self.unlock_and_wake(state, Instant::now());
        }
        hand.ticket()
    }

    /// Puts back, as the next one, what a worker could not do, unless nobody waits for it any more.
    /// It may be one more than the queue's capacity. Hands out the ticket when nothing is taken.
    pub(crate) fn put_back(&self, worker: usize, work: Work) -> Option<(Ticket, SignError)> {
        let mut state = lock(&self.state);
        let ticket = self.hold(&mut state, worker, Hand::Idle).ticket()?;
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
        self.unlock_and_wake(state, Instant::now());
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
            let mut alarm = state.deadlines().min();
            if alarm.is_none() && state.is_closed() {
                return None;
            }
            state.watchdog_is_idle = alarm.is_none();
            if self.computing(&state, now).is_some() {
                // One that is stuck makes room for another only when somebody looks.
                while let Some(worker) = self.take_sleeper(&mut state, now) {
                    self.work[worker].notify_one();
                }
                alarm = alarm.map(|alarm| alarm.min(now + STUCK));
            }
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

    /// Says whether the device computes on the threads that call it.
    pub(crate) fn set_computes_here(&self, computes_here: bool) {
        let before = self.computes_here.swap(computes_here, Ordering::Relaxed);
        if computes_here && !before {
            // The watchdog has to look for workers that are stuck from now on. It is not between its
            // look at this and its sleep.
            drop(lock(&self.state));
            self.watch.notify_one();
        }
    }

    /// Whether the device computes on the threads that call it.
    pub(crate) fn computes_here(&self) -> bool {
        self.computes_here.load(Ordering::Relaxed)
    }

    pub(crate) const fn processors(&self) -> &Processors {
        &self.processors
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
        for worker in 0..state.hands.len() {
            if matches!(&state.hands[worker], Hand::Signing(ticket, _) if ticket.deadline <= now) {
                expired.extend(self.hold(state, worker, Hand::Overdue).ticket());
            }
        }
        expired
    }

    /// Puts something else into a worker's hand, and hands out what was there.
    fn hold(&self, state: &mut State, worker: usize, hand: Hand) -> Hand {
        let takes = hand.takes_a_processor();
        let before = std::mem::replace(&mut state.hands[worker], hand);
        match (before.takes_a_processor(), takes) {
            (false, true) => self.processors.worker_wakes(),
            (true, false) => self.processors.worker_rests(),
            _ => {}
        }
        before
    }

    fn unlock_and_wake(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        self.depth.store(state.waiting.len(), Ordering::Release);
        let woken = self.take_sleeper(&mut state, now);
        drop(state);
        if let Some(worker) = woken {
            self.work[worker].notify_one();
        }
    }

    /// Takes a worker from those that sleep, to be woken, where one more is of use.
    fn take_sleeper(&self, state: &mut State, now: Instant) -> Option<usize> {
        // Each of those who look finds one before it sleeps.
        let is_needed = state.waiting.len() > state.lookers;
        if !is_needed || self.computing(state, now) >= Some(self.processors.number()) {
            return None;
        }
        let worker = state.next_to_wake()?;
        self.hold(state, worker, Hand::Free(now));
        Some(worker)
    }

    /// Whether a worker that is awake leaves the next job to others, since more of them compute than
    /// there are processors: after some were stuck, and got replaced.
    fn are_too_many(&self, state: &State, now: Instant) -> bool {
        self.computing(state, now) > Some(self.processors.number())
    }

    /// How many workers compute. `None` where that is no reason to wake no more of them: the device
    /// computes elsewhere, or there is a processor for each.
    fn computing(&self, state: &State, now: Instant) -> Option<usize> {
        if !self.computes_here() || self.work.len() <= self.processors.number() {
            return None;
        }
        let stuck = state.hands.iter().filter(|hand| hand.is_stuck(now)).count();
        Some(self.processors.workers() - stuck)
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
            Hand::Signing(ticket, _) => Some(ticket.deadline),
            Hand::Idle | Hand::Free(_) | Hand::Overdue => None,
        });
        let waiting = self.waiting.iter().map(|job| job.ticket.deadline);
        signing.chain(waiting)
    }

    fn is_closed(&self) -> bool {
        self.refusal.as_ref().is_some_and(Trouble::is_final)
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests;
