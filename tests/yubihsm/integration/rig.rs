//! The simulated device, checked against the `yubihsm` crate's own client, and that crate's mock,
//! checked against our guard.

use std::sync::Arc;

use chancery_yubihsm_tests::{
    AUTHENTICATION_KEY, Backend, Kind, MockDevice, Object, PASSWORD, Proxy, SimulatedDevice,
    capability,
};
use p384::ecdsa::signature::hazmat::PrehashVerifier as _;
use yubihsm::asymmetric::Algorithm;
use yubihsm::connector::HttpConfig;
use yubihsm::{Capability, Client, Connector, Credentials, Domain, object};

fn client(proxy: &Proxy, password: &str) -> Result<Client, yubihsm::client::Error> {
    let config = HttpConfig {
        port: proxy.port(),
        ..HttpConfig::default()
    };
    let credentials = Credentials::from_password(AUTHENTICATION_KEY, password.as_bytes());
    Client::open(Connector::http(&config), credentials, false)
}

#[test]
fn the_real_client_works_with_the_simulated_device() {
    let proxy = Proxy::start(Arc::new(SimulatedDevice::new()));
    let client = client(&proxy, PASSWORD).unwrap();
    assert_eq!(client.echo("hello").unwrap(), b"hello");

    let label: object::Label = "p256".parse().unwrap();
    let id = client
        .generate_asymmetric_key(
            7,
            label.clone(),
            Domain::DOM1,
            Capability::SIGN_ECDSA,
            Algorithm::EcP256,
        )
        .unwrap();
    assert_eq!(id, 7);
    let info = client
        .get_object_info(7, object::Type::AsymmetricKey)
        .unwrap();
    assert_eq!(info.label, label);
    assert_eq!(info.capabilities, Capability::SIGN_ECDSA);
    assert_eq!(info.domains, Domain::DOM1);
    assert_eq!(info.origin, object::Origin::Generated);
    assert_eq!(
        client.get_public_key(7).unwrap().algorithm,
        Algorithm::EcP256
    );
    let entries = client
        .list_objects(&[
            object::Filter::Type(object::Type::AsymmetricKey),
            object::Filter::Label(label.clone()),
        ])
        .unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(client.sign_ecdsa_prehash_raw(7, [1; 32]).unwrap()[0], 0x30);

    client
        .put_asymmetric_key(
            8,
            label,
            Domain::DOM1,
            Capability::SIGN_EDDSA,
            Algorithm::Ed25519,
            [9; 32],
        )
        .unwrap();
    client.sign_ed25519(8, "text").unwrap();
    client
        .delete_object(8, object::Type::AsymmetricKey)
        .unwrap();
    assert!(client.get_public_key(8).is_err());
}

/// What the mock lacks.
#[test]
fn the_real_client_takes_p384_and_rsa_of_the_simulated_device() {
    let proxy = Proxy::start(Arc::new(SimulatedDevice::new()));
    let client = client(&proxy, PASSWORD).unwrap();
    for (id, algorithm, capability, len) in [
        (1, Algorithm::EcP384, Capability::SIGN_ECDSA, 96),
        (2, Algorithm::Rsa2048, Capability::SIGN_PKCS, 256),
    ] {
        client
            .generate_asymmetric_key(
                id,
                object::Label::default(),
                Domain::all(),
                capability,
                algorithm,
            )
            .unwrap();
        let info = client
            .get_object_info(id, object::Type::AsymmetricKey)
            .unwrap();
        assert_eq!(info.algorithm, algorithm.into());
        let public = client.get_public_key(id).unwrap();
        assert_eq!(public.algorithm, algorithm);
        assert_eq!(public.bytes.len(), len);
    }
    let public = client.get_public_key(1).unwrap().bytes;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&[&[4], &public[..]].concat()).unwrap();
    let der = client.sign_ecdsa_prehash_raw(1, [1; 48]).unwrap();
    let signature = p384::ecdsa::Signature::from_der(&der).unwrap();
    key.verify_prehash(&[1; 48], &signature).unwrap();
}

/// The same key in both, and the same questions by the real client.
#[test]
fn the_simulated_device_answers_as_the_mock_does() {
    let answers = |backend: Arc<dyn Backend>| {
        let proxy = Proxy::start(backend);
        let client = client(&proxy, PASSWORD).unwrap();
        let label: object::Label = "key".parse().unwrap();
        let put = |id, algorithm, secret: &[u8]| {
            let capability = Capability::SIGN_ECDSA;
            client.put_asymmetric_key(
                id,
                label.clone(),
                Domain::DOM2,
                capability,
                algorithm,
                secret,
            )
        };
        put(7, Algorithm::EcP256, &[9; 32]).unwrap();
        put(8, Algorithm::Ed25519, &[9; 32]).unwrap();
        let listed = client
            .list_objects(&[object::Filter::Type(object::Type::AsymmetricKey)])
            .unwrap();
        let told: Vec<_> = listed
            .into_iter()
            .map(|entry| {
                let mut info = client
                    .get_object_info(entry.object_id, entry.object_type)
                    .unwrap();
                // A number that the mock counts from 1, and nobody here looks at.
                info.sequence = 0;
                (info, client.get_public_key(entry.object_id).unwrap().bytes)
            })
            .collect();
        assert_eq!(told.len(), 2);
        let missing = client.get_public_key(9).unwrap_err();
        format!("{told:?} {missing}")
    };
    assert_eq!(
        answers(Arc::new(SimulatedDevice::new())),
        answers(Arc::new(MockDevice::start()))
    );
}

#[test]
fn the_simulated_device_keeps_to_its_limits() {
    let device = Arc::new(SimulatedDevice::new());
    let proxy = Proxy::start(device.clone());
    let error = client(&proxy, "wrong").err().unwrap();
    assert!(error.to_string().contains("authentication"), "{error}");

    // The client leaves the session behind, as it does every session that is dropped.
    let left = device.sessions();
    assert_eq!(left, 1);
    let clients: Vec<_> = (left..16)
        .map(|_| client(&proxy, PASSWORD).unwrap())
        .collect();
    assert_eq!(device.sessions(), 16);
    assert!(client(&proxy, PASSWORD).is_err());
    drop(clients);
    assert_eq!(device.sessions(), 16, "dropping a client closes no session");
    device.power_cycle();
    assert!(client(&proxy, PASSWORD).is_ok());
}

#[test]
fn a_full_audit_log_is_emptied_by_the_operator() {
    let device = Arc::new(SimulatedDevice::new());
    device.put(3, Object::new("key", Kind::p256(), capability::SIGN_ECDSA));
    device.force_audit(61);
    let proxy = Proxy::start(device);
    let client = client(&proxy, PASSWORD).unwrap();
    client.sign_ecdsa_prehash_raw(3, [1; 32]).unwrap();
    assert!(client.sign_ecdsa_prehash_raw(3, [1; 32]).is_err());
    client.get_log_entries().unwrap();
    client.set_log_index(62).unwrap();
    client.sign_ecdsa_prehash_raw(3, [1; 32]).unwrap();
}

#[test]
fn the_real_client_works_through_the_guard_of_the_mock() {
    let device = Arc::new(MockDevice::start());
    let proxy = Proxy::start(device.clone());
    let client = client(&proxy, PASSWORD).unwrap();
    for _ in 0..3 {
        assert_eq!(client.echo("hello").unwrap(), b"hello");
    }
    assert_eq!(device.sessions(), 1);
}
