//! Logging in.

use chancery_pkcs11::{Pin, Pkcs11Error};

use crate::module::Module;

/// Tokens lock after a few wrong PINs, and a TPM does so for all that it holds. One try is made
/// here, and the right PIN after it makes the token forget it.
pub(crate) fn wrong_pin_is_tried_once(module: &Module) {
    for expected in [true, false] {
        match module.token_builder().pin(Pin::new("99999999")).open() {
            Err(Pkcs11Error::WrongPin { was_tried, .. }) => assert_eq!(was_tried, expected),
            other => panic!("{other:?}"),
        }
    }
    module.token();
}
