//! What a signer says of itself.

use std::time::Duration;

use chancery_core::{SignErrorKind, Signer as _};
use chancery_hsm::{DeviceErrorKind, State};

use crate::device::calls::{begin, callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

#[test]
fn a_signer_that_works_is_ready_and_counts() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    device.always(Step::Sign, Act::Take(Duration::from_millis(5)));
    callers(4, |_| {
        for _ in 0..5 {
            sign(&signer, "a.b").unwrap();
        }
    });
    eventually("all are counted", || signer.health().signed == 20);
    let health = signer.health();
    assert_eq!(health.state, State::Ready);
    assert_eq!((health.workers, health.sessions, health.overdue), (2, 2, 0));
    assert_eq!(
        (health.queue_depth, health.resets, health.withheld),
        (0, 0, 0)
    );
    assert_eq!((health.timed_out, health.busy, health.failed), (0, 0, 0));
    assert!(health.last_error.is_none());
    assert!(
        health.mean_latency >= Duration::from_millis(5),
        "{health:?}"
    );
    assert!(health.longest_latency >= health.mean_latency, "{health:?}");
    assert!(
        health.longest_latency < Duration::from_secs(5),
        "{health:?}"
    );
}

#[test]
fn a_signer_without_sessions_is_recovering_and_tells_why() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_millis(200)));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Unavailable);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Unavailable);
    eventually("no session", || signer.health().sessions == 0);
    let health = signer.health();
    assert_eq!(health.state, State::Recovering);
    assert_eq!((health.failed, health.timed_out, health.signed), (0, 2, 0));
    let (error, ago) = health.last_error.unwrap();
    assert_eq!(error, "the script said no: code 48");
    assert!(ago < Duration::from_secs(5), "{ago:?}");
    device.always(Step::Sign, Act::Work);
    device.always(Step::Open, Act::Work);
    eventually("ready again", || signer.health().state == State::Ready);
    // What happened stays on record.
    assert!(signer.health().last_error.is_some());
}

#[test]
fn a_signer_whose_sessions_all_hang_is_hung() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_millis(200)));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Sign, Act::Hang);
    let kinds = callers(3, |_| refused(&signer, "a.b"));
    assert_eq!(kinds, [SignErrorKind::Timeout; 3]);
    let health = signer.health();
    assert_eq!(health.state, State::Hung);
    assert_eq!(
        (health.sessions, health.overdue, health.timed_out),
        (2, 2, 3)
    );
    device.always(Step::Sign, Act::Work);
    device.watch().release();
    eventually("ready again", || signer.health().state == State::Ready);
    sign(&signer, "a.b").unwrap();
}

#[test]
fn the_depth_is_the_number_of_waiting_calls() {
    let device = Scripted::new();
    let signer = device.signer(workers(1).with_deadline(Duration::from_millis(400)));
    device.always(Step::Sign, Act::Hang);
    let first = begin(&signer, "a.b");
    eventually("it hangs", || device.watch().hanging() == 1);
    let waiting: Vec<_> = (0..7).map(|_| begin(&signer, "a.b")).collect();
    assert_eq!(signer.health().queue_depth, 7);
    for late in waiting.into_iter().chain([first]) {
        assert_eq!(late.wait().unwrap_err().kind(), SignErrorKind::Timeout);
    }
    eventually("none waits", || signer.health().queue_depth == 0);
    eventually("all are counted", || signer.health().timed_out == 8);
}

#[test]
fn debug_output_names_the_key_and_the_state() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    let debug = format!("{signer:?}");
    assert!(debug.contains(signer.jwk().kid()), "{debug}");
    assert!(
        debug.contains("Ready") && debug.contains("ES256"),
        "{debug}"
    );
}

#[test]
fn states_have_names_for_operators() {
    let names = [
        (State::Ready, "ready"),
        (State::Recovering, "recovering"),
        (State::Hung, "hung"),
        (State::Refusing, "refusing"),
        (State::Latched, "latched"),
    ];
    for (state, name) in names {
        assert_eq!(state.to_string(), name);
    }
}
