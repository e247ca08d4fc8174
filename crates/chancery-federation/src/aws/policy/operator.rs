//! Condition operators.

use std::fmt;

/// A condition operator: a comparison, perhaps over the values of a multivalued key, perhaps only
/// where the key is there (IAM User Guide, "Condition operators").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// `ForAllValues:` or `ForAnyValue:`.
    pub set: Option<SetOperator>,
    /// The comparison.
    pub comparison: Comparison,
    /// Whether it ends in `IfExists`.
    pub if_exists: bool,
}

/// How a multivalued key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOperator {
    /// Every value of the request; true where there is none.
    ForAllValues,
    /// At least one value of the request.
    ForAnyValue,
}

macro_rules! comparisons {
    ($($name:ident: $doc:literal,)*) => {
        /// A comparison of a value of the request with a value of the policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Comparison {
            $(#[doc = $doc] $name,)*
        }

        impl Comparison {
            /// Every comparison.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

comparisons! {
    StringEquals: "The same characters.",
    StringNotEquals: "Not the same characters.",
    StringEqualsIgnoreCase: "The same characters but for case.",
    StringNotEqualsIgnoreCase: "Not the same characters, case ignored.",
    StringLike: "The same characters, `*` being any run of them and `?` any one.",
    StringNotLike: "Does not match as `StringLike` does.",
    NumericEquals: "The same number.",
    NumericNotEquals: "Another number.",
    NumericLessThan: "A smaller number.",
    NumericLessThanEquals: "A smaller number or the same.",
    NumericGreaterThan: "A greater number.",
    NumericGreaterThanEquals: "A greater number or the same.",
    DateEquals: "The same moment.",
    DateNotEquals: "Another moment.",
    DateLessThan: "An earlier moment.",
    DateLessThanEquals: "An earlier moment or the same.",
    DateGreaterThan: "A later moment.",
    DateGreaterThanEquals: "A later moment or the same.",
    Bool: "The same truth value.",
    BinaryEquals: "The same bytes, in base64.",
    IpAddress: "An address within the range.",
    NotIpAddress: "An address outside the range.",
    ArnEquals: "The same ARN; each part may hold wildcards.",
    ArnNotEquals: "Does not match as `ArnEquals` does.",
    ArnLike: "As `ArnEquals`.",
    ArnNotLike: "As `ArnNotEquals`.",
    Null: "Whether the key is missing.",
}

impl Operator {
    /// The plain comparison.
    #[must_use]
    pub const fn new(comparison: Comparison) -> Self {
        Self {
            set: None,
            comparison,
            if_exists: false,
        }
    }

    /// Reads a name in the spelling of the documentation. `Null` takes no `IfExists`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (set, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let comparison = *Comparison::ALL
            .iter()
            .find(|comparison| comparison.name() == rest)?;
        if comparison == Comparison::Null && if_exists {
            return None;
        }
        Some(Self {
            set,
            comparison,
            if_exists,
        })
    }
}

impl Comparison {
    /// Whether it holds where no listed value matches.
    #[must_use]
    pub const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
                | Self::NotIpAddress
                | Self::ArnNotEquals
                | Self::ArnNotLike
        )
    }

    /// Whether `*` and `?` in the policy's value stand for other characters.
    #[must_use]
    pub const fn has_wildcards(self) -> bool {
        matches!(
            self,
            Self::StringLike
                | Self::StringNotLike
                | Self::ArnEquals
                | Self::ArnNotEquals
                | Self::ArnLike
                | Self::ArnNotLike
        )
    }

    /// Whether the policy's value may hold `${…}`: strings and ARNs may (IAM User Guide, "Policy
    /// elements: Variables and tags").
    #[must_use]
    pub const fn has_variables(self) -> bool {
        self.has_wildcards()
            || matches!(
                self,
                Self::StringEquals
                    | Self::StringNotEquals
                    | Self::StringEqualsIgnoreCase
                    | Self::StringNotEqualsIgnoreCase
            )
    }
}

/// Writes the name in documents.
impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.set {
            Some(SetOperator::ForAllValues) => "ForAllValues:",
            Some(SetOperator::ForAnyValue) => "ForAnyValue:",
            None => "",
        })?;
        f.write_str(self.comparison.name())?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}
