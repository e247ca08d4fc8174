//! Hooks that do what they should not.

use std::panic;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, Event, HsmSigner};

use crate::device::calls::{begin, block_on, callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

#[test]
fn a_hook_that_panics_kills_no_worker_and_loses_no_caller() {
    let device = Scripted::new();
    let options = workers(2).with_deadline(Duration::from_millis(500));
    let signer = device.signer(options.on_event(|_| panic::panic_any("scripted")));
    device.on(Step::Sign, |call| match call.number % 7 {
        3 => Act::Fail(DeviceErrorKind::Failed),
        5 if call.number < 7 => Act::Flip,
        _ => Act::Work,
    });
    callers(4, |_| {
        for _ in 0..25 {
            sign(&signer, "a.b").unwrap();
        }
    });
    eventually("two sessions", || signer.health().sessions == 2);
    // Nor the thread that watches deadlines: a future has nobody else to end it.
    device.always(Step::Sign, Act::Hang);
    for _ in 0..3 {
        let error = block_on(begin(&signer, "a.b")).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Timeout);
    }
    device.always(Step::Sign, Act::Work);
    device.watch().release();
    eventually("both are back", || signer.health().overdue == 0);
    // Nor the caller whom a full queue refuses.
    drop(signer);
    let options = workers(1).with_queue_capacity(0);
    let signer = device.signer(options.on_event(|_| panic::panic_any("scripted")));
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Busy);
}

#[test]
fn a_hook_may_ask_how_the_signer_is_and_sign() {
    let device = Scripted::new();
    let signer: Arc<OnceLock<Weak<HsmSigner>>> = Arc::default();
    let asked = Arc::clone(&signer);
    let options = workers(2).on_event(move |event| {
        let Some(signer) = asked.get().and_then(Weak::upgrade) else {
            return;
        };
        let _ = signer.health();
        if matches!(event, Event::SessionLost { .. }) {
            // The other worker can.
            sign(&signer, "from.hook").unwrap();
        }
    });
    let opened = Arc::new(device.signer(options));
    signer.set(Arc::downgrade(&opened)).unwrap();
    eventually("two sessions", || opened.health().sessions == 2);
    device.on(Step::Sign, |call| match call.number {
        0 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    sign(&opened, "a.b").unwrap();
    eventually("the hook has signed", || opened.health().signed == 2);
    eventually("two sessions again", || opened.health().sessions == 2);
    assert!(device.watch().messages().contains(&b"from.hook".to_vec()));
}

#[test]
fn a_hook_that_signs_when_no_worker_is_left_waits_for_the_deadline_at_most() {
    let device = Scripted::new();
    let signer: Arc<OnceLock<Weak<HsmSigner>>> = Arc::default();
    let asked = Arc::clone(&signer);
    let options = workers(1)
        .with_deadline(Duration::from_millis(200))
        .on_event(move |event| {
            if let Event::SessionLost { .. } = event
                && let Some(signer) = asked.get().and_then(Weak::upgrade)
            {
                assert_eq!(refused(&signer, "from.hook"), SignErrorKind::Timeout);
            }
        });
    let opened = Arc::new(device.signer(options));
    signer.set(Arc::downgrade(&opened)).unwrap();
    device.on(Step::Sign, |call| match call.number {
        0 => Act::Fail(DeviceErrorKind::Failed),
        _ => Act::Work,
    });
    let started = Instant::now();
    let _ = sign(&opened, "a.b");
    eventually("it signs again", || sign(&opened, "a.b").is_ok());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slow_hook_does_not_delay_the_answers_of_one_deadline() {
    let device = Scripted::new();
    let options = workers(1).with_deadline(Duration::from_millis(300));
    let signer = device.signer(options.on_event(|event| {
        if let Event::NotSigned { .. } = event {
            thread::sleep(Duration::from_millis(100));
        }
    }));
    device.always(Step::Sign, Act::Hang);
    let started = Instant::now();
    let pending: Vec<_> = (0..100).map(|_| begin(&signer, "a.b")).collect();
    for pending in pending {
        assert_eq!(
            block_on(pending).unwrap_err().kind(),
            SignErrorKind::Timeout
        );
    }
    // One after the other, the reports take ten seconds.
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_hook_that_drops_the_signer_ends_it() {
    let device = Scripted::new();
    let signer: Arc<std::sync::Mutex<Option<HsmSigner>>> = Arc::default();
    let held = Arc::clone(&signer);
    let options = workers(2).on_event(move |event| {
        if let Event::Signed { .. } = event {
            drop(held.lock().unwrap().take());
        }
    });
    *signer.lock().unwrap() = Some(device.signer(options));
    let pending = begin(signer.lock().unwrap().as_ref().unwrap(), "a.b");
    block_on(pending).unwrap();
    eventually("the signer is gone", || signer.lock().unwrap().is_none());
    eventually("its sessions are dropped", || device.watch().live() == 0);
}

#[test]
fn a_hook_that_hangs_keeps_no_future_from_its_deadline() {
    let device = Scripted::new();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let options = workers(1).with_deadline(Duration::from_millis(200));
    let signer = device.signer(options.on_event(move |event| {
        if matches!(event, Event::NotSigned { .. }) {
            // Until the sender is dropped.
            let _ = released.lock().unwrap().recv();
        }
    }));
    device.always(Step::Sign, Act::Hang);
    for _ in 0..3 {
        let started = Instant::now();
        let error = block_on(begin(&signer, "a.b")).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(signer.health().timed_out, 3);
    drop(release);
    device.watch().release();
}
