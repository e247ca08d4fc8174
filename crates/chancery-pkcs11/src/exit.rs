//! The end of the process, at which nobody may be in a module.
//!
//! `exit` cleans up after the modules and the libraries that they use, while the other threads go
//! on. A module that is called then crashes, and the process ends with a signal where it should have
//! ended with its status.

use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::sync::{Mutex, lock};

/// How long the process waits for calls in flight, all modules together.
const PATIENCE: Duration = Duration::from_secs(1);

/// The gates of the modules that have been started.
static GATES: LazyLock<Mutex<Vec<Arc<Gate>>>> = LazyLock::new(Mutex::default);

/// Sees to it that calls end when the process exits. The last to be registered is the first to be
/// called (C17 §7.22.4.3), so this comes after the module is started, which is when what it uses
/// registers its own cleaning. It would be of no use before: that cleaning then comes first, beside
/// what is left of the start.
pub(crate) fn close_at_exit(gate: &Arc<Gate>) {
    lock(&GATES).push(Arc::clone(gate));
    // SAFETY: the function is one of this program's, is there for as long as this code is, takes
    // nothing and does not unwind. Where there is no room to register it, the process exits as it
    // would without.
    #[allow(unsafe_code)]
    unsafe {
        libc::atexit(close_all);
    }
}

/// What remains of the list is nobody's any more: each gate is waited for once.
extern "C" fn close_all() {
    let gates = mem::take(&mut *lock(&GATES));
    let deadline = Instant::now() + PATIENCE;
    for gate in gates {
        gate.close(deadline);
    }
}
