//! The messages of a YubiHSM 2: a code, a length of two bytes, and a body.

use crate::error::{DeviceCode, YubiHsmError};

pub(crate) const CREATE_SESSION: u8 = 0x03;
pub(crate) const AUTHENTICATE_SESSION: u8 = 0x04;
pub(crate) const SESSION_MESSAGE: u8 = 0x05;
pub(crate) const CLOSE_SESSION: u8 = 0x40;
pub(crate) const PUT_ASYMMETRIC_KEY: u8 = 0x45;
pub(crate) const GENERATE_ASYMMETRIC_KEY: u8 = 0x46;
#[cfg(feature = "experimental-rsa")]
pub(crate) const SIGN_PKCS1: u8 = 0x47;
pub(crate) const LIST_OBJECTS: u8 = 0x48;
pub(crate) const IMPORT_WRAPPED: u8 = 0x4b;
pub(crate) const GET_OBJECT_INFO: u8 = 0x4e;
pub(crate) const GET_PUBLIC_KEY: u8 = 0x54;
pub(crate) const SIGN_ECDSA: u8 = 0x56;
pub(crate) const DELETE_OBJECT: u8 = 0x58;
pub(crate) const SIGN_ATTESTATION_CERTIFICATE: u8 = 0x64;
pub(crate) const SIGN_EDDSA: u8 = 0x6a;

/// An answer has the code of its command with this bit set.
const ANSWER: u8 = 0x80;
const ERROR: u8 = 0x7f;

/// The most bytes of a message that every firmware takes.
const MESSAGE_LEN: usize = 2048;

/// The most bytes of data that fit into a command: around them come a header, one byte of padding
/// at least, in blocks of 16, and around these a header, a session identifier and a MAC.
pub(crate) const DATA_LEN: usize = (MESSAGE_LEN - 3 - 1 - 8) / 16 * 16 - 1 - 3;

/// Puts a code and a length before a body.
pub(crate) fn message(code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(3 + body.len());
    message.push(code);
    message.extend_from_slice(&length(body.len()));
    message.extend_from_slice(body);
    message
}

/// A length as it stands in a message. Bodies longer than [`DATA_LEN`] are refused before.
pub(crate) fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// The body of an answer to a command.
///
/// # Errors
/// [`YubiHsmError::Device`] when the device refused the command, [`YubiHsmError::Protocol`] when
/// the bytes are no answer to it.
pub(crate) fn answer(command: u8, bytes: &[u8]) -> Result<&[u8], YubiHsmError> {
    let [code, high, low, body @ ..] = bytes else {
        return Err(YubiHsmError::Protocol(
            "an answer is shorter than its header",
        ));
    };
    if usize::from(u16::from_be_bytes([*high, *low])) != body.len() {
        return Err(YubiHsmError::Protocol(
            "an answer has another length than it says",
        ));
    }
    match (*code, body) {
        (code, body) if code == command | ANSWER => Ok(body),
        (ERROR, [code]) => Err(YubiHsmError::from(DeviceCode(*code))),
        _ => Err(YubiHsmError::Protocol("an answer is to another command")),
    }
}

/// The code that an answer to this command has.
pub(crate) const fn answer_code(command: u8) -> u8 {
    command | ANSWER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_errors_and_from_noise() {
        assert_eq!(answer(0x54, &[0xd4, 0, 2, 1, 2]).unwrap(), [1, 2]);
        assert!(matches!(
            answer(0x56, &[0x7f, 0, 1, 0x0a]).unwrap_err(),
            YubiHsmError::AuditLogFull
        ));
        for noise in [
            &[][..],
            &[0xd4, 0],
            &[0xd4, 0, 2, 1],
            &[0xd5, 0, 0],
            &[0x7f, 0, 0],
            &[0; 9],
        ] {
            assert!(
                matches!(answer(0x54, noise), Err(YubiHsmError::Protocol(_))),
                "{noise:?}"
            );
        }
    }

    #[test]
    fn the_longest_data_fills_a_message() {
        let sealed = (3 + DATA_LEN) / 16 * 16 + 16;
        assert!(3 + 1 + sealed + 8 <= MESSAGE_LEN);
        let sealed = (3 + DATA_LEN + 1) / 16 * 16 + 16;
        assert!(3 + 1 + sealed + 8 > MESSAGE_LEN);
    }
}
