//! The course of a scenario.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_fault_module::{Faults, Function};

use crate::bench::Bench;
use crate::case::{Expected, Scenario};
use crate::incident::{self, Incident};
use crate::judge;
use crate::load::Load;
use crate::report::{Report, TOLERANCE};

/// How soon after the fault's end every caller has to get a signature.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

/// How long callers go on after that, without a failure.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// How long a signer may take to be dropped.
pub(crate) const DROP: Duration = Duration::from_millis(1200);

/// When what happened.
pub(crate) struct Course {
    /// Everything is wrong from here on.
    pub(crate) in_force: Instant,
    /// Nothing is wrong any more.
    pub(crate) ended: Instant,
    /// How long after that every caller had a signature.
    pub(crate) all_sign: Option<Duration>,
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
        report.check_time(false, "no load before the fault");
        return report;
    }
    let course = take_course(scenario, faults, &loads, &mut report);
    let timeout = scenario.deadline + TOLERANCE;
    let (calls, missing): (Vec<_>, Vec<_>) =
        loads.into_iter().map(|load| load.stop(timeout)).unzip();
    let missing: usize = missing.iter().sum();
    if missing > 0 {
        report.check_time(false, format_args!("{missing} calls never returned"));
        return report;
    }

    let calls: Vec<_> = calls.into_iter().flatten().collect();
    judge::calls(scenario, &course, &calls, &mut report);
    for bench in &benches {
        judge::signer(scenario, bench, &mut report);
    }
    judge::module(scenario, faults, &mut report);
    for bench in benches {
        drop_signer(bench, &mut report);
    }
    if scenario.can_close_sessions {
        let left = faults.open_sessions();
        report.check(left <= 1, format_args!("{left} sessions left open"));
    }
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
        report.check_time(injected > 0, format_args!("{fault:?} never happened"));
    }
    let ended = Instant::now();
    let failures = failed_signatures(faults) - failures;
    if scenario.incident != Incident::None {
        report.figure(format!("device errors {failures}"));
        report.check_time(failures > 0, "the incident made no call fail");
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

/// How many signatures the module has refused to make.
pub(crate) fn failed_signatures(faults: Faults) -> u64 {
    faults.failures(Function::SignInit) + faults.failures(Function::Sign)
}

fn drop_signer(bench: Arc<Bench>, report: &mut Report) {
    report.check(
        Arc::strong_count(&bench) == 1,
        "a caller still has the signer",
    );
    let start = Instant::now();
    drop(bench);
    let took = start.elapsed();
    report.check_time(
        took <= DROP,
        format_args!("the signer took {took:?} to be dropped"),
    );
}
