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

/// Whether a text is not blank and stays one expression within parentheses: its brackets match, its
/// strings end, and it has no comment (CEL Language Definition, "Syntax").
pub(crate) fn is_one_expression(text: &str) -> bool {
    if text.trim().is_empty() || text.contains('\0') {
        return false;
    }
    let mut open = Vec::new();
    let mut rest = text;
    // The letters before a quotation mark say whether a backslash escapes.
    let mut prefix = String::new();
    while let Some(character) = rest.chars().next() {
        match character {
            '"' | '\'' => {
                let is_raw = matches!(prefix.as_str(), "r" | "br" | "rb");
                let Some(after) = after_string(rest, character, is_raw) else {
                    return false;
                };
                rest = after;
                prefix.clear();
                continue;
            }
            '/' if rest.starts_with("//") => return false,
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(character) => return false,
            _ => {}
        }
        if character.is_alphanumeric() || character == '_' {
            prefix.push(character.to_ascii_lowercase());
        } else {
            prefix.clear();
        }
        rest = &rest[character.len_utf8()..];
    }
    open.is_empty()
}

/// What follows the string literal with which a text begins.
fn after_string(text: &str, quote: char, is_raw: bool) -> Option<&str> {
    let thrice = String::from(quote).repeat(3);
    let is_long = text.starts_with(&thrice);
    let end = if is_long { &thrice[..] } else { &thrice[..1] };
    let mut rest = &text[end.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Some(after);
        }
        let mut characters = rest.chars();
        match characters.next()? {
            '\\' if !is_raw => {
                characters.next()?;
            }
            '\n' | '\r' if !is_long => return None,
            _ => {}
        }
        rest = characters.as_str();
    }
}
