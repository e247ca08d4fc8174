//! One condition of a statement.

use std::fmt;

use super::comparison::Comparer;
use super::context::{Context, Key};
use super::truth::Truth;
use crate::aws::policy::{Comparison, Condition, SetOperator, Version};

/// What of AWS's behaviour, or of the request, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A multivalued key is compared by an operator without `ForAllValues:` or `ForAnyValue:`.
    MultivaluedKey,
    /// The request may have the key, with a value that is not known here.
    KeyNotKnown,
    /// The value in the policy is not of the operator's kind: no number, date, address, ARN or
    /// truth value.
    PolicyValue,
    /// The value in the request is not of the operator's kind.
    RequestValue,
    /// `${` begins no policy variable.
    MalformedVariable,
    /// A negated operator compares with a variable that has no value.
    UnresolvedVariable,
    /// A variable stands for an empty value, for several values, for one of more than 256 characters,
    /// or for one with `*` or `?` where those have a meaning.
    VariableValue,
    /// Two texts differ in the case of letters outside ASCII only.
    CaseOutsideAscii,
    /// A set operator stands before `Null`, or the key is there and empty.
    EmptyKey,
    /// `ForAnyValue:`, which is false on a missing key, with `IfExists`, which is true.
    MissingSet,
    /// `NotPrincipal` with a federated principal.
    NotPrincipal,
    /// `Principal: "*"` in a statement that allows.
    Everyone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MultivaluedKey => {
                "a multivalued key is compared without ForAllValues: or ForAnyValue:"
            }
            Self::KeyNotKnown => "the value of this key in the request is not known here",
            Self::PolicyValue => "the value in the policy is not of the operator's kind",
            Self::RequestValue => "the value in the request is not of the operator's kind",
            Self::MalformedVariable => "`${` begins no policy variable",
            Self::UnresolvedVariable => {
                "a negated operator compares with a policy variable that has no value"
            }
            Self::VariableValue => {
                "a policy variable stands for an empty value, for several, for a very long one, or for one with a wildcard"
            }
            Self::CaseOutsideAscii => "letters outside ASCII differ in case only",
            Self::EmptyKey => "a key that is there and empty, or Null of a set",
            Self::MissingSet => "ForAnyValue: with IfExists of a key that is missing",
            Self::NotPrincipal => "NotPrincipal is compared with an identity provider",
            Self::Everyone => "whether \"*\" lets in the users of an identity provider",
        })
    }
}

pub(super) fn holds(condition: &Condition, version: Version, context: &Context<'_>) -> Truth {
    let operator = condition.operator;
    let key = context.key(&condition.key);
    if *key == Key::Unknown {
        return Truth::Unknown(Reason::KeyNotKnown);
    }
    if operator.comparison == Comparison::Null {
        return null(condition, key);
    }
    let comparer = Comparer::new(operator.comparison, version, context);
    let compare = |value: &str| comparer.compare(value, &condition.values);
    match (operator.set, key) {
        (Some(SetOperator::ForAnyValue), Key::Absent) if operator.if_exists => {
            Truth::Unknown(Reason::MissingSet)
        }
        (_, Key::Absent) if operator.if_exists => Truth::True,
        (Some(SetOperator::ForAllValues), Key::Absent) => Truth::True,
        (Some(SetOperator::ForAnyValue), Key::Absent) => Truth::False,
        (None, Key::Absent) => operator.comparison.is_negated().into(),
        (None, Key::One(value)) => compare(value),
        (None, Key::Many(_)) => Truth::Unknown(Reason::MultivaluedKey),
        (Some(SetOperator::ForAnyValue), key) if operator.if_exists && is_empty(key) => {
            Truth::Unknown(Reason::EmptyKey)
        }
        (Some(set), Key::One(value)) => over(set, std::slice::from_ref(value), compare),
        (Some(set), Key::Many(values)) => over(set, values, compare),
        (_, Key::Unknown) => Truth::Unknown(Reason::KeyNotKnown),
    }
}

/// No value, or an empty one, is an empty set.
fn over<T: AsRef<str>>(set: SetOperator, values: &[T], compare: impl Fn(&str) -> Truth) -> Truth {
    let is_empty = values.iter().all(|value| value.as_ref().is_empty());
    match set {
        SetOperator::ForAllValues if is_empty => Truth::True,
        SetOperator::ForAnyValue if is_empty => Truth::False,
        SetOperator::ForAllValues => Truth::all(values.iter().map(|value| compare(value.as_ref()))),
        SetOperator::ForAnyValue => Truth::any(values.iter().map(|value| compare(value.as_ref()))),
    }
}

fn null(condition: &Condition, key: &Key<'_>) -> Truth {
    if condition.operator.set.is_some() || is_empty(key) {
        return Truth::Unknown(Reason::EmptyKey);
    }
    let is_absent = *key == Key::Absent;
    Truth::any(condition.values.iter().map(|value| {
        if value.eq_ignore_ascii_case("true") {
            is_absent.into()
        } else if value.eq_ignore_ascii_case("false") {
            (!is_absent).into()
        } else {
            Truth::Unknown(Reason::PolicyValue)
        }
    }))
}

/// Whether the key is there, with nothing in it.
fn is_empty(key: &Key<'_>) -> bool {
    match key {
        Key::One(value) => value.is_empty(),
        Key::Many(values) => values.iter().all(|value| value.is_empty()),
        Key::Absent | Key::Unknown => false,
    }
}
