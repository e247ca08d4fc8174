//! What is opened, and what is refused with which words.

use chancery_core::Signer as _;
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_pkcs11::{
    KeyPair, Pin, Pkcs11Error, Pkcs11Uri, SignerBuilder, Token, UnusableKey, Warning,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;

use crate::support::{LABEL, PIN, SoftHsm, isolated, said};

pub(crate) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn by_uri() {
    isolated(|hsm| {
        let token = hsm.token();
        let key = token
            .generate(KeyPair::P256, "to kens", Some(&[1, 0xff]))
            .unwrap();
        let pin = hsm.folder().join("pin");
        std::fs::write(&pin, format!("{PIN}\n")).unwrap();
        let module = hsm.module.display();
        let pin = pin.display();
        let serial = {
            let bare = hsm.bare();
            let info = bare.pkcs11.get_token_info(bare.slot(LABEL)).unwrap();
            info.serial_number().to_owned()
        };
        for uri in [
            format!("pkcs11:token={LABEL};object=to%20kens?module-path={module}&pin-value={PIN}"),
            format!("pkcs11:serial={serial};id=%01%ff?module-path={module}&pin-source={pin}"),
            format!(
                "pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=to%20kens;\
                 type=private;library-version=2.6?module-path={module}&pin-source=file:{pin}"
            ),
        ] {
            let signer = chancery_pkcs11::open(&uri.parse().unwrap(), HsmOptions::new()).unwrap();
            assert_eq!(signer.jwk(), key.jwk(), "{uri}");
        }
        for (uri, error) in [
            (
                format!("pkcs11:token=other?module-path={module}&pin-value={PIN}"),
                "no token matches: wanted a token of label `other`; the module has: slot",
            ),
            (
                format!("pkcs11:library-version=9?module-path={module}&pin-value={PIN}"),
                "no token matches: wanted a token of library version `9.0`; the module has: the \
                 library is `Implementation of PKCS11` 2.6",
            ),
            (
                format!("pkcs11:token={LABEL}?module-name=softhsm2&pin-value={PIN}"),
                "the PKCS#11 URI cannot be opened: it has no `module-path`",
            ),
            (
                format!("pkcs11:token={LABEL};type=cert?module-path={module}&pin-value={PIN}"),
                "the PKCS#11 URI cannot be opened: its `type` is not `private`",
            ),
            (
                format!("pkcs11:token={LABEL};id=%02?module-path={module}&pin-value={PIN}"),
                "no private key matches on the token `chancery` (serial `",
            ),
        ] {
            let opened = chancery_pkcs11::open(&uri.parse().unwrap(), HsmOptions::new());
            let said = said(opened);
            assert!(said.starts_with(error), "{said}");
        }
    });
}

/// A URI adds to what a builder knows, and never takes from it.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn by_uri_and_more() {
    isolated(|hsm| {
        let token = hsm.token();
        let key = token.generate(KeyPair::P256, "key", Some(&[1])).unwrap();
        token.generate(KeyPair::P256, "other", Some(&[2])).unwrap();
        // Without a login none of the keys is to be seen.
        hsm.bare().session().logout().unwrap();
        let uri = |text: &str| text.parse::<Pkcs11Uri>().unwrap();
        let module = hsm.module.display();
        let of_token = uri(&format!("pkcs11:token={LABEL}?module-path={module}"));
        let builder = || Token::builder(&hsm.module);
        let pin = Pin::callback(|| Ok(PIN.to_owned()));
        let opened = builder().uri(&of_token).unwrap().pin(pin).open().unwrap();
        let signer = |label: &str, named: &str| {
            let signer = opened.signer().label(label).uri(&uri(named));
            signer.and_then(SignerBuilder::open)
        };
        let jwk = |signer: Result<HsmSigner, _>| signer.unwrap().jwk().clone();
        assert_eq!(jwk(signer("key", "pkcs11:")), *key.jwk());
        assert_eq!(jwk(signer("key", "pkcs11:id=%01")), *key.jwk());
        let named = "pkcs11:object=key;id=%01";
        assert_eq!(jwk(signer("key", named)), *key.jwk());
        let none = signer("key", "pkcs11:id=%02");
        assert!(matches!(none, Err(Pkcs11Error::NoKey { .. })), "{none:?}");
        let refused = |result: Result<(), Pkcs11Error>| {
            assert!(matches!(result, Err(Pkcs11Error::Uri { .. })), "{result:?}");
        };
        refused(signer("key", "pkcs11:object=other").map(drop));
        let of_id = opened.signer().id(&[1]).uri(&uri("pkcs11:id=%02"));
        refused(of_id.map(drop));
        refused(builder().label("other").uri(&of_token).map(drop));
        refused(builder().slot(1).uri(&uri("pkcs11:slot-id=2")).map(drop));
        refused(Token::builder("/other.so").uri(&of_token).map(drop));
        let with_pin = uri("pkcs11:?pin-value=1234");
        let two = builder().pin(Pin::new(PIN)).uri(&with_pin);
        refused(two.map(drop));
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn by_slot_and_serial() {
    isolated(|hsm| {
        let token = hsm.token();
        let key = token.generate(KeyPair::P256, "key", None).unwrap();
        let bare = hsm.bare();
        let slot = bare.slot(LABEL);
        let serial = bare
            .pkcs11
            .get_token_info(slot)
            .unwrap()
            .serial_number()
            .to_owned();
        let builder = || Token::builder(&hsm.module).pin(chancery_pkcs11::Pin::new(PIN));
        for builder in [
            builder().slot(slot.id()),
            builder().serial(&serial),
            builder().slot(slot.id()).serial(&serial).label(LABEL),
            builder(),
        ] {
            let signer = builder
                .open()
                .unwrap()
                .signer()
                .id(key.id())
                .open()
                .unwrap();
            assert_eq!(signer.jwk(), key.jwk());
        }
        let error = said(builder().slot(slot.id()).serial("0").open());
        assert!(error.starts_with("no token matches: wanted a token of serial `0`, slot `"));
        let error = said(builder().slot(99).open());
        assert!(
            error.contains(&format!("the module has: slot {slot}")),
            "{error}"
        );
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn modules_that_are_none() {
    isolated(|hsm| {
        let open = |path: &str| Token::builder(path).label(LABEL).open();
        assert!(matches!(
            open("/nowhere/module.so"),
            Err(Pkcs11Error::ModuleNotFound { .. })
        ));
        let file = hsm.folder().join("module.so");
        std::fs::write(&file, "no library").unwrap();
        let error = said(open(file.to_str().unwrap()));
        assert!(
            error.contains("cannot be loaded as a PKCS#11 module: "),
            "{error}"
        );
        // A library, but no module.
        let program = std::env::current_exe().unwrap();
        let opened = open(program.to_str().unwrap());
        assert!(matches!(opened, Err(Pkcs11Error::ModuleLoad { .. })));
        hsm.token();
        let opened = hsm.builder().reserved("configdir=''").open();
        assert!(matches!(opened, Err(Pkcs11Error::Reserved { .. })));
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn none_or_several_keys_are_listed() {
    isolated(|hsm| {
        let token = hsm.token();
        let error = said(token.signer().label("key").open());
        assert!(
            error.ends_with("wanted the key `key`; it has no private key"),
            "{error}"
        );
        let ec = [Attribute::EcParams(P256.to_vec())];
        generate(hsm, &Mechanism::EccKeyPairGen, &ec, "key", &[1], &[]);
        generate(hsm, &Mechanism::EccKeyPairGen, &ec, "key", &[2], &[]);
        let error = said(token.signer().label("other").open());
        assert!(error.contains("the EC key `key` of id 01"), "{error}");
        let opened = token.signer().label("key").open();
        assert!(matches!(opened, Err(Pkcs11Error::SeveralKeys { .. })));
        let error = said(opened);
        assert!(
            error.contains("of id 01") && error.contains("of id 02"),
            "{error}"
        );
        assert!(matches!(
            token.signer().open(),
            Err(Pkcs11Error::SeveralKeys { .. })
        ));
        token.signer().label("key").id(&[2]).open().unwrap();
        token.signer().id(&[1]).open().unwrap();
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn without_a_pin_the_error_says_so() {
    isolated(|hsm| {
        hsm.token().generate(KeyPair::P256, "key", None).unwrap();
        // The process is logged in through the other token, so that its keys are seen; log out.
        hsm.bare().session().logout().unwrap();
        let token = Token::builder(&hsm.module).label(LABEL).open().unwrap();
        let error = said(token.signer().label("key").open());
        assert!(error.contains("no PIN was given"), "{error}");
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn keys_that_cannot_sign_tokens() {
    isolated(|hsm| {
        let token = hsm.token();
        let ec = |curve: &[u8]| [Attribute::EcParams(curve.to_vec())];
        let generate_ec = |curve: &[u8], label: &str, more: &[Attribute]| {
            generate(
                hsm,
                &Mechanism::EccKeyPairGen,
                &ec(curve),
                label,
                label.as_bytes(),
                more,
            );
        };
        generate_ec(P521, "p521", &[]);
        generate_ec(SECP256K1, "secp256k1", &[]);
        generate_ec(
            P256,
            "unsigning",
            &[Attribute::Sign(false), Attribute::Derive(true)],
        );
        generate_ec(P256, "cautious", &[Attribute::AlwaysAuthenticate(true)]);
        generate_ec(P256, "halved", &[]);
        let rsa = [
            Attribute::ModulusBits(1024.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ];
        generate(
            hsm,
            &Mechanism::RsaPkcsKeyPairGen,
            &rsa,
            "rsa1024",
            &[7],
            &[],
        );
        let session = hsm.bare().session();
        let halved = [
            Attribute::Label(b"halved".to_vec()),
            Attribute::Verify(true),
        ];
        let public = session.find_objects(&halved).unwrap();
        session.destroy_object(public[0]).unwrap();

        for (label, reason) in [
            ("p521", "its curve is P-521 (1.3.132.0.35); use P-256"),
            (
                "secp256k1",
                "its curve is secp256k1 (1.3.132.0.10); use P-256",
            ),
            (
                "rsa1024",
                "the RSA key has 1024 bits; use one of 2048 to 4096 bits",
            ),
            ("unsigning", "it is not for signing (CKA_SIGN is false)"),
            ("cautious", "it asks for the PIN with each signature"),
            ("halved", "its public half is not on the token"),
        ] {
            let opened = token.signer().label(label).open();
            assert!(
                matches!(opened, Err(Pkcs11Error::UnusableKey { .. })),
                "{label}"
            );
            let said = said(opened);
            assert!(said.contains(&format!("key `{label}` of id ")), "{said}");
            assert!(said.contains(reason), "{said}");
        }
        assert_eq!(token.keys().unwrap(), []);
        let unusable = token.unusable_keys().unwrap();
        assert_eq!(unusable.len(), 6);
        assert!(
            unusable
                .iter()
                .any(|key| *key.reason() == UnusableKey::CannotSign)
        );
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn extractable_keys_are_warned_of_or_refused() {
    isolated(|hsm| {
        let token = hsm.token();
        let ec = [Attribute::EcParams(P256.to_vec())];
        for (label, more) in [
            (
                "extractable",
                [Attribute::Extractable(true), Attribute::Sensitive(true)],
            ),
            (
                "readable",
                [Attribute::Extractable(false), Attribute::Sensitive(false)],
            ),
        ] {
            generate(
                hsm,
                &Mechanism::EccKeyPairGen,
                &ec,
                label,
                label.as_bytes(),
                &more,
            );
            let warnings = token.signer().label(label).warnings().unwrap();
            assert!(
                matches!(*warnings, [Warning::Extractable { .. }]),
                "{warnings:?}"
            );
            token.signer().label(label).open().unwrap();
            let refused = token.signer().label(label).refuse_extractable().open();
            assert!(matches!(refused, Err(Pkcs11Error::Extractable { .. })));
            let keys = token.keys().unwrap();
            assert!(
                keys.iter()
                    .any(|key| key.label() == label && key.is_extractable())
            );
        }
        let module = hsm.module.display();
        let uri =
            format!("pkcs11:token={LABEL};object=extractable?module-path={module}&pin-value={PIN}");
        let uri = uri.parse().unwrap();
        chancery_pkcs11::open(&uri, HsmOptions::new()).unwrap();
        let signer = Token::from_uri(&uri).unwrap().signer().uri(&uri).unwrap();
        assert_eq!(signer.warnings().unwrap().len(), 1);
        let refused = signer.refuse_extractable().open();
        assert!(matches!(refused, Err(Pkcs11Error::Extractable { .. })));
        let key = token.generate(KeyPair::P256, "safe", None).unwrap();
        assert!(!key.is_extractable() && !key.was_extractable());
        assert_eq!(token.signer().label("safe").warnings().unwrap(), []);
        token
            .signer()
            .label("safe")
            .refuse_extractable()
            .open()
            .unwrap();
    });
}

/// The public key object of the id is another key's.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_mismatched_public_half_fails_the_self_test() {
    isolated(|hsm| {
        let token = hsm.token();
        token.generate(KeyPair::P256, "one", Some(&[1])).unwrap();
        token.generate(KeyPair::P256, "two", Some(&[2])).unwrap();
        let session = hsm.bare().session();
        let public = |label: &str| {
            let template = [
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Verify(true),
            ];
            session.find_objects(&template).unwrap()[0]
        };
        session.destroy_object(public("one")).unwrap();
        session
            .update_attributes(public("two"), &[Attribute::Id(vec![1])])
            .unwrap();
        let opened = token.signer().label("one").open();
        assert!(matches!(opened, Err(Pkcs11Error::SelfTest { .. })));
        let said = said(opened);
        let raw =
            "tried: CKM_ECDSA: what it signed does not verify (the module lists the mechanism)";
        let hashing = "CKM_ECDSA_SHA256: C_SignInit returned CKR_MECHANISM_INVALID (the module does \
                       not list the mechanism)";
        assert!(said.contains(raw) && said.contains(hashing), "{said}");
    });
}

/// Generates with a bare binding what the crate itself would not.
pub(crate) fn generate(
    hsm: &SoftHsm,
    mechanism: &Mechanism<'_>,
    kind: &[Attribute],
    label: &str,
    id: &[u8],
    more: &[Attribute],
) {
    let common = [
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let public = [&common, kind, &[Attribute::Verify(true)]].concat();
    let mut private = [&common[..], &[Attribute::Private(true)], more].concat();
    if !more
        .iter()
        .any(|attribute| matches!(attribute, Attribute::Sign(_)))
    {
        private.push(Attribute::Sign(true));
    }
    let session = hsm.bare().session();
    session
        .generate_key_pair(mechanism, &public, &private)
        .unwrap();
}
