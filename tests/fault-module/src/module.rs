//! The real module, and the list of functions that stands before it.

use std::env;
use std::ffi::OsString;
use std::mem;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_ARGUMENTS_BAD,
    CKR_GENERAL_ERROR, CKR_OK,
};
use libloading::{Library, Symbol};

use crate::fault::Function;
use crate::functions;

const TARGET: &str = "CHANCERY_FAULT_TARGET";
const SOFT_HSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Calls into the real module hold it to read; whoever must be alone there holds it to write.
static GATE: RwLock<()> = RwLock::new(());

static LISTS: OnceLock<Option<Lists>> = OnceLock::new();

struct Lists {
    real: CK_FUNCTION_LIST,
    ours: CK_FUNCTION_LIST,
}

/// The real module's functions, which nobody else keeps out while this is held.
pub(crate) struct Real {
    pub(crate) functions: &'static CK_FUNCTION_LIST,
    _gate: RwLockReadGuard<'static, ()>,
}

/// Enters the real module; `None` when it could not be loaded, in which case nobody has our list.
pub(crate) fn real() -> Option<Real> {
    let lists = lists()?;
    Some(Real {
        functions: &lists.real,
        _gate: GATE.read().unwrap_or_else(PoisonError::into_inner),
    })
}

/// Runs `action` while no call of ours is in the real module.
pub(crate) fn alone(action: impl FnOnce(&CK_FUNCTION_LIST)) {
    let _gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(lists) = lists() {
        action(&lists.real);
    }
}

/// What a PKCS#11 library exports: hands out its list of functions.
///
/// # Safety
/// `list` must be null or point to where a pointer can be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    functions::around(Function::GetFunctionList, || {
        let Some(lists) = lists() else {
            return CKR_GENERAL_ERROR;
        };
        let ours: *const CK_FUNCTION_LIST = &raw const lists.ours;
        // SAFETY: the caller says that a pointer can be written here. Ours points to a static,
        // which PKCS#11 forbids callers to change, although the type has no `const`.
        unsafe { list.write(ours.cast_mut()) };
        CKR_OK
    })
}

fn lists() -> Option<&'static Lists> {
    let load = || match load() {
        Ok(real) => {
            let mut ours = real;
            functions::replace(&mut ours);
            Some(Lists { real, ours })
        }
        Err(error) => {
            eprintln!("fault module: {error}");
            None
        }
    };
    LISTS.get_or_init(load).as_ref()
}

fn load() -> Result<CK_FUNCTION_LIST, String> {
    let path = env::var_os(TARGET).unwrap_or_else(|| OsString::from(SOFT_HSM));
    let shown = path.display();
    // SAFETY: whoever runs the tests names a PKCS#11 module, which may be loaded by anybody.
    let library = unsafe { Library::new(&path) }
        .map_err(|error| format!("cannot load {shown}, which {TARGET} can replace: {error}"))?;
    // SAFETY: every PKCS#11 module exports this function with this type (PKCS#11 2.40, 5.4).
    let list: Symbol<'_, unsafe extern "C" fn(CK_FUNCTION_LIST_PTR_PTR) -> CK_RV> =
        unsafe { library.get(b"C_GetFunctionList\0") }
            .map_err(|error| format!("{shown} is no PKCS#11 module: {error}"))?;
    let mut functions: CK_FUNCTION_LIST_PTR = std::ptr::null_mut();
    // SAFETY: a pointer can be written to this local.
    let code = unsafe { list(&raw mut functions) };
    if code != CKR_OK || functions.is_null() {
        return Err(format!("C_GetFunctionList of {shown} returned {code:#x}"));
    }
    // SAFETY: on CKR_OK it points to the module's list, which stays where it is.
    let functions = unsafe { *functions };
    // The functions must stay as long as the process.
    mem::forget(library);
    Ok(functions)
}
