//! The client, which a test uses in the process that loads the module.

use std::env;
use std::ffi::c_void;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libloading::{Library, Symbol};

use crate::control::{Control, EXPORT};
use crate::fault::{self, Fault, Function};

/// Switches the faults of the module in this process, and tells what was called.
#[derive(Clone, Copy, Debug)]
pub struct Faults(&'static Control);

impl Faults {
    /// Where the module is: beside the running program, or in `deps` there.
    ///
    /// # Errors
    /// When it is not there, which means that cargo did not build this package's library for the
    /// program.
    pub fn path() -> io::Result<PathBuf> {
        let program = env::current_exe()?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let name = format!(
            "{}chancery_fault_module{}",
            env::consts::DLL_PREFIX,
            env::consts::DLL_SUFFIX
        );
        let places = [folder.join(&name), folder.join("deps").join(&name)];
        let [beside, below] = &places;
        // The one in `deps` is the one that was built together with the program.
        let found = [below, beside].into_iter().find(|path| path.is_file());
        found.cloned().ok_or_else(|| {
            let missing = format!("neither {} nor {}", below.display(), beside.display());
            io::Error::new(io::ErrorKind::NotFound, missing)
        })
    }

    /// Finds the module, whether or not it has been loaded as a PKCS#11 module already.
    ///
    /// # Errors
    /// When it is not there, or is something else.
    pub fn load() -> io::Result<Self> {
        let path = Self::path()?;
        // SAFETY: this is our own module, which does nothing when it is loaded.
        let library = unsafe { Library::new(&path) }.map_err(io::Error::other)?;
        // SAFETY: our module exports this function with this type.
        let control: Symbol<'_, extern "C" fn() -> *const Control> =
            unsafe { library.get(EXPORT) }.map_err(io::Error::other)?;
        // SAFETY: it hands out a static of the type that its source, which is ours, gives it.
        let control = unsafe { &*control() };
        // The static must stay as long as the process.
        mem::forget(library);
        Ok(Self(control))
    }

    /// Starts a fault. It goes on until it is ended or dropped.
    #[must_use = "a fault ends when it is dropped"]
    pub fn inject(&self, fault: Fault) -> Injection {
        Injection {
            control: self.0,
            index: (self.0.inject)(fault),
        }
    }

    /// Makes every signature take so long from now on, zero included. Sessions don't wait for each
    /// other; calls on the same one do. As a device has processors of its own, what was signed once
    /// on a session is not signed again but handed out.
    pub fn set_latency(&self, latency: Duration) {
        (self.0.set_latency)(fault::nanoseconds(latency));
    }

    /// Runs `action` while no call is inside the real module, so that it may do there what nobody
    /// may do under load. It must not call this module.
    pub fn alone(&self, action: impl FnOnce()) {
        unsafe extern "C" fn call<F: FnOnce()>(action: *mut c_void) {
            // SAFETY: `alone` below passes its own `Option<F>`, which nobody else uses meanwhile.
            let action = unsafe { &mut *action.cast::<Option<F>>() };
            if let Some(action) = action.take() {
                action();
            }
        }
        fn of<F: FnOnce()>(_: &Option<F>) -> unsafe extern "C" fn(*mut c_void) {
            call::<F>
        }
        let mut action = Some(action);
        let call = of(&action);
        // SAFETY: `call` gets the type that it was made for, and the module calls it before this
        // returns. Should the action panic, the process ends at the boundary.
        unsafe { (self.0.alone)(call, (&raw mut action).cast()) };
    }

    /// How many sessions are open that were opened through the module.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        (self.0.open_sessions)()
    }

    /// Closes all the sessions that the process has on its slots, as somebody else in it might.
    pub fn close_sessions(&self) {
        (self.0.close_sessions)();
    }

    /// How often a function was called.
    #[must_use]
    pub fn calls(&self, function: Function) -> u64 {
        (self.0.calls)(function)
    }

    /// How often a function returned something other than `CKR_OK`.
    #[must_use]
    pub fn failures(&self, function: Function) -> u64 {
        (self.0.failures)(function)
    }

    /// How many logins were refused because of their PIN.
    #[must_use]
    pub fn refused_logins(&self) -> u64 {
        (self.0.refused_logins)()
    }

    /// How many logins were tried after one had been refused because of its PIN.
    #[must_use]
    pub fn logins_after_refusal(&self) -> u64 {
        (self.0.logins_after_refusal)()
    }

    /// How many calls ran while `C_Finalize` ran, which no application may let happen.
    #[must_use]
    pub fn overlaps(&self) -> u64 {
        (self.0.overlaps)()
    }
}

/// A fault that is on.
pub struct Injection {
    control: &'static Control,
    index: usize,
}

impl Injection {
    /// In how many calls it has happened.
    #[must_use]
    pub fn injected(&self) -> u64 {
        (self.control.injected)(self.index)
    }

    /// Ends it; calls that it made hang go on. Tells in how many calls it has happened.
    pub fn end(self) -> u64 {
        (self.control.end)(self.index)
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        (self.control.end)(self.index);
    }
}

impl std::fmt::Debug for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injection")
            .field("injected", &self.injected())
            .finish_non_exhaustive()
    }
}
