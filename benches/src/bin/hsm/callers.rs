//! Callers that sign one after the other, several at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// What so many callers did in the time.
#[derive(Debug)]
pub(crate) struct Load {
    /// Signatures a second, of all callers together.
    pub(crate) throughput: f64,
    /// How long each call took, in order of length.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    /// Lets `count` callers sign for so long. Each gets its own way to sign from `caller`, which
    /// runs on the caller's thread and outside of the time that is measured.
    pub(crate) fn measure<S: FnMut() -> Outcome>(
        count: usize,
        time: Duration,
        caller: impl Fn() -> Outcome<S> + Sync,
    ) -> Outcome<Self> {
        let start_line = Barrier::new(count);
        let one = || -> Outcome<Vec<Duration>> {
            let prepared = caller().and_then(|mut sign| sign().map(|()| sign));
            start_line.wait();
            let mut sign = prepared?;
            let start = Instant::now();
            let mut latencies = Vec::new();
            let mut before = start;
            while before.duration_since(start) < time {
                sign()?;
                let now = Instant::now();
                latencies.push(now.duration_since(before));
                before = now;
            }
            Ok(latencies)
        };
        let mut latencies = Vec::new();
        thread::scope(|scope| -> Outcome {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            for thread in threads {
                let outcome = thread.join().map_err(|_| "a caller panicked")?;
                latencies.extend(outcome?);
            }
            Ok(())
        })?;
        latencies.sort_unstable();
        // A caller's last signature may end after the time; each caller's own rate counts.
        let total: Duration = latencies.iter().sum();
        let signed = latencies.len() as f64;
        Ok(Self {
            throughput: signed * count as f64 / total.as_secs_f64(),
            latencies,
        })
    }

    /// The latency that so many of a hundred calls stay under.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let index = self.latencies.len() * percent / 100;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(index.min(last))
            .copied()
            .unwrap_or_default()
    }
}
