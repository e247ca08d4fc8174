//! Every algorithm, by the conformance kit.

use std::num::NonZeroUsize;

use chancery_conformance::check_up_to;
use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::HsmOptions;
use chancery_yubihsm::{Capability, Domains, Holder, NewKey, YubiHsmError};
use chancery_yubihsm_tests::{Backend as _, Kind, MockDevice, Object, SimulatedDevice, capability};

use crate::support::{Rig, sign_and_verify};

/// A command of the device holds some two thousand bytes, and Ed25519 needs all of the input.
const LONGEST: usize = 1024;

#[test]
fn the_mock_conforms() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let rig = Rig::new(MockDevice::start());
        let device = rig.open();
        let key = device
            .generate(algorithm, &NewKey::new("key").with_id(5))
            .unwrap();
        let signer = device.signer().id(5).open().unwrap();
        assert_eq!(signer.jwk(), key.jwk());
        check_up_to(&signer, LONGEST).unwrap();
    }
}

#[test]
fn the_simulated_device_conforms() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Rs256,
    ] {
        let key = device
            .generate(algorithm, &NewKey::new(algorithm.name()))
            .unwrap();
        assert!(key.is_generated());
        assert!(!key.is_exportable());
        let signer = device.signer().label(algorithm.name()).open().unwrap();
        assert_eq!(signer.jwk().kid(), key.kid());
        assert_eq!(signer.jwk().algorithm(), algorithm);
        check_up_to(&signer, LONGEST).unwrap();
    }
    let signer = device
        .signer()
        .label("EdDSA")
        .algorithm(Algorithm::Ed25519)
        .open()
        .unwrap();
    assert_eq!(signer.jwk().algorithm(), Algorithm::Ed25519);
    check_up_to(&signer, LONGEST).unwrap();
    rig.wait_for_sessions(2);
    drop(signer);
    assert_eq!(rig.backend.sessions(), 0);
}

#[test]
fn algorithms_that_are_not_offered_are_refused_with_the_reason() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let key = device
        .generate(Algorithm::Rs256, &NewKey::new("rsa"))
        .unwrap();
    for (algorithm, reason) in [
        (Algorithm::Ps256, "encodes PSS wrongly"),
        (Algorithm::Ps512, "encodes PSS wrongly"),
        (Algorithm::Rs384, "not offered"),
        (Algorithm::Es512, "not offered"),
    ] {
        let error = device
            .signer()
            .id(key.id())
            .algorithm(algorithm)
            .open()
            .unwrap_err();
        assert!(
            matches!(error, YubiHsmError::UnsupportedAlgorithm { algorithm: found, .. } if found == algorithm)
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    let error = device
        .signer()
        .id(key.id())
        .algorithm(Algorithm::Es256)
        .open()
        .unwrap_err();
    assert!(matches!(error, YubiHsmError::PublicKey(_)), "{error}");
}

/// Ed25519 signs the text itself, which has to fit into a message.
#[test]
fn a_text_too_long_for_ed25519_is_refused_and_harms_nobody() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::EdDsa, &NewKey::new("key"))
        .unwrap();
    let signer = device.signer().open().unwrap();
    sign_and_verify(&signer, &[b'a'; 2026]);
    let error = signer
        .sign(&SigningInput::new(Algorithm::EdDsa, &[b'a'; 2027]))
        .unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("2027 bytes are too long for the device, which takes 2026"),
        "{error}"
    );
    sign_and_verify(&signer, b"short");
}

#[test]
fn a_missing_capability_is_named() {
    let rig = Rig::new(SimulatedDevice::new());
    rig.backend
        .put(1, Object::new("none", Kind::p256(), capability::SIGN_EDDSA));
    rig.backend
        .put(2, Object::new("key", Kind::p256(), capability::SIGN_ECDSA));
    let error = rig.open().signer().id(1).open().unwrap_err();
    assert!(matches!(
        error,
        YubiHsmError::MissingCapability {
            holder: Holder::Key { id: 1 },
            capability: Capability::SignEcdsa
        }
    ));
    assert_eq!(error.to_string(), "key 1 lacks the capability sign-ecdsa");

    rig.backend
        .put_authentication_key(9, "reader", capability::GET_LOG_ENTRIES, u16::MAX);
    let reader = rig.open_as(9, "reader").unwrap();
    let error = reader.signer().id(2).open().unwrap_err();
    assert_eq!(
        error.to_string(),
        "authentication key 9 lacks the capability sign-ecdsa"
    );
    let error = reader
        .generate(Algorithm::Es256, &NewKey::new("new"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "authentication key 9 lacks the capability generate-asymmetric-key"
    );

    rig.backend
        .put_authentication_key(10, "maker", capability::GENERATE_ASYMMETRIC_KEY, u16::MAX);
    let error = rig
        .open_as(10, "maker")
        .unwrap()
        .generate(Algorithm::Es256, &NewKey::new("new"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "authentication key 10, among its delegated capabilities, lacks the capability sign-ecdsa"
    );
}

#[test]
fn a_key_in_other_domains_is_not_seen() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let new = NewKey::new("key").with_domains(Domains::new(&[2, 5]).unwrap());
    let key = device.generate(Algorithm::Es256, &new).unwrap();
    assert_eq!(key.domains().to_string(), "2,5");
    for (id, domains, sees) in [(20, 0b1_0000, true), (21, 0b0_0001, false)] {
        rig.backend
            .put_authentication_key(id, "password", capability::ALL, domains);
        let opened = rig
            .open_as(id, "password")
            .unwrap()
            .signer()
            .id(key.id())
            .open();
        match opened {
            Ok(_) => assert!(sees),
            Err(error) => {
                assert!(!sees);
                assert_eq!(
                    error.to_string(),
                    "the authentication key sees no asymmetric key with identifier 1 in its \
                     domains, 1: there is none, or it is in other domains"
                );
            }
        }
    }
}

#[test]
fn missing_domains_are_named() {
    let rig = Rig::new(SimulatedDevice::new());
    rig.backend
        .put_authentication_key(20, "password", capability::ALL, 0b0_0110);
    let device = rig.open_as(20, "password").unwrap();
    let new = NewKey::new("key").with_domains(Domains::new(&[2, 4, 5]).unwrap());
    let error = device.generate(Algorithm::Es256, &new).unwrap_err();
    assert_eq!(
        error.to_string(),
        "authentication key 20 is not in the domains 4,5, so it makes no key in them"
    );
}

#[test]
fn exactly_one_key_must_match() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let error = device.signer().open().unwrap_err();
    assert!(matches!(error, YubiHsmError::KeyMissing { .. }), "{error}");
    for _ in 0..2 {
        device
            .generate(Algorithm::Es256, &NewKey::new("twin"))
            .unwrap();
    }
    let error = device.signer().label("twin").open().unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 asymmetric keys have label `twin`: 1, 2; name one by its identifier"
    );
    assert!(device.signer().label("twin").id(2).open().is_ok());
    assert!(matches!(
        device.signer().label("other").id(2).open(),
        Err(YubiHsmError::KeyMissing { .. })
    ));
    assert!(matches!(
        device.signer().id(77).open(),
        Err(YubiHsmError::KeyMissing { .. })
    ));
}

#[test]
fn more_workers_than_sessions_are_refused() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let options = |workers| HsmOptions::new().with_workers(NonZeroUsize::new(workers).unwrap());
    assert!(matches!(
        device.signer().options(options(13)).open(),
        Err(YubiHsmError::SessionLimit { most: 12 })
    ));
    let signer = device.signer().options(options(12)).open().unwrap();
    rig.wait_for_sessions(12);
    // A second signer finds none left, and the device keeps four for others.
    let error = device.signer().open().unwrap_err();
    assert!(
        matches!(error, YubiHsmError::SessionLimit { most: 12 }),
        "{error}"
    );
    assert_eq!(rig.backend.sessions(), 12);
    drop(signer);
    assert_eq!(rig.backend.sessions(), 0);
    assert!(device.signer().open().is_ok());
}
