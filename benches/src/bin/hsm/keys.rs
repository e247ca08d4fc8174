//! The token with which the parts work.

use std::env;
use std::path::PathBuf;

use chancery_fault_module::SoftHsm;
use chancery_hsm::HsmOptions;
use chancery_pkcs11::{KeyPair, Pin, Token};

use crate::Outcome;

pub(crate) const EC: &str = "ec";
pub(crate) const RSA: &str = "rsa";

/// SoftHSM's own module.
pub(crate) fn module() -> PathBuf {
    env::var_os("CHANCERY_SOFTHSM").map_or_else(|| SoftHsm::MODULE.into(), PathBuf::from)
}

/// The token with a P-256 key and an RSA key of 2048 bits.
pub(crate) fn token_with_keys(module: PathBuf) -> Outcome<Token> {
    let token = token(module)?;
    token.generate(KeyPair::P256, EC, None)?;
    token.generate(KeyPair::Rsa { bits: 2048 }, RSA, None)?;
    Ok(token)
}

/// Options under which signatures are released unverified.
#[cfg_attr(not(chancery_unverified), expect(clippy::missing_const_for_fn))]
pub(crate) fn unverified(options: HsmOptions) -> HsmOptions {
    #[cfg(chancery_unverified)]
    let options = options.unverified();
    options
}

/// The token, opened through a module that is SoftHSM or wraps it.
fn token(module: PathBuf) -> Outcome<Token> {
    let builder = Token::builder(module)
        .label(SoftHsm::LABEL)
        .pin(Pin::new(SoftHsm::PIN));
    Ok(builder.open()?)
}
