//! The Common Expression Language, as Google Cloud and Kubernetes read it (CEL Language Definition).

use std::fmt::Write as _;

/// `name == 'value'`, or `name in ['one', 'two']` where there are several.
pub(crate) fn one_of(name: &str, values: &[String]) -> String {
    match values {
        [one] => format!("{name} == {}", string(one)),
        several => {
            let strings: Vec<_> = several.iter().map(|value| string(value)).collect();
            format!("{name} in [{}]", strings.join(", "))
        }
    }
}

/// A string literal, in which nothing but printable ASCII stands as itself.
pub(crate) fn string(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(character);
            }
            ' '..='~' => literal.push(character),
            other => {
                let _ = write!(literal, "\\U{:08x}", u32::from(other));
            }
        }
    }
    literal.push('\'');
    literal
}
