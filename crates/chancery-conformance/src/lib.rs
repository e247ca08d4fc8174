//! The test kit that every [`Signer`] must pass.
//!
//! An implementer of a new key backend runs it in a test, once for each algorithm:
//!
//! ```
//! use chancery_conformance::check;
//! # #[cfg(feature = "ring")] {
//! use chancery_core::Algorithm;
//! use chancery_software::{Engine, SoftwareSigner};
//!
//! let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
//! let report = check(&signer)?;
//! println!("{report}");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every check looks at what relying parties would see: the published key, and signatures that an
//! independent verifier accepts over exactly the bytes that were signed.

mod block_on;
mod checks;

use std::error::Error;
use std::fmt;

use chancery_core::{Algorithm, Signer};

/// Runs every check against a signer. The signer makes some 60 signatures.
///
/// # Errors
/// [`Failure`] names the first check that failed and says why.
pub fn check(signer: &dyn Signer) -> Result<Report, Failure> {
    check_up_to(signer, usize::MAX)
}

/// Runs every check against a signer that may refuse input of more than `longest` bytes, as
/// [`SignErrorKind::Unsupported`](chancery_core::SignErrorKind::Unsupported): such as that of a
/// device which has to take in all of what Ed25519 signs.
///
/// # Errors
/// Those of [`check`].
pub fn check_up_to(signer: &dyn Signer, longest: usize) -> Result<Report, Failure> {
    let mut passed = Vec::with_capacity(checks::ALL.len());
    for (name, check) in checks::ALL {
        check(signer, longest).map_err(|error| Failure { check: name, error })?;
        passed.push(*name);
    }
    Ok(Report {
        kid: signer.jwk().kid().to_owned(),
        algorithm: signer.jwk().algorithm(),
        passed,
    })
}

/// What a signer passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    kid: String,
    algorithm: Algorithm,
    passed: Vec<&'static str>,
}

impl Report {
    /// The names of the checks, in the order in which they ran.
    #[must_use]
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} key {}", self.algorithm, self.kid)?;
        for name in &self.passed {
            writeln!(f, "  passed: {name}")?;
        }
        Ok(())
    }
}

/// A check that a signer failed.
#[derive(Debug)]
pub struct Failure {
    check: &'static str,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// The name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        self.check
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check `{}` failed: {}", self.check, self.error)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
