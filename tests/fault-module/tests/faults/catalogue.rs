//! The named faults.

use std::time::Duration;

use chancery_core::SignErrorKind;
use chancery_fault_module::{Effect, Fault, Function, When};
use cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID,
};

use crate::case::{Case, Expected, Scenario};
use crate::codes::{self, always};
use crate::incident::{Incident, OTHER_KEY};
use crate::singles;

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = codes::cases();
    cases.extend(codes::refused_pins());
    cases.extend(passing());
    cases.extend(lies());
    cases.extend(incidents());
    cases.extend(sessions());
    cases.extend(slow());
    cases.extend(signatures());
    cases.extend(keys());
    cases.extend(past_deadlines());
    cases.extend(together());
    cases.extend(singles::cases());
    cases
}

/// Errors that come and go while others sign.
fn passing() -> Vec<Case> {
    let device_error = Effect::Return(CKR_DEVICE_ERROR);
    let case = |name: &str, function, when| {
        Case::new(
            name,
            Scenario::new(Expected::SignsOn { failed: 0 }).fault(Fault {
                function,
                effect: device_error,
                when,
            }),
        )
    };
    vec![
        case(
            "one C_Sign returns CKR_DEVICE_ERROR",
            Function::Sign,
            When::Next(1),
        ),
        case(
            "8 C_Sign return CKR_DEVICE_ERROR",
            Function::Sign,
            When::Next(8),
        ),
        case(
            "every 3rd C_Sign returns CKR_DEVICE_ERROR",
            Function::Sign,
            When::Every(3),
        ),
        case(
            "every 100th C_Sign returns CKR_DEVICE_ERROR",
            Function::Sign,
            When::Every(100),
        ),
        // Each second would be the one after each self-test, should the workers keep step.
        case(
            "every 3rd C_SignInit returns CKR_DEVICE_ERROR",
            Function::SignInit,
            When::Every(3),
        ),
    ]
}

/// What the device did, it says it did not.
fn lies() -> Vec<Case> {
    let lie = |function: Function, incident| {
        Scenario::new(Expected::Unnoticed)
            .fault(always(function, Effect::DoButReturn(CKR_DEVICE_ERROR)))
            .incident(incident)
    };
    let scenarios = [
        lie(Function::Sign, Incident::None),
        lie(Function::SignInit, Incident::None),
        lie(Function::Login, Incident::LogOut),
        lie(Function::FindObjectsInit, Incident::CloseSessions),
        lie(Function::FindObjects, Incident::CloseSessions),
        lie(Function::Initialize, Incident::Finalize),
        // Nobody can close a session whose handle the module never told.
        lie(Function::OpenSession, Incident::CloseSessions).leaves_sessions(),
    ];
    let name = |scenario: &Scenario| {
        let function = scenario.faults[0].function.name();
        format!("{function} works and returns CKR_DEVICE_ERROR")
    };
    scenarios
        .into_iter()
        .map(|scenario| Case::new(name(&scenario), scenario))
        .collect()
}

/// What somebody else does, with nothing wrong with the module.
fn incidents() -> Vec<Case> {
    let case = |name: &str, incident| {
        Case::new(name, Scenario::new(Expected::Unnoticed).incident(incident))
    };
    vec![
        case("sessions closed by somebody else", Incident::CloseSessions),
        case("logged out by somebody else", Incident::LogOut),
        case("finalized by somebody else", Incident::Finalize),
        case(
            "finalized and initialized by somebody else",
            Incident::FinalizeAndInitialize,
        ),
        case(
            "finalized and initialized by somebody else six times",
            Incident::FinalizeAndInitializeAgain,
        ),
        case("token taken away and brought back", Incident::TakeTokenAway),
    ]
}

/// Fewer sessions than workers.
fn sessions() -> Vec<Case> {
    let limited = |most| {
        Case::new(
            format!("no more than {most} sessions"),
            Scenario::new(Expected::SignsOn { failed: 0 })
                .fault(always(Function::OpenSession, Effect::SessionLimit(most)))
                .incident(Incident::CloseSessions),
        )
    };
    let unclosable = Scenario::new(Expected::Unnoticed)
        .fault(always(
            Function::CloseSession,
            Effect::Return(CKR_DEVICE_ERROR),
        ))
        .fault(always(Function::Sign, Effect::Return(CKR_DEVICE_ERROR)))
        .leaves_sessions();
    // Each error costs the module a session, until a restart gives them back.
    let leaking = Scenario::new(Expected::SignsOn { failed: 0 })
        .fault(always(Function::OpenSession, Effect::SessionLimit(40)))
        .fault(Fault {
            function: Function::Sign,
            effect: Effect::Return(CKR_SESSION_HANDLE_INVALID),
            when: When::Every(20),
        })
        .leaves_sessions();
    vec![
        limited(1),
        limited(2),
        limited(5),
        Case::new("C_CloseSession returns CKR_DEVICE_ERROR", unclosable),
        Case::new("sessions that stay open until there are 40", leaking),
    ]
}

/// Calls that take long, or don't return while the fault is on.
fn slow() -> Vec<Case> {
    const DEADLINE: Duration = Duration::from_millis(300);
    const LASTS: Duration = Duration::from_millis(1200);
    let hang = |function, when| Fault {
        function,
        effect: Effect::Hang,
        when,
    };
    let hung = |name: &str, function, incident| {
        Case::new(
            name,
            Scenario::new(Expected::Recovers)
                .fault(hang(function, When::Always))
                .incident(incident)
                .outlasts(DEADLINE, LASTS),
        )
    };
    let some = |count: usize| {
        let name = format!("{count} of 8 sessions hang in C_Sign");
        let when = When::Next(count as u64);
        Case::new(
            name,
            Scenario::new(Expected::SignsOn { failed: count })
                .fault(hang(Function::Sign, when))
                .outlasts(DEADLINE, LASTS),
        )
    };
    let late = |milliseconds| {
        let delay = Effect::delay(Duration::from_millis(milliseconds));
        Fault {
            function: Function::Sign,
            effect: delay,
            when: When::Always,
        }
    };
    // What it takes to open a session anew, apart from what has a case of its own below.
    let reopening = [
        Function::GetSlotList,
        Function::GetTokenInfo,
        Function::GetSessionInfo,
        Function::FindObjectsInit,
        Function::FindObjects,
        Function::FindObjectsFinal,
        Function::GetAttributeValue,
    ];
    let mut cases: Vec<Case> = reopening
        .into_iter()
        .map(|function| {
            let name = format!("{} hangs", function.name());
            hung(&name, function, Incident::CloseSessions)
        })
        .collect();
    cases.extend([
        Case::new(
            "C_Sign takes 20 ms",
            Scenario::new(Expected::SignsOn { failed: 0 }).fault(late(20)),
        ),
        Case::new(
            "C_Sign takes longer than the deadline",
            Scenario::new(Expected::Recovers)
                .fault(late(250))
                .outlasts(Duration::from_millis(200), LASTS),
        ),
        hung(
            "all sessions hang in C_Sign",
            Function::Sign,
            Incident::None,
        ),
        hung(
            "all sessions hang in C_SignInit",
            Function::SignInit,
            Incident::None,
        ),
        some(1),
        some(7),
        hung(
            "C_OpenSession hangs",
            Function::OpenSession,
            Incident::CloseSessions,
        ),
        Case::new(
            "one C_OpenSession hangs",
            Scenario::new(Expected::Recovers)
                .fault(hang(Function::OpenSession, When::Next(1)))
                .incident(Incident::CloseSessions)
                .outlasts(DEADLINE, LASTS),
        ),
        hung("C_Login hangs", Function::Login, Incident::LogOut),
        hung(
            "C_Initialize hangs",
            Function::Initialize,
            Incident::Finalize,
        ),
        Case::new(
            "C_Finalize hangs",
            Scenario::new(Expected::Recovers)
                .fault(always(Function::FindObjects, Effect::FindNothing))
                .fault(hang(Function::Finalize, When::Always))
                .incident(Incident::CloseSessions)
                .outlasts(DEADLINE, LASTS),
        ),
        Case::new(
            "C_CloseSession hangs",
            Scenario::new(Expected::Recovers)
                .fault(hang(Function::CloseSession, When::Always))
                .fault(Fault {
                    function: Function::Sign,
                    effect: Effect::Return(CKR_DEVICE_ERROR),
                    when: When::Every(50),
                })
                .outlasts(DEADLINE, LASTS),
        ),
    ]);
    cases
}

/// Signatures that are none.
fn signatures() -> Vec<Case> {
    let spoiled = |name: &str, effect, when, expected| {
        Case::new(
            name,
            Scenario::new(expected).fault(Fault {
                function: Function::Sign,
                effect,
                when,
            }),
        )
    };
    let always = |name: &str, effect| spoiled(name, effect, When::Always, Expected::Recovers);
    vec![
        always("signatures with a bit flipped", Effect::FlipBit),
        spoiled(
            // Seldom enough that no caller meets three, after which it would be told.
            "every 100th signature with a bit flipped",
            Effect::FlipBit,
            When::Every(100),
            Expected::SignsOn { failed: 0 },
        ),
        always("signatures without their last byte", Effect::Shorten(1)),
        always("empty signatures", Effect::Shorten(64)),
        always("signatures with a byte more", Effect::Lengthen(1)),
        always("signatures of twice their length", Effect::Lengthen(64)),
        always("signatures longer than they say", Effect::Overstate(64)),
        always("random signatures", Effect::Random),
        always("signatures of other tokens", Effect::Replay),
    ]
}

/// Another key, or none, where the published one was.
fn keys() -> Vec<Case> {
    let other = Effect::OtherKey(OTHER_KEY.1);
    let changed = SignErrorKind::KeyChanged;
    vec![
        Case::new(
            "C_SignInit takes another key",
            Scenario::new(Expected::Recovers).fault(always(Function::SignInit, other)),
        ),
        Case::new(
            "every 100th C_SignInit takes another key",
            Scenario::new(Expected::SignsOn { failed: 0 }).fault(Fault {
                function: Function::SignInit,
                effect: other,
                when: When::Every(100),
            }),
        ),
        Case::new(
            "C_FindObjects finds another key",
            Scenario::new(Expected::Unnoticed)
                .fault(always(Function::FindObjectsInit, other))
                .incident(Incident::CloseSessions),
        ),
        Case::new(
            "C_FindObjects finds nothing",
            Scenario::new(Expected::Unnoticed)
                .fault(always(Function::FindObjects, Effect::FindNothing))
                .incident(Incident::CloseSessions),
        ),
        Case::new(
            "C_GetSlotList finds nothing",
            Scenario::new(Expected::Unnoticed)
                .fault(always(Function::GetSlotList, Effect::FindNothing))
                .incident(Incident::FinalizeAndInitialize),
        ),
        Case::new(
            "token swapped for one with another key, and back",
            Scenario::new(Expected::Refuses(changed)).incident(Incident::SwapToken),
        ),
        Case::new(
            "token swapped for one without the key, and back",
            Scenario::new(Expected::Unnoticed).incident(Incident::SwapForEmptyToken),
        ),
        Case::new(
            "token without the key for longer than the deadline",
            Scenario::new(Expected::Refuses(SignErrorKind::KeyMissing))
                .incident(Incident::SwapForEmptyToken)
                .outlasts(Duration::from_millis(300), Duration::from_millis(1000)),
        ),
        Case::new(
            "key destroyed and another generated in its place",
            Scenario::new(Expected::RefusesForGood(changed)).incident(Incident::ReplaceKey),
        ),
        Case::new(
            "a second key with the same label and id, then destroyed",
            Scenario::new(Expected::Unnoticed).incident(Incident::AddKey),
        ),
    ]
}

/// Faults that outlast the callers' deadlines.
fn past_deadlines() -> Vec<Case> {
    let outlasting = |incident| {
        Scenario::new(Expected::Recovers)
            .incident(incident)
            .outlasts(Duration::from_millis(200), Duration::from_millis(700))
    };
    let returns = |function, code| always(function, Effect::Return(code));
    vec![
        Case::new(
            "CKR_DEVICE_REMOVED at C_Sign past deadlines",
            outlasting(Incident::None).fault(returns(Function::Sign, CKR_DEVICE_REMOVED)),
        ),
        Case::new(
            "CKR_DEVICE_REMOVED at C_OpenSession past deadlines",
            outlasting(Incident::CloseSessions)
                .fault(returns(Function::OpenSession, CKR_DEVICE_REMOVED)),
        ),
        Case::new(
            "CKR_GENERAL_ERROR at C_Initialize past deadlines",
            outlasting(Incident::Finalize).fault(returns(Function::Initialize, CKR_GENERAL_ERROR)),
        ),
        Case::new(
            "CKR_DEVICE_ERROR at C_Login past deadlines",
            outlasting(Incident::LogOut).fault(returns(Function::Login, CKR_DEVICE_ERROR)),
        ),
        Case::new(
            "token taken away past deadlines",
            outlasting(Incident::TakeTokenAway),
        ),
        Case::new(
            "CKR_DEVICE_ERROR at C_Finalize past deadlines",
            outlasting(Incident::CloseSessions)
                .fault(returns(Function::Finalize, CKR_DEVICE_ERROR))
                .fault(always(Function::FindObjects, Effect::FindNothing)),
        ),
    ]
}

/// Several faults, several signers, and an application that uses the module too.
fn together() -> Vec<Case> {
    let here_and_there = |function, when| Fault {
        function,
        effect: Effect::Return(CKR_DEVICE_ERROR),
        when: When::Every(when),
    };
    let device_error = always(Function::Sign, Effect::Return(CKR_DEVICE_ERROR));
    let unnoticed = || Scenario::new(Expected::Unnoticed);
    let wrong_pin = Scenario::new(Expected::RefusesForGood(SignErrorKind::WrongPin));
    vec![
        Case::new(
            "CKR_DEVICE_ERROR here and there",
            Scenario::new(Expected::SignsOn { failed: 0 })
                .fault(here_and_there(Function::OpenSession, 3))
                .fault(here_and_there(Function::FindObjects, 4))
                .fault(here_and_there(Function::SignInit, 50))
                .fault(here_and_there(Function::Sign, 50)),
        ),
        Case::new(
            "two signers: C_Sign returns CKR_DEVICE_ERROR",
            unnoticed().fault(device_error).two_signers(),
        ),
        Case::new(
            "two signers: finalized by somebody else",
            unnoticed().incident(Incident::Finalize).two_signers(),
        ),
        Case::new(
            "two signers: token taken away and brought back",
            unnoticed().incident(Incident::TakeTokenAway).two_signers(),
        ),
        Case::new(
            "two signers: the PIN is changed",
            wrong_pin.incident(Incident::ChangePin).two_signers(),
        ),
        Case::new(
            "initialized by the application: C_Sign returns CKR_DEVICE_ERROR",
            unnoticed().fault(device_error).initialized(),
        ),
        Case::new(
            "initialized by the application: and again",
            unnoticed()
                .incident(Incident::FinalizeAndInitialize)
                .initialized(),
        ),
    ]
}
