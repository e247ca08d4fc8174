//! The thumbprint of a certificate authority.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use sha1::{Digest as _, Sha1};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Computes the thumbprint that IAM asks for: the SHA-1 of the last certificate of the chain which
/// the host of the issuer's `jwks_uri` serves, in 40 hexadecimal digits (IAM User Guide, "Obtain
/// the thumbprint for an OpenID Connect identity provider").
///
/// `openssl s_client -showcerts -connect HOST:443` prints the chain; what stands between the
/// certificates is passed over.
///
/// # Errors
/// [`ThumbprintError`] when the text has no certificate, or one is malformed.
pub fn thumbprint(pem_chain: &str) -> Result<String, ThumbprintError> {
    let mut last = None;
    let mut rest = pem_chain;
    let mut index = 0;
    while let Some(start) = rest.find(BEGIN) {
        let malformed = ThumbprintError::Malformed { index };
        let body = &rest[start + BEGIN.len()..];
        let end = body.find(END).ok_or(malformed)?;
        let base64: String = body[..end]
            .chars()
            .filter(|character| !character.is_ascii_whitespace())
            .collect();
        let der = Base64::decode_vec(&base64).map_err(|_| malformed)?;
        if !is_one_sequence(&der) {
            return Err(malformed);
        }
        last = Some(der);
        rest = &body[end + END.len()..];
        index += 1;
    }
    let der = last.ok_or(ThumbprintError::NoCertificate)?;
    let digest = Sha1::digest(&der);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether the bytes are one DER SEQUENCE, to their end (X.690 §8.1.3).
fn is_one_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else {
        return false;
    };
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return rest.len() == count;
    }
    if count == 0 || count > 3 || rest.len() < count {
        return false;
    }
    let (len, contents) = rest.split_at(count);
    let len = len
        .iter()
        .fold(0, |len, byte| len << 8 | usize::from(*byte));
    contents.len() == len
}

/// Why a text gives no thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThumbprintError {
    /// It has no `-----BEGIN CERTIFICATE-----`.
    NoCertificate,
    /// A certificate is not closed, not base64, or no DER.
    Malformed {
        /// Which one, from 0.
        index: usize,
    },
}

impl fmt::Display for ThumbprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => write!(f, "the text has no {BEGIN}"),
            Self::Malformed { index } => {
                write!(
                    f,
                    "certificate {index} of the chain is cut off or malformed"
                )
            }
        }
    }
}

impl std::error::Error for ThumbprintError {}
