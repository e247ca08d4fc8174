//! The PKCS#11 module that `cargo xtask` has set up, as the environment describes it.

use std::env;

use chancery::rotation::KeyBackend;
use chancery_pkcs11::{Pin, Token, TokenBackend};

use crate::Outcome;

/// Its name, where there is one.
pub(crate) fn name() -> Option<String> {
    env::var("CHANCERY_MODULE").ok()
}

/// The keys on its token.
pub(crate) fn open() -> Outcome<Box<dyn KeyBackend>> {
    let mut builder = Token::builder(required("PATH")?).pin(Pin::file(required("PIN")?));
    builder = match optional("SLOT") {
        Some(slot) => builder.slot(slot.parse()?),
        None => builder.label(required("TOKEN")?),
    };
    if let Some(reserved) = optional("RESERVED") {
        builder = builder.reserved(reserved);
    }
    Ok(Box::new(TokenBackend::new(builder.open()?)))
}

fn optional(what: &str) -> Option<String> {
    required(what).ok()
}

fn required(what: &str) -> Result<String, String> {
    let name = format!("CHANCERY_MODULE_{what}");
    env::var(&name).map_err(|error| format!("{name}: {error}"))
}
