//! What came of a case, and whether that is what had to.

use std::collections::BTreeMap;
use std::fmt;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use chancery_fault_module::{Faults, Function};
use chancery_hsm::State;

use crate::bench::Bench;
use crate::case::{Expected, Scenario};
use crate::incident::{self, Incident};
use crate::load::{Call, Canary, Load, Outcome};

/// How late a call may return.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(50);

/// How soon after the fault's end every caller has to get a signature.
const RECOVERY: Duration = Duration::from_secs(2);

/// How long callers go on after that, without a failure.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// How long a signer may take to be dropped.
const DROP: Duration = Duration::from_millis(1200);

/// The workers of a signer, each with a session. One more keeps the login alive, and one may be
/// under test.
const WORKERS: usize = 8;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Words and figures for whoever reads.
    pub(crate) figures: Vec<String>,
    /// What is not as it has to be.
    pub(crate) problems: Vec<String>,
    /// The number of calls that returned too late.
    pub(crate) late: usize,
    /// How long a thread overslept that does nothing but sleep.
    pub(crate) overslept: Duration,
}

impl Report {
    pub(crate) fn figure(&mut self, figure: impl Into<String>) {
        self.figures.push(figure.into());
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.problems.is_empty() && self.late == 0 {
            Verdict::Passed
        } else if self.problems.is_empty() && self.overslept >= TOLERANCE / 2 {
            Verdict::Starved
        } else {
            Verdict::Failed
        }
    }

    pub(crate) fn check(&mut self, holds: bool, problem: impl fmt::Display) {
        if !holds {
            self.problems.push(problem.to_string());
        }
    }

    /// Counts the calls that did not return in time.
    pub(crate) fn count_late<'a>(
        &mut self,
        calls: impl Iterator<Item = &'a Call>,
        deadline: Duration,
    ) {
        let is_late = |call: &&Call| call.took > deadline + TOLERANCE;
        self.late = calls.filter(is_late).count();
    }

    /// What holds whatever happens.
    pub(crate) fn check_always(&mut self, faults: &Faults) {
        let panics = PANICS.load(Ordering::SeqCst);
        self.check(panics == 0, format_args!("{panics} panics"));
        let overlaps = faults.overlaps();
        self.check(
            overlaps == 0,
            format_args!("{overlaps} calls ran beside C_Finalize"),
        );
        let logins = faults.logins_after_refusal();
        self.check(
            logins == 0,
            format_args!("{logins} logins after a refused PIN"),
        );
    }
}

/// Whether a case passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// Calls returned too late, but the machine let threads sleep for too long at the same time,
    /// so that it proves nothing.
    Starved,
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics of all threads from now on, those that are caught included.
pub(crate) fn count_panics() {
    let show = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        show(panic);
    }));
}

/// When what happened.
struct Course {
    /// Everything is wrong from here on.
    in_force: Instant,
    /// Nothing is wrong any more.
    ended: Instant,
    /// How long after that every caller had a signature.
    all_sign: Option<Duration>,
}

/// Runs a scenario under load.
pub(crate) fn run(scenario: &Scenario) -> Report {
    let mut report = Report::default();
    incident::provision(scenario.incident);
    if scenario.is_initialized {
        incident::initialize();
    }
    let faults = Faults::load().unwrap();
    let open = |_| Arc::new(Bench::open(scenario.deadline));
    let benches: Vec<_> = (0..scenario.signers).map(open).collect();
    let loads: Vec<_> = benches.iter().map(Load::start).collect();
    if !all_sign_since(&loads, Instant::now(), RECOVERY) || !have_all_sessions(&benches) {
        report.problems.push("no load before the fault".to_owned());
        return report;
    }
    let canary = Canary::start();
    let course = take_course(scenario, faults, &loads, &mut report);
    let timeout = scenario.deadline + TOLERANCE;
    let (calls, missing): (Vec<_>, Vec<_>) =
        loads.into_iter().map(|load| load.stop(timeout)).unzip();
    report.overslept = canary.stop();
    let missing: usize = missing.iter().sum();
    report.check(missing == 0, format_args!("{missing} calls never returned"));

    let calls: Vec<_> = calls.into_iter().flatten().flatten().collect();
    judge_calls(scenario, &course, &calls, &mut report);
    for bench in &benches {
        judge_signer(scenario, bench, &mut report);
    }
    judge_module(scenario, faults, &mut report);
    for bench in benches {
        drop_signer(bench, &mut report);
    }
    if scenario.can_close_sessions {
        let left = faults.open_sessions();
        report.check(left <= 1, format_args!("{left} sessions left open"));
    }
    report.check_always(&faults);
    report
}

/// Waits until every worker has a session, so that the fault finds all of them at work.
fn have_all_sessions(benches: &[Arc<Bench>]) -> bool {
    let deadline = Instant::now() + RECOVERY;
    let has_all = |bench: &Arc<Bench>| {
        let health = bench.signer.health();
        health.sessions == health.workers
    };
    while !benches.iter().all(has_all) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

fn all_sign_since(loads: &[Load], since: Instant, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loads
        .iter()
        .all(|load| load.all_sign_since(since, deadline))
}

/// Lets the fault come and go.
fn take_course(scenario: &Scenario, faults: Faults, loads: &[Load], report: &mut Report) -> Course {
    let failures = failed_signatures(faults);
    let inject = |fault| (fault, faults.inject(fault));
    let injections: Vec<_> = scenario.faults.iter().copied().map(inject).collect();
    scenario.incident.begin(&faults);
    let in_force = Instant::now();
    thread::sleep(scenario.lasts);
    scenario.incident.end(&faults);
    for (fault, injection) in injections {
        let injected = injection.end();
        report.figure(format!("{} {injected}", fault.function.name()));
        report.check(injected > 0, format_args!("{fault:?} never happened"));
    }
    let ended = Instant::now();
    let failures = failed_signatures(faults) - failures;
    if scenario.incident != Incident::None {
        report.figure(format!("device errors {failures}"));
        report.check(failures > 0, "the incident made no call fail");
    }

    let for_good = matches!(scenario.expected, Expected::RefusesForGood(_));
    let timeout = if for_good { AFTERWARDS } else { RECOVERY };
    let all_sign = all_sign_since(loads, ended, timeout).then(|| ended.elapsed());
    thread::sleep(AFTERWARDS);
    Course {
        in_force,
        ended,
        all_sign,
    }
}

fn failed_signatures(faults: Faults) -> u64 {
    faults.failures(Function::SignInit) + faults.failures(Function::Sign)
}

fn judge_calls(scenario: &Scenario, course: &Course, calls: &[Call], report: &mut Report) {
    let calls = || calls.iter();
    let signed = calls().filter(|call| call.is_signed()).count();
    let mut failed: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls() {
        match &call.outcome {
            Outcome::Signed => {}
            Outcome::Failed(kind) => *failed.entry(format!("{kind:?}")).or_default() += 1,
            Outcome::Wrong(what) => report.problems.push(what.clone()),
        }
    }
    report.figure(format!("signed {signed}"));
    let failures: usize = failed.values().sum();
    report.figure(format!("failed {failures} {failed:?}"));

    let longest = calls().map(|call| call.took).max().unwrap_or_default();
    let overrun = longest.saturating_sub(scenario.deadline);
    report.figure(format!("overrun {} ms", overrun.as_millis()));
    report.count_late(calls(), scenario.deadline);

    let during = |call: &&Call| call.began >= course.in_force && call.ended() <= course.ended;
    let signed_during = calls()
        .filter(during)
        .filter(|call| call.is_signed())
        .count();
    match scenario.expected {
        Expected::Unnoticed => {
            report.check(
                failures == 0,
                "calls failed although there was time to wait",
            );
        }
        Expected::SignsOn { failed } => {
            report.check(signed_during > 0, "nothing was signed during the fault");
            report.check(
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
            judge_refusal(kind, calls().filter(during), report);
        }
        Expected::RefusesForGood(kind) => {
            let since = |call: &&Call| call.began >= course.in_force;
            let signed = calls()
                .filter(since)
                .filter(|call| call.is_signed())
                .count();
            report.check(signed == 0, format_args!("{signed} tokens signed since"));
            judge_refusal(kind, calls().filter(since), report);
            return;
        }
    }
    let Some(all_sign) = course.all_sign else {
        report.problems.push(format!(
            "callers wait longer than {RECOVERY:?} after the end"
        ));
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
    report.check(
        relapses == 0,
        format_args!("{relapses} calls failed after the recovery"),
    );
}

/// Callers were told why, by no other kind of error than this one.
fn judge_refusal<'a>(
    kind: SignErrorKind,
    calls: impl Iterator<Item = &'a Call>,
    report: &mut Report,
) {
    let mut told = 0;
    for call in calls {
        match &call.outcome {
            Outcome::Failed(found) if *found == kind => told += 1,
            Outcome::Failed(found) => {
                let problem = format!("callers were told {found:?} instead of {kind:?}");
                if !report.problems.contains(&problem) {
                    report.problems.push(problem);
                }
            }
            _ => {}
        }
    }
    report.check(told > 0, format_args!("nobody was told {kind:?}"));
}

fn judge_signer(scenario: &Scenario, bench: &Bench, report: &mut Report) {
    let health = bench.signer.health();
    report.figure(format!("resets {}", health.resets));
    let expected = match scenario.expected {
        Expected::RefusesForGood(SignErrorKind::WrongPin) => State::Latched,
        Expected::RefusesForGood(_) => State::Refusing,
        _ => State::Ready,
    };
    report.check(
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

fn judge_module(scenario: &Scenario, faults: Faults, report: &mut Report) {
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

fn drop_signer(bench: Arc<Bench>, report: &mut Report) {
    report.check(
        Arc::strong_count(&bench) == 1,
        "a caller still has the signer",
    );
    let start = Instant::now();
    drop(bench);
    let took = start.elapsed();
    report.check(
        took <= DROP,
        format_args!("the signer took {took:?} to be dropped"),
    );
}
