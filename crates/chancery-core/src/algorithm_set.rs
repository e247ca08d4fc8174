//! A set of algorithms, as small as a number.

use std::fmt;

use crate::algorithm::Algorithm;

/// A set of algorithms: those that a relying party accepts.
///
/// ```
/// use chancery_core::{Algorithm, AlgorithmSet};
///
/// let accepted = AlgorithmSet::of(&[Algorithm::Rs256, Algorithm::Es256]);
/// assert!(accepted.contains(Algorithm::Es256));
/// assert_eq!(accepted.fastest_first().next(), Some(Algorithm::Es256));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// Every algorithm.
    pub const ALL: Self = Self::of(&Algorithm::FASTEST_FIRST);

    /// The set of these.
    #[must_use]
    pub const fn of(algorithms: &[Algorithm]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < algorithms.len() {
            bits |= bit(algorithms[index]);
            index += 1;
        }
        Self(bits)
    }

    /// Whether it has this algorithm.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & bit(algorithm) != 0
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms that both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its algorithms, those that sign faster first: ECDSA and Ed25519 before RSA, and the shorter
    /// keys and hashes before the longer.
    pub fn fastest_first(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::FASTEST_FIRST
            .into_iter()
            .filter(move |&algorithm| self.contains(algorithm))
    }
}

const fn bit(algorithm: Algorithm) -> u16 {
    1 << algorithm as u16
}

/// Shows the names, separated by commas.
impl fmt::Display for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut algorithms = Algorithm::all().filter(|&algorithm| self.contains(algorithm));
        match algorithms.next() {
            Some(first) => f.write_str(first.name())?,
            None => return f.write_str("none"),
        }
        algorithms.try_for_each(|algorithm| write!(f, ", {algorithm}"))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlgorithmSet({self})")
    }
}
