//! Who uses the processors: looking for something without sleeping is for those nobody else needs.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::AtomicUsize;

/// How often a thread looks where there are more threads than processors, letting others run in
/// between. Should the one that it waits for be among those, it has found it by then. Should that
/// one be queueing for another processor, this one has to fall idle to take it over.
const MOST_LOOKS: usize = 16;

/// Counts the threads of a signer that keep processors busy.
#[derive(Debug)]
pub(crate) struct Processors {
    number: usize,
    /// Workers that sign, or look for a job.
    workers: AtomicUsize,
    /// Callers that look for their signatures.
    callers: AtomicUsize,
}

impl Processors {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            workers: AtomicUsize::new(0),
            callers: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    /// The number of workers that sign, or look for a job.
    pub(crate) fn workers(&self) -> usize {
        self.workers.load(Ordering::Relaxed)
    }

    pub(crate) fn worker_wakes(&self) {
        self.workers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn worker_rests(&self) {
        self.workers.fetch_sub(1, Ordering::Relaxed);
    }

    /// As [`look`](Self::look), on the thread of a caller.
    pub(crate) fn look_as_caller<T>(
        &self,
        time: Duration,
        find: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        self.callers.fetch_add(1, Ordering::Relaxed);
        let found = self.look(time, find);
        self.callers.fetch_sub(1, Ordering::Relaxed);
        found
    }

    /// Looks for something for a while, letting other threads run in between: to wake a thread that
    /// sleeps takes longer than the fastest devices take to sign.
    pub(crate) fn look<T>(&self, time: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
        let until = Instant::now() + time;
        let mut looks = 0;
        loop {
            let found = find();
            if found.is_some() || Instant::now() >= until {
                return found;
            }
            if self.workers() + self.callers.load(Ordering::Relaxed) > self.number {
                looks += 1;
                if looks > MOST_LOOKS {
                    return None;
                }
            }
            thread::yield_now();
        }
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn on_a_processor_to_spare_it_is_looked_for_as_long_as_asked() {
        let processors = Processors::new(2);
        processors.worker_wakes();
        let mut looks = 0;
        let found = processors.look_as_caller(LONG, || {
            looks += 1;
            (looks > 10 * MOST_LOOKS).then_some(looks)
        });
        assert_eq!(found, Some(looks));
        let time = Duration::from_millis(20);
        let start = Instant::now();
        assert_eq!(processors.look_as_caller(time, || None::<()>), None);
        assert!(start.elapsed() >= time);
    }

    #[test]
    fn on_processors_that_others_need_it_is_looked_for_a_few_times() {
        let processors = Processors::new(2);
        processors.worker_wakes();
        processors.worker_wakes();
        let mut looks = 0;
        let none = processors.look_as_caller(LONG, || {
            looks += 1;
            None::<()>
        });
        assert_eq!((none, looks), (None, MOST_LOOKS + 1));
        // The worker that looks is one of the two.
        looks = 0;
        let found = processors.look(LONG, || {
            looks += 1;
            (looks > 10 * MOST_LOOKS).then_some(looks)
        });
        assert_eq!(found, Some(looks));
    }
}
