//! How long a signature takes: a device whose sessions work side by side, each on one signature at
//! a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE};

static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// One lock for each session that has signed. A handle that is given out again may keep its lock.
static SESSIONS: Mutex<Option<HashMap<CK_SESSION_HANDLE, Arc<Mutex<()>>>>> = Mutex::new(None);

pub(crate) extern "C" fn set(nanoseconds: u64) {
    NANOSECONDS.store(nanoseconds, Ordering::Relaxed);
}

/// Signs, and lets it take the device's time, `sign` included.
pub(crate) fn take(session: CK_SESSION_HANDLE, sign: impl FnOnce() -> CK_RV) -> CK_RV {
    let latency = Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed));
    if latency.is_zero() {
        return sign();
    }
    let session = lock_of(session);
    let _serial = session.lock().unwrap_or_else(PoisonError::into_inner);
    let start = Instant::now();
    let code = sign();
    sleep_exactly(latency.saturating_sub(start.elapsed()));
    code
}

/// Sleeps no longer than asked for. Linux lets a thread's sleeps run over by 50 µs unless told
/// otherwise, which no device does.
fn sleep_exactly(time: Duration) {
    #[cfg(target_os = "linux")]
    thread_local! {
        static SLACK: () = {
            let slack: libc::c_ulong = 1;
            // SAFETY: this option takes one number, and changes nothing but this thread's timers.
            // Should it fail, sleeps are as long as ever.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack) };
        };
    }
    #[cfg(target_os = "linux")]
    SLACK.with(|()| ());
    thread::sleep(time);
}

fn lock_of(session: CK_SESSION_HANDLE) -> Arc<Mutex<()>> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(sessions.get_or_insert_default().entry(session).or_default())
}
