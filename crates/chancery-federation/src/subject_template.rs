//! Subjects made of a template and values, of which no two are alike.

use std::fmt;

use crate::subject_error::{SubjectError, TemplateError};

/// The longest that a value may be where its variable says nothing else.
const DEFAULT_LONGEST: usize = 64;

/// The shape of an issuer's subjects: text, and variables in braces.
///
/// Subjects stand in trust policies, where `:` and `/` separate and `*` and `?` match anything. So
/// a value that users choose is percent-encoded, always, by what its variable was declared to be;
/// there is no way around it. Two different sets of values never give the same subject.
///
/// ```
/// use chancery_federation::{SubjectTemplate, Variable};
///
/// let template = SubjectTemplate::parse(
///     "space:{space}:{kind}:{id}:branch:{branch}",
///     [
///         Variable::id("space"),
///         Variable::one_of("kind", ["stack", "module"]),
///         Variable::id("id"),
///         Variable::text("branch"),
///     ],
/// )?;
/// let values = [("space", "01HZX"), ("kind", "stack"), ("id", "42"), ("branch", "a:b*")];
/// assert_eq!(template.subject(&values)?, "space:01HZX:stack:42:branch:a%3Ab%2A");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectTemplate {
    text: Box<str>,
    parts: Vec<Part>,
    /// In the order in which the template has them.
    variables: Vec<Variable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<str>),
    /// The index of the variable.
    Variable(usize),
}

/// What stands for a value in a [`SubjectTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    name: Box<str>,
    kind: Kind,
    longest: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OneOf(Vec<Box<str>>),
    Id,
    Text,
}

impl Variable {
    /// One of a few values, which the service itself names.
    #[must_use]
    pub fn one_of<V: Into<Box<str>>>(
        name: impl Into<Box<str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
        let longest = values.iter().map(|value| value.len()).max().unwrap_or(0);
        Self {
            name: name.into(),
            kind: Kind::OneOf(values),
            longest,
        }
    }

    /// An identifier that the service gives out, never to anybody else afterwards, and that users
    /// cannot choose: letters, digits, `-`, `.`, `_` and `~`.
    #[must_use]
    pub fn id(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Id,
            longest: DEFAULT_LONGEST,
        }
    }

    /// Text that a user chooses: all but letters, digits, `-`, `.`, `_` and `~` is
    /// percent-encoded (RFC 3986 §2.1).
    #[must_use]
    pub fn text(name: impl Into<Box<str>>) -> Self {
        Self {
            kind: Kind::Text,
            ..Self::id(name)
        }
    }

    /// How many characters of the subject a value may take, encoding included; 64 by default. Of
    /// a variable with a few values it is the longest of them, whatever is said here.
    #[must_use]
    pub fn with_longest(mut self, longest: usize) -> Self {
        if !matches!(self.kind, Kind::OneOf(_)) {
            self.longest = longest;
        }
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// How few characters of the subject a value may take.
    fn shortest(&self) -> usize {
        match &self.kind {
            Kind::OneOf(values) => values.iter().map(|value| value.len()).min().unwrap_or(0),
            Kind::Id | Kind::Text => 1,
        }
    }

    fn check(&self) -> Result<(), TemplateError> {
        if self.longest == 0 {
            return Err(TemplateError::NoValue {
                name: self.name.to_string(),
            });
        }
        let Kind::OneOf(values) = &self.kind else {
            return Ok(());
        };
        for (index, value) in values.iter().enumerate() {
            let is_plain = !value.is_empty() && value.bytes().all(is_unreserved);
            if !is_plain || values[..index].contains(value) {
                return Err(TemplateError::Value {
                    name: self.name.to_string(),
                    value: value.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Appends a value as it stands in a subject.
    pub(crate) fn append(&self, value: &str, out: &mut String) -> Result<(), SubjectError> {
        let start = out.len();
        if let Kind::OneOf(values) = &self.kind {
            if !values.iter().any(|listed| **listed == *value) {
                return Err(SubjectError::NotListed {
                    variable: self.name.to_string(),
                });
            }
            out.push_str(value);
            return Ok(());
        }
        match value.bytes().position(|byte| !is_unreserved(byte)) {
            None if value.is_empty() => {
                return Err(SubjectError::Empty {
                    variable: self.name.to_string(),
                });
            }
            None => out.push_str(value),
            Some(position) if self.kind == Kind::Id => {
                return Err(SubjectError::Character {
                    variable: self.name.to_string(),
                    position,
                });
            }
            Some(_) => append_encoded(value, out),
        }
        let len = out.len() - start;
        if len > self.longest {
            return Err(SubjectError::TooLong {
                variable: self.name.to_string(),
                len,
                longest: self.longest,
            });
        }
        Ok(())
    }
}

impl SubjectTemplate {
    /// Parses a template such as `space:{space}:stack:{id}`. Each variable in it is declared once,
    /// and stands in it once.
    ///
    /// # Errors
    /// [`TemplateError`] says what is wrong and where.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = Variable>,
    ) -> Result<Self, TemplateError> {
        let mut declared: Vec<Variable> = Vec::new();
        for variable in variables {
            variable.check()?;
            if declared.iter().any(|other| other.name == variable.name) {
                return Err(TemplateError::DeclaredTwice {
                    name: variable.name.to_string(),
                });
            }
            declared.push(variable);
        }
        if text.is_empty() {
            return Err(TemplateError::EmptySegment { position: 0 });
        }
        check_segments(text)?;
        let mut template = Self {
            text: text.into(),
            parts: Vec::new(),
            variables: Vec::new(),
        };
        let mut position = 0;
        while position < text.len() {
            let rest = &text[position..];
            if let Some(behind) = rest.strip_prefix('{') {
                let name = variable_name(behind, position)?;
                template.push_variable(name, position, &mut declared)?;
                position += name.len() + 2;
            } else {
                let literal = &rest[..rest.find('{').unwrap_or(rest.len())];
                check_literal(literal, position)?;
                template.parts.push(Part::Literal(literal.into()));
                position += literal.len();
            }
        }
        match declared.first() {
            Some(unused) => Err(TemplateError::Unused {
                name: unused.name.to_string(),
            }),
            None => Ok(template),
        }
    }

    /// Takes the variable out of those declared and not used yet.
    fn push_variable(
        &mut self,
        name: &str,
        position: usize,
        declared: &mut Vec<Variable>,
    ) -> Result<(), TemplateError> {
        let is_separated = match self.parts.as_slice() {
            [] | [Part::Literal(_)] => true,
            [.., Part::Variable(_)] => false,
            // What no value can hold tells where the one before ends.
            [.., Part::Literal(literal)] => literal.bytes().any(|byte| !is_unreserved(byte)),
        };
        let Some(index) = declared.iter().position(|variable| *variable.name == *name) else {
            let name = name.to_owned();
            return Err(if self.variables.iter().any(|used| *used.name == *name) {
                TemplateError::UsedTwice { name, position }
            } else {
                TemplateError::Unknown { name, position }
            });
        };
        if !is_separated {
            return Err(TemplateError::NotSeparated { position });
        }
        self.parts.push(Part::Variable(self.variables.len()));
        self.variables.push(declared.remove(index));
        Ok(())
    }

    /// The subject of these values, one for each variable, by name and in any order; in the order
    /// of the template they are found fastest.
    ///
    /// # Errors
    /// [`SubjectError`] says which value does not go with its variable, and why.
    pub fn subject(&self, values: &[(&str, &str)]) -> Result<String, SubjectError> {
        let mut subject = String::with_capacity(self.longest());
        self.render(values, &mut subject)?;
        Ok(subject)
    }

    /// Renders the subject into `out`, which it replaces. A buffer that is used again, such as
    /// [`Claims::subject_mut`](chancery_core::Claims::subject_mut), makes this free of allocations.
    ///
    /// # Errors
    /// As for [`SubjectTemplate::subject`]; `out` is then empty.
    pub fn render(&self, values: &[(&str, &str)], out: &mut String) -> Result<(), SubjectError> {
        out.clear();
        let rendered = self.append(values, out);
        if rendered.is_err() {
            out.clear();
        }
        rendered
    }

    fn append(&self, values: &[(&str, &str)], out: &mut String) -> Result<(), SubjectError> {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => out.push_str(literal),
                Part::Variable(index) => {
                    let variable = &self.variables[*index];
                    let value = value_of(&variable.name, *index, values).ok_or_else(|| {
                        SubjectError::Missing {
                            variable: variable.name.to_string(),
                        }
                    })?;
                    variable.append(value, out)?;
                }
            }
        }
        // All variables were found, so with as many values there is neither another nor a second.
        if values.len() == self.variables.len() {
            Ok(())
        } else {
            Err(self.superfluous(values))
        }
    }

    #[cold]
    fn superfluous(&self, values: &[(&str, &str)]) -> SubjectError {
        let extra = values.iter().enumerate().find(|(index, (name, _))| {
            self.variable(name).is_none() || values[..*index].iter().any(|(other, _)| other == name)
        });
        SubjectError::Superfluous {
            name: extra
                .map(|(_, (name, _))| (*name).to_owned())
                .unwrap_or_default(),
        }
    }

    /// The longest subject that it can make, in characters.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.len(),
                Part::Variable(index) => self.variables[*index].longest,
            })
            .sum()
    }

    /// The shortest subject that it can make, in characters: no value is empty.
    #[must_use]
    pub fn shortest(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.len(),
                Part::Variable(index) => self.variables[*index].shortest(),
            })
            .sum()
    }

    /// Its variables, in their order.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables
            .iter()
            .find(|variable| *variable.name == *name)
    }
}

/// Shows the text.
impl fmt::Debug for SubjectTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectTemplate({})", self.text)
    }
}

/// The value of this name: at its own place where values are in order, or at any.
fn value_of<'a>(name: &str, index: usize, values: &[(&str, &'a str)]) -> Option<&'a str> {
    match values.get(index) {
        Some((found, value)) if *found == name => Some(value),
        _ => values
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value),
    }
}

/// Whether a byte stands in values as it is (RFC 3986 §2.3).
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

#[cold]
fn append_encoded(value: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The name of a variable, up to its closing brace.
fn variable_name(behind: &str, position: usize) -> Result<&str, TemplateError> {
    let Some(end) = behind
        .find(['}', '{'])
        .filter(|&end| behind[end..].starts_with('}'))
    else {
        return Err(TemplateError::Unclosed { position });
    };
    let name = &behind[..end];
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(TemplateError::Name { position });
    }
    Ok(name)
}

/// The text between variables: printable ASCII without wildcards, `$`, `%`, quotes, backslashes
/// and the braces of variables.
fn check_literal(literal: &str, position: usize) -> Result<(), TemplateError> {
    let refused = |character: char| {
        !character.is_ascii_graphic()
            || matches!(character, '*' | '?' | '$' | '%' | '"' | '\\' | '}')
    };
    match literal.char_indices().find(|(_, found)| refused(*found)) {
        Some((offset, character)) => Err(TemplateError::Character {
            character,
            position: position + offset,
        }),
        None => Ok(()),
    }
}

/// Between colons there is something.
fn check_segments(text: &str) -> Result<(), TemplateError> {
    let mut position = 0;
    for segment in text.split(':') {
        if segment.is_empty() {
            return Err(TemplateError::EmptySegment { position });
        }
        position += segment.len() + 1;
    }
    Ok(())
}
