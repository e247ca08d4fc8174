//! Policy variables (IAM User Guide, "Policy elements: Variables and tags").

use super::condition::Reason;
use super::context::{Context, Key};
use super::pattern::Token;

/// The longest value that a variable stands for, in characters: that of a session tag, and no subject
/// is longer. Without a limit a short policy could become a pattern that takes a minute to match.
const LONGEST_VALUE: usize = 256;

/// What becomes of a value of the policy once its variables are replaced.
pub(super) enum Expanded {
    Tokens(Vec<Token>),
    /// A variable has no value, so the text matches nothing.
    Unresolved,
    Unknown(Reason),
}

/// Replaces `${*}`, `${?}` and `${$}` by the character and `${key}` and `${key, 'default'}` by the
/// value of the key. Where `special` holds characters, `*` and `?` are wildcards, and no value of
/// a variable may hold one of them.
pub(super) fn expand(text: &str, special: &[char], context: &Context<'_>) -> Expanded {
    let plain = |character| {
        if special.is_empty() {
            Token::Character(character)
        } else {
            Token::wildcard(character)
        }
    };
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut is_unresolved = false;
    while let Some(start) = rest.find("${") {
        tokens.extend(rest[..start].chars().map(plain));
        let inner = &rest[start + 2..];
        let Some(variable) = Variable::parse(inner) else {
            return Expanded::Unknown(Reason::MalformedVariable);
        };
        rest = &inner[variable.len..];
        let value = match variable.name {
            "*" | "?" | "$" => variable.name,
            name => {
                let value = match (context.key(name), variable.default) {
                    (Key::One(value), _) => value,
                    (Key::Absent, Some(default)) => default,
                    (Key::Absent, None) => {
                        is_unresolved = true;
                        continue;
                    }
                    (Key::Many(_), _) => return Expanded::Unknown(Reason::VariableValue),
                    (Key::Unknown, _) => return Expanded::Unknown(Reason::KeyNotKnown),
                };
                let is_long = value.chars().nth(LONGEST_VALUE).is_some();
                if value.is_empty() || is_long || value.contains(special) {
                    return Expanded::Unknown(Reason::VariableValue);
                }
                value
            }
        };
        tokens.extend(value.chars().map(Token::Character));
    }
    if is_unresolved {
        return Expanded::Unresolved;
    }
    tokens.extend(rest.chars().map(plain));
    Expanded::Tokens(tokens)
}

struct Variable<'a> {
    name: &'a str,
    default: Option<&'a str>,
    /// The length behind `${`, closing brace included.
    len: usize,
}

impl<'a> Variable<'a> {
    fn parse(inner: &'a str) -> Option<Self> {
        let name_len = inner.find(['}', ','])?;
        let name = &inner[..name_len];
        let is_name = matches!(name, "*" | "?" | "$")
            || (name.contains(':') && !name.contains(['$', '{', '*', '?', ' ', '\'']));
        if !is_name {
            return None;
        }
        let rest = &inner[name_len..];
        if rest.starts_with('}') {
            return Some(Self {
                name,
                default: None,
                len: name_len + 1,
            });
        }
        let quoted = rest.strip_prefix(", '")?;
        let default_len = quoted.find('\'')?;
        let len = name_len + 3 + default_len + 2;
        quoted[default_len + 1..].starts_with('}').then_some(Self {
            name,
            default: Some(&quoted[..default_len]),
            len,
        })
    }
}
