//! A signer leaves no thread behind, and none that is busy.
//!
//! One test in a program of its own, since it looks at all threads of the program.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(all(target_os = "linux", any(feature = "ring", feature = "aws-lc-rs")))]

mod device;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, State};

use device::calls::{begin, block_on, callers, eventually, refused, sign, workers};
use device::{Act, Scripted, Step};

/// The threads of signers.
fn threads() -> Vec<PathBuf> {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap().path())
        .filter(|task| {
            // A thread may end in between.
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("chancery-hsm"))
        })
        .collect()
}

/// The time that the threads of signers have run for, in clock ticks of a hundredth of a second.
fn ticks() -> u64 {
    let ticks = |task: PathBuf| -> Option<u64> {
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        // Fields 14 and 15, utime and stime; the name, which is field 2, ends with a parenthesis.
        let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
        let mut field = || fields.next()?.parse::<u64>().ok();
        Some(field()? + field()?)
    };
    threads().into_iter().filter_map(ticks).sum()
}

fn assert_none_left() {
    eventually("no thread is left", || threads().is_empty());
}

/// What is there, and for half a second uses at most a tenth of a processor.
fn assert_idle(number: usize) {
    eventually("all are there", || threads().len() == number);
    // What was under way may end first.
    thread::sleep(Duration::from_millis(50));
    let before = ticks();
    thread::sleep(Duration::from_millis(500));
    let used = ticks() - before;
    assert!(used <= 5, "{used} ticks");
}

#[test]
fn no_thread_is_left_or_busy() {
    a_signer_that_works();
    a_signer_that_is_latched();
    a_signer_that_could_not_be_opened();
    a_signer_whose_opening_hung();
    a_signer_that_hung();
    a_signer_whose_device_is_down();
    a_signer_that_is_dropped_while_it_signs();
}

fn a_signer_that_works() {
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    callers(4, |_| {
        for _ in 0..100 {
            sign(&signer, "a.b").unwrap();
        }
    });
    eventually("eight sessions", || signer.health().sessions == 8);
    assert_idle(10);
    drop(signer);
    assert_none_left();
}

fn a_signer_that_is_latched() {
    let device = Scripted::new();
    let signer = device.signer(workers(8));
    device.always(Step::Open, Act::Fail(DeviceErrorKind::WrongPin));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
    eventually("latched", || signer.health().state == State::Latched);
    // Already while the signer is there: nothing is left to do.
    assert_none_left();
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::WrongPin);
}

fn a_signer_that_could_not_be_opened() {
    let device = Scripted::new();
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    device.try_signer(workers(8)).unwrap_err();
    assert_none_left();
}

fn a_signer_whose_opening_hung() {
    let device = Scripted::new();
    device.always(Step::Open, Act::Hang);
    let options = workers(8).with_deadline(Duration::from_millis(100));
    device.try_signer(options).unwrap_err();
    assert_idle(1);
    device.watch().release();
    assert_none_left();
    assert_eq!(device.watch().live(), 0);
}

fn a_signer_that_hung() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_secs(1)));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Sign, Act::Hang);
    let pending: Vec<_> = (0..4).map(|_| begin(&signer, "a.b")).collect();
    for pending in pending {
        assert!(block_on(pending).is_err());
    }
    assert_idle(4);
    drop(signer);
    // The two that hang; nobody's deadline is left to watch.
    assert_idle(2);
    device.watch().release();
    assert_none_left();
    assert_eq!(device.watch().live(), 0);
}

fn a_signer_whose_device_is_down() {
    let device = Scripted::new();
    let signer = device.signer(workers(8).with_deadline(Duration::from_secs(1)));
    eventually("eight sessions", || signer.health().sessions == 8);
    device.always(Step::Open, Act::Fail(DeviceErrorKind::Failed));
    device.always(Step::Sign, Act::Fail(DeviceErrorKind::Failed));
    let _ = callers(16, |_| sign(&signer, "a.b").is_err());
    eventually("it is down", || signer.health().sessions == 0);
    assert_idle(10);
    drop(signer);
    assert_none_left();
}

fn a_signer_that_is_dropped_while_it_signs() {
    let device = Scripted::new();
    let signer = device.signer(workers(2).with_deadline(Duration::from_secs(3600)));
    device.always(Step::Sign, Act::Take(Duration::from_millis(200)));
    let pending = begin(&signer, "a.b");
    eventually("it signs", || device.watch().calls(Step::Sign) == 1);
    drop(signer);
    block_on(pending).unwrap();
    // Not even the one that watches the deadline, which is an hour away.
    assert_none_left();
}
