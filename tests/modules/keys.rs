//! Keys: made, listed, signed with, destroyed.

use chancery::{Algorithm, Signer as _, SigningInput};
use chancery_hsm::HsmOptions;
use chancery_pkcs11::{Pkcs11Error, Pkcs11Uri};

use crate::module::{Module, key_pair};

pub(crate) fn conforms(module: &Module, algorithm: Algorithm) {
    let key = module.key(algorithm);
    let signer = module.signer(algorithm);
    assert_eq!(signer.jwk().algorithm(), algorithm);
    assert_eq!(signer.jwk().public_key(), key.jwk().public_key());
    chancery_conformance::check(&signer).unwrap_or_else(|error| panic!("{error}"));
    let health = signer.health();
    assert_eq!(health.withheld, 0, "{health:?}");
    assert_eq!(health.last_error, None, "{health:?}");
}

/// With the reason, and without a trace on the token.
pub(crate) fn is_refused(module: &Module, algorithm: Algorithm) {
    let token = module.token();
    let before = module.keys();
    let (error, is_expected) = if module.expected.keys_of_no_use.contains(&algorithm) {
        let error = module.open(algorithm, HsmOptions::new()).unwrap_err();
        let is_expected = match algorithm {
            Algorithm::Es512 => matches!(error, Pkcs11Error::UnusableKey { .. }),
            _ => matches!(error, Pkcs11Error::SelfTest { .. }),
        };
        (error, is_expected)
    } else {
        let generated = token.generate(key_pair(algorithm), algorithm.name(), None);
        let error = generated.unwrap_err();
        let is_expected = matches!(error, Pkcs11Error::Module(_));
        (error, is_expected)
    };
    println!("{error}");
    assert!(is_expected, "{error:?}");
    assert_eq!(module.keys(), before);
}

pub(crate) fn are_listed(module: &Module) {
    let keys = module.keys();
    for algorithm in module.expected.algorithms() {
        let made = module.key(algorithm);
        let signer = module.signer(algorithm);
        let listed: Vec<_> = keys.iter().filter(|key| key.kid() == made.kid()).collect();
        let [key] = listed.as_slice() else {
            panic!("{algorithm} in {keys:?}");
        };
        assert_eq!(key.kid(), signer.jwk().kid());
        assert_eq!(key.label(), algorithm.name());
        assert_eq!(key.algorithm().key_type(), algorithm.key_type());
        assert!(!key.is_extractable(), "{key:?}");
        assert!(!key.was_extractable(), "{key:?}");
    }
    for key in &module.token().unusable_keys().unwrap() {
        println!("not listed: {key}");
    }
}

/// A key that was only just made goes, and all others stay.
pub(crate) fn one_is_destroyed(module: &Module) {
    let token = module.token();
    let before = module.keys();
    let algorithm = module.expected.algorithms().next().unwrap();
    let pair = key_pair(algorithm);
    let key = token
        .generate(pair, "to be destroyed", Some(b"doomed"))
        .unwrap();
    assert_eq!((key.label(), key.id()), ("to be destroyed", &b"doomed"[..]));
    assert_eq!(module.keys().len(), before.len() + 1);
    token.destroy(key.kid()).unwrap();
    assert_eq!(module.keys(), before);
    let again = token.destroy(key.kid()).unwrap_err();
    assert!(matches!(again, Pkcs11Error::NoKey { .. }), "{again}");
    // Its public half is gone too, or the label would be taken.
    let other = token
        .generate(pair, "to be destroyed", Some(b"doomed"))
        .unwrap();
    token.destroy(other.kid()).unwrap();
    assert_eq!(module.keys(), before);
}

/// The one line of configuration that names module, token, PIN and key.
pub(crate) fn open_by_uri(module: &Module) {
    let algorithm = module.expected.algorithms().next().unwrap();
    let key = module.key(algorithm);
    let uri: Pkcs11Uri = module.uri(&key).parse().unwrap();
    let signer = chancery_pkcs11::open(&uri, HsmOptions::new()).unwrap();
    assert_eq!(signer.jwk(), key.jwk());
    let input = SigningInput::new(algorithm, b"header.payload");
    signer.sign(&input).unwrap();
}
