//! Percent-encoding in PKCS#11 URIs (RFC 7512 §2.3, RFC 3986 §2.1).

use zeroize::Zeroizing;

/// Where a value stands, on which depends what needs no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    Path,
    Query,
}

impl Component {
    /// `pk11-pchar` and `pk11-qchar`, without the encoded ones.
    fn allows(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric()
            || b"-._~:[]@!$'()*+,=".contains(&byte)
            || match self {
                Self::Path => byte == b'&',
                Self::Query => b"/?|".contains(&byte),
            }
    }
}

/// Decodes a value; `None` when it is malformed. It may be a PIN, so it is overwritten in the end.
pub(crate) fn decode(value: &str, component: Component) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                decoded.push(nibble(*high)? << 4 | nibble(*low)?);
                after
            }
            (&byte, after) if component.allows(byte) => {
                decoded.push(byte);
                after
            }
            _ => return None,
        };
    }
    Some(decoded)
}

/// Encodes what has to be.
pub(crate) fn encode(value: &[u8], component: Component) -> String {
    let mut encoded = String::new();
    for &byte in value {
        if component.allows(byte) {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    encoded
}

/// Encodes every byte.
pub(crate) fn encode_all(value: &[u8]) -> String {
    let mut encoded = String::new();
    for &byte in value {
        push_encoded(&mut encoded, byte);
    }
    encoded
}

fn push_encoded(encoded: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    encoded.push('%');
    for nibble in [byte >> 4, byte & 15] {
        encoded.push(char::from(DIGITS[usize::from(nibble)]));
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
