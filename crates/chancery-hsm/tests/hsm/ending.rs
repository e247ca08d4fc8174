//! The end of a signer.

use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use chancery_hsm::DeviceErrorKind;

use crate::device::calls::{begin, block_on, eventually, sign, workers};
use crate::device::{Act, Scripted, Step};

#[test]
fn sessions_are_dropped_before_the_signer_is_gone() {
    // That each is dropped on its own thread is a rule of the device.
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    eventually("eight sessions", || signer.health().sessions == 8);
    sign(&signer, "a.b").unwrap();
    drop(signer);
    assert_eq!(device.watch().live(), 0);
    assert_eq!(device.watch().calls(Step::Drop), 8);
}

#[test]
fn waiting_calls_are_refused_and_what_is_under_way_is_finished() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    device.always(Step::Sign, Act::Take(Duration::from_millis(300)));
    let under_way = begin(&signer, "under.way");
    eventually("it is under way", || device.watch().calls(Step::Sign) == 1);
    let waiting: Vec<_> = (0..10).map(|_| begin(&signer, "a.b")).collect();
    drop(signer);
    for waiting in waiting {
        let error = block_on(waiting).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Unavailable);
        assert!(error.to_string().contains("shut down"), "{error}");
    }
    block_on(under_way).unwrap();
    assert_eq!(device.watch().calls(Step::Sign), 1);
    assert_eq!(device.watch().live(), 0);
}

#[test]
fn a_hung_worker_holds_the_end_up_for_a_second_at_most() {
    for step in [Step::Sign, Step::Drop] {
        let device = Scripted::new();
        let signer = device.signer(workers(2).with_deadline(Duration::from_millis(500)));
        eventually("two sessions", || signer.health().sessions == 2);
        device.always(step, Act::Hang);
        let pending = begin(&signer, "a.b");
        if step == Step::Sign {
            eventually("it hangs", || device.watch().hanging() == 1);
        }
        let started = Instant::now();
        drop(signer);
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        // Its caller is answered nevertheless.
        let outcome = block_on(pending);
        if step == Step::Sign {
            assert_eq!(outcome.unwrap_err().kind(), SignErrorKind::Timeout);
        }
        device.watch().release();
        eventually("all sessions are dropped", || device.watch().live() == 0);
    }
}

#[test]
fn a_signer_whose_device_is_down_ends_at_once() {
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    let pending = begin(&signer, "a.b");
    eventually("it is down", || signer.health().sessions == 0);
    eventually("tries failed", || device.watch().calls(Step::Open) > 14);
    let started = Instant::now();
    drop(signer);
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        block_on(pending).unwrap_err().kind(),
        SignErrorKind::Unavailable
    );
    let tries = device.watch().calls(Step::Open);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(device.watch().calls(Step::Open), tries);
}

#[test]
fn a_failing_session_after_the_end_is_not_replaced() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    device.always(Step::Sign, Act::HangAndFail(DeviceErrorKind::Failed));
    let pending = begin(&signer, "a.b");
    eventually("it hangs", || device.watch().hanging() == 1);
    drop(signer);
    device.watch().release();
    assert_eq!(
        block_on(pending).unwrap_err().kind(),
        SignErrorKind::Unavailable
    );
    eventually("its session is dropped", || device.watch().live() == 0);
    assert_eq!(device.watch().opened(), 1);
}
