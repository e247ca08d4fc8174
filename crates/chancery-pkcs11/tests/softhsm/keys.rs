//! Generating, listing and destroying.

use chancery_core::Signer as _;
use chancery_pkcs11::{KeyPair, Pkcs11Error};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use crate::support::{isolated, said};

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn what_is_generated_is_listed_and_never_extractable() {
    isolated(|hsm| {
        let token = hsm.token();
        let made = [
            token.generate(KeyPair::P256, "p256", None).unwrap(),
            token.generate(KeyPair::P384, "p384", Some(&[7])).unwrap(),
            token.generate(KeyPair::Ed25519, "ed25519", None).unwrap(),
            token
                .generate(KeyPair::Rsa { bits: 2048 }, "rsa", None)
                .unwrap(),
        ];
        assert_eq!(made[0].id().len(), 16);
        assert_ne!(made[0].id(), made[2].id());
        assert_eq!(made[1].id(), [7]);
        let listed = token.keys().unwrap();
        assert_eq!(listed.len(), made.len());
        for key in &made {
            assert!(listed.contains(key));
            assert_eq!(key.kid(), key.jwk().thumbprint());
        }
        assert_eq!(token.unusable_keys().unwrap(), []);

        // As somebody else reads it.
        let session = hsm.bare().session();
        let private = session
            .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
            .unwrap();
        assert_eq!(private.len(), made.len());
        for key in private {
            let types = [
                AttributeType::Extractable,
                AttributeType::NeverExtractable,
                AttributeType::Sensitive,
                AttributeType::AlwaysSensitive,
                AttributeType::Private,
                AttributeType::Token,
            ];
            assert_eq!(
                session.get_attributes(key, &types).unwrap(),
                [
                    Attribute::Extractable(false),
                    Attribute::NeverExtractable(true),
                    Attribute::Sensitive(true),
                    Attribute::AlwaysSensitive(true),
                    Attribute::Private(true),
                    Attribute::Token(true),
                ]
            );
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_label_or_an_id_is_given_once() {
    isolated(|hsm| {
        let token = hsm.token();
        token.generate(KeyPair::P256, "key", Some(&[1])).unwrap();
        for (label, id) in [("key", [2]), ("other", [1])] {
            let again = token.generate(KeyPair::P256, label, Some(&id));
            assert!(matches!(again, Err(Pkcs11Error::Taken { .. })));
            assert!(said(again).contains("the EC key `key` of id 01"));
        }
        assert_eq!(token.keys().unwrap().len(), 1);
        for bits in [512, 1024, 2047, 8192] {
            let weak = token.generate(KeyPair::Rsa { bits }, "weak", None);
            assert!(matches!(weak, Err(Pkcs11Error::RsaLength { .. })));
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn destroying_takes_one_key_and_no_other() {
    isolated(|hsm| {
        let token = hsm.token();
        let doomed = token.generate(KeyPair::P256, "doomed", Some(&[1])).unwrap();
        let kept = token.generate(KeyPair::P256, "kept", Some(&[2])).unwrap();
        let rsa = token
            .generate(KeyPair::Rsa { bits: 2048 }, "rsa", None)
            .unwrap();
        for kid in ["", "unknown", "doomed"] {
            let destroyed = token.destroy(kid);
            assert!(matches!(destroyed, Err(Pkcs11Error::NoKey { .. })));
            assert!(said(destroyed).contains("the EC key `kept` of id 02"));
        }
        token.destroy(doomed.kid()).unwrap();
        assert_eq!(token.keys().unwrap().len(), 2);
        let session = hsm.bare().session();
        let left = |label: &str| {
            let label = Attribute::Label(label.as_bytes().to_vec());
            session.find_objects(&[label]).unwrap().len()
        };
        assert_eq!((left("doomed"), left("kept"), left("rsa")), (0, 2, 2));
        let signer = token.signer().label("kept").open().unwrap();
        assert_eq!(signer.jwk().kid(), kept.kid());
        token.destroy(rsa.kid()).unwrap();
        assert!(matches!(
            token.destroy(rsa.kid()),
            Err(Pkcs11Error::NoKey { .. })
        ));
        assert_eq!((left("doomed"), left("kept"), left("rsa")), (0, 2, 0));
    });
}

/// The public half of one key stands beside the private half of another.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn destroying_spares_a_private_key_that_only_seems_to_be_it() {
    isolated(|hsm| {
        let token = hsm.token();
        let one = token.generate(KeyPair::P256, "one", Some(&[1])).unwrap();
        let two = token.generate(KeyPair::P256, "two", Some(&[2])).unwrap();
        let session = hsm.bare().session();
        let find = |label: &str, class: ObjectClass| {
            let label = Attribute::Label(label.as_bytes().to_vec());
            session
                .find_objects(&[label, Attribute::Class(class)])
                .unwrap()
        };
        // The private half of the second is lost, and its public half claims the id of the first.
        let private = find("two", ObjectClass::PRIVATE_KEY)[0];
        session.destroy_object(private).unwrap();
        let public = find("two", ObjectClass::PUBLIC_KEY)[0];
        session
            .update_attributes(public, &[Attribute::Id(vec![1])])
            .unwrap();
        let destroyed = token.destroy(two.kid());
        assert!(
            matches!(destroyed, Err(Pkcs11Error::SelfTest { .. })),
            "{destroyed:?}"
        );
        assert_eq!(find("one", ObjectClass::PRIVATE_KEY).len(), 1);
        // The true pair goes, and the stranger stays.
        token.destroy(one.kid()).unwrap();
        assert_eq!(find("one", ObjectClass::PRIVATE_KEY).len(), 0);
        assert_eq!(find("one", ObjectClass::PUBLIC_KEY).len(), 0);
        assert_eq!(find("two", ObjectClass::PUBLIC_KEY).len(), 1);
    });
}
