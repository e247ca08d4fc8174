//! Three-valued logic.

use super::condition::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown(Reason),
}

impl Truth {
    pub(super) const fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            unknown => unknown,
        }
    }

    /// Whether one of them holds, and no more of them asked than is needed.
    pub(super) fn any(truths: impl Iterator<Item = Self>) -> Self {
        let mut outcome = Self::False;
        for truth in truths {
            match truth {
                Self::True => return Self::True,
                Self::False => {}
                unknown => outcome = unknown,
            }
        }
        outcome
    }

    /// Whether all of them hold.
    pub(super) fn all(truths: impl Iterator<Item = Self>) -> Self {
        Self::any(truths.map(Self::not)).not()
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}
