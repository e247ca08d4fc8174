//! What goes wrong, where, and when.

use std::time::Duration;

use cryptoki_sys::CK_RV;

/// Something that goes wrong. The module and its client are built from the same source, and the
/// layout of these types is C's, so that one can hand them to the other.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Fault {
    /// The function that it happens in.
    pub function: Function,
    /// What happens.
    pub effect: Effect,
    /// In which calls.
    pub when: When,
}

/// The functions of PKCS#11 that faults can happen in; they are also counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Function {
    /// `C_GetFunctionList`
    GetFunctionList,
    /// `C_Initialize`
    Initialize,
    /// `C_Finalize`
    Finalize,
    /// `C_GetInfo`
    GetInfo,
    /// `C_GetSlotList`
    GetSlotList,
    /// `C_GetSlotInfo`
    GetSlotInfo,
    /// `C_GetTokenInfo`
    GetTokenInfo,
    /// `C_GetMechanismList`
    GetMechanismList,
    /// `C_GetMechanismInfo`
    GetMechanismInfo,
    /// `C_OpenSession`
    OpenSession,
    /// `C_CloseSession`
    CloseSession,
    /// `C_GetSessionInfo`
    GetSessionInfo,
    /// `C_Login`
    Login,
    /// `C_Logout`
    Logout,
    /// `C_DestroyObject`
    DestroyObject,
    /// `C_GetAttributeValue`
    GetAttributeValue,
    /// `C_FindObjectsInit`
    FindObjectsInit,
    /// `C_FindObjects`
    FindObjects,
    /// `C_FindObjectsFinal`
    FindObjectsFinal,
    /// `C_GenerateKeyPair`
    GenerateKeyPair,
    /// `C_SignInit`
    SignInit,
    /// `C_Sign`
    Sign,
}

impl Function {
    pub(crate) const COUNT: usize = Self::Sign as usize + 1;

    /// Its name in PKCS#11.
    #[must_use]
    pub fn name(self) -> String {
        format!("C_{self:?}")
    }
}

/// What happens in a call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub enum Effect {
    /// The call does nothing and returns this code.
    Return(CK_RV),
    /// The call does its work, and returns this code all the same.
    DoButReturn(CK_RV),
    /// The call takes longer by so many nanoseconds; see [`Effect::delay`].
    Delay(u64),
    /// The call stands still until the fault ends, and then goes on.
    Hang,
    /// `C_FindObjects` and `C_GetSlotList` find nothing.
    FindNothing,
    /// `C_OpenSession` returns `CKR_SESSION_COUNT` when so many sessions are open, and
    /// `C_GetTokenInfo` tells that there can be no more.
    SessionLimit(usize),
    /// `C_FindObjectsInit` and `C_SignInit` take the object whose `CKA_ID` is this one byte,
    /// whatever was asked for.
    OtherKey(u8),
    /// `C_Sign` hands out a signature with one bit flipped, each time the next one.
    FlipBit,
    /// `C_Sign` hands out a signature without its last bytes.
    Shorten(usize),
    /// `C_Sign` hands out a signature with so many bytes more.
    Lengthen(usize),
    /// `C_Sign` says that it wrote so many bytes more than it did.
    Overstate(usize),
    /// `C_Sign` hands out bytes that look like a signature.
    Random,
    /// `C_Sign` hands out the last signature that it made over other data, where there was one.
    Replay,
}

impl Effect {
    /// The call takes longer by so much.
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::Delay(nanoseconds(by))
    }

    pub(crate) fn changes_signature(self) -> bool {
        matches!(
            self,
            Self::FlipBit
                | Self::Shorten(_)
                | Self::Lengthen(_)
                | Self::Overstate(_)
                | Self::Random
                | Self::Replay
        )
    }
}

/// In which calls a fault happens, counted from its start.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub enum When {
    /// In all of them, until it is ended.
    Always,
    /// In the next so many.
    Next(u64),
    /// In every so manieth.
    Every(u64),
    /// In those of the next so many nanoseconds; see [`When::within`].
    Within(u64),
}

impl When {
    /// In the calls from now on, for so long.
    #[must_use]
    pub fn within(duration: Duration) -> Self {
        Self::Within(nanoseconds(duration))
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
