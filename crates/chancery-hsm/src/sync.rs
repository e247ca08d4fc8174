//! What the threads of this crate wait with, which the model checker replaces with its own.

#[cfg(not(all(test, chancery_shuttle)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicUsize};

#[cfg(all(test, chancery_shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicUsize};

use std::sync::PoisonError;
use std::time::Duration;

/// Locks. Nothing that can panic runs under a lock of this crate, so a poisoned one is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be notified, at most for `timeout` where one is given.
#[cfg(not(all(test, chancery_shuttle)))]
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
) -> MutexGuard<'a, T> {
    match timeout {
        None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(timeout) => {
            condvar
                .wait_timeout(guard, timeout)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
    }
}

/// The model checker knows no time: a short wait is over at once, a long one when it is notified.
#[cfg(all(test, chancery_shuttle))]
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
) -> MutexGuard<'a, T> {
    match timeout {
        Some(timeout) if timeout < Duration::from_millis(20) => guard,
        _ => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
    }
}
