//! The part of an issuer's subjects that a trust policy lets in.

use std::fmt;

use crate::subject_error::SubjectError;
use crate::subject_template::{Kind, Part, SubjectTemplate};

/// What AWS compares a subject with: a text, or a pattern that matches a chosen part of a
/// template's subjects and nothing else the template can make.
///
/// [`SubjectTemplate::aws_pattern`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPattern {
    value: String,
    is_exact: bool,
    is_identifying: bool,
}

impl SubjectPattern {
    /// The condition operator: `StringEquals` for one subject, `StringLike` for more.
    #[must_use]
    pub const fn operator(&self) -> &'static str {
        if self.is_exact {
            "StringEquals"
        } else {
            "StringLike"
        }
    }

    /// The value to compare with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it matches one subject only.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether it fixes an id, so that it tells one customer of a shared issuer from the others.
    #[must_use]
    pub const fn is_identifying(&self) -> bool {
        self.is_identifying
    }
}

impl SubjectTemplate {
    /// The pattern that matches exactly the subjects in which these variables have these values,
    /// and the others any.
    ///
    /// No subject of the template has more separators than the template itself, since values
    /// cannot hold any; so a `*` stands for one value, and cannot stretch over a separator.
    ///
    /// ```
    /// # use chancery_federation::{SubjectTemplate, Variable};
    /// # let variables = [Variable::id("space"), Variable::text("branch")];
    /// let template = SubjectTemplate::parse("space:{space}:branch:{branch}", variables)?;
    ///
    /// let pattern = template.aws_pattern(&[("space", "01HZX")])?;
    /// assert_eq!((pattern.operator(), pattern.value()), ("StringLike", "space:01HZX:branch:*"));
    ///
    /// // Whoever names a branch so, in a space of his own, would come in.
    /// assert!(template.aws_pattern(&[("branch", "main")]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PatternError`] when a value does not go with its variable, and when users could widen the
    /// pattern: it matches many subjects, and what it fixes are texts that users choose, and no id.
    pub fn aws_pattern(&self, chosen: &[(&str, &str)]) -> Result<SubjectPattern, PatternError> {
        for (index, (name, _)) in chosen.iter().enumerate() {
            let is_repeated = chosen[..index].iter().any(|(other, _)| other == name);
            if self.variable(name).is_none() || is_repeated {
                return Err(PatternError::Value(SubjectError::Superfluous {
                    name: (*name).to_owned(),
                }));
            }
        }
        let mut value = String::new();
        let mut user_chosen = None;
        let mut is_identifying = false;
        let mut is_exact = true;
        for part in self.parts() {
            let variable = match part {
                Part::Literal(literal) => {
                    value.push_str(literal);
                    continue;
                }
                Part::Variable(index) => &self.variables()[*index],
            };
            match chosen.iter().find(|(name, _)| *name == variable.name()) {
                Some((_, fixed)) => {
                    variable
                        .append(fixed, &mut value)
                        .map_err(PatternError::Value)?;
                    match variable.kind() {
                        Kind::Id => is_identifying = true,
                        Kind::Text => user_chosen = Some(variable.name()),
                        Kind::OneOf(_) => {}
                    }
                }
                None => {
                    value.push('*');
                    is_exact = false;
                }
            }
        }
        if !is_exact && chosen.is_empty() {
            return Err(PatternError::NothingChosen);
        }
        match user_chosen {
            Some(variable) if !is_exact && !is_identifying => Err(PatternError::UserChosen {
                variable: variable.to_owned(),
            }),
            _ => Ok(SubjectPattern {
                value,
                is_exact,
                is_identifying,
            }),
        }
    }
}

/// Why a trust policy should have no such pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// A value does not go with its variable.
    Value(SubjectError),
    /// No variable has a value, so that every subject matches.
    NothingChosen,
    /// It would match the subject of anybody who chooses this text.
    UserChosen {
        /// The variable.
        variable: String,
    },
    /// It would match a subject of the other shape of a migration.
    OtherShape {
        /// The subject.
        subject: String,
    },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(error) => error.fmt(f),
            Self::NothingChosen => f.write_str(
                "the pattern matches every subject; fix at least one variable, best an id",
            ),
            Self::UserChosen { variable } => write!(
                f,
                "the pattern lets in everybody who chooses the same `{variable}`; fix an id as well"
            ),
            Self::OtherShape { subject } => write!(
                f,
                "the pattern also matches {subject:?}, which the other shape can make; fix more variables"
            ),
        }
    }
}

impl std::error::Error for PatternError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}
