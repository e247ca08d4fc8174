//! What stands at the end of the line.

use std::fmt::Debug;

/// A device, as a connector sees it.
pub trait Backend: Debug + Send + Sync {
    /// Answers a message; `None` when the connector would answer with HTTP 500.
    fn exchange(&self, message: &[u8]) -> Option<Vec<u8>>;

    /// The number of sessions that are open.
    fn sessions(&self) -> usize;
}

/// A message that refuses, as a device writes it.
pub(crate) fn refusal(code: u8) -> Vec<u8> {
    vec![0x7f, 0, 1, code]
}

/// A code and a length before a body.
pub(crate) fn message(code: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[code], &len[..], body].concat()
}

/// The code and the body of a message of the right length.
pub(crate) fn split(message: &[u8]) -> Option<(u8, &[u8])> {
    let [code, high, low, body @ ..] = message else {
        return None;
    };
    (usize::from(u16::from_be_bytes([*high, *low])) == body.len()).then_some((*code, body))
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).unwrap();
    bytes
}
