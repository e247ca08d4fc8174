//! Keys are made, listed, attested and destroyed.

use chancery_core::{Algorithm, Signer as _};
use chancery_software::{Engine, PrivateKey, SoftwareSigner};
use chancery_yubihsm::{NewKey, YubiHsmError};
use chancery_yubihsm_tests::{Backend as _, MockDevice, SimulatedDevice};
use yubihsm::{Capability, Domain, object, wrap};

use crate::support::{Rig, sign_and_verify};

#[test]
fn keys_are_imported_in_the_clear() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs).unwrap();
        let software = SoftwareSigner::new(&key, algorithm, Engine::AwsLcRs).unwrap();
        let imported = device.import(&key, &NewKey::new("imported")).unwrap();
        assert_eq!(imported.jwk(), software.jwk());
        assert!(!imported.is_generated());
        let signer = device.signer().id(imported.id()).open().unwrap();
        sign_and_verify(&signer, b"header.payload");
    }
    let rsa = PrivateKey::generate_rsa(2048, Engine::AwsLcRs).unwrap();
    let error = device.import(&rsa, &NewKey::new("rsa")).unwrap_err();
    assert!(matches!(error, YubiHsmError::NewKey(_)), "{error}");
    assert_eq!(rig.backend.sessions(), 0);
}

#[test]
fn a_wrapped_key_moves_from_one_device_to_another() {
    // Only the mock wraps, and with the real client.
    let from = Rig::new(MockDevice::start());
    let key = from
        .open()
        .generate(
            Algorithm::Es256,
            &NewKey::new("key").with_id(5).exportable(),
        )
        .unwrap();
    assert!(key.is_exportable());
    let to = Rig::new(MockDevice::start());
    let put_wrap_key = |rig: &Rig<MockDevice>| {
        let client = rig.backend.client();
        client
            .put_wrap_key(
                30,
                object::Label::default(),
                Domain::all(),
                Capability::all(),
                Capability::all(),
                wrap::Algorithm::Aes128Ccm,
                [7; 16],
            )
            .unwrap();
        client
    };
    let wrapped = put_wrap_key(&from)
        .export_wrapped(30, object::Type::AsymmetricKey, 5)
        .unwrap()
        .into_vec();
    let _client = put_wrap_key(&to);
    let moved = to.open().import_wrapped(30, &wrapped).unwrap();
    assert_eq!(moved.jwk(), key.jwk());
    assert_eq!(moved.label(), "key");
    let signer = to.open().signer().id(5).open().unwrap();
    sign_and_verify(&signer, b"header.payload");

    let mut damaged = wrapped;
    damaged[20] ^= 1;
    assert!(matches!(
        to.open().import_wrapped(30, &damaged),
        Err(YubiHsmError::Device(_))
    ));
}

#[test]
fn keys_are_listed_and_one_is_destroyed_by_kid() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let kept = device
        .generate(Algorithm::Es256, &NewKey::new("kept"))
        .unwrap();
    let gone = device
        .generate(Algorithm::EdDsa, &NewKey::new("gone"))
        .unwrap();
    let kids = || -> Vec<String> {
        let keys = device.keys().unwrap();
        keys.iter().map(|key| key.kid().to_owned()).collect()
    };
    assert_eq!(kids(), [kept.kid(), gone.kid()]);
    device.destroy(gone.kid()).unwrap();
    assert_eq!(kids(), [kept.kid()]);
    assert!(matches!(
        device.destroy(gone.kid()),
        Err(YubiHsmError::KeyMissing { .. })
    ));
    assert_eq!(kids(), [kept.kid()]);
}

#[test]
fn a_key_that_is_there_twice_is_not_destroyed_by_kid() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    let key = PrivateKey::generate(Algorithm::Es256, Engine::AwsLcRs).unwrap();
    let first = device.import(&key, &NewKey::new("first")).unwrap();
    device.import(&key, &NewKey::new("second")).unwrap();
    assert!(matches!(
        device.destroy(first.kid()),
        Err(YubiHsmError::KeyAmbiguous { .. })
    ));
    assert_eq!(device.keys().unwrap().len(), 2);
}

#[test]
fn an_identifier_that_is_taken_is_refused() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::Es256, &NewKey::new("a").with_id(8))
        .unwrap();
    let error = device
        .generate(Algorithm::Es256, &NewKey::new("b").with_id(8))
        .unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
}

/// The simulated device makes no certificates, but names the key that it was asked for.
#[test]
fn a_key_is_attested_by_kid() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    device
        .generate(Algorithm::EdDsa, &NewKey::new("other"))
        .unwrap();
    let key = device
        .generate(Algorithm::Es256, &NewKey::new("key"))
        .unwrap();
    let certificate = device.attestation_certificate(key.kid(), 0).unwrap();
    let chancery_core::PublicKey::Ec { point, .. } = key.jwk().public_key() else {
        panic!("not EC");
    };
    assert!(certificate.ends_with(&point[1..]));
}

#[test]
fn every_call_closes_its_session() {
    let rig = Rig::new(SimulatedDevice::new());
    let device = rig.open();
    for _ in 0..20 {
        let key = device
            .generate(Algorithm::Es256, &NewKey::new("key"))
            .unwrap();
        device.destroy(key.kid()).unwrap();
        assert!(device.destroy("unknown").is_err());
    }
    assert_eq!(rig.backend.sessions(), 0);
}
