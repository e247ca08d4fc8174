//! What is wrong with a template, or with values for one.

use std::fmt;

/// Why a text is no subject template. Positions are bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace opens and no variable's name and closing brace follow.
    Unclosed {
        /// Where it opens.
        position: usize,
    },
    /// The name in the braces is empty, or has others than letters, digits and `_`.
    Name {
        /// Where the brace opens.
        position: usize,
    },
    /// A variable was not declared.
    Unknown {
        /// Its name.
        name: String,
        /// Where its brace opens.
        position: usize,
    },
    /// A variable stands in the template a second time.
    UsedTwice {
        /// Its name.
        name: String,
        /// Where its brace opens.
        position: usize,
    },
    /// A variable was declared and does not stand in the template.
    Unused {
        /// Its name.
        name: String,
    },
    /// A variable was declared a second time.
    DeclaredTwice {
        /// Its name.
        name: String,
    },
    /// There is nothing between two colons, or before the first, or after the last.
    EmptySegment {
        /// Where something is missing.
        position: usize,
    },
    /// A character that policies read as more than itself, or that is no printable ASCII.
    Character {
        /// The character.
        character: char,
        /// Where it stands.
        position: usize,
    },
    /// Between two variables stands nothing that could not belong to a value.
    NotSeparated {
        /// Where the brace of the second opens.
        position: usize,
    },
    /// A variable can have no value at all.
    NoValue {
        /// Its name.
        name: String,
    },
    /// One of the values of a variable is empty, is there twice, or has others than letters,
    /// digits, `-`, `.`, `_` and `~`.
    Value {
        /// The name of the variable.
        name: String,
        /// The value.
        value: String,
    },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the subject template ")?;
        match self {
            Self::Unclosed { position } => write!(
                f,
                "has a brace at byte {position} that is not closed; write {{name}}"
            ),
            Self::Name { position } => write!(
                f,
                "has braces at byte {position} without a name of letters, digits and _"
            ),
            Self::Unknown { name, position } => write!(
                f,
                "has the variable `{name}` at byte {position}, which is not declared; add a Variable for it"
            ),
            Self::UsedTwice { name, position } => {
                write!(f, "has the variable `{name}` again at byte {position}")
            }
            Self::Unused { name } => write!(
                f,
                "lacks the variable `{name}`, which is declared; what tells subjects apart must stand in them"
            ),
            Self::DeclaredTwice { name } => write!(f, "has two declarations of `{name}`"),
            Self::EmptySegment { position } => write!(
                f,
                "has an empty segment at byte {position}; put text or a variable there"
            ),
            Self::Character {
                character,
                position,
            } => write!(
                f,
                "has {character:?} at byte {position}, which policies read as more than itself, or which is no printable ASCII"
            ),
            Self::NotSeparated { position } => write!(
                f,
                "has a variable at byte {position} that nothing separates from the one before; put `:` or `/` between them"
            ),
            Self::NoValue { name } => {
                write!(f, "has the variable `{name}`, which no value fits")
            }
            Self::Value { name, value } => write!(
                f,
                "has the variable `{name}` with the value {value:?}, which is empty, there twice, or has others than letters, digits, -, ., _ and ~"
            ),
        }
    }
}

impl std::error::Error for TemplateError {}

/// Why values make no subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectError {
    /// A variable has no value.
    Missing {
        /// The variable.
        variable: String,
    },
    /// A value is for no variable of the template, or for one that has a value already.
    Superfluous {
        /// The name it was given for.
        name: String,
    },
    /// A value is empty, so that two separators would meet.
    Empty {
        /// The variable.
        variable: String,
    },
    /// A value is none of those that its variable may have.
    NotListed {
        /// The variable.
        variable: String,
    },
    /// An id has another character than letters, digits, `-`, `.`, `_` and `~`.
    Character {
        /// The variable.
        variable: String,
        /// Where it stands, in bytes from 0.
        position: usize,
    },
    /// A value takes more of the subject than its variable may.
    TooLong {
        /// The variable.
        variable: String,
        /// How many characters it takes, encoding included.
        len: usize,
        /// How many it may take.
        longest: usize,
    },
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { variable } => {
                write!(f, "the subject's variable `{variable}` has no value")
            }
            Self::Superfluous { name } => write!(
                f,
                "a value is given for `{name}`, which the subject's template does not have, or which has one already"
            ),
            Self::Empty { variable } => {
                write!(
                    f,
                    "the value of the subject's variable `{variable}` is empty"
                )
            }
            Self::NotListed { variable } => write!(
                f,
                "the value of the subject's variable `{variable}` is none of those declared for it"
            ),
            Self::Character { variable, position } => write!(
                f,
                "the id for the subject's variable `{variable}` has another character than letters, digits, -, ., _ and ~ at byte {position}; declare what users choose as text"
            ),
            Self::TooLong {
                variable,
                len,
                longest,
            } => write!(
                f,
                "the value of the subject's variable `{variable}` takes {len} characters, and may take {longest}"
            ),
        }
    }
}

impl std::error::Error for SubjectError {}
