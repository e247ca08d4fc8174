//! Private keys in PEM (RFC 7468), decoded in constant time.

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use crate::key_error::KeyError;

/// The kinds of PEM block that hold a private key.
pub(crate) enum Label {
    /// PKCS#8 `PrivateKeyInfo` (RFC 7468 §10).
    Pkcs8,
    /// PKCS#8 `EncryptedPrivateKeyInfo` (RFC 7468 §11).
    EncryptedPkcs8,
    /// SEC 1 `ECPrivateKey` (RFC 5915 §4).
    Sec1,
    /// PKCS#1 `RSAPrivateKey` (RFC 8017 §A.1.2).
    Pkcs1,
}

/// Decodes the one private key in a PEM text.
///
/// Explanatory text may come before it, and so may the `EC PARAMETERS` that OpenSSL writes.
pub(crate) fn decode(pem: &[u8]) -> Result<(Label, Zeroizing<Vec<u8>>), KeyError> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyError::NotPem)?;
    let mut lines = text.lines().map(str::trim);
    let mut name = next_block(&mut lines).ok_or(KeyError::NotPem)?;
    if name == "EC PARAMETERS" {
        body(&mut lines, name)?;
        name = next_block(&mut lines).ok_or(KeyError::NotPem)?;
    }
    let label = match name {
        "PRIVATE KEY" => Label::Pkcs8,
        "ENCRYPTED PRIVATE KEY" => Label::EncryptedPkcs8,
        "EC PRIVATE KEY" => Label::Sec1,
        "RSA PRIVATE KEY" => Label::Pkcs1,
        "DSA PRIVATE KEY" | "OPENSSH PRIVATE KEY" => {
            return Err(KeyError::UnsupportedKey {
                kind: printable(name),
            });
        }
        _ => {
            return Err(KeyError::PemLabel {
                label: printable(name),
            });
        }
    };
    let mut base64 = Zeroizing::new(Vec::with_capacity(pem.len()));
    for line in body(&mut lines, name)? {
        if line.starts_with("Proc-Type:") && line.ends_with("ENCRYPTED") {
            return Err(KeyError::LegacyEncryption);
        }
        base64.extend_from_slice(line.as_bytes());
    }
    if lines.any(|line| !line.is_empty()) {
        return Err(KeyError::PemTrailing);
    }
    let len = Base64::decode_in_place(&mut base64)
        .map_err(|_| KeyError::PemBase64)?
        .len();
    base64.truncate(len);
    Ok((label, base64))
}

/// Moves on to behind the next BEGIN line, and returns its label.
fn next_block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<&'a str> {
    lines
        .filter_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        // A block that lost its line breaks is all in one line, and that is no label.
        .find(|label| !label.contains("-----"))
}

/// The lines up to the END line, which is passed over.
fn body<'a>(
    lines: &mut impl Iterator<Item = &'a str>,
    label: &str,
) -> Result<Vec<&'a str>, KeyError> {
    let mut body = Vec::new();
    for line in lines {
        let Some(end) = line.strip_prefix("-----") else {
            body.push(line);
            continue;
        };
        let end = end
            .strip_prefix("END ")
            .and_then(|end| end.strip_suffix("-----"));
        if end == Some(label) {
            return Ok(body);
        }
        break;
    }
    Err(KeyError::PemEnd)
}

/// A label is shown only where it is like one: capital letters and digits, and not long.
fn printable(label: &str) -> String {
    let like_a_label = label.len() <= 40
        && label
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    String::from(if like_a_label {
        label
    } else {
        "block of unknown label"
    })
}
