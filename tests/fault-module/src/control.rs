//! Which faults are on, what was called, and how the client reaches both.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_RV, CKR_OK, CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED,
};

use crate::fault::{Effect, Fault, Function, When};
use crate::{functions, latency, module};

/// How the client reaches the module: it finds the one exported function, which hands this out.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Control {
    pub(crate) inject: extern "C" fn(Fault) -> usize,
    pub(crate) end: extern "C" fn(usize) -> u64,
    pub(crate) injected: extern "C" fn(usize) -> u64,
    pub(crate) calls: extern "C" fn(Function) -> u64,
    pub(crate) failures: extern "C" fn(Function) -> u64,
    pub(crate) refused_logins: extern "C" fn() -> u64,
    pub(crate) logins_after_refusal: extern "C" fn() -> u64,
    pub(crate) overlaps: extern "C" fn() -> u64,
    pub(crate) open_sessions: extern "C" fn() -> usize,
    pub(crate) set_latency: extern "C" fn(u64),
    pub(crate) close_sessions: extern "C" fn(),
    pub(crate) alone: unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void),
}

pub(crate) const EXPORT: &[u8] = b"chancery_fault_control\0";

/// Hands out the functions that switch faults.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn chancery_fault_control() -> *const Control {
    static CONTROL: Control = Control {
        inject,
        end,
        injected,
        calls,
        failures,
        refused_logins,
        logins_after_refusal,
        overlaps,
        open_sessions: functions::count_open_sessions,
        set_latency: latency::set,
        close_sessions: functions::close_sessions,
        alone,
    };
    &raw const CONTROL
}

/// A fault that was switched on. Its place in the list is its name, so none is ever taken out.
struct Entry {
    fault: Fault,
    since: Instant,
    calls: u64,
    injected: u64,
    ended: bool,
}

impl Entry {
    fn is_over(&self) -> bool {
        self.ended || self.left().is_some_and(|left| left.is_zero())
    }

    fn left(&self) -> Option<Duration> {
        match self.fault.when {
            When::Within(nanoseconds) => {
                Some(Duration::from_nanos(nanoseconds).saturating_sub(self.since.elapsed()))
            }
            _ => None,
        }
    }

    /// Counts a call, and tells whether the fault happens in it.
    fn happens(&mut self) -> bool {
        self.calls += 1;
        let happens = !self.is_over()
            && match self.fault.when {
                When::Always | When::Within(_) => true,
                When::Next(count) => self.calls <= count,
                When::Every(nth) => self.calls.is_multiple_of(nth),
            };
        self.injected += u64::from(happens);
        happens
    }
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static ENDED: Condvar = Condvar::new();

/// The number of faults that have not ended. While it is 0, a call looks at nothing else.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// The effects that this call has, among those that `applies` to it.
pub(crate) fn effects(function: Function, applies: impl Fn(Effect) -> bool) -> Vec<Effect> {
    if ARMED.load(Ordering::Acquire) == 0 {
        return Vec::new();
    }
    entries()
        .iter_mut()
        .filter(|entry| entry.fault.function == function && !entry.ended)
        .filter(|entry| applies(entry.fault.effect))
        .filter_map(|entry| entry.happens().then_some(entry.fault.effect))
        .collect()
}

/// The longest by which a signature will be lengthened, for whoever asks for its length.
pub(crate) fn lengthening() -> usize {
    if ARMED.load(Ordering::Acquire) == 0 {
        return 0;
    }
    let lengthening = |entry: &Entry| match entry.fault.effect {
        Effect::Lengthen(by) if !entry.is_over() => Some(by),
        _ => None,
    };
    entries().iter().filter_map(lengthening).max().unwrap_or(0)
}

/// Stands still while a fault is on that makes this function hang.
pub(crate) fn hang(function: Function) {
    let mut entries = entries();
    while let Some(hanging) = entries.iter().find(|entry| {
        let is_hang = matches!(entry.fault.effect, Effect::Hang);
        is_hang && entry.fault.function == function && !entry.is_over()
    }) {
        let left = hanging.left().unwrap_or(Duration::MAX);
        entries = ENDED
            .wait_timeout(entries, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

/// A call of the application's, from its beginning to its end.
pub(crate) struct Call(Function);

struct Counter {
    calls: AtomicU64,
    failures: AtomicU64,
}

static COUNTERS: [Counter; Function::COUNT] = [const {
    Counter {
        calls: AtomicU64::new(0),
        failures: AtomicU64::new(0),
    }
}; Function::COUNT];

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
static FINALIZING: AtomicUsize = AtomicUsize::new(0);
static OVERLAPS: AtomicU64 = AtomicU64::new(0);
static REFUSED_LOGINS: AtomicU64 = AtomicU64::new(0);
static LOGINS_AFTER_REFUSAL: AtomicU64 = AtomicU64::new(0);

impl Call {
    pub(crate) fn begin(function: Function) -> Self {
        COUNTERS[function as usize]
            .calls
            .fetch_add(1, Ordering::Relaxed);
        // Each side announces itself before it looks for the other, so that one of them sees it.
        let overlaps = if function == Function::Finalize {
            FINALIZING.fetch_add(1, Ordering::SeqCst) > 0 || UNDER_WAY.load(Ordering::SeqCst) > 0
        } else {
            UNDER_WAY.fetch_add(1, Ordering::SeqCst);
            FINALIZING.load(Ordering::SeqCst) > 0
        };
        if overlaps {
            OVERLAPS.fetch_add(1, Ordering::Relaxed);
        }
        if function == Function::Login && REFUSED_LOGINS.load(Ordering::SeqCst) > 0 {
            LOGINS_AFTER_REFUSAL.fetch_add(1, Ordering::SeqCst);
        }
        Self(function)
    }

    pub(crate) fn end(self, code: CK_RV) -> CK_RV {
        if code != CKR_OK {
            COUNTERS[self.0 as usize]
                .failures
                .fetch_add(1, Ordering::Relaxed);
        }
        if self.0 == Function::Login && is_refusal(code) {
            REFUSED_LOGINS.fetch_add(1, Ordering::SeqCst);
        }
        code
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let under_way = if self.0 == Function::Finalize {
            &FINALIZING
        } else {
            &UNDER_WAY
        };
        under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

const fn is_refusal(code: CK_RV) -> bool {
    matches!(
        code,
        CKR_PIN_INCORRECT | CKR_PIN_INVALID | CKR_PIN_LEN_RANGE | CKR_PIN_EXPIRED | CKR_PIN_LOCKED
    )
}

extern "C" fn inject(fault: Fault) -> usize {
    let mut entries = entries();
    entries.push(Entry {
        fault,
        since: Instant::now(),
        calls: 0,
        injected: 0,
        ended: false,
    });
    ARMED.fetch_add(1, Ordering::Release);
    entries.len() - 1
}

extern "C" fn end(index: usize) -> u64 {
    let mut entries = entries();
    let Some(entry) = entries.get_mut(index) else {
        return 0;
    };
    if !entry.ended {
        entry.ended = true;
        ARMED.fetch_sub(1, Ordering::Release);
    }
    let injected = entry.injected;
    drop(entries);
    ENDED.notify_all();
    injected
}

extern "C" fn injected(index: usize) -> u64 {
    entries().get(index).map_or(0, |entry| entry.injected)
}

extern "C" fn calls(function: Function) -> u64 {
    COUNTERS[function as usize].calls.load(Ordering::Relaxed)
}

extern "C" fn failures(function: Function) -> u64 {
    COUNTERS[function as usize].failures.load(Ordering::Relaxed)
}

extern "C" fn refused_logins() -> u64 {
    REFUSED_LOGINS.load(Ordering::SeqCst)
}

extern "C" fn logins_after_refusal() -> u64 {
    LOGINS_AFTER_REFUSAL.load(Ordering::SeqCst)
}

extern "C" fn overlaps() -> u64 {
    OVERLAPS.load(Ordering::Relaxed)
}

unsafe extern "C" fn alone(action: unsafe extern "C" fn(*mut c_void), data: *mut c_void) {
    // SAFETY: the client hands over an action together with the data it wants.
    module::alone(|_| unsafe { action(data) });
}

fn entries() -> MutexGuard<'static, Vec<Entry>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}
