//! ECDSA signatures from devices and services, in DER.

use chancery_core::{Algorithm, Signature, SignatureError};

/// The first byte picks the curve, the rest is DER. What is taken has that one spelling in DER;
/// read as r‖s instead, the bytes survive the way to DER and back.
pub fn der_signature(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let (algorithm, length) = match choice % 3 {
        0 => (Algorithm::Es256, 64),
        1 => (Algorithm::Es384, 96),
        _ => (Algorithm::Es512, 132),
    };
    match Signature::from_der(algorithm, data) {
        Ok(signature) => {
            assert_eq!(signature.algorithm(), algorithm);
            assert_eq!(signature.as_bytes().len(), length);
            assert_eq!(to_der(signature.as_bytes()), data);
        }
        Err(SignatureError::Der(_) | SignatureError::Range { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    if let Some(jose) = data.get(..length) {
        let (r, s) = jose.split_at(length / 2);
        let is_zero = |number: &[u8]| number.iter().all(|&byte| byte == 0);
        match Signature::from_der(algorithm, &to_der(jose)) {
            Ok(signature) => assert_eq!(signature.as_bytes(), jose),
            Err(error) => assert!(is_zero(r) || is_zero(s), "{error}"),
        }
    }
}

fn to_der(jose: &[u8]) -> Vec<u8> {
    let (r, s) = jose.split_at(jose.len() / 2);
    tlv(0x30, &[integer(r), integer(s)].concat())
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let mut content = number[zeros..].to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    tlv(0x02, &content)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    // Two numbers of 67 bytes and their heads are less than 256 bytes.
    let length = u8::try_from(content.len()).expect("a short content");
    let mut tlv = vec![tag];
    if length >= 0x80 {
        tlv.push(0x81);
    }
    tlv.push(length);
    tlv.extend_from_slice(content);
    tlv
}
