//! Signatures that are wrong are never released.

use chancery_core::SignErrorKind;
use chancery_hsm::HsmOptions;

use crate::device::calls::{callers, eventually, refused, sign, workers};
use crate::device::{Act, Scripted, Step};

const WRONG: [Act; 3] = [Act::Flip, Act::AnotherKey, Act::AnotherAlgorithm];

/// `sign` fails the test when a signature is released that does not verify.
#[test]
fn of_ten_thousand_wrong_signatures_none_is_released() {
    const CALLERS: usize = 20;
    const CALLS: usize = 500;
    let device = Scripted::new();
    let signer = device.signer(HsmOptions::new());
    // Each session signs rightly once, so that sessions are reopened without a pause.
    device.on(Step::Sign, {
        let signed = std::sync::Mutex::new(std::collections::HashSet::new());
        move |call| match signed.lock().unwrap().insert(call.session) {
            true => Act::Work,
            false => WRONG[call.number % WRONG.len()],
        }
    });
    let mut released = 0;
    let mut refusals = 0;
    while device.watch().calls(Step::Sign) < 20_100 {
        for outcomes in callers(CALLERS, |_| {
            (0..CALLS).filter(|_| sign(&signer, "a.b").is_ok()).count()
        }) {
            released += outcomes;
            refusals += CALLS - outcomes;
        }
    }
    eventually("all are counted", || {
        signer.health().signed == released as u64
    });
    let withheld = signer.health().withheld;
    println!("{released} released, {withheld} withheld, {refusals} calls refused");
    assert!(withheld >= 10_000, "{withheld}");
    assert_eq!(signer.health().failed, refusals as u64);
}

#[test]
fn after_three_wrong_ones_the_caller_is_told() {
    for act in WRONG {
        let device = Scripted::new();
        let signer = device.signer(workers(1));
        device.always(Step::Sign, act);
        assert_eq!(refused(&signer, "a.b"), SignErrorKind::BadSignature);
        assert_eq!(device.watch().calls(Step::Sign), 3);
        eventually("all are counted", || signer.health().withheld == 3);
        assert_eq!(signer.health().failed, 1);
        assert_eq!(signer.health().signed, 0);
        device.always(Step::Sign, Act::Work);
        sign(&signer, "a.b").unwrap();
    }
}

#[test]
fn wrong_ones_always_are_an_error_to_each_of_many_callers() {
    let device = Scripted::new();
    let signer = device.signer(HsmOptions::new());
    device.on(Step::Sign, |call| WRONG[call.number % WRONG.len()]);
    let kinds = callers(8, |_| refused(&signer, "a.b"));
    assert_eq!(kinds, [SignErrorKind::BadSignature; 8]);
    assert_eq!(device.watch().calls(Step::Sign), 24);
}

#[test]
fn a_wrong_one_each_second_time_is_not_noticed() {
    for act in WRONG {
        let device = Scripted::new();
        let signer = device.signer(workers(1));
        device.on(Step::Sign, move |call| match call.number % 2 {
            0 => Act::Work,
            _ => act,
        });
        for call in 0..100 {
            sign(&signer, &format!("a.{call}")).unwrap();
        }
        assert!(signer.health().withheld >= 98, "{:?}", signer.health());
    }
}

#[test]
fn what_is_no_signature_is_a_failure_like_others() {
    let device = Scripted::new();
    let signer = device.signer(workers(1));
    device.on(Step::Sign, |call| match call.number % 2 {
        0 => Act::Short,
        _ => Act::Work,
    });
    for _ in 0..20 {
        sign(&signer, "a.b").unwrap();
    }
    let health = signer.health();
    assert_eq!(health.withheld, 0);
    let (error, _) = health.last_error.unwrap();
    assert!(error.contains("63 bytes"), "{error}");
}
