//! How long a thread has been at work itself.

use std::time::{Duration, Instant};

/// Makes a call, and tells whether this thread was at work for at least half of the time, or slept for
/// most of it, until a device or another process had answered. `None` where it is neither, as on a
/// busy machine, or where the system does not tell.
pub(crate) fn is_at_work_during<T>(call: impl FnOnce() -> T) -> (T, Option<bool>) {
    let (start, at_work_before) = (Instant::now(), at_work());
    let outcome = call();
    let at_work_after = at_work();
    let is_at_work = at_work_before
        .zip(at_work_after)
        .and_then(|(before, after)| {
            let (at_work, time) = (after.saturating_sub(before), start.elapsed());
            if at_work >= time / 2 {
                Some(true)
            } else if at_work < time / 8 {
                Some(false)
            } else {
                None
            }
        });
    (outcome, is_at_work)
}

/// How long this thread has been at work since it began.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn at_work() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const fn at_work() -> Option<Duration> {
    None
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
        assert_eq!((outcome, is_at_work), (7, Some(false)));
    }

    #[test]
    fn who_computes_is_at_work() {
        // A busy machine may take the processor away for most of a try.
        let is_seen = (0..100).any(|_| {
            let compute = || {
                let end = at_work().unwrap() + Duration::from_millis(2);
                while at_work().unwrap() < end {}
            };
            is_at_work_during(compute).1 == Some(true)
        });
        assert!(is_seen);
    }
}
