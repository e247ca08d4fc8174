//! Ordered data, written as JSON, HCL or YAML.
//!
//! Each writer quotes every text for its format, so that nothing a value holds is read as syntax.

mod hcl;
mod json;
mod yaml;

pub(crate) use self::hcl::{Body, is_kept_by_terraform, resource};

/// A value whose members keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    /// A reference to another block, which only HCL has: `aws_iam_role.name.arn`.
    Reference(&'static str),
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// One text as itself, several as a list.
    pub(crate) fn one_or_more(texts: &[String]) -> Self {
        match texts {
            [one] => Self::text(one),
            several => Self::texts(several.iter().map(String::as_str)),
        }
    }

    pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let owned = |(name, value): (&str, Self)| (name.to_owned(), value);
        Self::Object(members.into_iter().map(owned).collect())
    }

    fn is_ascii(&self) -> bool {
        match self {
            Self::Text(text) => text.is_ascii(),
            Self::Reference(_) => true,
            Self::List(values) => values.iter().all(Self::is_ascii),
            Self::Object(members) => members
                .iter()
                .all(|(name, value)| name.is_ascii() && value.is_ascii()),
        }
    }
}
