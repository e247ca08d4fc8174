//! The entry points of the PKCS#11 module kryoptic, whose package of its own is a shared library
//! that nothing can depend on.

use kryoptic_lib::fns::general::fn_get_function_list;
use kryoptic_lib::pkcs11::{CK_FUNCTION_LIST_PTR_PTR, CK_RV};

/// What every user of a PKCS#11 module calls first.
// SAFETY: Nothing else in this library has the name.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}
