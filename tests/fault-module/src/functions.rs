//! The functions that stand before the real module's.
#![allow(non_snake_case, reason = "the names are PKCS#11's")]

use std::collections::HashSet;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BBOOL, CK_BYTE, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_MECHANISM,
    CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_NOTIFY, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_RV,
    CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG,
    CK_USER_TYPE, CK_UTF8CHAR, CKA_CLASS, CKA_ID, CKA_LABEL, CKO_PRIVATE_KEY, CKR_BUFFER_TOO_SMALL,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_HANDLE_INVALID, CKR_OK,
    CKR_SESSION_COUNT,
};

use crate::control::{self, Call};
use crate::fault::{Effect, Function};
use crate::{latency, module, signature};

/// No signature is longer, not even one that was lengthened.
const MOST: usize = 4096;

/// Puts our functions into a copy of the real module's list.
pub(crate) fn replace(list: &mut CK_FUNCTION_LIST) {
    list.C_GetFunctionList = Some(module::C_GetFunctionList);
    list.C_Initialize = Some(C_Initialize);
    list.C_Finalize = Some(C_Finalize);
    list.C_GetInfo = Some(C_GetInfo);
    list.C_GetSlotList = Some(C_GetSlotList);
    list.C_GetSlotInfo = Some(C_GetSlotInfo);
    list.C_GetTokenInfo = Some(C_GetTokenInfo);
    list.C_GetMechanismList = Some(C_GetMechanismList);
    list.C_GetMechanismInfo = Some(C_GetMechanismInfo);
    list.C_OpenSession = Some(C_OpenSession);
    list.C_CloseSession = Some(C_CloseSession);
    list.C_GetSessionInfo = Some(C_GetSessionInfo);
    list.C_Login = Some(C_Login);
    list.C_Logout = Some(C_Logout);
    list.C_DestroyObject = Some(C_DestroyObject);
    list.C_GetAttributeValue = Some(C_GetAttributeValue);
    list.C_FindObjectsInit = Some(C_FindObjectsInit);
    list.C_FindObjects = Some(C_FindObjects);
    list.C_FindObjectsFinal = Some(C_FindObjectsFinal);
    list.C_GenerateKeyPair = Some(C_GenerateKeyPair);
    list.C_SignInit = Some(C_SignInit);
    list.C_Sign = Some(C_Sign);
}

/// Calls a function of the real module.
macro_rules! real {
    ($name:ident($($argument:expr),* $(,)?)) => {
        match module::real() {
            Some(real) => match real.functions.$name {
                Some(function) => function($($argument),*),
                None => CKR_FUNCTION_NOT_SUPPORTED,
            },
            None => CKR_CRYPTOKI_NOT_INITIALIZED,
        }
    };
}

/// Closes all the application's sessions behind its back, while no call is in the real module.
pub(crate) extern "C" fn close_sessions() {
    let slots: HashSet<CK_SLOT_ID> = open_sessions().iter().map(|(slot, _)| *slot).collect();
    module::alone(|functions| {
        if let Some(close) = functions.C_CloseAllSessions {
            for slot in slots {
                // SAFETY: any number may be given for a slot.
                unsafe { close(slot) };
            }
        }
    });
}

/// The number of sessions that the application has open.
pub(crate) extern "C" fn count_open_sessions() -> usize {
    let mut open = open_sessions();
    open.retain(|(_, session)| is_open(*session));
    open.len()
}

/// Functions that only the faults of any function happen in.
macro_rules! pass_on {
    ($($function:ident: $name:ident($($argument:ident: $type:ty),*);)*) => {$(
        unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
            around(Function::$function, || {
                // SAFETY: the real function gets the arguments that its caller gave for it.
                unsafe { real!($name($($argument),*)) }
            })
        }
    )*};
}

pass_on! {
    Initialize: C_Initialize(arguments: *mut c_void);
    GetInfo: C_GetInfo(info: *mut CK_INFO);
    GetSlotInfo: C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO);
    GetMechanismList: C_GetMechanismList(
        slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG
    );
    GetMechanismInfo: C_GetMechanismInfo(
        slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO
    );
    GetSessionInfo: C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    Login: C_Login(
        session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG
    );
    Logout: C_Logout(session: CK_SESSION_HANDLE);
    DestroyObject: C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    GetAttributeValue: C_GetAttributeValue(
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE,
        count: CK_ULONG
    );
    FindObjectsFinal: C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    GenerateKeyPair: C_GenerateKeyPair(
        session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE,
        public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG,
        public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE
    );
}

unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    around(Function::Finalize, || {
        // SAFETY: the real function gets the argument that its caller gave for it.
        let code = unsafe { real!(C_Finalize(reserved)) };
        if code == CKR_OK {
            open_sessions().clear();
        }
        code
    })
}

unsafe extern "C" fn C_GetSlotList(
    present: CK_BBOOL,
    list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    around(Function::GetSlotList, || {
        if finds_nothing(Function::GetSlotList) {
            // SAFETY: the caller gave a place for the count.
            unsafe { count.write(0) };
            return CKR_OK;
        }
        // SAFETY: the real function gets the arguments that its caller gave for it.
        unsafe { real!(C_GetSlotList(present, list, count)) }
    })
}

unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    around(Function::GetTokenInfo, || {
        // SAFETY: the real function gets the arguments that its caller gave for it.
        let code = unsafe { real!(C_GetTokenInfo(slot, info)) };
        let limit = |effect| matches!(effect, Effect::SessionLimit(_));
        let limits = control::effects(Function::GetTokenInfo, limit);
        if let (CKR_OK, Some(Effect::SessionLimit(most))) = (code, limits.first()) {
            // SAFETY: the caller gave a place for the structure, which has just been written.
            unsafe {
                (*info).ulMaxSessionCount = *most as CK_ULONG;
                (*info).ulSessionCount = count_open_sessions() as CK_ULONG;
            }
        }
        code
    })
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    around(Function::OpenSession, || {
        // Held until the new session is counted, so that two callers can't take the last one.
        let mut open = open_sessions();
        open.retain(|(_, session)| is_open(*session));
        let reached = |effect| matches!(effect, Effect::SessionLimit(most) if open.len() >= most);
        if !control::effects(Function::OpenSession, reached).is_empty() {
            return CKR_SESSION_COUNT;
        }
        // SAFETY: the real function gets the arguments that its caller gave for it.
        let code = unsafe { real!(C_OpenSession(slot, flags, application, notify, session)) };
        if code == CKR_OK {
            // SAFETY: on CKR_OK the handle was written there.
            open.insert((slot, unsafe { session.read() }));
        }
        code
    })
}

unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    around(Function::CloseSession, || {
        let mut open = open_sessions();
        // SAFETY: the real function gets the argument that its caller gave for it.
        let code = unsafe { real!(C_CloseSession(session)) };
        open.retain(|(_, handle)| *handle != session);
        code
    })
}

unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    around(Function::FindObjectsInit, || {
        let Some(mut id) = other_key(Function::FindObjectsInit) else {
            // SAFETY: the real function gets the arguments that its caller gave for it.
            return unsafe { real!(C_FindObjectsInit(session, template, count)) };
        };
        // SAFETY: the caller gave a template of so many attributes.
        let asked = unsafe { attributes(template, count) };
        let mut template: Vec<CK_ATTRIBUTE> = asked
            .iter()
            .filter(|attribute| !matches!(attribute.type_, CKA_ID | CKA_LABEL))
            .copied()
            .collect();
        template.push(id_attribute(&mut id));
        let count = template.len() as CK_ULONG;
        // SAFETY: the template and the values that it points to live until the call returns.
        unsafe { real!(C_FindObjectsInit(session, template.as_mut_ptr(), count)) }
    })
}

unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    around(Function::FindObjects, || {
        if finds_nothing(Function::FindObjects) {
            // SAFETY: the caller gave a place for the count.
            unsafe { count.write(0) };
            return CKR_OK;
        }
        // SAFETY: the real function gets the arguments that its caller gave for it.
        unsafe { real!(C_FindObjects(session, objects, most, count)) }
    })
}

unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    around(Function::SignInit, || {
        let key = match other_key(Function::SignInit) {
            None => key,
            Some(id) => match find_private_key(session, id) {
                Some(other) => other,
                None => return CKR_KEY_HANDLE_INVALID,
            },
        };
        // SAFETY: the caller gave a mechanism or null.
        if unsafe { latency::begin(session, mechanism, key) } {
            return CKR_OK;
        }
        // SAFETY: the real function gets the arguments that its caller gave for it; another key's
        // handle is a number like any other.
        unsafe { real!(C_SignInit(session, mechanism, key)) }
    })
}

unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_length: CK_ULONG,
    signature: *mut CK_BYTE,
    length: *mut CK_ULONG,
) -> CK_RV {
    around(Function::Sign, || {
        let begin = |mechanism, key| {
            // SAFETY: the mechanism has no parameter, and the session and the key are numbers.
            unsafe { real!(C_SignInit(session, mechanism, key)) }
        };
        if signature.is_null() {
            let begun = latency::begin_for_real(session, begin);
            if begun != CKR_OK {
                return begun;
            }
            // SAFETY: the real function gets the arguments that its caller gave for it.
            let code = unsafe { real!(C_Sign(session, data, data_length, signature, length)) };
            if code == CKR_OK {
                // SAFETY: the caller gave a place for the length, which has just been written.
                unsafe { *length += control::lengthening() as CK_ULONG };
            }
            return code;
        }
        let effects = control::effects(Function::Sign, Effect::changes_signature);
        if effects.is_empty() {
            let sign = || {
                // SAFETY: the real function gets the arguments that its caller gave for it.
                unsafe { real!(C_Sign(session, data, data_length, signature, length)) }
            };
            // SAFETY: data and signature are what the caller gave.
            return unsafe {
                latency::take(
                    session,
                    (data, data_length),
                    (signature, length),
                    begin,
                    sign,
                )
            };
        }
        let mut made = vec![0; MOST];
        let mut made_length = MOST as CK_ULONG;
        let place = (made.as_mut_ptr(), &raw mut made_length);
        let sign = || {
            let (made, length) = place;
            // SAFETY: the data are the caller's, and the signature may be as long as the vector.
            unsafe { real!(C_Sign(session, data, data_length, made, length)) }
        };
        // SAFETY: as above.
        let code = unsafe { latency::take(session, (data, data_length), place, begin, sign) };
        if code != CKR_OK {
            return code;
        }
        made.truncate(length_of(made_length));
        // SAFETY: the caller gave so many bytes of data.
        let data = unsafe { std::slice::from_raw_parts(data, length_of(data_length)) };
        signature::spoil(&mut made, data, &effects);
        // SAFETY: the caller gave a buffer and a place that holds its length.
        unsafe {
            let room = length.read();
            length.write((made.len() + signature::overstatement(&effects)) as CK_ULONG);
            if (made.len() as CK_ULONG) > room {
                return CKR_BUFFER_TOO_SMALL;
            }
            signature.copy_from_nonoverlapping(made.as_ptr(), made.len());
        }
        CKR_OK
    })
}

/// What every call goes through: it is counted, and meets the faults of any function.
pub(crate) fn around(function: Function, work: impl FnOnce() -> CK_RV) -> CK_RV {
    let call = Call::begin(function);
    let effects = control::effects(function, |effect| {
        matches!(
            effect,
            Effect::Return(_) | Effect::DoButReturn(_) | Effect::Delay(_) | Effect::Hang
        )
    });
    let mut instead = None;
    let mut afterwards = None;
    for effect in effects {
        match effect {
            Effect::Delay(nanoseconds) => thread::sleep(Duration::from_nanos(nanoseconds)),
            Effect::Hang => control::hang(function),
            Effect::Return(code) => instead = Some(code),
            Effect::DoButReturn(code) => afterwards = Some(code),
            _ => {}
        }
    }
    let code = instead.unwrap_or_else(work);
    call.end(afterwards.unwrap_or(code))
}

fn finds_nothing(function: Function) -> bool {
    let nothing = |effect| matches!(effect, Effect::FindNothing);
    !control::effects(function, nothing).is_empty()
}

/// The `CKA_ID` of the key to take instead.
fn other_key(function: Function) -> Option<u8> {
    let other = |effect| matches!(effect, Effect::OtherKey(_));
    control::effects(function, other)
        .into_iter()
        .find_map(|effect| match effect {
            Effect::OtherKey(id) => Some(id),
            _ => None,
        })
}

fn find_private_key(session: CK_SESSION_HANDLE, mut id: u8) -> Option<CK_OBJECT_HANDLE> {
    let mut class: CK_OBJECT_CLASS = CKO_PRIVATE_KEY;
    let mut template = [
        CK_ATTRIBUTE {
            type_: CKA_CLASS,
            pValue: (&raw mut class).cast(),
            ulValueLen: size_of_val(&class) as CK_ULONG,
        },
        id_attribute(&mut id),
    ];
    let mut found: CK_OBJECT_HANDLE = 0;
    let mut count: CK_ULONG = 0;
    let attributes = template.len() as CK_ULONG;
    // SAFETY: the template and the values that it points to live until the calls return, and one
    // handle and a count have room in the locals.
    unsafe {
        if real!(C_FindObjectsInit(
            session,
            template.as_mut_ptr(),
            attributes
        )) != CKR_OK
        {
            return None;
        }
        let code = real!(C_FindObjects(session, &raw mut found, 1, &raw mut count));
        let closed = real!(C_FindObjectsFinal(session));
        (code == CKR_OK && closed == CKR_OK && count == 1).then_some(found)
    }
}

fn id_attribute(id: &mut u8) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: CKA_ID,
        pValue: std::ptr::from_mut(id).cast(),
        ulValueLen: 1,
    }
}

/// Whether the real module knows the session: somebody else may have closed it.
fn is_open(session: CK_SESSION_HANDLE) -> bool {
    let mut info = CK_SESSION_INFO::default();
    // SAFETY: the information has room in the local.
    unsafe { real!(C_GetSessionInfo(session, &raw mut info)) == CKR_OK }
}

/// # Safety
/// `template` must be null or point to `count` attributes.
unsafe fn attributes<'a>(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> &'a [CK_ATTRIBUTE] {
    if template.is_null() {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(template, length_of(count)) }
}

/// `CK_ULONG` is C's `unsigned long`, which nowhere is wider than an address.
#[allow(clippy::cast_possible_truncation, reason = "no target has it wider")]
pub(crate) const fn length_of(length: CK_ULONG) -> usize {
    length as usize
}

type OpenSessions = HashSet<(CK_SLOT_ID, CK_SESSION_HANDLE)>;

/// The sessions that the application has opened and not closed.
fn open_sessions() -> MutexGuard<'static, OpenSessions> {
    static OPEN: LazyLock<Mutex<OpenSessions>> = LazyLock::new(Mutex::default);
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
