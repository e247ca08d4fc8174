//! Comparing a value of the request with those of the policy.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::condition::Reason;
use super::context::Context;
use super::moment;
use super::pattern::{self, Token};
use super::truth::Truth;
use super::variable::{Expanded, expand};
use crate::aws::policy::{Comparison, Version};

pub(super) struct Comparer<'c> {
    comparison: Comparison,
    version: Version,
    context: &'c Context<'c>,
}

impl<'c> Comparer<'c> {
    pub(super) const fn new(
        comparison: Comparison,
        version: Version,
        context: &'c Context<'c>,
    ) -> Self {
        Self {
            comparison,
            version,
            context,
        }
    }

    /// Whether one value matches or, where the comparison is a negated one, none does.
    pub(super) fn compare(&self, found: &str, values: &[String]) -> Truth {
        let any = Truth::any(values.iter().map(|value| self.matches(found, value)));
        if self.comparison.is_negated() {
            any.not()
        } else {
            any
        }
    }

    /// The comparison without its negation.
    fn matches(&self, found: &str, value: &str) -> Truth {
        match self.comparison {
            Comparison::StringEquals
            | Comparison::StringNotEquals
            | Comparison::StringLike
            | Comparison::StringNotLike => self.text(found, value, |a, b| a == b),
            Comparison::StringEqualsIgnoreCase | Comparison::StringNotEqualsIgnoreCase => {
                match self.text(found, value, |a, b| a.eq_ignore_ascii_case(&b)) {
                    Truth::False if !found.is_ascii() || !value.is_ascii() => {
                        match self.text(found, value, same_when_lower) {
                            Truth::True => Truth::Unknown(Reason::CaseOutsideAscii),
                            other => other,
                        }
                    }
                    other => other,
                }
            }
            Comparison::NumericEquals | Comparison::NumericNotEquals => {
                compare(found, value, number, Ordering::is_eq)
            }
            Comparison::NumericLessThan => compare(found, value, number, Ordering::is_lt),
            Comparison::NumericLessThanEquals => compare(found, value, number, Ordering::is_le),
            Comparison::NumericGreaterThan => compare(found, value, number, Ordering::is_gt),
            Comparison::NumericGreaterThanEquals => compare(found, value, number, Ordering::is_ge),
            Comparison::DateEquals | Comparison::DateNotEquals => {
                compare(found, value, moment::parse, Ordering::is_eq)
            }
            Comparison::DateLessThan => compare(found, value, moment::parse, Ordering::is_lt),
            Comparison::DateLessThanEquals => compare(found, value, moment::parse, Ordering::is_le),
            Comparison::DateGreaterThan => compare(found, value, moment::parse, Ordering::is_gt),
            Comparison::DateGreaterThanEquals => {
                compare(found, value, moment::parse, Ordering::is_ge)
            }
            Comparison::Bool => compare(found, value, truth, Ordering::is_eq),
            Comparison::BinaryEquals => (found == value).into(),
            Comparison::IpAddress | Comparison::NotIpAddress => address(found, value),
            Comparison::ArnEquals
            | Comparison::ArnLike
            | Comparison::ArnNotEquals
            | Comparison::ArnNotLike => self.arn(found, value),
            // It looks at no value.
            Comparison::Null => Truth::Unknown(Reason::PolicyValue),
        }
    }

    fn text(&self, found: &str, value: &str, same: impl Fn(char, char) -> bool) -> Truth {
        let has_wildcards = self.comparison.has_wildcards();
        if self.has_variables(value) {
            return match self.expand(value, &['*', '?']) {
                Ok(tokens) => pattern::matches(tokens.iter().copied(), found, same).into(),
                Err(truth) => truth,
            };
        }
        if has_wildcards {
            pattern::matches(value.chars().map(Token::wildcard), found, same).into()
        } else {
            pattern::matches(value.chars().map(Token::Character), found, same).into()
        }
    }

    /// Each of the six parts of an ARN is compared by itself.
    fn arn(&self, found: &str, value: &str) -> Truth {
        let parts = found.splitn(6, ':');
        if !found.starts_with("arn:") || parts.clone().count() != 6 {
            return Truth::Unknown(Reason::RequestValue);
        }
        let tokens = if self.has_variables(value) {
            match self.expand(value, &['*', '?', ':']) {
                Ok(tokens) => tokens,
                Err(truth) => return truth,
            }
        } else {
            value.chars().map(Token::wildcard).collect()
        };
        let patterns: Vec<_> = tokens
            .splitn(6, |token| *token == Token::Character(':'))
            .collect();
        if patterns.len() != 6 || !value.starts_with("arn:") {
            return Truth::Unknown(Reason::PolicyValue);
        }
        parts
            .zip(patterns)
            .all(|(part, tokens)| pattern::matches(tokens.iter().copied(), part, |a, b| a == b))
            .into()
    }

    /// Before 2012 the language had no variables.
    fn has_variables(&self, value: &str) -> bool {
        self.version == Version::V2012 && value.contains("${")
    }

    /// Replaces the variables. A value that holds one of `special` is not known to be taken as it
    /// is.
    fn expand(&self, value: &str, special: &[char]) -> Result<Vec<Token>, Truth> {
        let special = if self.comparison.has_wildcards() {
            special
        } else {
            &[]
        };
        match expand(value, special, self.context) {
            Expanded::Tokens(tokens) => Ok(tokens),
            Expanded::Unresolved if self.comparison.is_negated() => {
                Err(Truth::Unknown(Reason::UnresolvedVariable))
            }
            Expanded::Unresolved => Err(Truth::False),
            Expanded::Unknown(reason) => Err(Truth::Unknown(reason)),
        }
    }
}

fn same_when_lower(a: char, b: char) -> bool {
    a.to_lowercase().eq(b.to_lowercase()) || a.to_uppercase().eq(b.to_uppercase())
}

fn compare<T: PartialOrd>(
    found: &str,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
    holds: impl Fn(Ordering) -> bool,
) -> Truth {
    let Some(value) = parse(value) else {
        return Truth::Unknown(Reason::PolicyValue);
    };
    parse(found)
        .and_then(|found| found.partial_cmp(&value))
        .map_or(Truth::Unknown(Reason::RequestValue), |order| {
            holds(order).into()
        })
}

/// An integer or a decimal that a double holds exactly enough: up to fifteen digits.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() > 16 {
        return None;
    }
    text.parse().ok()
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// An address within a range in CIDR notation (RFC 4632, RFC 4291 §2.3).
fn address(found: &str, range: &str) -> Truth {
    let (network, len) = match range.split_once('/') {
        Some((network, len)) => (network, Some(len)),
        None => (range, None),
    };
    let is_number = |len: &str| !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit());
    let Ok(network) = network.parse::<IpAddr>() else {
        return Truth::Unknown(Reason::PolicyValue);
    };
    let width = if network.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => width,
        Some(len) if is_number(len) => match len.parse::<u32>() {
            Ok(len) if len <= width => len,
            _ => return Truth::Unknown(Reason::PolicyValue),
        },
        Some(_) => return Truth::Unknown(Reason::PolicyValue),
    };
    let Ok(found) = found.parse::<IpAddr>() else {
        return Truth::Unknown(Reason::RequestValue);
    };
    let (found, network) = match (found, network) {
        (IpAddr::V4(found), IpAddr::V4(network)) => {
            (u128::from(found.to_bits()), u128::from(network.to_bits()))
        }
        (IpAddr::V6(found), IpAddr::V6(network)) => (found.to_bits(), network.to_bits()),
        _ => return Truth::False,
    };
    // The bits behind the prefix don't count; a prefix of none leaves no bit to compare.
    let differing = (found ^ network).checked_shr(width - len).unwrap_or(0);
    (differing == 0).into()
}
