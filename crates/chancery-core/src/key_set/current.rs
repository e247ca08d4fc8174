//! The current snapshot of a key set, which is replaced while others read it.

use std::hint;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};

use super::Snapshot;

/// A snapshot that is replaced whole. To read it never waits for a lock: one lock alone would have
/// all wait for whoever the operating system puts to sleep with it in hand.
pub(super) struct Current {
    /// The snapshot lies in the slot that its generation leads to. Outside of a replacement it lies
    /// in the other one too, so that nothing keeps what was replaced.
    slots: [RwLock<Arc<Snapshot>>; 2],
    generation: AtomicU64,
    /// Held by the one that replaces.
    replacing: Mutex<()>,
}

impl Current {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let generation = AtomicU64::new(snapshot.generation);
        let snapshot = Arc::new(snapshot);
        Self {
            slots: [RwLock::new(Arc::clone(&snapshot)), RwLock::new(snapshot)],
            generation,
            replacing: Mutex::new(()),
        }
    }

    /// The generation of the current snapshot.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The current snapshot. What one reader has seen, no other sees replaced by what was before.
    pub(super) fn load(&self) -> Arc<Snapshot> {
        loop {
            let generation = self.generation();
            // A snapshot is swapped whole, so a poisoned lock holds a whole one.
            let snapshot = match self.slot(generation).try_read() {
                Ok(snapshot) => Arc::clone(&snapshot),
                Err(TryLockError::Poisoned(error)) => Arc::clone(&error.into_inner()),
                // The slot is written because its readers have been sent to the other one.
                Err(TryLockError::WouldBlock) => {
                    hint::spin_loop();
                    continue;
                }
            };
            // Who slept since the first line may find here what will be current in a moment.
            if snapshot.generation == generation {
                return snapshot;
            }
        }
    }

    /// Puts the snapshot where nobody looks, has all look there, and only then takes the other
    /// slot, whose readers may sleep for as long as the operating system likes.
    pub(super) fn replace(&self, mut snapshot: Snapshot) {
        let replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation().wrapping_add(1);
        snapshot.generation = generation;
        let snapshot = Arc::new(snapshot);
        let put = |slot: &RwLock<Arc<Snapshot>>| {
            let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
            mem::replace(&mut *slot, Arc::clone(&snapshot))
        };
        let one = put(self.slot(generation));
        self.generation.store(generation, Ordering::Release);
        let other = put(self.slot(generation.wrapping_add(1)));
        drop(replacing);
        // Not under a lock: a signer may take its time to shut down.
        drop((one, other));
    }

    const fn slot(&self, generation: u64) -> &RwLock<Arc<Snapshot>> {
        let [even, odd] = &self.slots;
        if generation.is_multiple_of(2) {
            even
        } else {
            odd
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn snapshot(generation: u64) -> Snapshot {
        Snapshot {
            generation,
            entries: Vec::new(),
            lease: None,
        }
    }

    #[test]
    fn a_replaced_snapshot_is_let_go_of() {
        let current = Current::new(snapshot(0));
        let replaced = Arc::downgrade(&current.load());
        current.replace(snapshot(0));
        assert!(replaced.upgrade().is_none());
        assert_eq!(current.load().generation, 1);
    }

    /// A reader that holds the lock, as one does that was put to sleep, keeps nobody from reading;
    /// who replaces waits for it.
    #[test]
    fn nobody_waits_for_a_reader_but_who_replaces() {
        for generation in [0, 1] {
            let current = Current::new(snapshot(generation));
            let sleeper = current.slot(generation).read().unwrap();
            thread::scope(|scope| {
                let replacing = scope.spawn(|| current.replace(snapshot(0)));
                while current.load().generation == generation {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(20));
                assert_eq!(current.load().generation, generation + 1);
                assert!(!replacing.is_finished());
                drop(sleeper);
            });
        }
    }

    /// The state in the middle of the second of two replacements, as it is seen by who slept since
    /// before the first.
    #[test]
    fn nobody_reads_what_is_not_current_yet() {
        let current = Current::new(snapshot(0));
        *current.slots[0].write().unwrap() = Arc::new(snapshot(2));
        thread::scope(|scope| {
            let reader = scope.spawn(|| current.load().generation);
            thread::sleep(Duration::from_millis(20));
            assert!(!reader.is_finished());
            current.generation.store(2, Ordering::Release);
            assert_eq!(reader.join().unwrap(), 2);
        });
    }
}
