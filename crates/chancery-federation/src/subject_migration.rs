//! Two shapes of subjects side by side.

use std::fmt;

use crate::language::Language;
use crate::subject_pattern::{PatternError, SubjectPattern};
use crate::subject_template::SubjectTemplate;

/// The shape that an issuer's subjects had, and the one they are to have. Each tenant moves when
/// its own trust policies have been changed, so for a while both are in use.
///
/// No subject of the one shape can be one of the other, whatever users choose.
///
/// ```
/// use chancery_federation::{Shape, SubjectMigration, SubjectTemplate, Variable};
///
/// let migration = SubjectMigration::new(
///     SubjectTemplate::parse("repo:{name}", [Variable::text("name")])?,
///     SubjectTemplate::parse("repo-id:{id}", [Variable::id("id")])?,
/// )?;
/// let has_moved = false; // As the service has it noted for the tenant.
/// let shape = if has_moved { Shape::New } else { Shape::Old };
/// let subject = migration.template(shape).subject(&[("name", "acme/site")])?;
/// assert_eq!(subject, "repo:acme%2Fsite");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectMigration {
    old: SubjectTemplate,
    new: SubjectTemplate,
}

/// One of the shapes of a [`SubjectMigration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The one that subjects had.
    Old,
    /// The one that they are to have.
    New,
}

impl SubjectMigration {
    /// Puts two shapes side by side.
    ///
    /// # Errors
    /// [`MigrationError`] when a subject could be of both shapes.
    pub fn new(old: SubjectTemplate, new: SubjectTemplate) -> Result<Self, MigrationError> {
        match Language::of_template(&old).common(&Language::of_template(&new)) {
            Some(subject) => Err(MigrationError { subject }),
            None => Ok(Self { old, new }),
        }
    }

    /// The template of a shape.
    #[must_use]
    pub const fn template(&self, shape: Shape) -> &SubjectTemplate {
        match shape {
            Shape::Old => &self.old,
            Shape::New => &self.new,
        }
    }

    /// The pattern for subjects of one shape, which matches none of the other.
    ///
    /// # Errors
    /// As for [`SubjectTemplate::aws_pattern`], and [`PatternError::OtherShape`].
    pub fn aws_pattern(
        &self,
        shape: Shape,
        chosen: &[(&str, &str)],
    ) -> Result<SubjectPattern, PatternError> {
        let pattern = self.template(shape).aws_pattern(chosen)?;
        let other = match shape {
            Shape::Old => &self.new,
            Shape::New => &self.old,
        };
        match Language::of_pattern(pattern.value()).common(&Language::of_template(other)) {
            Some(subject) => Err(PatternError::OtherShape { subject }),
            None => Ok(pattern),
        }
    }
}

/// A subject could be of both shapes, so that one tenant's could pass for another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationError {
    subject: String,
}

impl MigrationError {
    /// A subject of both shapes.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "both shapes can make the subject {:?}; begin the new one with another text",
            self.subject
        )
    }
}

impl std::error::Error for MigrationError {}
