//! What it costs at least that another thread signs, so that a device which hangs does not take its
//! caller along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::Outcome;
use crate::callers::Load;

const IDLE: u8 = 0;
const ASKED: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;
const OVER: u8 = 4;

/// The simplest hand-over there is: each caller has a thread and a session for itself alone, and
/// both sleep until the other wakes them. There is no queue, no deadline, no count, and nothing is
/// looked at between.
pub(crate) struct HandOver;

impl HandOver {
    /// As [`Load::measure`], with a thread for each caller that signs for it.
    pub(crate) fn measure<S: FnMut() -> Outcome>(
        count: usize,
        time: Duration,
        signer: impl Fn() -> Outcome<S> + Sync,
    ) -> Outcome<Load> {
        thread::scope(|scope| {
            Load::measure(count, time, || {
                let state = Arc::new(AtomicU8::new(IDLE));
                let (asked, caller) = (Arc::clone(&state), thread::current());
                let signer = &signer;
                let thread = scope.spawn(move || match signer() {
                    Ok(sign) => serve(&asked, &caller, sign),
                    Err(_) => {
                        asked.store(FAILED, Ordering::Release);
                        caller.unpark();
                    }
                });
                let thread = Asking {
                    state,
                    thread: thread.thread().clone(),
                };
                Ok(move || thread.ask())
            })
        })
    }
}

fn serve(state: &AtomicU8, caller: &Thread, mut sign: impl FnMut() -> Outcome) {
    loop {
        match state.load(Ordering::Acquire) {
            ASKED => {
                let outcome = if sign().is_ok() { DONE } else { FAILED };
                state.store(outcome, Ordering::Release);
                caller.unpark();
            }
            OVER => return,
            _ => thread::park(),
        }
    }
}

struct Asking {
    state: Arc<AtomicU8>,
    thread: Thread,
}

impl Asking {
    fn ask(&self) -> Outcome {
        if self.state.swap(ASKED, Ordering::AcqRel) == FAILED {
            return Err("the thread has no session".into());
        }
        self.thread.unpark();
        loop {
            match self.state.load(Ordering::Acquire) {
                DONE => return Ok(()),
                FAILED => return Err("the thread did not sign".into()),
                _ => thread::park(),
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.state.store(OVER, Ordering::Release);
        self.thread.unpark();
    }
}
