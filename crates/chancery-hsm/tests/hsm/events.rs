//! What is reported, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, Event, HsmOptions};

use crate::device::calls::{eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

const FAILED: Act = Act::Fail(DeviceErrorKind::Failed);

/// What was reported, as text.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn options(&self, number: usize) -> HsmOptions {
        let reports = Arc::clone(&self.0);
        workers(number).on_event(move |event| reports.lock().unwrap().push(shown(event)))
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, text: &str) -> usize {
        self.all()
            .iter()
            .filter(|event| event.starts_with(text))
            .count()
    }

    fn wait_for(&self, text: &str, number: usize) {
        eventually(text, || self.count(text) >= number);
    }
}

/// Without the times, which differ.
fn shown(event: &Event<'_>) -> String {
    match event {
        Event::Signed { queue_depth, .. } => format!("signed, {queue_depth} waiting"),
        Event::Recovered { after, .. } => {
            assert!(*after < Duration::from_secs(20), "{after:?}");
            "recovered".to_owned()
        }
        event => event.to_string(),
    }
}

#[test]
fn a_session_that_fails_and_is_replaced() {
    let device = Scripted::new();
    let reports = Reports::default();
    let signer = device.signer(reports.options(1));
    device.on(Step::Sign, |call| match call.number {
        0 => FAILED,
        1 => Act::Flip,
        _ => Act::Work,
    });
    sign(&signer, "a.b").unwrap();
    reports.wait_for("signed", 1);
    assert_eq!(
        reports.all(),
        [
            "worker 0 opened a session",
            "recovered",
            "worker 0 has no session: the script said no: code 48",
            "worker 0 opened a session",
            "recovered",
            "worker 0 got a signature that does not verify, and withheld it",
            "worker 0 has no session: the device's signature does not verify with the published key",
            "worker 0 opened a session",
            "recovered",
            "signed, 0 waiting",
        ]
    );
}

#[test]
fn a_device_that_is_down_and_reset() {
    let device = Scripted::new();
    let reports = Reports::default();
    let signer = device.signer(reports.options(1));
    device.on(Step::Sign, |call| match call.number {
        0 => FAILED,
        _ => Act::Work,
    });
    device.on(Step::Open, |call| match call.number {
        1..=7 => FAILED,
        _ => Act::Work,
    });
    device.on(Step::Reset, |call| match call.number {
        0 => FAILED,
        _ => Act::Work,
    });
    sign(&signer, "a.b").unwrap();
    reports.wait_for("signed", 1);
    let lost = "worker 0 has no session: the script said no: code 48";
    assert_eq!(reports.count(lost), 8);
    let failed = "the device could not be reset: the script said no: code 48";
    assert_eq!(reports.count(failed), 1);
    assert!(reports.count("the device was reset") >= 1);
    assert_eq!(reports.count("recovered"), 2);
    assert_eq!(reports.count("worker 0 opened"), 2);
}

#[test]
fn a_wrong_pin_is_reported_once() {
    let device = Scripted::new();
    let reports = Reports::default();
    let signer = device.signer(reports.options(4));
    device.always(Step::Open, Act::Fail(DeviceErrorKind::WrongPin));
    device.always(Step::Sign, FAILED);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    reports.wait_for(
        "PIN refused, it will not be tried again: the script said no",
        1,
    );
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    assert_eq!(reports.count("PIN refused"), 1);
    reports.wait_for("not signed, 0 waiting: PIN refused", 2);
}

#[test]
fn calls_that_end_without_a_signature() {
    let device = Scripted::new();
    let reports = Reports::default();
    let options = reports.options(1).with_deadline(Duration::from_millis(100));
    let signer = device.signer(options.with_queue_capacity(0));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Busy);
    reports.wait_for("not signed, 0 waiting: signer busy", 1);

    let signer = device.signer(reports.options(1).with_deadline(Duration::from_millis(100)));
    device.always(Step::Sign, Act::Hang);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Timeout);
    reports.wait_for("not signed, 0 waiting: signing deadline passed", 1);
}

#[test]
fn kinds_and_workers_are_told() {
    let device = Scripted::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kinds = Arc::clone(&seen);
    let options = workers(1).on_event(move |event| {
        if let Event::SessionLost { worker, kind, .. } = event {
            kinds.lock().unwrap().push((*worker, *kind));
        }
    });
    let signer = device.signer(options);
    device.on(Step::Sign, |call| match call.number {
        0 => FAILED,
        _ => Act::Work,
    });
    device.on(Step::Open, |call| match call.number {
        1 => Act::Fail(DeviceErrorKind::KeyMissing),
        _ => Act::Work,
    });
    sign(&signer, "a.b").unwrap();
    let expected = [
        (0, SignErrorKind::Unavailable),
        (0, SignErrorKind::KeyMissing),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
