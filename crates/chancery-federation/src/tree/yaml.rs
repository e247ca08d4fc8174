//! YAML 1.2: block style for structure, double quotes for every text.

use std::fmt::Write as _;

use super::Tree;

impl Tree {
    /// YAML in block style. Texts are always in double quotes, where nothing is read as a number, a
    /// truth value, an anchor or a comment.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write_block(&mut out, 0);
        out
    }

    fn write_block(&self, out: &mut String, depth: usize) {
        let margin = "  ".repeat(depth);
        match self {
            Self::Object(members) if !members.is_empty() => {
                for (index, (name, value)) in members.iter().enumerate() {
                    // The first member of a list's item stands behind its dash.
                    if index > 0 || !out.ends_with("- ") {
                        out.push_str(&margin);
                    }
                    write_key(out, name);
                    out.push(':');
                    value.write_value(out, depth + 1);
                }
            }
            Self::List(values) if !values.is_empty() => {
                for value in values {
                    let _ = write!(out, "{margin}- ");
                    if matches!(value, Self::Object(members) if !members.is_empty()) {
                        value.write_block(out, depth + 1);
                    } else {
                        value.write_leaf(out);
                    }
                }
            }
            leaf => leaf.write_leaf(out),
        }
    }

    /// Writes a text, or something empty.
    fn write_leaf(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_string(out, text),
            other => {
                let _ = other.write_json(out);
            }
        }
        out.push('\n');
    }

    fn write_value(&self, out: &mut String, depth: usize) {
        let is_block = match self {
            Self::Object(members) => !members.is_empty(),
            Self::List(values) => !values.is_empty(),
            _ => false,
        };
        out.push(if is_block { '\n' } else { ' ' });
        self.write_block(out, depth);
    }
}

/// Names of our own are plain; all others are quoted.
fn write_key(out: &mut String, name: &str) {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !matches!(
            name.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if is_plain {
        out.push_str(name);
    } else {
        write_string(out, name);
    }
}

/// Writes a double-quoted scalar of printable ASCII (YAML 1.2 §5.7).
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' => out.push(character),
            other => {
                let _ = write!(out, "\\U{:08x}", u32::from(other));
            }
        }
    }
    out.push('"');
}
