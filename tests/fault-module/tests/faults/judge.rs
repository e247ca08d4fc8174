//! Whether what came of a scenario is what had to.

use std::collections::BTreeMap;

use chancery_core::SignErrorKind;
use chancery_fault_module::{Faults, Function};
use chancery_hsm::State;

use crate::bench::Bench;
use crate::case::{Expected, Scenario};
use crate::course::{Course, RECOVERY, failed_signatures};
use crate::load::{Call, Outcome};
use crate::report::Report;

/// The workers of a signer, each with a session. One more keeps the login alive, and one may be
/// under test.
const WORKERS: usize = 8;

/// Judges what callers got, and when.
pub(crate) fn calls(scenario: &Scenario, course: &Course, calls: &[Call], report: &mut Report) {
    let calls = || calls.iter();
    let signed = calls().filter(|call| call.is_signed()).count();
    let mut failed: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls() {
        match &call.outcome {
            Outcome::Signed => {}
            Outcome::Failed(kind) => *failed.entry(format!("{kind:?}")).or_default() += 1,
            Outcome::Wrong(what) => *wrong.entry(what).or_default() += 1,
        }
    }
    for (what, count) in wrong {
        report.problems.push(format!("{count} times: {what}"));
    }
    report.figure(format!("signed {signed}"));
    let failures: usize = failed.values().sum();
    report.figure(format!("failed {failures} {failed:?}"));

    report.check_deadlines(calls(), scenario.deadline);

    let during = |call: &&Call| call.began >= course.in_force && call.ended() <= course.ended;
    let signed_during = calls()
        .filter(during)
        .filter(|call| call.is_signed())
        .count();
    match scenario.expected {
        Expected::Unnoticed => {
            report.check_time(
                failures == 0,
                "calls failed although there was time to wait",
            );
        }
        Expected::SignsOn { failed } => {
            report.check_time(signed_during > 0, "nothing was signed during the fault");
            report.check_time(
                failures <= failed,
                format_args!("more than {failed} calls failed"),
            );
        }
        Expected::Recovers => {}
        Expected::Refuses(kind) => {
            report.check(
                signed_during == 0,
                format_args!("{signed_during} tokens signed during the fault"),
            );
            refusal(kind, calls().filter(during), report);
        }
        Expected::RefusesForGood(kind) => {
            let since = |call: &&Call| call.began >= course.in_force;
            let signed = calls()
                .filter(since)
                .filter(|call| call.is_signed())
                .count();
            report.check(signed == 0, format_args!("{signed} tokens signed since"));
            refusal(kind, calls().filter(since), report);
            return;
        }
    }
    let Some(all_sign) = course.all_sign else {
        report.check_time(
            false,
            format_args!("callers wait longer than {RECOVERY:?} after the end"),
        );
        return;
    };
    let first = calls()
        .filter(|call| call.is_signed() && call.ended() >= course.ended)
        .map(|call| call.ended() - course.ended)
        .min()
        .unwrap_or_default();
    report.figure(format!(
        "recovery {} ms, of all {} ms",
        first.as_millis(),
        all_sign.as_millis()
    ));
    let recovered = course.ended + all_sign;
    let relapses = calls()
        .filter(|call| call.began >= recovered && !call.is_signed())
        .count();
    report.check_time(
        relapses == 0,
        format_args!("{relapses} calls failed after the recovery"),
    );
}

/// Callers were told why, by no other kind of error than this one.
fn refusal<'a>(kind: SignErrorKind, calls: impl Iterator<Item = &'a Call>, report: &mut Report) {
    let mut told = 0;
    for call in calls {
        match &call.outcome {
            Outcome::Failed(found) if *found == kind => told += 1,
            Outcome::Failed(found) => {
                let problem = format!("callers were told {found:?} instead of {kind:?}");
                if !report.delays.contains(&problem) {
                    report.delays.push(problem);
                }
            }
            _ => {}
        }
    }
    report.check_time(told > 0, format_args!("nobody was told {kind:?}"));
}

/// Judges what the signer says of itself.
pub(crate) fn signer(scenario: &Scenario, bench: &Bench, report: &mut Report) {
    let health = bench.signer.health();
    report.figure(format!("resets {}", health.resets));
    let expected = match scenario.expected {
        Expected::RefusesForGood(SignErrorKind::WrongPin) => State::Latched,
        Expected::RefusesForGood(_) => State::Refusing,
        _ => State::Ready,
    };
    report.check_time(
        health.state == expected,
        format_args!(
            "the signer says that it is {}, not {expected}",
            health.state
        ),
    );
    report.check(
        health.last_error.is_some() || failed_signatures(bench.faults) == 0,
        "the signer says that there was no error",
    );
}

/// Judges what was done to the module.
pub(crate) fn module(scenario: &Scenario, faults: Faults, report: &mut Report) {
    if let Expected::RefusesForGood(SignErrorKind::WrongPin) = scenario.expected {
        let refused = faults.refused_logins();
        report.check(refused == 1, format_args!("{refused} PINs refused, not 1"));
    }
    if scenario.is_initialized {
        let finalized = faults.calls(Function::Finalize);
        report.check(
            finalized == 0,
            format_args!("C_Finalize called {finalized} times in the application's stead"),
        );
    }
    if scenario.can_close_sessions {
        let open = faults.open_sessions();
        let most = WORKERS * scenario.signers + 2;
        report.check(
            open <= most,
            format_args!("{open} sessions open, more than {most}"),
        );
    }
}
