//! Signatures in JOSE form, and the strict way there from DER.

use chancery_core::{Algorithm, Signature, SignatureError};

const ECDSA: [(Algorithm, usize); 3] = [
    (Algorithm::Es256, 32),
    (Algorithm::Es384, 48),
    (Algorithm::Es512, 66),
];

/// An INTEGER with its shortest length, whatever the content.
pub(crate) fn integer(content: &[u8]) -> Vec<u8> {
    tlv(2, content)
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut tlv = vec![tag];
    if length < 0x80 {
        tlv.push(u8::try_from(length).unwrap());
    } else if length < 0x100 {
        tlv.extend([0x81, u8::try_from(length).unwrap()]);
    } else {
        tlv.push(0x82);
        tlv.extend(u16::try_from(length).unwrap().to_be_bytes());
    }
    tlv.extend_from_slice(content);
    tlv
}

/// The DER of a positive number given with or without leading zeros.
pub(crate) fn positive(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let mut content = number[zeros..].to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    integer(&content)
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// The DER of a signature in JOSE form.
pub(crate) fn to_der(jose: &[u8]) -> Vec<u8> {
    let (r, s) = jose.split_at(jose.len() / 2);
    sequence(&[positive(r), positive(s)])
}

#[track_caller]
fn refuses_der(algorithm: Algorithm, der: &[u8]) {
    match Signature::from_der(algorithm, der) {
        Err(SignatureError::Der(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn lengths_are_checked_for_each_algorithm() {
    for algorithm in Algorithm::all() {
        let accepted: Vec<usize> = (0..=600)
            .filter(|&length| Signature::new(algorithm, &vec![1; length]).is_ok())
            .collect();
        let expected: Vec<usize> = match algorithm.name() {
            "ES256" | "EdDSA" | "Ed25519" => vec![64],
            "ES384" => vec![96],
            "ES512" => vec![132],
            _ => (256..=512).collect(),
        };
        assert_eq!(accepted, expected, "{algorithm}");
        assert_eq!(
            Signature::new(algorithm, &[1; 7]).unwrap_err(),
            SignatureError::Length {
                algorithm,
                found: 7
            }
        );
    }
}

#[test]
fn the_bytes_come_back_as_they_went_in() {
    let bytes: Vec<u8> = (0..=255).cycle().take(384).collect();
    let signature = Signature::new(Algorithm::Ps256, &bytes).unwrap();
    assert_eq!(signature.as_bytes(), bytes);
    assert_eq!(signature.algorithm(), Algorithm::Ps256);
}

#[test]
fn der_is_for_ecdsa_alone() {
    let der = to_der(&[1; 64]);
    for algorithm in Algorithm::all() {
        let converted = Signature::from_der(algorithm, &der);
        if algorithm.name().starts_with("ES") {
            assert!(converted.is_ok(), "{algorithm}");
        } else {
            assert_eq!(
                converted.unwrap_err(),
                SignatureError::NotEcdsa { algorithm }
            );
        }
    }
}

#[test]
fn short_numbers_are_padded_on_the_left() {
    for (algorithm, length) in ECDSA {
        let der = sequence(&[integer(&[1]), integer(&[0x7f, 0xff])]);
        let signature = Signature::from_der(algorithm, &der).unwrap();
        let mut expected = vec![0; 2 * length];
        expected[length - 1] = 1;
        expected[2 * length - 2] = 0x7f;
        expected[2 * length - 1] = 0xff;
        assert_eq!(signature.as_bytes(), expected, "{algorithm}");
        assert_eq!(signature.algorithm(), algorithm);
    }
}

#[test]
fn the_longest_numbers_fit_and_one_byte_more_does_not() {
    for (algorithm, length) in ECDSA {
        for first in [0x7f, 0x80, 0xff] {
            let mut number = vec![0xab; length];
            number[0] = first;
            let jose = [number.clone(), number.clone()].concat();
            let signature = Signature::from_der(algorithm, &to_der(&jose)).unwrap();
            assert_eq!(signature.as_bytes(), jose);
            number.insert(0, 1);
            for der in [
                sequence(&[positive(&number), positive(&[1])]),
                sequence(&[positive(&[1]), positive(&number)]),
            ] {
                assert!(matches!(
                    Signature::from_der(algorithm, &der),
                    Err(SignatureError::Range { .. })
                ));
            }
        }
    }
}

/// With P-521 a sequence is longer than 127 bytes, and its length takes two.
#[test]
fn p_521_numbers_of_521_bits_fit() {
    let mut jose = vec![0xcd; 132];
    jose[0] = 1;
    jose[66] = 0;
    let der = to_der(&jose);
    assert_eq!(der[..2], [0x30, 0x81]);
    let signature = Signature::from_der(Algorithm::Es512, &der).unwrap();
    assert_eq!(signature.as_bytes(), jose);
}

#[test]
fn zero_is_refused() {
    for (algorithm, _) in ECDSA {
        for der in [
            sequence(&[integer(&[0]), integer(&[1])]),
            sequence(&[integer(&[1]), integer(&[0])]),
        ] {
            assert!(matches!(
                Signature::from_der(algorithm, &der),
                Err(SignatureError::Range { .. })
            ));
        }
    }
}

#[test]
fn negative_numbers_are_refused() {
    for (algorithm, length) in ECDSA {
        let mut number = vec![0x11; length];
        number[0] = 0x80;
        refuses_der(algorithm, &sequence(&[integer(&number), integer(&[1])]));
        refuses_der(algorithm, &sequence(&[integer(&[1]), integer(&[0xff])]));
    }
}

#[test]
fn numbers_that_are_not_minimal_are_refused() {
    for (algorithm, _) in ECDSA {
        for number in [&[0, 1][..], &[0, 0x7f], &[0, 0, 0x80], &[0, 0], &[]] {
            refuses_der(algorithm, &sequence(&[integer(number), integer(&[1])]));
            refuses_der(algorithm, &sequence(&[integer(&[1]), integer(number)]));
        }
    }
}

#[test]
fn anything_around_the_two_numbers_is_refused() {
    let number = integer(&[1]);
    let good = sequence(&[number.clone(), number.clone()]);
    assert!(Signature::from_der(Algorithm::Es256, &good).is_ok());
    let mut trailing = good.clone();
    trailing.push(0);
    let mut long_form = vec![0x30, 0x81, 6];
    long_form.extend_from_slice(&good[2..]);
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend_from_slice(&good[2..]);
    indefinite.extend([0, 0]);
    for der in [
        trailing,
        long_form,
        indefinite,
        Vec::new(),
        sequence(&[]),
        sequence(std::slice::from_ref(&number)),
        sequence(&[number.clone(), number.clone(), number.clone()]),
        sequence(&[number.clone(), number.clone(), vec![5, 0]]),
        tlv(0x31, &good[2..]),
        sequence(&[tlv(4, &[1]), number.clone()]),
        sequence(&[number.clone(), tlv(0x82, &[1])]),
        good.repeat(2),
        // JOSE form is no DER.
        vec![1; 64],
    ] {
        refuses_der(Algorithm::Es256, &der);
    }
    for length in 0..good.len() {
        refuses_der(Algorithm::Es256, &good[..length]);
    }
}

#[test]
fn the_error_says_what_is_wrong() {
    let message = |error: SignatureError| error.to_string();
    let length = Signature::new(Algorithm::Es256, &[0; 70]).unwrap_err();
    assert!(message(length).contains("70"));
    let der = Signature::from_der(Algorithm::Es256, &[1; 64]).unwrap_err();
    assert!(message(der).contains("DER"));
    let engine = Signature::from_der(Algorithm::EdDsa, &[1; 64]).unwrap_err();
    assert!(message(engine).contains("Signature::new"));
}
