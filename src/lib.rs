//! The facade.
pub use chancery_core::*;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
pub use chancery_software as software;
