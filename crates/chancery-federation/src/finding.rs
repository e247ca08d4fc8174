//! What a check found.

use std::fmt;

/// Something that a check found: in an issuer, in claims or in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the values at hand.
    pub what: String,
    /// Why it is: the rule, and what comes of breaking it.
    pub why: String,
    /// How it is mended.
    pub mend: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It may fail, or is unwise; or the rule behind it is not certain.
    Warning,
    /// It fails, or lets in somebody who must not come in.
    Error,
}

impl Finding {
    /// Something that fails, or lets in somebody who must not come in.
    pub(crate) fn error(
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            what: what.into(),
            why: why.into(),
            mend: mend.into(),
        }
    }

    /// Something that may fail, or is unwise.
    pub(crate) fn warning(
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(what, why, mend)
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// `error: what: why; mend`, on one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            what,
            why,
            mend,
        } = self;
        write!(f, "{severity}: {what}: {why}; {mend}")
    }
}
