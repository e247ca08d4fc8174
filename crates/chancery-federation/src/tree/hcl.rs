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
                out.push_str("{\n");
                for (name, value) in members {
                    let _ = write!(out, "{margin}  ");
                    write_string(out, name);
                    out.push_str(" = ");
                    value.write_hcl(out, depth + 1);
                    out.push('\n');
                }
                let _ = write!(out, "{margin}}}");
            }
        }
    }
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
    // Equals signs stand under each other, as `terraform fmt` puts them.
    let width = |entry: &Body| match entry {
        Body::Argument(name, _) | Body::Json(name, _) => name.len(),
        Body::Block(..) => 0,
    };
    let width = body.iter().map(width).max().unwrap_or(0);
    for entry in body {
        match entry {
            Body::Argument(name, value) => {
                let _ = write!(out, "{margin}{name:width$} = ");
                value.write_hcl(out, depth);
                out.push('\n');
            }
            Body::Json(name, value) if !value.is_ascii() => {
                let _ = write!(out, "{margin}{name:width$} = ");
                write_string(out, &value.to_json());
                out.push('\n');
            }
            Body::Json(name, value) => {
                let _ = write!(out, "{margin}{name:width$} = jsonencode(");
                value.write_hcl(out, depth);
                out.push_str(")\n");
            }
            Body::Block(name, inner) => {
                let _ = writeln!(out, "\n{margin}{name} {{");
                write_body(out, inner, depth + 1);
                let _ = writeln!(out, "{margin}}}");
            }
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
