//! Without an engine keys load and are stored, and nothing is signed or verified.

use chancery_core::JwkSet;
use chancery_software::{Verifier, VerifyError, verify_jws};

use super::*;

#[test]
fn nothing_verifies_without_an_engine() {
    let public = String::from_utf8(data("rfc7515-a4.public.jwk.json")).unwrap();
    let keys = JwkSet::from_json(format!(r#"{{"keys":[{public}]}}"#).as_bytes()).unwrap();
    let jws = String::from_utf8(data("rfc7515-a4.jws")).unwrap();
    let expected = VerifyError::UnsupportedAlgorithm {
        algorithm: Algorithm::Es512,
    };
    assert_eq!(verify_jws(jws.trim(), &keys).unwrap_err(), expected);
    let verifier = Verifier::new("https://id.example.com", "me", keys);
    assert_eq!(verifier.verify(jws.trim()).unwrap_err(), expected);
}
