//! Base64url without padding (RFC 7515 §2), for public data.
//!
//! Secrets are decoded elsewhere, in constant time.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{self, GeneralPurposeConfig};
use base64::engine::simd::Simd;

/// The vectorised engine for tokens; it looks once at what the processor can do.
static TOKEN: LazyLock<Simd> = LazyLock::new(|| {
    Simd::url_safe(
        GeneralPurposeConfig::new()
            .with_encode_padding(false)
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
    )
});

/// The number of characters that `len` bytes take.
pub(crate) const fn encoded_len(len: usize) -> usize {
    len.saturating_mul(4).div_ceil(3)
}

/// Appends `bytes`, encoded, to `out`.
pub(crate) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_len(bytes.len()), 0);
    // The buffer has just been made long enough, so nothing can fail; were it too short, the
    // zeroes in it would not pass as a token.
    let written = TOKEN.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Appends `bytes`, encoded, to `out`, through a buffer on the stack.
pub(crate) fn append_text(bytes: &[u8], out: &mut String) {
    // Whole groups of three bytes, and as many as the signature of P-256 in one go.
    for chunk in bytes.chunks(96) {
        let mut text = [0; 128];
        // The buffer is long enough and the alphabet is ASCII, so nothing can fail; were it to, the
        // signature would be visibly short.
        let written = TOKEN.encode_slice(chunk, &mut text).unwrap_or(0);
        out.push_str(std::str::from_utf8(&text[..written]).unwrap_or_default());
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    TOKEN.encode(bytes)
}

/// Decodes; padding, other alphabets, white space and stray trailing bits are refused.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    TOKEN.decode(text).ok()
}

/// Standard base64 with padding, as `x5c` has it (RFC 7517 §4.7).
pub(crate) fn encode_standard(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

/// Decodes standard base64 with padding, as `x5c` has it (RFC 7517 §4.7).
pub(crate) fn decode_standard(text: &str) -> Option<Vec<u8>> {
    general_purpose::STANDARD.decode(text).ok()
}

/// Encodes at most 32 bytes into a buffer on the stack.
pub(crate) fn encode_short<'a>(bytes: &[u8], text: &'a mut [u8; 43]) -> &'a [u8] {
    // Longer input gives nothing, and a claim that is visibly empty.
    let written = TOKEN.encode_slice(bytes, text).unwrap_or(0);
    &text[..written]
}
