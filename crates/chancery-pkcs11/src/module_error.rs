//! What a call to a module ended with, if not well.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::gate::NotRestarted;

/// What a module said no with: the function that was called, and the code it returned.
///
/// ```text
/// C_OpenSession returned CKR_SESSION_COUNT
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleError {
    text: String,
    cause: Cause,
}

/// What may help against an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The device is gone, or was.
    Device,
    /// The session was lost, to a restart or to somebody else.
    Session,
    /// The module does not have the mechanism, which says nothing of the device.
    Mechanism,
    Other,
}

impl ModuleError {
    pub(crate) const fn new(text: String) -> Self {
        Self {
            text,
            cause: Cause::Other,
        }
    }

    /// Whether modules say so when their device is gone. Many go on saying so when it is back,
    /// until they are started afresh.
    pub(crate) const fn is_of_device(&self) -> bool {
        matches!(self.cause, Cause::Device)
    }

    /// Whether the module lacks the mechanism.
    pub(crate) const fn is_of_mechanism(&self) -> bool {
        matches!(self.cause, Cause::Mechanism)
    }

    /// Whether the session was lost, so that all may be well in another one.
    pub(crate) const fn is_of_session(&self) -> bool {
        matches!(self.cause, Cause::Session)
    }
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ModuleError {}

/// How a call failed, as this crate has to tell it apart.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The module, or the binding to it.
    Module(Error),
    /// The module was started afresh since the session was opened.
    Stale,
    /// So many calls have not returned, so that the module could not be started afresh.
    Stuck(usize),
    /// The application started the module, so it is not ours to start afresh.
    NotOurs,
    /// Whoever asked for the operation was told that it had not returned.
    GivenUp,
}

impl CallError {
    /// The module's return code.
    pub(crate) const fn code(&self) -> Option<RvError> {
        match self {
            Self::Module(Error::Pkcs11(code, _)) => Some(*code),
            _ => None,
        }
    }

    const fn cause(&self) -> Cause {
        match self {
            Self::Stale
            | Self::Module(Error::Pkcs11(
                RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::CryptokiNotInitialized,
                _,
            )) => Cause::Session,
            Self::Module(Error::Pkcs11(
                RvError::DeviceError | RvError::DeviceRemoved | RvError::TokenNotPresent,
                _,
            )) => Cause::Device,
            Self::Module(Error::Pkcs11(RvError::MechanismInvalid, _)) => Cause::Mechanism,
            // Where the device computes, TPMs say no more than that when they are gone. Where objects
            // are found and read, it may be about one of them.
            Self::Module(Error::Pkcs11(
                RvError::GeneralError,
                Function::Initialize
                | Function::GetInfo
                | Function::GetSlotList
                | Function::GetSlotInfo
                | Function::GetTokenInfo
                | Function::OpenSession
                | Function::SignInit
                | Function::Sign
                | Function::GenerateKeyPair,
            )) => Cause::Device,
            _ => Cause::Other,
        }
    }

    /// Whether the PIN or its state was refused. Another try with the same PIN can only do harm.
    pub(crate) const fn refuses_pin(&self) -> bool {
        matches!(
            self.code(),
            Some(
                RvError::PinIncorrect
                    | RvError::PinInvalid
                    | RvError::PinLenRange
                    | RvError::PinExpired
                    | RvError::PinLocked
            )
        )
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<CallError> for ModuleError {
    fn from(error: CallError) -> Self {
        let cause = error.cause();
        let text = match error {
            CallError::Module(Error::Pkcs11(code, function)) => {
                format!("C_{function:?} returned {}", code_name(code))
            }
            CallError::Module(error) => error.to_string(),
            CallError::Stale => "the module was started afresh meanwhile".to_owned(),
            CallError::Stuck(calls) => format!(
                "the module cannot be started afresh while {calls} of its calls do not return"
            ),
            CallError::NotOurs => "the application itself called C_Initialize, so the module is \
                                   not started afresh here"
                .to_owned(),
            CallError::GivenUp => "the operation was given up meanwhile".to_owned(),
        };
        Self { text, cause }
    }
}

impl From<NotRestarted> for Result<(), CallError> {
    fn from(reason: NotRestarted) -> Self {
        match reason {
            NotRestarted::NotNeeded => Ok(()),
            NotRestarted::Stuck(calls) => Err(CallError::Stuck(calls)),
        }
    }
}

/// The name that the standard has for a code: `PinIncorrect` is `CKR_PIN_INCORRECT`.
fn code_name(code: RvError) -> String {
    if let RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) = code {
        return format!("the code {code:#x}, which PKCS#11 does not define");
    }
    let mut name = String::from("CKR");
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restart takes the module from all who use it.
    #[test]
    fn a_restart_is_for_devices_that_are_gone() {
        let error =
            |code, function| ModuleError::from(CallError::Module(Error::Pkcs11(code, function)));
        assert!(error(RvError::DeviceError, Function::FindObjects).is_of_device());
        for function in [Function::OpenSession, Function::Sign] {
            assert!(error(RvError::GeneralError, function).is_of_device());
        }
        for function in [
            Function::Login,
            Function::FindObjects,
            Function::GetAttributeValue,
            Function::DestroyObject,
        ] {
            assert!(!error(RvError::GeneralError, function).is_of_device());
        }
        assert!(error(RvError::SessionHandleInvalid, Function::FindObjects).is_of_session());
        assert!(ModuleError::from(CallError::Stale).is_of_session());
    }

    #[test]
    fn codes_have_the_names_of_the_standard() {
        let text = |code, function| {
            ModuleError::from(CallError::Module(Error::Pkcs11(code, function))).to_string()
        };
        assert_eq!(
            text(RvError::PinIncorrect, Function::Login),
            "C_Login returned CKR_PIN_INCORRECT"
        );
        assert_eq!(
            text(RvError::CryptokiNotInitialized, Function::SignInit),
            "C_SignInit returned CKR_CRYPTOKI_NOT_INITIALIZED"
        );
        assert_eq!(
            text(RvError::VendorDefined(0x8000_0001), Function::Sign),
            "C_Sign returned the code 0x80000001, which PKCS#11 does not define"
        );
    }
}
