//! Cases with a course of their own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_fault_module::{Effect, Fault, Faults, Function, SoftHsm, When};
use chancery_hsm::HsmOptions;
use chancery_pkcs11::{KeyPair, Pkcs11Error};
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_LOCKED};

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
    let refused = faults.refused_logins();
    report.figure(format!("refused {refused}"));
    report.check(refused == 1, format_args!("{refused} PINs refused, not 1"));
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
