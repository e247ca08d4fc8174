//! Codes that functions return.

use chancery_core::SignErrorKind;
use chancery_fault_module::{Effect, Fault, Function, When};
use cryptoki_sys::*;

use crate::case::{Case, Expected, Scenario};
use crate::incident::Incident;

/// Codes and their names.
macro_rules! codes {
    ($($code:ident)*) => { &[$((stringify!($code), $code)),*] };
}

type Codes = &'static [(&'static str, CK_RV)];

/// A code that no standard has.
const CKR_VENDOR: CK_RV = CKR_VENDOR_DEFINED + 0x1234;

/// What a device may say at any call.
const ANYWHERE: Codes = codes!(
    CKR_DEVICE_ERROR CKR_DEVICE_REMOVED CKR_DEVICE_MEMORY CKR_HOST_MEMORY CKR_GENERAL_ERROR
    CKR_FUNCTION_FAILED CKR_TOKEN_NOT_PRESENT CKR_CRYPTOKI_NOT_INITIALIZED CKR_VENDOR
);
/// What it may say besides, in a session.
const IN_SESSION: Codes = codes!(CKR_SESSION_HANDLE_INVALID CKR_SESSION_CLOSED);
const SIGN_INIT: Codes = codes!(
    CKR_USER_NOT_LOGGED_IN CKR_KEY_HANDLE_INVALID CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE
    CKR_MECHANISM_INVALID
);
const SIGN: Codes = codes!(
    CKR_USER_NOT_LOGGED_IN CKR_OPERATION_NOT_INITIALIZED CKR_FUNCTION_CANCELED CKR_DATA_LEN_RANGE
    CKR_BUFFER_TOO_SMALL
);
const OPEN_SESSION: Codes = codes!(CKR_SESSION_COUNT CKR_SLOT_ID_INVALID CKR_TOKEN_NOT_RECOGNIZED);
const LOGIN: Codes = codes!(CKR_OPERATION_ACTIVE CKR_USER_TOO_MANY_TYPES);
const FIND_OBJECTS_INIT: Codes = codes!(CKR_OPERATION_ACTIVE);
const FIND_OBJECTS: Codes = codes!(
    CKR_DEVICE_ERROR CKR_DEVICE_MEMORY CKR_SESSION_HANDLE_INVALID CKR_OPERATION_NOT_INITIALIZED
);
const GET_ATTRIBUTE_VALUE: Codes =
    codes!(CKR_DEVICE_ERROR CKR_HOST_MEMORY CKR_OBJECT_HANDLE_INVALID CKR_SESSION_CLOSED);

/// Each code at each call that it may come from, for a while. Callers have time to wait.
pub(crate) fn cases() -> Vec<Case> {
    let calls: &[(Function, Incident, &[Codes])] = &[
        (
            Function::SignInit,
            Incident::None,
            &[ANYWHERE, IN_SESSION, SIGN_INIT],
        ),
        (
            Function::Sign,
            Incident::None,
            &[ANYWHERE, IN_SESSION, SIGN],
        ),
        (
            Function::OpenSession,
            Incident::CloseSessions,
            &[ANYWHERE, OPEN_SESSION],
        ),
        (
            Function::Login,
            Incident::LogOut,
            &[ANYWHERE, IN_SESSION, LOGIN],
        ),
        (
            Function::FindObjectsInit,
            Incident::CloseSessions,
            &[ANYWHERE, IN_SESSION, FIND_OBJECTS_INIT],
        ),
        (
            Function::FindObjects,
            Incident::CloseSessions,
            &[FIND_OBJECTS],
        ),
        (
            Function::FindObjectsFinal,
            Incident::CloseSessions,
            &[codes!(CKR_DEVICE_ERROR CKR_OPERATION_NOT_INITIALIZED)],
        ),
        (
            Function::GetAttributeValue,
            Incident::CloseSessions,
            &[GET_ATTRIBUTE_VALUE],
        ),
        (
            Function::GetSlotList,
            Incident::FinalizeAndInitialize,
            &[codes!(CKR_DEVICE_ERROR)],
        ),
        (
            Function::GetTokenInfo,
            Incident::FinalizeAndInitialize,
            &[codes!(CKR_DEVICE_ERROR CKR_TOKEN_NOT_PRESENT)],
        ),
        (
            Function::GetSessionInfo,
            Incident::CloseSessions,
            &[codes!(CKR_DEVICE_ERROR)],
        ),
        (
            Function::Initialize,
            Incident::Finalize,
            &[codes!(CKR_GENERAL_ERROR CKR_HOST_MEMORY CKR_FUNCTION_FAILED CKR_DEVICE_ERROR)],
        ),
    ];
    let mut cases = Vec::new();
    for (function, incident, codes) in calls {
        for (name, code) in codes.iter().copied().flatten() {
            let mut scenario = Scenario::new(Expected::Unnoticed)
                .fault(always(*function, Effect::Return(*code)))
                .incident(*incident);
            scenario.can_close_sessions = !says_that_session_is_gone(*code);
            let name = format!("{} returns {name}", function.name());
            cases.push(Case::new(name, scenario));
        }
    }
    cases
}

/// Whether the code says that the session exists no more (PKCS#11 2.40 §5.1.2 and §5.1.3), so that
/// nobody need close it. The session behind the fault lives on.
///
/// That a device or a token is gone says so too, but it may be back, so the session is asked for.
fn says_that_session_is_gone(code: CK_RV) -> bool {
    matches!(
        code,
        CKR_SESSION_HANDLE_INVALID | CKR_SESSION_CLOSED | CKR_CRYPTOKI_NOT_INITIALIZED
    )
}

/// A PIN is tried once, and then nothing is.
pub(crate) fn refused_pins() -> Vec<Case> {
    let wrong_pin = || Scenario::new(Expected::RefusesForGood(SignErrorKind::WrongPin));
    let mut cases = vec![Case::new(
        "the PIN is changed",
        wrong_pin().incident(Incident::ChangePin),
    )];
    let codes =
        codes!(CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_EXPIRED CKR_PIN_LOCKED);
    for (name, code) in codes {
        cases.push(Case::new(
            format!("C_Login returns {name}"),
            wrong_pin()
                .fault(always(Function::Login, Effect::Return(*code)))
                .incident(Incident::LogOut),
        ));
    }
    cases
}

/// A fault that happens in every call.
pub(crate) fn always(function: Function, effect: Effect) -> Fault {
    Fault {
        function,
        effect,
        when: When::Always,
    }
}
