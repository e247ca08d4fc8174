//! Modules: loaded once for each path, started once for all who use them.

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, Result as CryptokiResult, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys::CK_SESSION_HANDLE;

use crate::deadline;
use crate::error::Pkcs11Error;
use crate::exit::close_at_exit;
use crate::gate::{After, Gate, NotRestarted, Restarted};
use crate::login::Logins;
use crate::module_error::CallError;
use crate::single_part::{ModuleLibrary, SinglePart};
use crate::sync::{Mutex, MutexGuard, lock};

/// How long a restart waits for calls in flight. A sound module answers sooner; one that does not
/// is not helped by a restart, and the other tokens of the module are held up meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// Restarts are at least this far apart.
const RESET_INTERVAL: Duration = Duration::from_millis(200);

/// The modules of this process. They stay loaded: threads of theirs may still run.
///
/// They go by their library and not by their path, since a library has one state for the process,
/// however many paths lead to it: what refused a PIN must be known by all of them, and no restart
/// may go on beside calls by another path. Each has a lock of its own, since one that hangs while it
/// is asked for its functions must not hold up the others.
static MODULES: LazyLock<Mutex<BTreeMap<usize, Place>>> = LazyLock::new(Mutex::default);

/// That of a module in the registry, empty until it is loaded as a whole.
type Place = Arc<Mutex<Option<Arc<Module>>>>;

/// A module, shared by all tokens and signers of the process that use it.
pub(crate) struct Module {
    path: PathBuf,
    /// What `C_Initialize` gets as `pReserved`.
    reserved: Option<CString>,
    pkcs11: Pkcs11,
    single_part: SinglePart,
    gate: Arc<Gate>,
    closes_at_exit: Once,
    /// Whether the `C_Initialize` that counts was ours.
    is_ours: AtomicBool,
    last_reset: Mutex<Option<Reset>>,
    /// Which of the sessions here has which handle in which epoch, by what it knows of its end.
    sessions: Mutex<BTreeMap<(u64, CK_SESSION_HANDLE), Arc<AtomicBool>>>,
    /// The number of signatures made, of all keys together.
    signed: AtomicU64,
    /// Held during a call, where calls must go one by one: when its server dies, the client of
    /// p11-kit (0.24.1) wakes only one of the threads that wait for an answer, and the others wait
    /// for good. Its server answers one after the other anyway.
    turn: Option<Mutex<()>>,
    logins: Logins,
}

/// The last restart, or try at one.
#[derive(Clone, Copy)]
pub(crate) struct Reset {
    pub(crate) at: Instant,
    /// The number of signatures that the module had made.
    pub(crate) signed: u64,
}

impl Module {
    /// The module at the path, loaded now if it was not yet.
    pub(crate) fn load(path: &Path, reserved: Option<&str>) -> Result<Arc<Self>, Pkcs11Error> {
        let path = fs::canonicalize(path).map_err(|error| Pkcs11Error::ModuleNotFound {
            path: path.to_owned(),
            error,
        })?;
        let reserved = reserved.map(CString::new).transpose();
        let reserved = reserved.map_err(|_| Pkcs11Error::Reserved { path: path.clone() })?;
        let not_loaded = |reason| Pkcs11Error::ModuleLoad {
            path: path.clone(),
            reason,
        };
        // No lock of ours is held: where a library hangs in its initialisers, the system's loader
        // holds up those that load others, but not those that use what is loaded.
        let library = ModuleLibrary::load(&path).map_err(|error| not_loaded(error.to_string()))?;
        let place = Arc::clone(lock(&MODULES).entry(library.id()).or_default());
        let mut place = lock(&place);
        if let Some(module) = &*place {
            return if module.reserved == reserved {
                Ok(Arc::clone(module))
            } else {
                Err(Pkcs11Error::Reserved { path })
            };
        }
        // The binding loads the library by its path for itself, and the two must be one.
        let (single_part, pkcs11) = unless_exchanged(&path, || {
            let single_part = SinglePart::new(library);
            let pkcs11 = Pkcs11::new(&path).map_err(|error| error.to_string())?;
            Ok((single_part, pkcs11))
        })
        .map_err(not_loaded)?;
        let module = Arc::new(Self {
            path: path.clone(),
            reserved,
            pkcs11,
            turn: (!single_part.is_in_process()).then(|| Mutex::new(())),
            single_part,
            gate: Arc::new(Gate::new(PATIENCE)),
            closes_at_exit: Once::new(),
            is_ours: AtomicBool::new(false),
            last_reset: Mutex::new(None),
            sessions: Mutex::new(BTreeMap::new()),
            signed: AtomicU64::new(0),
            logins: Logins::default(),
        });
        *place = Some(Arc::clone(&module));
        Ok(module)
    }

    /// Where it was loaded from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of restarts so far, on which handles depend.
    pub(crate) fn epoch(&self) -> u64 {
        self.gate.epoch()
    }

    /// The number of signatures made so far, of all keys together.
    pub(crate) fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// Calls the module, which is initialised first where it is not. The call must not reach for
    /// the module by another way.
    pub(crate) fn call<T>(
        &self,
        call: impl FnOnce(&Pkcs11) -> CryptokiResult<T>,
    ) -> Result<T, CallError> {
        self.call_in_epoch(call).map(|(value, _)| value)
    }

    /// Opens a session, whose handle no other one uses from here on.
    pub(crate) fn open_session(
        self: &Arc<Self>,
        slot: Slot,
        access: Access,
    ) -> Result<ModuleSession, CallError> {
        loop {
            let (session, epoch) = self.call_in_epoch(|pkcs11| match access {
                Access::ReadOnly => pkcs11.open_ro_session_no_drop(slot),
                Access::ReadWrite => pkcs11.open_rw_session_no_drop(slot),
            })?;
            let key = (epoch, session.handle());
            let is_gone = Arc::new(AtomicBool::new(false));
            let before = lock(&self.sessions).insert(key, Arc::clone(&is_gone));
            if let Some(before) = before {
                match self.take_handle_from(&before, epoch) {
                    Ok(()) => {}
                    Err(NotRestarted::NotNeeded) => {
                        self.forget(key, &is_gone);
                        continue;
                    }
                    Err(NotRestarted::Stuck(calls)) => {
                        lock(&self.sessions).insert(key, before);
                        return Err(CallError::Stuck(calls));
                    }
                }
            }
            return Ok(ModuleSession {
                module: Arc::clone(self),
                session: Some(session),
                epoch,
                is_gone,
            });
        }
    }

    /// Ends a session whose handle the module has given out again. Somebody else has finalised and
    /// initialised it then, in between two calls of ours, and no return code tells. Two threads in
    /// one session crash modules, so this waits until the other one is out of the module.
    fn take_handle_from(&self, before: &AtomicBool, epoch: u64) -> Result<(), NotRestarted> {
        self.gate.restart(epoch, || {
            before.store(true, Ordering::Relaxed);
            Restarted {
                after: After::Same,
                outcome: (),
            }
        })
    }

    /// Gives up the handle of a session that ends, unless another one has taken it.
    fn forget(&self, key: (u64, CK_SESSION_HANDLE), is_gone: &Arc<AtomicBool>) {
        let mut sessions = lock(&self.sessions);
        if sessions
            .get(&key)
            .is_some_and(|owner| Arc::ptr_eq(owner, is_gone))
        {
            sessions.remove(&key);
        }
    }

    /// Finalises and initialises the module, unless the epoch is over already or that was done
    /// only just now.
    pub(crate) fn reset(&self, over: u64) -> Result<(), CallError> {
        let is_recent = |last: Reset| last.at.elapsed() < RESET_INTERVAL;
        if self.gate.epoch() != over || self.last_reset().is_some_and(is_recent) {
            return Ok(());
        }
        if !self.is_ours.load(Ordering::Relaxed) {
            // Any call initialises what is down; what is up was initialised by somebody else.
            let is_up = self.gate.enter().is_up();
            return if is_up {
                Err(CallError::NotOurs)
            } else {
                self.call(|pkcs11| pkcs11.get_library_info()).map(drop)
            };
        }
        let restarted = self.gate.restart(over, || {
            let finalized = self.pkcs11.clone().finalize();
            let initialized = self.initialize_now();
            match finalized {
                // It was not finalised, so our earlier initialisation is the one that counts.
                Err(error)
                    if !is_down(&error)
                        && initialized.after == After::Fresh
                        && !self.is_ours.load(Ordering::Relaxed) =>
                {
                    self.is_ours.store(true, Ordering::Relaxed);
                    Restarted {
                        after: After::Same,
                        outcome: Err(error),
                    }
                }
                _ => initialized,
            }
        });
        if !matches!(restarted, Err(NotRestarted::NotNeeded)) {
            *lock(&self.last_reset) = Some(Reset {
                at: Instant::now(),
                signed: self.signed(),
            });
        }
        match restarted {
            Ok(outcome) => Ok(outcome?),
            Err(reason) => reason.into(),
        }
    }

    /// The last restart that [`Module::reset`] tried, of whichever signer.
    pub(crate) fn last_reset(&self) -> Option<Reset> {
        *lock(&self.last_reset)
    }

    /// The logins to its tokens.
    pub(crate) const fn logins(&self) -> &Logins {
        &self.logins
    }

    /// Waits for one's turn to call, where calls go one by one. It comes before a pass, so that
    /// nobody holds up a restart who only waits.
    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.as_ref().map(lock)
    }

    fn call_in_epoch<T>(
        &self,
        call: impl FnOnce(&Pkcs11) -> CryptokiResult<T>,
    ) -> Result<(T, u64), CallError> {
        let _turn = self.turn();
        let pass = loop {
            let pass = self.gate.enter();
            if pass.is_up() {
                break pass;
            }
            let epoch = pass.epoch();
            drop(pass);
            match self.gate.restart(epoch, || self.initialize_now()) {
                Ok(outcome) => outcome?,
                Err(reason) => Result::from(reason)?,
            }
        };
        let result = call(&self.pkcs11);
        self.observe(&result, pass.epoch());
        Ok((result?, pass.epoch()))
    }

    /// Ends the epoch when somebody else has finalised the module. One return code alone proves
    /// nothing, so the module is asked again.
    fn observe<T>(&self, result: &CryptokiResult<T>, epoch: u64) {
        if let Err(error) = result
            && is_down(error)
            && self
                .pkcs11
                .get_library_info()
                .is_err_and(|error| is_down(&error))
        {
            self.gate.mark_down(epoch);
        }
    }

    /// Calls `C_Initialize`, and notes whose initialisation it is that counts.
    fn initialize_now(&self) -> Restarted<CryptokiResult<()>> {
        let flags = CInitializeFlags::OS_LOCKING_OK;
        let arguments = match &self.reserved {
            None => CInitializeArgs::new(flags),
            Some(reserved) => {
                let pointer = NonNull::from(reserved.as_c_str()).cast::<c_void>();
                // SAFETY: the pointer is that of a C string, which is what modules that look at
                // pReserved take. The string lives as long as `self`, which the registry keeps for
                // the rest of the process.
                #[allow(unsafe_code)]
                unsafe {
                    CInitializeArgs::new_with_reserved(flags, pointer)
                }
            }
        };
        let result = self.pkcs11.initialize(arguments);
        let is_theirs = matches!(
            result,
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _))
        );
        self.is_ours.store(result.is_ok(), Ordering::Relaxed);
        let is_up = result.is_ok() || is_theirs;
        if is_up {
            self.closes_at_exit.call_once(|| close_at_exit(&self.gate));
        }
        Restarted {
            after: if is_up { After::Fresh } else { After::Down },
            outcome: if is_theirs { Ok(()) } else { result },
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a session may do to the objects on the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// A session, which is of use for as long as its epoch lasts. It is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct ModuleSession {
    module: Arc<Module>,
    /// `None` once it is closed.
    session: Option<Session>,
    epoch: u64,
    /// The module does not know the handle any more, which may become another session's, or has
    /// become it.
    is_gone: Arc<AtomicBool>,
}

impl ModuleSession {
    /// Calls the module in this session. The call must not reach for the module by another way.
    ///
    /// An operation that was given up ends here: it must not make or destroy anything any more, as
    /// whoever asked for it may have done so since.
    pub(crate) fn call<T>(
        &self,
        call: impl FnOnce(&Session) -> CryptokiResult<T>,
    ) -> Result<T, CallError> {
        let _turn = self.module.turn();
        let pass = self.module.gate.enter();
        if deadline::is_given_up() {
            return Err(CallError::GivenUp);
        }
        let Some(session) = &self.session else {
            return Err(CallError::Stale);
        };
        if !pass.is_up() || pass.epoch() != self.epoch || self.is_gone.load(Ordering::Relaxed) {
            return Err(CallError::Stale);
        }
        let result = call(session);
        self.module.observe(&result, self.epoch);
        if let Err(Error::Pkcs11(code, _)) = &result {
            let is_gone = match code {
                RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::CryptokiNotInitialized => true,
                // Sessions end with the removal (PKCS#11 3.1 §5.1.2), but where the code only
                // stands for a bad connection, one that nobody closes would stay open.
                RvError::DeviceRemoved | RvError::TokenNotPresent => {
                    session.get_session_info().is_err()
                }
                _ => false,
            };
            if is_gone {
                self.is_gone.store(true, Ordering::Relaxed);
                let key = (self.epoch, session.handle());
                self.module.forget(key, &self.is_gone);
            }
        }
        Ok(result?)
    }

    /// Signs; tells the signature's length, which is at most that of `buffer`.
    pub(crate) fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, CallError> {
        let single_part = &self.module.single_part;
        let signed =
            self.call(|session| single_part.sign(session, mechanism, key, data, buffer))?;
        self.module.signed.fetch_add(1, Ordering::Relaxed);
        Ok(signed)
    }
}

impl Drop for ModuleSession {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        let key = (self.epoch, session.handle());
        let _turn = self.module.turn();
        let pass = self.module.gate.enter();
        let is_known = pass.is_up() && pass.epoch() == self.epoch;
        if is_known && !self.is_gone.load(Ordering::Relaxed) {
            // There is nobody to tell of a failure, and nothing to do about it.
            let _ = session.close();
        }
        // Only now, lest a new session with this handle be closed by that.
        self.module.forget(key, &self.is_gone);
    }
}

/// Loads what lies at the path, unless another file comes to lie there meanwhile.
fn unless_exchanged<T>(path: &Path, load: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = file_id(path);
    let loaded = load()?;
    if file_id(path) != before {
        return Err("the file was exchanged while it was loaded; restart".to_owned());
    }
    Ok(loaded)
}

/// The device and the number of a file. Where there are none, files that are loaded cannot be
/// exchanged.
#[cfg(unix)]
fn file_id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
const fn file_id(_: &Path) -> Option<(u64, u64)> {
    None
}

fn is_down(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::CryptokiNotInitialized, _))
}

#[cfg(test)]
#[cfg(not(chancery_shuttle))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use chancery_core::{Algorithm, Signer as _, SigningInput};
    use chancery_pkcs11::KeyPair;
    use cryptoki::context::Function;

    use super::*;
    use crate::softhsm::isolated;

    /// SoftHSM crashes when it is finalised beside other calls, so that this process survives is
    /// what is tested; and that no caller notices.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn restarts_under_load() {
        isolated(|hsm| {
            let token = hsm.token();
            token.generate(KeyPair::P256, "key", None).unwrap();
            let signers = [0, 1].map(|_| token.signer().label("key").open().unwrap());
            let is_done = AtomicBool::new(false);
            let signed = AtomicUsize::new(0);
            thread::scope(|scope| {
                for signer in signers.iter().cycle().take(6) {
                    scope.spawn(|| {
                        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
                        while !is_done.load(Ordering::Relaxed) {
                            signer.sign(&input).unwrap();
                            signed.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                let module = token.module();
                for restart in 1..=20 {
                    thread::sleep(RESET_INTERVAL + Duration::from_millis(5));
                    let before = signed.load(Ordering::Relaxed);
                    assert_eq!(module.epoch(), restart);
                    module.reset(restart).unwrap();
                    assert_eq!(module.epoch(), restart + 1);
                    // Under load indeed.
                    while signed.load(Ordering::Relaxed) < before + 10 {
                        thread::yield_now();
                    }
                }
                is_done.store(true, Ordering::Relaxed);
            });
            println!("{signed:?} signatures around 20 restarts");
        });
    }

    #[test]
    fn a_file_that_is_exchanged_while_it_is_loaded_is_refused() {
        let [file, other] = ["file", "other"].map(|name| {
            let name = format!("chancery-exchanged-{}-{name}", std::process::id());
            std::env::temp_dir().join(name)
        });
        fs::write(&file, "old").unwrap();
        fs::write(&other, "new").unwrap();
        assert_eq!(unless_exchanged(&file, || Ok(1)), Ok(1));
        let loaded = unless_exchanged(&file, || {
            fs::rename(&other, &file).unwrap();
            Ok(2)
        });
        assert!(loaded.is_err_and(|reason| reason.contains("exchanged")));
        fs::remove_file(&file).unwrap();
    }

    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn restarts_keep_their_distance() {
        isolated(|hsm| {
            let module = Arc::clone(hsm.token().module());
            assert_eq!(module.epoch(), 1);
            module.reset(1).unwrap();
            module.reset(1).unwrap();
            module.reset(2).unwrap();
            assert_eq!(module.epoch(), 2);
            thread::sleep(RESET_INTERVAL);
            module.reset(1).unwrap();
            assert_eq!(module.epoch(), 2, "the epoch 1 is over");
            module.reset(2).unwrap();
            assert_eq!(module.epoch(), 3);
        });
    }

    /// Handles are numbered anew after a restart, so that of an old session may be a new one's.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn a_session_from_before_a_restart_closes_no_other() {
        isolated(|hsm| {
            let module = Arc::clone(hsm.token().module());
            let slot = hsm.bare().slot(crate::softhsm::LABEL);
            let handle = |session: &ModuleSession| session.session.as_ref().map(Session::handle);
            // None may be older, lest the numbers differ.
            module.reset(1).unwrap();
            let old = module.open_session(slot, Access::ReadOnly).unwrap();
            thread::sleep(RESET_INTERVAL);
            module.reset(2).unwrap();
            let new = module.open_session(slot, Access::ReadOnly).unwrap();
            assert_eq!(handle(&old), handle(&new));
            assert!(matches!(
                old.call(|session| session.get_session_info()),
                Err(CallError::Stale)
            ));
            drop(old);
            new.call(|session| session.get_session_info()).unwrap();
            // In its own time it is closed.
            let number = handle(&new).unwrap();
            assert!(hsm.bare().has_session(number));
            drop(new);
            assert!(!hsm.bare().has_session(number));
        });
    }

    /// No return code tells of a restart by somebody else that comes between two calls. Two threads
    /// in one session of SoftHSM's crash it.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn a_handle_that_is_given_out_twice_is_used_by_one_session_alone() {
        isolated(|hsm| {
            let module = Arc::clone(hsm.token().module());
            let slot = hsm.bare().slot(crate::softhsm::LABEL);
            let handle = |session: &ModuleSession| session.session.as_ref().map(Session::handle);
            let theirs = hsm.bare().pkcs11;
            let flags = CInitializeFlags::OS_LOCKING_OK;
            let restart = || {
                theirs.clone().finalize().unwrap();
                theirs.initialize(CInitializeArgs::new(flags)).unwrap();
            };
            let open = || module.open_session(slot, Access::ReadOnly).unwrap();
            let mut old = vec![open(), open()];
            restart();
            let mut others = Vec::new();
            let (old, new) = loop {
                let new = open();
                match old.iter().position(|old| handle(old) == handle(&new)) {
                    Some(index) => break (old.swap_remove(index), new),
                    None => others.push(new),
                }
                assert!(others.len() < 10, "handles are not given out again");
            };
            let info = |session: &ModuleSession| session.call(|session| session.get_session_info());
            assert!(matches!(info(&old), Err(CallError::Stale)));
            drop(old);
            info(&new).unwrap();
            let number = handle(&new).unwrap();
            drop(new);
            assert!(!hsm.bare().has_session(number));
        });
    }

    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn what_somebody_else_initialized_is_not_finalized() {
        isolated(|hsm| {
            let theirs = hsm.bare().pkcs11;
            let flags = CInitializeFlags::OS_LOCKING_OK;
            theirs.initialize(CInitializeArgs::new(flags)).unwrap();
            let module = Arc::clone(hsm.token().module());
            assert!(matches!(module.reset(1), Err(CallError::NotOurs)));
            theirs.get_library_info().unwrap();
            // Once they have finalised it, it is ours to initialise.
            theirs.finalize().unwrap();
            module.call(|pkcs11| pkcs11.get_all_slots()).unwrap_err();
            module.call(|pkcs11| pkcs11.get_all_slots()).unwrap();
            module.reset(module.epoch()).unwrap();
        });
    }

    /// A module that says once that it is down, and is not, is not given up.
    #[test]
    #[ignore = "needs SoftHSM; cargo xtask test sets it up"]
    fn one_code_proves_nothing() {
        isolated(|hsm| {
            let module = Arc::clone(hsm.token().module());
            let down = || {
                let code = RvError::CryptokiNotInitialized;
                Err::<(), _>(Error::Pkcs11(code, Function::OpenSession))
            };
            module.call(|_| down()).unwrap_err();
            assert_eq!(module.epoch(), 1);
            hsm.bare().pkcs11.finalize().unwrap();
            module.call(|_| down()).unwrap_err();
            assert_eq!(module.epoch(), 2);
        });
    }
}
