//! Paths of objects.

use crate::error::StoreError;

/// What names begin with that stores keep for themselves: lock, temporary file, probe.
pub(crate) const RESERVED: &str = ".chancery";

/// Checks a path: segments of `A-Z a-z 0-9 - . _`, which are the same in every store and
/// in a URL, between single slashes.
pub(crate) fn check(path: &str) -> Result<(), StoreError> {
    match wrong(path) {
        None => Ok(()),
        Some(reason) => Err(StoreError::InvalidPath {
            path: path.to_owned(),
            reason,
        }),
    }
}

pub(crate) fn is_valid(path: &str) -> bool {
    wrong(path).is_none()
}

fn wrong(path: &str) -> Option<&'static str> {
    path.split('/').find_map(|segment| {
        if segment.is_empty() {
            Some("a segment is empty, or there is a slash at an end")
        } else if matches!(segment, "." | "..") {
            Some("`.` and `..` are no segments")
        } else if segment.starts_with(RESERVED) {
            Some("segments that begin with `.chancery` are the store's own")
        } else if !segment.bytes().all(is_portable) {
            Some("a segment has other characters than `A-Z a-z 0-9 - . _`")
        } else {
            None
        }
    })
}

/// What neither URLs (RFC 3986, section 2.3) nor object stores nor file systems write differently.
const fn is_portable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}
