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

    /// The same for programs that read JSON as YAML, which knows no surrogate pairs: what lies
    /// beyond U+FFFF stands as itself.
    pub(crate) fn to_pretty_json_without_surrogates(&self) -> String {
        let json = self.to_pretty_json();
        let mut out = String::with_capacity(json.len());
        let mut rest = json.as_str();
        while let Some(start) = rest.find('\\') {
            let (before, escape) = rest.split_at(start);
            out.push_str(before);
            let len = match surrogate_pair(escape) {
                Some(character) => {
                    out.push(character);
                    12
                }
                None => {
                    out.push_str(&escape[..2]);
                    2
                }
            };
            rest = &escape[len..];
        }
        out.push_str(rest);
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

/// The character of an escape such as `\ud83d\ude00`.
fn surrogate_pair(escape: &str) -> Option<char> {
    let unit = |at: usize| {
        let hexadecimal = escape.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(hexadecimal, 16).ok()
    };
    let units = [unit(0)?, unit(6)?];
    char::decode_utf16(units)
        .next()?
        .ok()
        .filter(|character| *character > '\u{ffff}')
}

/// Writes a string, of nothing but printable ASCII: IAM takes no policy with characters beyond
/// U+00FF (IAM API Reference, CreateRole), and a shell may not know the text's encoding.
fn write_string(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            ' '..='~' => out.write_char(character)?,
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
    }
    out.write_char('"')
}
