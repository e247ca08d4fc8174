//! Compact JWSs, taken apart and spoilt.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::Value;

/// A segment, as JSON.
pub fn segment(token: &str, index: usize) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(index).unwrap())).unwrap()
}

/// The same token with one bit of its signature flipped.
pub fn with_flipped_bit(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature);
    signature[11] ^= 0x20;
    format!("{input}.{}", encode(&signature))
}

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Reads base64url without padding.
pub fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}
