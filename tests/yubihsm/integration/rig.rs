//! The simulated device, checked against the `yubihsm` crate's own client, and that crate's mock,
//! checked against our guard.

use std::sync::Arc;

use chancery_yubihsm_tests::{
    AUTHENTICATION_KEY, Backend, Kind, MockDevice, Object, PASSWORD, Proxy, SimulatedDevice,
    capability,
};
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
