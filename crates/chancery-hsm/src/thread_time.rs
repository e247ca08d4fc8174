//! How long a thread has been at work itself.

use std::time::{Duration, Instant};

/// Makes a call, and tells whether this thread was at work for at least half of the time, not asleep
/// until a device or another process had answered. Where the system does not tell, it was not.
pub(crate) fn is_at_work_during<T>(call: impl FnOnce() -> T) -> (T, bool) {
    let (start, at_work_before) = (Instant::now(), at_work());
    let outcome = call();
    let at_work = at_work().saturating_sub(at_work_before);
    (outcome, at_work >= start.elapsed() / 2)
}

/// How long this thread has been at work since it began.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn at_work() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const fn at_work() -> Duration {
    Duration::ZERO
}

#[cfg(all(
    test,
    any(target_os = "linux", target_os = "macos"),
    not(chancery_shuttle)
))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_sleeps_is_not_at_work() {
        let (outcome, is_at_work) = is_at_work_during(|| {
            thread::sleep(Duration::from_millis(20));
            7
        });
        assert_eq!((outcome, is_at_work), (7, false));
    }

    #[test]
    fn who_computes_is_at_work() {
        // A busy machine may take the processor away for most of a try.
        let is_seen = (0..100).any(|_| {
            let compute = || {
                let end = at_work() + Duration::from_millis(2);
                while at_work() < end {}
            };
            is_at_work_during(compute).1
        });
        assert!(is_seen);
    }
}
