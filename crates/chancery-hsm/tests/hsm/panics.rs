//! A device whose code panics is a device that fails.

use chancery_core::SignErrorKind;
use chancery_hsm::{DeviceErrorKind, HsmOptions, State};

use crate::device::calls::{callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

#[test]
fn a_panic_while_opening_the_first_session_is_an_error() {
    let device = Scripted::new();
    device.always(Step::Open, Act::Panic);
    let error = device.try_signer(workers(2)).unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Unavailable);
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[test]
fn panics_at_each_step_are_not_noticed() {
    for step in [Step::Open, Step::SelfTest, Step::Drop, Step::Sign] {
        let device = Scripted::new();
        let signer = device.signer(HsmOptions::new());
        eventually("eight sessions", || signer.health().sessions == 8);
        if step != Step::Sign {
            device.on(Step::Sign, |call| match call.number % 4 {
                1 => Act::Fail(DeviceErrorKind::Failed),
                _ => Act::Work,
            });
        }
        device.on(step, |call| match call.number % 3 {
            1 => Act::Panic,
            _ => Act::Work,
        });
        callers(16, |_| {
            for _ in 0..25 {
                sign(&signer, "a.b").unwrap();
            }
        });
        assert!(device.watch().calls(step) > 6, "{step:?}");
        // No worker is lost.
        device.always(step, Act::Work);
        device.always(Step::Sign, Act::Work);
        eventually("eight sessions again", || signer.health().sessions == 8);
        assert_eq!(signer.health().state, State::Ready);
        drop(signer);
    }
}

#[test]
fn a_panic_while_resetting_is_a_reset_that_failed() {
    let device = Scripted::new();
    let signer = device.signer(workers(2));
    eventually("two sessions", || signer.health().sessions == 2);
    device.always(Step::Reset, Act::Panic);
    device.always(Step::Open, Act::Panic);
    device.on(Step::Sign, |call| match call.number {
        0 | 1 => Act::Panic,
        _ => Act::Work,
    });
    std::thread::scope(|scope| {
        let call = scope.spawn(|| sign(&signer, "a.b").unwrap());
        eventually("resets", || device.watch().calls(Step::Reset) >= 2);
        device.always(Step::Open, Act::Work);
        call.join().unwrap();
    });
    assert_eq!(signer.health().resets, 0);
    refused_never(&signer);
}

fn refused_never(signer: &chancery_hsm::HsmSigner) {
    for _ in 0..20 {
        sign(signer, "a.b").unwrap();
    }
}

#[test]
fn a_device_that_always_panics_while_signing_costs_the_deadline() {
    let device = Scripted::new();
    let options = workers(2).with_deadline(std::time::Duration::from_millis(400));
    let signer = device.signer(options);
    device.always(Step::Sign, Act::Panic);
    assert_eq!(refused(&signer, "a.b"), SignErrorKind::Timeout);
    let (error, _) = signer.health().last_error.unwrap();
    assert!(error.contains("panicked"), "{error}");
    device.always(Step::Sign, Act::Work);
    // The workers may be resting for longer than the deadline.
    eventually("it signs again", || sign(&signer, "a.b").is_ok());
}
