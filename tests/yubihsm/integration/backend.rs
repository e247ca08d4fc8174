//! Keys for a keeper.

use std::error::Error as _;

use chancery_core::Algorithm;
use chancery_core::rotation::{BackendError, KeyBackend as _};
use chancery_hsm::HsmOptions;
use chancery_yubihsm::{Domains, NewKey, YubiHsmBackend};
use chancery_yubihsm_tests::{Fault, MockDevice, SimulatedDevice};
use yubihsm::{Capability, Domain, asymmetric, object};

use crate::support::{Rig, sign_and_verify};

/// The text of the error, with all of its causes.
fn said<T>(result: Result<T, BackendError>) -> String {
    let error = result.err().unwrap();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn id(reference: &str) -> u16 {
    u16::from_str_radix(reference.trim_start_matches("0x"), 16).unwrap()
}

#[test]
fn what_is_made_is_opened_by_its_reference() {
    let rig = Rig::new(SimulatedDevice::new());
    let domains = Domains::new(&[2, 5]).unwrap();
    let backend = YubiHsmBackend::new(rig.open()).with_domains(domains);
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Ed25519,
        Algorithm::Rs256,
    ] {
        let made = backend.create(algorithm, "issuer").unwrap();
        let jwk = made.signer.jwk().clone();
        assert_eq!(jwk.algorithm(), algorithm);
        assert_eq!(jwk.kid(), jwk.thumbprint());
        sign_and_verify(&*made.signer, b"header.payload");
        drop(made.signer);

        assert_eq!(made.reference.len(), 6);
        let opened = backend.open(&made.reference, &jwk).unwrap();
        assert_eq!(opened.jwk(), &jwk);
        sign_and_verify(&*opened, b"header.payload");
    }
    for key in rig.open().keys().unwrap() {
        assert_eq!(key.domains(), domains);
        assert!(key.label().starts_with("issuer-"), "{}", key.label());
        assert!(key.is_generated() && !key.is_exportable());
    }
    let refused = said(backend.create(Algorithm::Ps256, "issuer"));
    assert!(refused.contains("use ES256"), "{refused}");
}

/// The mock is somebody else's idea of a device.
#[test]
fn the_mock_keeps_keys_too() {
    let rig = Rig::new(MockDevice::start());
    let backend = YubiHsmBackend::new(rig.open());
    let made = backend.create(Algorithm::Es256, "issuer").unwrap();
    let jwk = made.signer.jwk().clone();
    drop(made.signer);
    sign_and_verify(&*backend.open(&made.reference, &jwk).unwrap(), b"text");
    backend.destroy(&made.reference, &jwk).unwrap();
    backend.destroy(&made.reference, &jwk).unwrap();
    assert!(backend.open(&made.reference, &jwk).is_err());
}

#[test]
fn signers_use_the_device_as_the_options_say() {
    let rig = Rig::new(SimulatedDevice::new());
    let one = HsmOptions::new().with_workers(std::num::NonZeroUsize::MIN);
    for (backend, sessions) in [
        (YubiHsmBackend::new(rig.open()), 2),
        (YubiHsmBackend::new(rig.open()).with_options(one), 1),
    ] {
        let made = backend.create(Algorithm::Es256, "issuer").unwrap();
        rig.wait_for_sessions(sessions);
        drop(made);
        rig.wait_for_sessions(0);
    }
}

#[test]
fn another_key_under_the_reference_is_neither_opened_nor_destroyed() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let backend = YubiHsmBackend::new(device.clone());
    let [one, other] = ["one", "other"].map(|name| {
        let made = backend.create(Algorithm::Es256, name).unwrap();
        (made.reference, made.signer.jwk().clone())
    });
    for said in [
        said(backend.open(&one.0, &other.1)),
        said(backend.destroy(&one.0, &other.1)),
    ] {
        assert!(said.contains("another key"), "{said}");
        assert!(said.contains(other.1.kid()), "{said}");
    }
    assert_eq!(device.keys().unwrap().len(), 2);

    // Somebody puts another key under the same identifier.
    device.destroy(one.1.kid()).unwrap();
    device
        .generate(Algorithm::Es256, &NewKey::new("new").with_id(id(&one.0)))
        .unwrap();
    for said in [
        said(backend.open(&one.0, &one.1)),
        said(backend.destroy(&one.0, &one.1)),
    ] {
        assert!(said.contains("another key"), "{said}");
    }
    assert_eq!(device.keys().unwrap().len(), 2);
}

/// Nor is one of another kind, which cannot sign tokens at all.
#[test]
fn a_key_of_another_kind_under_the_reference_is_not_taken_for_a_destroyed_one() {
    let rig = Rig::new(MockDevice::start());
    let backend = YubiHsmBackend::new(rig.open());
    let made = backend.create(Algorithm::Es256, "issuer").unwrap();
    let jwk = made.signer.jwk().clone();
    drop(made.signer);
    backend.destroy(&made.reference, &jwk).unwrap();
    rig.backend
        .client()
        .generate_asymmetric_key(
            id(&made.reference),
            object::Label::default(),
            Domain::all(),
            Capability::SIGN_ECDSA,
            asymmetric::Algorithm::EcK256,
        )
        .unwrap();
    let refused = said(backend.destroy(&made.reference, &jwk));
    assert!(refused.contains("another key"), "{refused}");
}

#[test]
fn a_key_is_destroyed_once_and_stays_gone() {
    let rig = Rig::new(SimulatedDevice::new());
    let backend = YubiHsmBackend::new(rig.open());
    let kept = backend.create(Algorithm::Es256, "issuer").unwrap();
    let made = backend.create(Algorithm::Es256, "issuer").unwrap();
    let jwk = made.signer.jwk().clone();
    backend.destroy(&made.reference, &jwk).unwrap();
    backend.destroy(&made.reference, &jwk).unwrap();
    let refused = said(backend.open(&made.reference, &jwk));
    assert!(refused.contains("sees no asymmetric key"), "{refused}");
    sign_and_verify(&*kept.signer, b"header.payload");
    assert_eq!(rig.open().keys().unwrap().len(), 1);
}

#[test]
fn a_reference_is_an_identifier() {
    let rig = Rig::new(SimulatedDevice::new());
    let backend = YubiHsmBackend::new(rig.open());
    let made = backend.create(Algorithm::Es256, "issuer").unwrap();
    let jwk = made.signer.jwk().clone();
    for reference in [
        "", "0x", "0x1", "0x00001", "0x+001", "0xABCD", "1234", "0x12345", "0X1234", "0x12 4",
    ] {
        for said in [
            said(backend.open(reference, &jwk)),
            said(backend.destroy(reference, &jwk)),
        ] {
            assert!(
                said.contains("the reference must be"),
                "{reference}: {said}"
            );
        }
    }
}

/// The device may have made the key though its answer was lost.
#[test]
fn no_lost_answer_leaves_a_key_behind() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let backend = YubiHsmBackend::new(device.clone());
    let mut failed = 0;
    for answers in 0..24 {
        rig.proxy.inject_after(Fault::CutAfter, answers);
        let made = backend.create(Algorithm::Es256, "issuer");
        rig.proxy.lift();
        match made {
            Ok(made) => {
                let jwk = made.signer.jwk().clone();
                drop(made.signer);
                backend.destroy(&made.reference, &jwk).unwrap();
            }
            Err(_) => failed += 1,
        }
        assert_eq!(device.keys().unwrap().len(), 0, "after {answers} answers");
    }
    assert!(
        failed > 0 && rig.proxy.hits() > 10,
        "{failed}, {}",
        rig.proxy.hits()
    );
}
