//! Cases with a course of their own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_fault_module::{Effect, Fault, Faults, Function, SoftHsm, When};
use chancery_hsm::HsmOptions;
use chancery_pkcs11::{KeyPair, Pin, Pkcs11Error, Token};
use cryptoki::context::Pkcs11;
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_PIN_LOCKED};

use crate::bench::{self, Bench};
use crate::case::Case;
use crate::course::{DROP, RECOVERY};
use crate::incident::{self, Incident};
use crate::load::{Load, Outcome};
use crate::report::{Report, TOLERANCE};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::single("10,000 spoiled signatures, ES256", || {
            spoil(KeyPair::P256, 10_000)
        }),
        Case::single("2,000 spoiled signatures, EdDSA", || {
            spoil(KeyPair::Ed25519, 2_000)
        }),
        Case::single("2,000 spoiled signatures, RS256", || {
            spoil(KeyPair::Rsa { bits: 2048 }, 2_000)
        }),
        Case::single("signer dropped while all sessions hang", drop_while_hung),
        Case::single("opened with a wrong PIN", open_with_wrong_pin),
        Case::single("opened with a locked PIN", open_with_locked_pin),
        Case::single("opened with a wrong PIN, told by no code", || {
            refuse_opening("4321", Some(told_by_no_code()))
        }),
        Case::single("wrong PIN by slot, described at first", || {
            refuse_by_slot([true, false])
        }),
        Case::single("wrong PIN by slot, described later", || {
            refuse_by_slot([false, true])
        }),
        Case::single("opened while calls fail", open_while_calls_fail),
    ]
}

/// Spoils signatures until so many have been withheld. None may come out.
fn spoil(key_pair: KeyPair, count: u64) -> Report {
    const TIMEOUT: Duration = Duration::from_secs(45);
    let mut report = Report::default();
    incident::provision(Incident::None);
    let token = bench::token(SoftHsm::PIN).unwrap();
    token.generate(key_pair, "spoiled", None).unwrap();
    let deadline = Duration::from_secs(3);
    let options = HsmOptions::new().with_deadline(deadline);
    let signer = token.signer().label("spoiled").options(options).open();
    let bench = Arc::new(Bench::over(
        Faults::load().unwrap(),
        Arc::new(signer.unwrap()),
    ));
    let load = Load::start(&bench);

    let start = Instant::now();
    let spoiling = bench.faults.inject(Fault {
        function: Function::Sign,
        effect: Effect::FlipBit,
        when: When::Every(5),
    });
    while bench.signer.health().withheld < count && start.elapsed() < TIMEOUT {
        thread::sleep(Duration::from_millis(5));
    }
    let spoiled = spoiling.end();
    let took = start.elapsed();
    let ended = Instant::now();
    let signs = load.all_sign_since(ended, ended + RECOVERY);
    report.check_time(signs, format_args!("callers wait longer than {RECOVERY:?}"));
    let withheld = bench.signer.health().withheld;
    let (calls, missing) = load.stop(deadline + TOLERANCE);
    report.check_time(missing == 0, format_args!("{missing} calls never returned"));

    let calls = || calls.iter();
    report.check_deadlines(calls(), deadline);
    let signed = calls().filter(|call| call.is_signed()).count();
    let released: Vec<_> = calls()
        .filter(|call| matches!(call.outcome, Outcome::Wrong(_)))
        .collect();
    report.figure(format!(
        "spoiled {spoiled}, withheld {withheld}, signed {signed}"
    ));
    report.figure(format!("{} ms", took.as_millis()));
    report.check_time(
        withheld >= count,
        format_args!("only {withheld} of {count} withheld in {TIMEOUT:?}"),
    );
    report.check_time(signed > 0, "nothing was signed");
    report.check(
        released.is_empty(),
        format_args!("{} released: {:?}", released.len(), released.first()),
    );
    report
}

/// Nobody waits for a device that hangs, not even whoever drops its signer.
fn drop_while_hung() -> Report {
    let mut report = Report::default();
    incident::provision(Incident::None);
    let deadline = Duration::from_millis(300);
    let bench = Bench::open(deadline);
    let hanging = bench.faults.inject(Fault {
        function: Function::Sign,
        effect: Effect::Hang,
        when: When::Always,
    });
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| bench.issuer.issue(&Bench::claims()).unwrap_err());
        }
    });
    report.figure(format!("C_Sign {}", hanging.injected()));
    report.check(hanging.injected() > 0, "nothing hung");
    let faults = bench.faults;
    let start = Instant::now();
    drop(bench);
    let took = start.elapsed();
    report.figure(format!("dropped in {} ms", took.as_millis()));
    report.check_time(took <= DROP, format_args!("longer than {DROP:?}"));
    drop(hanging);
    // The workers that hung close their sessions once they can; one stays for the login.
    let end = Instant::now() + Duration::from_secs(2);
    while faults.open_sessions() > 1 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    let left = faults.open_sessions();
    report.check(left <= 1, format_args!("{left} sessions left open"));
    report
}

fn open_with_wrong_pin() -> Report {
    refuse_opening("4321", None)
}

fn open_with_locked_pin() -> Report {
    let locked = Fault {
        function: Function::Login,
        effect: Effect::Return(CKR_PIN_LOCKED),
        when: When::Always,
    };
    refuse_opening(SoftHsm::PIN, Some(locked))
}

/// The token refuses the PIN and counts it, and the module has another code for that.
const fn told_by_no_code() -> Fault {
    Fault {
        function: Function::Login,
        effect: Effect::DoButReturn(CKR_GENERAL_ERROR),
        when: When::Always,
    }
}

/// A token that is chosen by its slot is the same one, whether or not its description can be read.
fn refuse_by_slot(is_described: [bool; 2]) -> Report {
    let mut report = Report::default();
    incident::provision(Incident::None);
    let faults = Faults::load().unwrap();
    let path = Faults::path().unwrap();
    let unnamed = Token::builder(&path).label(SoftHsm::LABEL).open();
    report.check(unnamed.is_ok(), format_args!("{unnamed:?}"));
    let slots = Pkcs11::new(&path).unwrap();
    let slot = slots.get_slots_with_initialized_token().unwrap()[0];
    for (is_described, is_first) in is_described.into_iter().zip([true, false]) {
        let fault = Fault {
            function: Function::GetTokenInfo,
            effect: Effect::Return(CKR_DEVICE_ERROR),
            when: When::Always,
        };
        let failing = (!is_described).then(|| faults.inject(fault));
        let token = Token::builder(&path).slot(slot.id()).pin(Pin::new("4321"));
        let opened = token.open();
        let is_expected = match opened {
            Err(Pkcs11Error::WrongPin { was_tried, .. }) => was_tried == is_first,
            _ => false,
        };
        report.check(is_expected, format_args!("{opened:?}"));
        if let Some(failing) = failing {
            report.check(failing.end() > 0, "the description was not asked for");
        }
    }
    let tried = faults.calls(Function::Login);
    report.figure(format!("tried {tried}"));
    report.check(tried == 1, format_args!("{tried} tries, not 1"));
    report
}

/// A PIN that was refused is not tried again, however often and from how many threads the signer
/// is opened.
fn refuse_opening(pin: &str, fault: Option<Fault>) -> Report {
    let mut report = Report::default();
    incident::provision(Incident::None);
    let faults = Faults::load().unwrap();
    let injection = fault.map(|fault| faults.inject(fault));
    thread::scope(|scope| {
        let open = || bench::signer(pin, HsmOptions::new());
        let opening: Vec<_> = (0..32).map(|_| scope.spawn(open)).collect();
        for opened in opening {
            match opened.join() {
                Ok(Err(Pkcs11Error::WrongPin { .. })) => {}
                other => report.check(false, format_args!("not refused: {other:?}")),
            }
        }
    });
    drop(injection);
    let again = bench::signer(pin, HsmOptions::new());
    let is_refused = matches!(again, Err(Pkcs11Error::WrongPin { .. }));
    report.check(is_refused, format_args!("not refused again: {again:?}"));
    let tried = faults.failures(Function::Login);
    report.figure(format!("refused {tried}"));
    report.check(tried == 1, format_args!("{tried} PINs refused, not 1"));
    report
}

/// Opening fails with the module's error, and works when it is over.
fn open_while_calls_fail() -> Report {
    let mut report = Report::default();
    incident::provision(Incident::None);
    let faults = Faults::load().unwrap();
    let functions = [
        Function::Initialize,
        Function::GetSlotList,
        Function::GetTokenInfo,
        Function::OpenSession,
        Function::Login,
        Function::FindObjectsInit,
        Function::FindObjects,
        Function::GetAttributeValue,
        Function::SignInit,
        Function::Sign,
    ];
    for function in functions {
        let name = function.name();
        let failing = faults.inject(Fault {
            function,
            effect: Effect::Return(CKR_DEVICE_ERROR),
            when: When::Always,
        });
        match bench::signer(SoftHsm::PIN, HsmOptions::new()) {
            Ok(signer) => report.check(false, format_args!("{name} failed, yet {signer:?}")),
            Err(error) => report.check(
                !matches!(error, Pkcs11Error::WrongPin { .. }),
                format_args!("{name} failed, said as {error}"),
            ),
        }
        report.check(
            failing.end() > 0,
            format_args!("{name} was never called when opening"),
        );
    }
    let signer = bench::signer(SoftHsm::PIN, HsmOptions::new());
    match signer {
        Ok(signer) => {
            let bench = Bench::over(faults, Arc::new(signer));
            let token = bench.issuer.issue(&Bench::claims());
            let verified = token.map(|token| bench.verify(token.as_str()));
            report.check(matches!(verified, Ok(Ok(()))), format_args!("{verified:?}"));
        }
        Err(error) => report.check(false, format_args!("not opened afterwards: {error}")),
    }
    report.figure(format!("{} functions", functions.len()));
    report
}
