//! PKCS#8 structures that no tool writes, put together by hand.

use chancery_core::Curve;

use super::*;
use crate::loading::der;

const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];
const RSA_ENCRYPTION: &[u8] = &[
    0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const NULL: &[u8] = &[0x05, 0];

#[test]
fn an_ec_key_names_one_curve() {
    let (scalar, point) = p256();
    assert!(load_ec(1, &scalar, Some(P256), Some(&point), None).is_ok());
    let error = load_ec(1, &scalar, Some(P384), Some(&point), None).unwrap_err();
    assert!(
        matches!(error, KeyError::UnsupportedKey { kind } if kind == "EC with two different curves")
    );
}

#[test]
fn an_ec_key_of_another_version_is_refused() {
    let (scalar, point) = p256();
    let error = load_ec(2, &scalar, None, Some(&point), None).unwrap_err();
    assert!(matches!(error, KeyError::Der { .. }));
}

#[test]
fn the_public_half_of_an_ec_key_may_stand_in_either_place_and_is_one() {
    let (scalar, point) = p256();
    let inside = load_ec(1, &scalar, None, Some(&point), None).unwrap();
    for key in [
        load_ec(1, &scalar, None, None, Some(&point)).unwrap(),
        load_ec(1, &scalar, None, Some(&point), Some(&point)).unwrap(),
    ] {
        assert_eq!(key.to_pkcs8_der().unwrap(), inside.to_pkcs8_der().unwrap());
    }
    let mut other = point.clone();
    other[64] ^= 1;
    let error = load_ec(1, &scalar, None, Some(&point), Some(&other)).unwrap_err();
    assert!(matches!(error, KeyError::PublicKeyMismatch));
}

#[test]
fn a_scalar_may_lack_leading_zeros_but_not_be_too_long() {
    let (scalar, point) = p256();
    let key = load_ec(1, &scalar[1..], None, Some(&point), None).unwrap();
    let padded = [&[0x04, 32, 0], &scalar[1..]].concat();
    let der = key.to_pkcs8_der().unwrap();
    assert!(der.windows(34).any(|window| window == padded));

    let longer = [&[0], &scalar[..]].concat();
    let error = load_ec(1, &longer, None, Some(&point), None).unwrap_err();
    let expected = KeyType::Ec(Curve::P256);
    assert!(matches!(error, KeyError::PrivateLength { key_type } if key_type == expected));
}

#[test]
fn the_public_half_beside_an_rsa_key_is_compared() {
    let pkcs1 = der("rsa2048-pkcs1.pem");
    let algorithm = [RSA_ENCRYPTION, NULL].concat();
    // n and e follow the version.
    let mut numbers = pkcs1[7..7 + 261 + 5].to_vec();
    let load = |numbers: &[u8]| {
        let public = tlv(0x30, numbers);
        PrivateKey::from_pkcs8_der(&pkcs8(&algorithm, &pkcs1, Some(&public)))
    };
    assert!(load(&numbers).is_ok());
    numbers[200] ^= 1;
    assert!(matches!(load(&numbers), Err(KeyError::PublicKeyMismatch)));
    assert!(matches!(load(&[1]), Err(KeyError::PublicKeyMismatch)));
}

#[test]
fn rsa_of_another_version_or_with_parameters_is_refused() {
    let mut pkcs1 = der("rsa2048-pkcs1.pem");
    for parameters in [&[][..], P256] {
        let algorithm = [RSA_ENCRYPTION, parameters].concat();
        assert!(matches!(
            PrivateKey::from_pkcs8_der(&pkcs8(&algorithm, &pkcs1, None)),
            Err(KeyError::UnsupportedKey { .. })
        ));
    }
    assert_eq!(pkcs1[4..7], [0x02, 1, 0]);
    pkcs1[6] = 1;
    let algorithm = [RSA_ENCRYPTION, NULL].concat();
    assert!(matches!(
        PrivateKey::from_pkcs8_der(&pkcs8(&algorithm, &pkcs1, None)),
        Err(KeyError::Der { .. })
    ));
}

#[test]
fn an_ed25519_seed_has_32_bytes() {
    for len in [0, 31, 32, 33, 64] {
        let seed = tlv(0x04, &vec![7; len]);
        let loaded = PrivateKey::from_pkcs8_der(&pkcs8(ED25519, &seed, None));
        match loaded {
            Ok(_) => assert_eq!(len, 32),
            Err(error) => {
                assert!(matches!(error, KeyError::PrivateLength { .. }));
                assert_ne!(len, 32);
            }
        }
    }
}

#[test]
fn an_ed25519_key_has_no_parameters() {
    let algorithm = [ED25519, NULL].concat();
    let seed = tlv(0x04, &[7; 32]);
    assert!(matches!(
        PrivateKey::from_pkcs8_der(&pkcs8(&algorithm, &seed, None)),
        Err(KeyError::UnsupportedKey { .. })
    ));
}

fn p256() -> (Vec<u8>, Vec<u8>) {
    let der = der("p256.pem");
    (der[36..68].to_vec(), der[der.len() - 65..].to_vec())
}

fn load_ec(
    version: u8,
    scalar: &[u8],
    curve: Option<&[u8]>,
    inside: Option<&[u8]>,
    beside: Option<&[u8]>,
) -> Result<PrivateKey, KeyError> {
    let mut key = [tlv(0x02, &[version]), tlv(0x04, scalar)].concat();
    if let Some(curve) = curve {
        key.extend(tlv(0xa0, curve));
    }
    if let Some(point) = inside {
        key.extend(tlv(0xa1, &tlv(0x03, &[&[0], point].concat())));
    }
    let algorithm = [EC_PUBLIC_KEY, P256].concat();
    PrivateKey::from_pkcs8_der(&pkcs8(&algorithm, &tlv(0x30, &key), beside))
}

/// Version 1, or 2 with a public key (RFC 5958 §2).
fn pkcs8(algorithm: &[u8], private: &[u8], public: Option<&[u8]>) -> Vec<u8> {
    let mut info = tlv(0x02, &[u8::from(public.is_some())]);
    info.extend(tlv(0x30, algorithm));
    info.extend(tlv(0x04, private));
    if let Some(public) = public {
        info.extend(tlv(0x81, &[&[0], public].concat()));
    }
    tlv(0x30, &info)
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    let [high, low] = len.to_be_bytes();
    let header = match len {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header, value].concat()
}
