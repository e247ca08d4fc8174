//! A signature in two calls.
//!
//! `cryptoki` asks a module for the signature's length in a call of its own before it asks for the
//! signature. On an HSM in a network that is one round trip in three. The length is known from the
//! key, so that this makes the two calls that are needed (PKCS#11 3.1 §5.13).

use std::fmt;
use std::mem;
use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_MECHANISM, CK_RV, CK_ULONG};
use libloading::Library;

type FunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;

/// A module's library, loaded.
pub(crate) struct ModuleLibrary {
    library: Library,
    function_list: FunctionList,
}

impl ModuleLibrary {
    /// Loads the library at the path, or finds it where it is loaded already.
    #[allow(unsafe_code)]
    pub(crate) fn load(path: &Path) -> std::result::Result<Self, libloading::Error> {
        // SAFETY: what a library does when it is loaded is up to whoever named it as a module.
        // `cryptoki` loads it in the same way.
        let library = unsafe { Library::new(path) }?;
        // SAFETY: in a PKCS#11 module the symbol of this name is a function of this type (PKCS#11
        // 3.1 §5.4).
        let function_list = *unsafe { library.get::<FunctionList>(b"C_GetFunctionList\0") }?;
        Ok(Self {
            library,
            function_list,
        })
    }

    /// Tells libraries apart: one that is reached by several paths, such as hard links, is loaded
    /// once, and its functions lie in one place.
    pub(crate) fn id(&self) -> usize {
        self.function_list as usize
    }
}

/// A module's functions for signing.
pub(crate) struct SinglePart {
    /// `None` where every list that the module hands out is a module of its own, with sessions of
    /// its own, as those of p11-kit are. Then `cryptoki` has to sign, with the list that it got.
    functions: Option<&'static CK_FUNCTION_LIST>,
}

impl SinglePart {
    /// Takes the functions of the module, which stays loaded from here on.
    #[allow(unsafe_code)]
    pub(crate) fn new(library: ModuleLibrary) -> Self {
        let mut lists: [*mut CK_FUNCTION_LIST; 2] = [ptr::null_mut(); 2];
        for list in &mut lists {
            // SAFETY: it is a function of the library, which is loaded, and writes to the place it
            // is given.
            unsafe { (library.function_list)(list) };
        }
        // The list is the module's own and static, so the module must never be unloaded.
        mem::forget(library.library);
        let [list, another] = lists;
        // SAFETY: where the call failed, the pointer is null still; else it is that of the
        // module's list, which nobody writes to and which lives as long as the process.
        let functions = unsafe { list.as_ref() };
        Self {
            functions: functions.filter(|_| list == another),
        }
    }

    /// Whether the module hands out its one list of functions each time, and not a client of its
    /// own to some other process.
    pub(crate) const fn is_in_process(&self) -> bool {
        self.functions.is_some()
    }

    /// Signs `data`, all at once; tells the signature's length, which is at most that of `buffer`.
    #[allow(unsafe_code)]
    pub(crate) fn sign(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize> {
        let Some(functions) = self.functions else {
            let signature = session.sign(mechanism, key, data)?;
            let too_small = Error::Pkcs11(RvError::BufferTooSmall, Function::Sign);
            let place = buffer.get_mut(..signature.len()).ok_or(too_small)?;
            place.copy_from_slice(&signature);
            return Ok(signature.len());
        };
        let sign_init = functions.C_SignInit;
        let sign_init = sign_init.ok_or(Error::NullFunctionPointer)?;
        let sign = functions.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        // SAFETY: the function has this type in the standard. What `mechanism` points to is
        // borrowed for longer than this call.
        let code = unsafe { sign_init(session.handle(), &raw mut mechanism, key.handle()) };
        Rv::from(code).into_result(Function::SignInit)?;
        let mut length = CK_ULONG::try_from(buffer.len())?;
        // SAFETY: the function has this type in the standard, which has it read so many bytes of
        // `data`, though the pointer is not a constant one, and write no more than `length` bytes
        // to the buffer, both of which are borrowed for longer than this call.
        let code = unsafe {
            sign(
                session.handle(),
                data.as_ptr().cast_mut(),
                CK_ULONG::try_from(data.len())?,
                buffer.as_mut_ptr(),
                &raw mut length,
            )
        };
        Rv::from(code).into_result(Function::Sign)?;
        Ok(usize::try_from(length)?.min(buffer.len()))
    }
}

impl fmt::Debug for SinglePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinglePart")
    }
}
