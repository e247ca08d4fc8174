//! Who may call a module when: everybody at once, or one alone who starts it afresh.
//!
//! `C_Finalize` beside other calls crashes modules, and every session and object handle from
//! before it may name something else after it. So each call to the module holds a [`Pass`], which
//! tells the epoch it was made in, and a restart waits until all passes are returned.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait, wait_until};

/// Lets calls in side by side, or one restart alone.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// How long a restart waits for calls in flight.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    is_up: bool,
    /// Somebody restarts, or waits for calls in flight to do so.
    is_restarting: bool,
    /// Nobody is let in any more.
    is_closed: bool,
    /// The calls in flight of this round.
    calls: usize,
    /// Rounds end when a restart gives up waiting. The calls that it waited for count as stuck.
    round: u64,
    /// The calls in flight of earlier rounds.
    stuck: usize,
}

/// The permission for one call to the module.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    epoch: u64,
    is_up: bool,
    round: u64,
}

/// What a restart made of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It takes calls, and knows no handle any more.
    Fresh,
    /// It was not stopped: it takes calls, and handles are as good as before.
    Same,
    /// It takes no calls.
    Down,
}

/// How a restart ended.
pub(crate) struct Restarted<T> {
    pub(crate) after: After,
    /// What to tell whoever asked for it.
    pub(crate) outcome: T,
}

/// Why a restart did not begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRestarted {
    /// The epoch is over already.
    NotNeeded,
    /// So many calls have not returned.
    Stuck(usize),
}

impl Gate {
    /// The module is down at first, and its epoch is 0.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                epoch: 0,
                is_up: false,
                is_restarting: false,
                is_closed: false,
                calls: 0,
                round: 0,
                stuck: 0,
            }),
            changed: Condvar::new(),
            patience,
        }
    }

    /// Waits while a restart is on, and lets the caller in. Who holds a pass must not ask for
    /// another one: a restart that waits for the first would hold up the second.
    pub(crate) fn enter(&self) -> Pass<'_> {
        let mut state = self.when_quiet();
        state.calls += 1;
        Pass {
            gate: self,
            epoch: state.epoch,
            is_up: state.is_up,
            round: state.round,
        }
    }

    /// Records that the module turned out to be down. The epoch is over.
    pub(crate) fn mark_down(&self, epoch: u64) {
        let mut state = lock(&self.state);
        if state.epoch == epoch {
            state.epoch += 1;
            state.is_up = false;
        }
    }

    /// The epoch, which counts the restarts.
    pub(crate) fn epoch(&self) -> u64 {
        lock(&self.state).epoch
    }

    /// Ends the epoch `over` with a restart, alone, after all calls in flight have returned.
    ///
    /// It gives up when they do not return in time, so that one that hangs does not hold up the
    /// others, and from then on at once until they have.
    pub(crate) fn restart<T>(
        &self,
        over: u64,
        restart: impl FnOnce() -> Restarted<T>,
    ) -> Result<T, NotRestarted> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.when_quiet();
        if state.epoch != over {
            return Err(NotRestarted::NotNeeded);
        }
        if state.stuck > 0 {
            return Err(NotRestarted::Stuck(state.stuck));
        }
        state.is_restarting = true;
        drop(state);
        // From here on until its end, even one by a panic.
        let mut restarting = Restarting {
            gate: self,
            end: After::Same,
        };
        let mut state = lock(&self.state);
        while state.calls > 0 {
            // The lock is given up with the wait, and taken anew after one that was too long.
            match wait_until(&self.changed, state, deadline) {
                Some(after) => state = after,
                None => {
                    state = lock(&self.state);
                    if state.calls > 0 {
                        state.round += 1;
                        state.stuck = std::mem::take(&mut state.calls);
                        let stuck = state.stuck;
                        drop(state);
                        return Err(NotRestarted::Stuck(stuck));
                    }
                }
            }
        }
        drop(state);
        restarting.end = After::Down;
        let restarted = restart();
        restarting.end = restarted.after;
        Ok(restarted.outcome)
    }

    /// Lets nobody in any more, and waits until nobody is in, or until the deadline. Calls that a
    /// restart did not wait for any longer count no more. Who comes later waits for ever.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        while state.calls > 0 || state.is_restarting {
            match wait_until(&self.changed, state, deadline) {
                Some(after) => state = after,
                None => return,
            }
        }
    }

    /// Waits until no restart is on.
    fn when_quiet(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        while state.is_restarting || state.is_closed {
            state = wait(&self.changed, state);
        }
        state
    }
}

impl Pass<'_> {
    /// The epoch that the call is made in.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the module takes calls, as far as is known.
    pub(crate) const fn is_up(&self) -> bool {
        self.is_up
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        if self.round == state.round {
            state.calls -= 1;
        } else {
            state.stuck -= 1;
        }
        let is_awaited = (state.is_restarting || state.is_closed) && state.calls == 0;
        drop(state);
        if is_awaited {
            self.gate.changed.notify_all();
        }
    }
}

/// Ends a restart when it is dropped.
struct Restarting<'a> {
    gate: &'a Gate,
    end: After,
}

impl Drop for Restarting<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        state.is_restarting = false;
        if self.end != After::Same {
            state.epoch += 1;
            state.is_up = self.end == After::Fresh;
        }
        drop(state);
        self.gate.changed.notify_all();
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn up<T>(outcome: T) -> Restarted<T> {
        Restarted {
            after: After::Fresh,
            outcome,
        }
    }

    #[test]
    fn a_module_that_was_not_stopped_keeps_its_epoch() {
        let gate = Gate::new(PATIENCE);
        assert_eq!(gate.restart(0, || up(())), Ok(()));
        let same = || Restarted {
            after: After::Same,
            outcome: (),
        };
        assert_eq!(gate.restart(1, same), Ok(()));
        assert_eq!(gate.epoch(), 1);
        assert!(gate.enter().is_up());
    }

    #[test]
    fn a_restart_ends_one_epoch_and_no_other() {
        let gate = Gate::new(PATIENCE);
        assert!(!gate.enter().is_up());
        assert_eq!(gate.restart(0, || up(7)), Ok(7));
        assert_eq!(gate.epoch(), 1);
        assert!(gate.enter().is_up());
        assert_eq!(gate.restart(0, || up(8)), Err(NotRestarted::NotNeeded));
        assert_eq!(gate.epoch(), 1);
    }

    #[test]
    fn a_module_that_was_found_down_begins_an_epoch_that_needs_a_restart() {
        let gate = Gate::new(PATIENCE);
        assert_eq!(gate.restart(0, || up(())), Ok(()));
        gate.mark_down(1);
        gate.mark_down(1);
        let pass = gate.enter();
        assert_eq!((pass.epoch(), pass.is_up()), (2, false));
    }

    #[test]
    fn a_call_that_hangs_holds_up_one_restart_and_fails_the_others_at_once() {
        let gate = Gate::new(PATIENCE);
        let hanging = gate.enter();
        let began = Instant::now();
        assert_eq!(gate.restart(0, || up(())), Err(NotRestarted::Stuck(1)));
        assert!(began.elapsed() >= PATIENCE);
        // The others are let in meanwhile, and the next restart does not stop them.
        let began = Instant::now();
        drop(gate.enter());
        assert_eq!(gate.restart(0, || up(())), Err(NotRestarted::Stuck(1)));
        assert!(began.elapsed() < PATIENCE / 2);
        drop(hanging);
        assert_eq!(gate.restart(0, || up(())), Ok(()));
    }

    #[test]
    fn a_gate_that_closes_waits_for_calls_in_flight_and_lets_nobody_in() {
        let gate = Gate::new(PATIENCE);
        let hanging = gate.enter();
        let began = Instant::now();
        gate.close(began + PATIENCE);
        assert!(began.elapsed() >= PATIENCE);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(PATIENCE);
                drop(hanging);
            });
            let began = Instant::now();
            gate.close(began + 100 * PATIENCE);
            let took = began.elapsed();
            assert!(took >= PATIENCE / 2 && took < 50 * PATIENCE, "{took:?}");
        });
        // Who comes now waits for ever, so nobody waits for this thread.
        let gate = Arc::new(gate);
        let (entered, is_in) = mpsc::channel();
        let late = Arc::clone(&gate);
        thread::spawn(move || {
            drop(late.enter());
            let _ = entered.send(());
        });
        assert!(is_in.recv_timeout(2 * PATIENCE).is_err());
    }

    #[test]
    fn a_restart_that_panics_lets_the_others_go_on() {
        let gate = Gate::new(PATIENCE);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gate.restart::<()>(0, || panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        let pass = gate.enter();
        assert_eq!((pass.epoch(), pass.is_up()), (1, false));
    }
}

/// Explored by `RUSTFLAGS="--cfg chancery_shuttle" cargo test -p chancery-pkcs11 --lib shuttle`.
#[cfg(all(test, chancery_shuttle))]
mod shuttle_tests {
    use std::sync::atomic::Ordering::SeqCst;

    use shuttle::sync::Arc;
    use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    use shuttle::thread;

    use super::*;

    const ITERATIONS: usize = 20_000;

    /// A module that notices what crashes real ones.
    #[derive(Default)]
    struct Module {
        calls: AtomicUsize,
        is_finalizing: AtomicBool,
        /// Each initialisation has handles of its own.
        generation: AtomicU64,
    }

    impl Module {
        fn call(&self) -> u64 {
            self.calls.fetch_add(1, SeqCst);
            thread::yield_now();
            assert!(!self.is_finalizing.load(SeqCst), "a call beside a restart");
            let generation = self.generation.load(SeqCst);
            self.calls.fetch_sub(1, SeqCst);
            generation
        }

        fn restart(&self) -> Restarted<()> {
            assert!(
                !self.is_finalizing.swap(true, SeqCst),
                "two restarts at once"
            );
            assert_eq!(self.calls.load(SeqCst), 0, "a restart beside a call");
            thread::yield_now();
            assert_eq!(self.calls.load(SeqCst), 0, "a restart beside a call");
            self.generation.fetch_add(1, SeqCst);
            self.is_finalizing.store(false, SeqCst);
            Restarted {
                after: After::Fresh,
                outcome: (),
            }
        }
    }

    /// Restarts exclude calls, whatever the order, and a pass of an epoch sees that epoch's
    /// handles. Nobody is left waiting: shuttle would report the deadlock.
    #[test]
    fn calls_and_restarts_exclude_each_other() {
        let check = || {
            let gate = Arc::new(Gate::new(Duration::from_secs(1)));
            let module = Arc::new(Module::default());
            let mut threads = Vec::new();
            for _ in 0..2 {
                let (gate, module) = (Arc::clone(&gate), Arc::clone(&module));
                threads.push(thread::spawn(move || {
                    for _ in 0..3 {
                        let pass = gate.enter();
                        let generation = module.call();
                        assert_eq!(generation, pass.epoch(), "a handle of another epoch");
                    }
                }));
            }
            for _ in 0..2 {
                let (gate, module) = (Arc::clone(&gate), Arc::clone(&module));
                threads.push(thread::spawn(move || {
                    for _ in 0..2 {
                        let _ = gate.restart(gate.epoch(), || module.restart());
                    }
                }));
            }
            for thread in threads {
                thread.join().unwrap();
            }
            let state = lock(&gate.state);
            assert_eq!(
                (state.calls, state.stuck, state.is_restarting),
                (0, 0, false)
            );
            assert_eq!(state.epoch, module.generation.load(SeqCst));
        };
        shuttle::check_random(check, ITERATIONS);
        shuttle::check_pct(check, ITERATIONS, 3);
    }

    /// Of several that want the same epoch over, one restarts.
    #[test]
    fn an_epoch_ends_once() {
        let check = || {
            let gate = Arc::new(Gate::new(Duration::from_secs(1)));
            let restarts = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, restarts) = (Arc::clone(&gate), Arc::clone(&restarts));
                    thread::spawn(move || {
                        let _ = gate.restart(0, || {
                            restarts.fetch_add(1, SeqCst);
                            Restarted {
                                after: After::Fresh,
                                outcome: (),
                            }
                        });
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(restarts.load(SeqCst), 1);
            assert_eq!(gate.epoch(), 1);
        };
        shuttle::check_random(check, ITERATIONS);
    }
}
