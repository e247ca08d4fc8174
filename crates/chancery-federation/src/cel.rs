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

/// Where a text is no expression, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// In bytes from 0.
    pub(crate) position: usize,
    pub(crate) problem: &'static str,
}

/// Finds what keeps a text from being one expression, within parentheses as well: it is blank, its
/// brackets do not match, a string does not end, or it has a comment or a NUL (CEL Language
/// Definition, "Syntax").
pub(crate) fn flaw(text: &str) -> Option<Flaw> {
    let flaw = |position, problem| Some(Flaw { position, problem });
    if text.trim().is_empty() {
        return flaw(0, "there is no expression");
    }
    // The brackets that are open: where, and what closes them.
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut rest = text;
    // The letters before a quotation mark say whether a backslash escapes.
    let mut prefix = String::new();
    while let Some(character) = rest.chars().next() {
        let position = text.len() - rest.len();
        match character {
            '"' | '\'' => {
                let is_raw = matches!(prefix.as_str(), "r" | "br" | "rb");
                let Some(after) = after_string(rest, character, is_raw) else {
                    return flaw(position, "a string does not end");
                };
                if let Some(nul) = rest[..rest.len() - after.len()].find('\0') {
                    return flaw(position + nul, "there is a NUL");
                }
                rest = after;
                prefix.clear();
                continue;
            }
            '\0' => return flaw(position, "there is a NUL"),
            '/' if rest.starts_with("//") => return flaw(position, "there is a comment"),
            '(' => open.push((position, ')')),
            '[' => open.push((position, ']')),
            '{' => open.push((position, '}')),
            ')' | ']' | '}' if open.pop().is_none_or(|(_, close)| close != character) => {
                return flaw(position, "a bracket closes none that is open");
            }
            _ => {}
        }
        if character.is_alphanumeric() || character == '_' {
            prefix.push(character.to_ascii_lowercase());
        } else {
            prefix.clear();
        }
        rest = &rest[character.len_utf8()..];
    }
    let (position, _) = open.pop()?;
    flaw(position, "a bracket is not closed")
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
