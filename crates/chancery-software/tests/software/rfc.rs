//! The examples of the RFCs: byte-exact where the algorithm is deterministic.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::{Jwk, Signature};

use super::*;

#[test]
fn rfc_7515_a_2_comes_out_byte_exact() {
    assert_signs_exactly("rfc7515-a2.jwk.json", Algorithm::Rs256, "rfc7515-a2.jws");
}

#[test]
fn rfc_8037_a_4_comes_out_byte_exact() {
    assert_signs_exactly("rfc8037-a.jwk.json", Algorithm::EdDsa, "rfc8037-a4.jws");
}

#[test]
fn rfc_7515_a_3_verifies_and_its_key_signs() {
    let key = PrivateKey::from_jwk_json(&data("rfc7515-a3.jwk.json")).unwrap();
    assert_signs(&key, "RFC 7515 A.3");
    let (input, bytes) = split("rfc7515-a3.jws");
    let signature = Signature::new(Algorithm::Es256, &bytes).unwrap();
    for &engine in Engine::ALL {
        let signer = SoftwareSigner::new(&key, Algorithm::Es256, engine).unwrap();
        VerifyingKey::new(signer.jwk())
            .unwrap()
            .verify(input.as_bytes(), &signature)
            .unwrap();
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn rfc_7515_a_4_verifies() {
    let jwk = Jwk::from_json(&data("rfc7515-a4.public.jwk.json")).unwrap();
    let (input, bytes) = split("rfc7515-a4.jws");
    let signature = Signature::new(Algorithm::Es512, &bytes).unwrap();
    VerifyingKey::new(&jwk)
        .unwrap()
        .verify(input.as_bytes(), &signature)
        .unwrap();
}

#[cfg(not(feature = "aws-lc-rs"))]
#[test]
fn es512_without_aws_lc_rs_says_so() {
    let jwk = Jwk::from_json(&data("rfc7515-a4.public.jwk.json")).unwrap();
    let error = VerifyingKey::new(&jwk).unwrap_err();
    assert!(error.to_string().contains("feature `aws-lc-rs`"));
}

fn assert_signs_exactly(jwk: &str, algorithm: Algorithm, jws: &str) {
    let key = PrivateKey::from_jwk_json(&data(jwk)).unwrap();
    let (input, expected) = split(jws);
    for &engine in Engine::ALL {
        let signer = SoftwareSigner::new(&key, algorithm, engine).unwrap();
        let signature = signer
            .sign(&SigningInput::new(algorithm, input.as_bytes()))
            .unwrap();
        assert_eq!(signature.as_bytes(), expected, "{engine}");
    }
}

/// The signing input and the signature of a compact JWS.
fn split(name: &str) -> (String, Vec<u8>) {
    let jws = String::from_utf8(data(name)).unwrap();
    let (input, signature) = jws.trim().rsplit_once('.').unwrap();
    (
        input.to_owned(),
        Base64UrlUnpadded::decode_vec(signature).unwrap(),
    )
}
