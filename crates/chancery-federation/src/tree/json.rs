//! JSON (RFC 8259).

use std::fmt::{self, Write};

use super::Tree;

impl Tree {
    /// Writes JSON with no white space.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        match self {
            Self::Text(text) => write_string(out, text),
            Self::Reference(name) => write_string(out, name),
            Self::List(values) => {
                out.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    value.write_json(out)?;
                }
                out.write_char(']')
            }
            Self::Object(members) => {
                out.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    write_string(out, name)?;
                    out.write_char(':')?;
                    value.write_json(out)?;
                }
                out.write_char('}')
            }
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let mut out = String::new();
        // A string takes whatever is written to it.
        let _ = self.write_json(&mut out);
        out
    }

    /// JSON indented by two spaces, with a line feed at the end.
    pub(crate) fn to_pretty_json(&self) -> String {
        let mut out = String::new();
        let _ = self.write_pretty(&mut out, 0);
        out.push('\n');
        out
    }

    fn write_pretty(&self, out: &mut String, depth: usize) -> fmt::Result {
        let margin = "  ".repeat(depth);
        match self {
            Self::List(values) if !values.is_empty() => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(out, "{comma}\n{margin}  ")?;
                    value.write_pretty(out, depth + 1)?;
                }
                write!(out, "\n{margin}]")
            }
            Self::Object(members) if !members.is_empty() => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(out, "{comma}\n{margin}  ")?;
                    write_string(out, name)?;
                    out.push_str(": ");
                    value.write_pretty(out, depth + 1)?;
                }
                write!(out, "\n{margin}}}")
            }
            leaf => leaf.write_json(out),
        }
    }
}

/// Writes a string, with everything escaped but printable ASCII and letters of other scripts.
pub(super) fn write_string(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            other if needs_escape(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

/// Controls, and what YAML does not print or reads as the end of a line (YAML 1.2 §5.1, §5.4).
pub(super) const fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}
