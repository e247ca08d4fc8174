//! How long a signature takes: a device whose sessions work side by side, each on one signature at
//! a time.
//!
//! A device works on processors of its own. SoftHSM, which signs in its place here, would work on
//! those of the callers and be measured with them, so while there is a latency a signature is made
//! once, and handed out again for the same data.

use std::collections::HashMap;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_BYTE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG,
    CKR_OK,
};

use crate::functions::length_of;

static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// One for each session that has signed. A handle that is given out again may keep its own.
static SESSIONS: Mutex<Option<HashMap<CK_SESSION_HANDLE, Arc<Mutex<Session>>>>> = Mutex::new(None);

#[derive(Default)]
struct Session {
    /// The signature that is begun, and of which the real module knows nothing yet.
    begun: Option<(CK_MECHANISM_TYPE, CK_OBJECT_HANDLE)>,
    made: HashMap<(CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, Vec<u8>), Vec<u8>>,
}

pub(crate) extern "C" fn set(nanoseconds: u64) {
    NANOSECONDS.store(nanoseconds, Ordering::Relaxed);
}

/// Notes that a signature is begun, where the real module need not know before the data are there.
///
/// # Safety
/// `mechanism` is null or points to a mechanism.
pub(crate) unsafe fn begin(
    session: CK_SESSION_HANDLE,
    mechanism: *const CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> bool {
    // SAFETY: the caller passes a mechanism or null.
    match unsafe { mechanism.as_ref() } {
        Some(mechanism) if !latency().is_zero() && mechanism.pParameter.is_null() => {
            let session = session_of(session);
            lock(&session).begun = Some((mechanism.mechanism, key));
            true
        }
        _ => false,
    }
}

/// Begins with the real module what it does not know of yet.
pub(crate) fn begin_for_real(
    session: CK_SESSION_HANDLE,
    begin: impl FnOnce(*mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV,
) -> CK_RV {
    let session = session_of(session);
    let begun = lock(&session).begun.take();
    begun.map_or(CKR_OK, |begun| begin_with(begun, begin))
}

/// Signs, and lets it take the device's time, whatever `begin` and `sign` take of it.
///
/// # Safety
/// `data` are so many bytes, and `signature` has room for as many as `length` points to; so many as
/// it then points to are the signature, once `sign` has said `CKR_OK`.
pub(crate) unsafe fn take(
    session: CK_SESSION_HANDLE,
    (data, data_length): (*const CK_BYTE, CK_ULONG),
    (signature, length): (*mut CK_BYTE, *mut CK_ULONG),
    begin: impl FnOnce(*mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV,
    sign: impl FnOnce() -> CK_RV,
) -> CK_RV {
    let latency = latency();
    if latency.is_zero() {
        let code = begin_for_real(session, begin);
        return if code == CKR_OK { sign() } else { code };
    }
    let session = session_of(session);
    let mut session = lock(&session);
    let start = Instant::now();
    let code = match session.begun.take() {
        None => sign(),
        Some(begun) => {
            // SAFETY: the caller passes so many bytes.
            let data = unsafe { slice::from_raw_parts(data, length_of(data_length)) };
            let same = (begun.0, begun.1, data.to_vec());
            // SAFETY: the caller passes a place for the length, which holds that of the buffer.
            let room = unsafe { length.read() };
            match session.made.get(&same) {
                Some(made) if made.len() <= length_of(room) => {
                    // SAFETY: there is room for it.
                    unsafe {
                        ptr::copy_nonoverlapping(made.as_ptr(), signature, made.len());
                        length.write(made.len() as CK_ULONG);
                    }
                    CKR_OK
                }
                _ => {
                    let code = begin_with(begun, begin);
                    let code = if code == CKR_OK { sign() } else { code };
                    if code == CKR_OK {
                        // SAFETY: `sign` has written so many bytes.
                        let made =
                            unsafe { slice::from_raw_parts(signature, length_of(length.read())) };
                        session.made.insert(same, made.to_vec());
                    }
                    code
                }
            }
        }
    };
    sleep_exactly(latency.saturating_sub(start.elapsed()));
    code
}

fn begin_with(
    (mechanism, key): (CK_MECHANISM_TYPE, CK_OBJECT_HANDLE),
    begin: impl FnOnce(*mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV,
) -> CK_RV {
    let mut mechanism = CK_MECHANISM {
        mechanism,
        pParameter: ptr::null_mut(),
        ulParameterLen: 0,
    };
    begin(&raw mut mechanism, key)
}

fn latency() -> Duration {
    Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed))
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

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn session_of(session: CK_SESSION_HANDLE) -> Arc<Mutex<Session>> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(sessions.get_or_insert_default().entry(session).or_default())
}
