//! Why a text is no policy.

use std::fmt;

use super::{MAX_POLICY_CHARACTERS, MAX_POLICY_LEN};

/// Why a text is no policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    place: String,
    problem: PolicyProblem,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// The document is longer than IAM reads.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The policy is longer than AWS raises the quota of a trust policy.
    TooManyCharacters {
        /// Its length in characters, without the white space between its parts.
        characters: usize,
    },
    /// The text is no JSON.
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What the JSON parser says of it.
        message: String,
    },
    /// A value of another type stands here.
    Type {
        /// What should stand here.
        expected: &'static str,
    },
    /// An element that is needed is missing.
    Missing {
        /// Its name, or two names of which one is needed.
        element: &'static str,
    },
    /// An element is there twice.
    Duplicate,
    /// The language has no such element, operator or type of principal.
    Unknown {
        /// What it would be in the right spelling, where only case differs.
        meant: Option<String>,
    },
    /// A trust policy must not have this element: the role is the resource.
    Prohibited,
    /// Two elements exclude each other.
    Exclusive {
        /// The other one.
        other: &'static str,
    },
    /// A list or object that must hold something is empty.
    Empty,
    /// The text is not one of those that may stand here.
    Value {
        /// What may.
        expected: &'static str,
    },
}

impl PolicyError {
    pub(super) const fn new(place: String, problem: PolicyProblem) -> Self {
        Self { place, problem }
    }

    /// The path to the place, such as `Statement[0].Condition.StringEquals`; empty for the document
    /// as a whole.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub const fn problem(&self) -> &PolicyProblem {
        &self.problem
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str("the policy ")?;
        } else {
            write!(f, "`{}` in the policy ", self.place)?;
        }
        match &self.problem {
            PolicyProblem::TooLong { len } => {
                write!(f, "has {len} bytes; IAM reads at most {MAX_POLICY_LEN}")
            }
            PolicyProblem::TooManyCharacters { characters } => write!(
                f,
                "has {characters} characters; a trust policy has at most {MAX_POLICY_CHARACTERS}, so split it over several roles"
            ),
            PolicyProblem::Json {
                line,
                column,
                message,
            } => write!(f, "is no JSON from line {line}, column {column}: {message}"),
            PolicyProblem::Type { expected } => write!(f, "must be {expected}"),
            PolicyProblem::Missing { element } => write!(f, "needs {element}"),
            PolicyProblem::Duplicate => f.write_str("is there twice; keep one"),
            PolicyProblem::Unknown { meant: Some(meant) } => {
                write!(f, "is unknown; names are case-sensitive, write `{meant}`")
            }
            PolicyProblem::Unknown { meant: None } => f.write_str("is unknown to IAM"),
            PolicyProblem::Prohibited => {
                f.write_str("must be left out: in a trust policy the role is the resource")
            }
            PolicyProblem::Exclusive { other } => {
                write!(f, "must not stand beside {other}; keep one")
            }
            PolicyProblem::Empty => f.write_str("must not be empty"),
            PolicyProblem::Value { expected } => write!(f, "must be {expected}"),
        }
    }
}

impl std::error::Error for PolicyError {}
