//! Which public key belongs to a private key.

use chancery_core::Signer as _;
use chancery_pkcs11::{KeyPair, Pkcs11Error, UnusableKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;

use crate::opening::{P256, generate};
use crate::support::{SoftHsm, isolated, said};

/// A public key object is no secret of the token's: who may write to it can put one beside any
/// private key.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_strangers_public_key_beside_a_key_is_not_listed() {
    isolated(|hsm| {
        let token = hsm.token();
        let good = token.generate(KeyPair::P256, "good", Some(&[7])).unwrap();
        let session = hsm.bare().session();
        plant(&session, "stranger", &[7]);
        assert_eq!(token.keys().unwrap(), std::slice::from_ref(&good));
        assert_eq!(token.unusable_keys().unwrap(), []);
        let signer = token.signer().label("good").open().unwrap();
        assert_eq!(signer.jwk(), good.jwk());
        drop(signer);

        // Nor when it stands there alone.
        let own = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::Label(b"good".to_vec()),
        ];
        let own = session.find_objects(&own).unwrap()[0];
        session.destroy_object(own).unwrap();
        assert_eq!(token.keys().unwrap(), []);
        let unusable = token.unusable_keys().unwrap();
        let [key] = unusable.as_slice() else {
            panic!("{unusable:?}");
        };
        assert!(matches!(key.reason(), UnusableKey::SelfTest { .. }));
        let said = key.to_string();
        let reason = "the EC key `good` of id 07: it made no signature that a public key of its \
                      CKA_ID verifies";
        assert!(said.starts_with(reason), "{said}");
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn keys_that_share_an_id_are_told_apart() {
    isolated(|hsm| {
        let token = hsm.token();
        let ec = [Attribute::EcParams(P256.to_vec())];
        let rsa = rsa();
        for label in ["ec", "rsa", "ec2"] {
            let (mechanism, kind): (_, &[_]) = match label {
                "rsa" => (Mechanism::RsaPkcsKeyPairGen, &rsa),
                _ => (Mechanism::EccKeyPairGen, &ec),
            };
            generate(hsm, &mechanism, kind, label, &[1], &[]);
        }
        let mut keys = token.keys().unwrap();
        keys.sort_by(|one, other| one.label().cmp(other.label()));
        let labels: Vec<_> = keys.iter().map(chancery_pkcs11::TokenKey::label).collect();
        assert_eq!(labels, ["ec", "ec2", "rsa"]);
        assert_eq!(token.unusable_keys().unwrap(), []);
        for key in &keys {
            let signer = token.signer().label(key.label()).open().unwrap();
            assert_eq!(signer.jwk(), key.jwk());
            assert_eq!(public_label(hsm, key.jwk().public_key()), key.label());
        }
        while let Some(key) = keys.pop() {
            token.destroy(key.kid()).unwrap();
            let mut left = token.keys().unwrap();
            left.sort_by(|one, other| one.label().cmp(other.label()));
            assert_eq!(left, keys);
        }
        let left = hsm.bare().session().find_objects(&[]).unwrap();
        assert_eq!(left.len(), 0, "public halves");
    });
}

/// Whichever public key the token finds first.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn the_algorithm_is_that_of_the_private_key() {
    isolated(|hsm| {
        let token = hsm.token();
        let ec = [Attribute::EcParams(P256.to_vec())];
        let rsa = rsa();
        for id in 0..8 {
            let mechanism = Mechanism::RsaPkcsKeyPairGen;
            generate(hsm, &mechanism, &rsa, &format!("rsa{id}"), &[id], &[]);
            let mechanism = Mechanism::EccKeyPairGen;
            generate(hsm, &mechanism, &ec, &format!("ec{id}"), &[id], &[]);
        }
        for id in 0..8 {
            for (kind, algorithm) in [("ec", "ES256"), ("rsa", "RS256")] {
                let signer = token.signer().label(format!("{kind}{id}"));
                let signer = signer.open().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(signer.jwk().algorithm().name(), algorithm);
            }
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn of_two_copies_of_a_key_none_is_destroyed() {
    isolated(|hsm| {
        let token = hsm.token();
        let key = token.generate(KeyPair::P256, "key", Some(&[1])).unwrap();
        let session = hsm.bare().session();
        let private = session
            .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
            .unwrap()[0];
        let copy = [Attribute::Label(b"copy".to_vec())];
        let copy = session.copy_object(private, &copy).unwrap();
        assert_eq!(token.keys().unwrap().len(), 2);
        let destroyed = token.destroy(key.kid());
        assert!(matches!(destroyed, Err(Pkcs11Error::Copies { .. })));
        let said = said(destroyed);
        assert!(said.contains("the EC key `copy` of id 01"), "{said}");
        session.destroy_object(copy).unwrap();
        assert_eq!(token.keys().unwrap(), std::slice::from_ref(&key));
        token.destroy(key.kid()).unwrap();
        assert_eq!(token.keys().unwrap(), []);
    });
}

fn rsa() -> [Attribute; 2] {
    [
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ]
}

/// Stores a public key whose private half is elsewhere.
fn plant(session: &Session, label: &str, id: &[u8]) {
    let params = Attribute::EcParams(P256.to_vec());
    let fleeting = [Attribute::Token(false), params.clone()];
    let (public, _) = session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &fleeting, &fleeting[..1])
        .unwrap();
    let mut template = session
        .get_attributes(public, &[AttributeType::EcPoint])
        .unwrap();
    template.extend([
        params,
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ]);
    session.create_object(&template).unwrap();
}

/// The label of the object that holds the public key.
fn public_label(hsm: &SoftHsm, key: &chancery_core::PublicKey) -> String {
    let bytes = match key {
        chancery_core::PublicKey::Rsa { modulus, .. } => Attribute::Modulus(modulus.clone()),
        chancery_core::PublicKey::Ec { point, .. } => {
            Attribute::EcPoint([&[4, 65], point.as_slice()].concat())
        }
        _ => panic!("{key:?}"),
    };
    let session = hsm.bare().session();
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), bytes];
    let found = session.find_objects(&template).unwrap();
    let label = session
        .get_attributes(found[0], &[AttributeType::Label])
        .unwrap();
    match label.as_slice() {
        [Attribute::Label(label)] => String::from_utf8(label.clone()).unwrap(),
        _ => panic!("{label:?}"),
    }
}
