//! What the scripted device saw of its use.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::Step;

/// What a device saw of its use, and what hangs in it.
#[derive(Default)]
pub(crate) struct Watch {
    seen: Mutex<Seen>,
    released: Condvar,
}

#[derive(Default)]
struct Seen {
    calls: [usize; 5],
    opening: usize,
    opened: usize,
    live: usize,
    /// Sessions that neither failed nor hang.
    well: usize,
    pin_was_refused: bool,
    messages: Vec<Vec<u8>>,
    resets: Vec<Instant>,
    hanging: usize,
    releases: usize,
    nothing_hangs_any_more: bool,
    broken_rules: Vec<String>,
}

impl Watch {
    /// How often a step was called.
    pub(crate) fn calls(&self, step: Step) -> usize {
        self.lock().calls[step as usize]
    }

    /// The number of sessions opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.lock().opened
    }

    /// The number of sessions that are not dropped yet.
    pub(crate) fn live(&self) -> usize {
        self.lock().live
    }

    /// The number of calls that hang.
    pub(crate) fn hanging(&self) -> usize {
        self.lock().hanging
    }

    /// What was to be signed, in that order; without self-tests.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.lock().messages.clone()
    }

    /// When resets started.
    pub(crate) fn resets(&self) -> Vec<Instant> {
        self.lock().resets.clone()
    }

    /// Lets what hangs now go on.
    pub(crate) fn release(&self) {
        self.lock().releases += 1;
        self.released.notify_all();
    }

    pub(super) fn release_for_good(&self) {
        self.lock().nothing_hangs_any_more = true;
        self.released.notify_all();
    }

    pub(super) fn broken_rules(&self) -> Vec<String> {
        self.lock().broken_rules.clone()
    }

    pub(super) fn rule_broken(&self, rule: String) {
        self.lock().broken_rules.push(rule);
    }

    pub(super) fn hang(&self) {
        let mut seen = self.lock();
        let before = seen.releases;
        seen.hanging += 1;
        while seen.releases == before && !seen.nothing_hangs_any_more {
            seen = self.released.wait(seen).unwrap();
        }
        seen.hanging -= 1;
    }

    pub(super) fn count_call(&self, step: Step) -> usize {
        let mut seen = self.lock();
        let number = seen.calls[step as usize];
        seen.calls[step as usize] += 1;
        number
    }

    pub(super) fn enter_open(&self) -> Opening<'_> {
        let mut seen = self.lock();
        seen.opening += 1;
        // One that hangs keeps the others out for the deadline alone.
        if seen.opening > 1 + seen.hanging {
            seen.broken_rules
                .push("two workers open at once".to_owned());
        }
        if seen.pin_was_refused {
            seen.broken_rules
                .push("opened again after a wrong PIN".to_owned());
        }
        Opening(self)
    }

    pub(super) fn pin_was_refused(&self) {
        self.lock().pin_was_refused = true;
    }

    pub(super) fn session_opened(&self) -> usize {
        let mut seen = self.lock();
        let number = seen.opened;
        seen.opened += 1;
        seen.live += 1;
        seen.well += 1;
        number
    }

    pub(super) fn session_spoilt(&self) {
        self.lock().well -= 1;
    }

    pub(super) fn session_recovered(&self) {
        self.lock().well += 1;
    }

    pub(super) fn session_dropped(&self) {
        self.lock().live -= 1;
    }

    pub(super) fn asked_to_sign(&self, message: &[u8]) {
        self.lock().messages.push(message.to_vec());
    }

    pub(super) fn reset_started(&self) {
        let mut seen = self.lock();
        seen.resets.push(Instant::now());
        if seen.well > 0 {
            seen.broken_rules
                .push("reset while a session was well".to_owned());
        }
        if seen.opening > 0 {
            seen.broken_rules
                .push("reset while a session was being opened".to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

/// Counts a worker that opens a session, for as long as it does.
pub(super) struct Opening<'a>(&'a Watch);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
    }
}
