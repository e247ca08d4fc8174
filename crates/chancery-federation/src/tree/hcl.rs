//! HCL, the language of Terraform (HCL Native Syntax Specification).

use std::fmt::Write as _;

use super::Tree;

impl Tree {
    /// An HCL expression whose further lines are indented by `depth` steps.
    pub(crate) fn write_hcl(&self, out: &mut String, depth: usize) {
        let margin = "  ".repeat(depth);
        match self {
            Self::Text(text) => write_string(out, text),
            Self::Reference(name) => out.push_str(name),
            Self::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    value.write_hcl(out, depth);
                }
                out.push(']');
            }
            Self::Object(members) if members.is_empty() => out.push_str("{}"),
            Self::Object(members) => {
                let entry = |(name, value): &(String, Tree)| {
                    let mut quoted = String::new();
                    write_string(&mut quoted, name);
                    (quoted, value.to_hcl(depth + 1))
                };
                let entries: Vec<_> = members.iter().map(entry).collect();
                out.push_str("{\n");
                write_entries(out, &entries, depth + 1);
                let _ = write!(out, "{margin}}}");
            }
        }
    }

    fn to_hcl(&self, depth: usize) -> String {
        let mut out = String::new();
        self.write_hcl(&mut out, depth);
        out
    }
}

/// Whether Terraform, which normalizes its strings to NFC, keeps a text for certain. It changes none
/// of the characters before the first combining one, U+0300 (UAX #15, Normalization Form C); some of
/// those from there on it keeps as well, but to know them takes Unicode's tables.
pub(crate) fn is_kept_by_terraform(text: &str) -> bool {
    text.chars().all(|character| character < '\u{300}')
}

/// One argument or inner block of a block.
#[derive(Debug)]
pub(crate) enum Body {
    Argument(&'static str, Tree),
    /// The text of a value's JSON, as an expression that is easy to read. Terraform writes it as it
    /// is, so a value that has more than ASCII goes as a text.
    Json(&'static str, Tree),
    Block(&'static str, Vec<Body>),
}

/// A resource block. Its labels are names of our own or checked ones.
pub(crate) fn resource(kind: &str, name: &str, body: &[Body]) -> String {
    let mut out = format!("resource \"{kind}\" \"{name}\" {{\n");
    write_body(&mut out, body, 1);
    out.push_str("}\n");
    out
}

fn write_body(out: &mut String, body: &[Body], depth: usize) {
    let margin = "  ".repeat(depth);
    let entry = |entry: &Body| match entry {
        Body::Argument(name, value) => Some(((*name).to_owned(), value.to_hcl(depth))),
        Body::Json(name, value) if value.is_ascii() => {
            let json = format!("jsonencode({})", value.to_hcl(depth));
            Some(((*name).to_owned(), json))
        }
        Body::Json(name, value) => {
            let mut text = String::new();
            write_string(&mut text, &value.to_json());
            Some(((*name).to_owned(), text))
        }
        Body::Block(..) => None,
    };
    let entries: Vec<_> = body.iter().filter_map(entry).collect();
    write_entries(out, &entries, depth);
    for entry in body {
        if let Body::Block(name, inner) = entry {
            let _ = writeln!(out, "\n{margin}{name} {{");
            write_body(out, inner, depth + 1);
            let _ = writeln!(out, "{margin}}}");
        }
    }
}

/// Writes names and expressions. Equals signs of neighbours on one line each stand under each
/// other, as `terraform fmt` puts them.
fn write_entries(out: &mut String, entries: &[(String, String)], depth: usize) {
    let margin = "  ".repeat(depth);
    let is_long = |(_, value): &(String, String)| value.contains('\n');
    for neighbours in entries.chunk_by(|one, other| !is_long(one) && !is_long(other)) {
        let width = neighbours.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        for (name, value) in neighbours {
            let _ = writeln!(out, "{margin}{name:width$} = {value}");
        }
    }
}

/// Writes a quoted template that holds the text and no interpolation.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // `${` and `%{` begin a template sequence; doubled, the sign is itself.
            '$' | '%' if characters.peek() == Some(&'{') => {
                out.push(character);
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
