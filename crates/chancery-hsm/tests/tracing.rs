//! What is reported goes to `tracing` as well.
//!
//! One test in a program of its own, since signers report from threads of theirs to the one
//! subscriber of the program.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(all(feature = "tracing", any(feature = "ring", feature = "aws-lc-rs")))]

mod device;

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chancery_core::{SignErrorKind, Signer as _};
use chancery_hsm::DeviceErrorKind;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use device::calls::{eventually, refused, sign, workers};
use device::{Act, Scripted, Step};

/// Keeps each event as its level and its fields.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

impl Collector {
    fn has(&self, line: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .iter()
            .any(|seen| seen.starts_with(line))
    }

    fn wait_for(&self, line: &str) {
        eventually(line, || self.has(line));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("chancery_hsm")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

#[test]
fn events_reach_the_subscriber_with_the_kid_and_a_fitting_level() {
    let collector = Collector::default();
    tracing::subscriber::set_global_default(collector.clone()).unwrap();
    let device = Scripted::new();
    let signer = device.signer(workers(1).with_deadline(Duration::from_millis(200)));
    let kid = format!("kid={:?}", signer.jwk().kid());
    let line = |level: Level, text: &str| format!("{level} {text} {kid}");

    sign(&signer, "a.b").unwrap();
    collector.wait_for(&line(Level::DEBUG, "worker 0 opened a session"));
    collector.wait_for(&format!("{} there is a session again after", Level::INFO));
    collector.wait_for(&line(Level::TRACE, "signed"));

    let first = device.watch().calls(Step::Sign);
    device.on(Step::Sign, move |call| match call.number - first {
        0 => Act::Flip,
        1 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    let opened = device.watch().calls(Step::Open);
    device.on(Step::Open, move |call| match call.number - opened {
        1 | 2 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    sign(&signer, "a.b").unwrap();
    let withheld = "worker 0 got a signature that does not verify, and withheld it";
    collector.wait_for(&line(Level::WARN, withheld));
    let lost = "worker 0 has no session: the script said no: code 48";
    collector.wait_for(&line(Level::WARN, lost));
    collector.wait_for(&line(Level::WARN, "the device was reset"));

    device.always(Step::Sign, Act::HangAndFail(DeviceErrorKind::Failed));
    device.always(Step::Open, Act::Fail(DeviceErrorKind::WrongPin));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Timeout);
    collector.wait_for(&format!(
        "{} not signed {kid} kind=signing deadline passed",
        Level::WARN
    ));
    device.watch().release();
    let latched = "PIN refused, it will not be tried again: the script said no: code 48";
    collector.wait_for(&line(Level::ERROR, latched));
}
