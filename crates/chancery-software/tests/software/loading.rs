//! Every format of key, whole, cut off, damaged, weak and of the wrong kind.

use chancery_core::{Curve, PublicKeyError};

use super::*;

#[test]
fn every_plain_pem_loads_and_signs() {
    for name in [
        "p256.pem",
        "p256-sec1.pem",
        "p256-with-parameters.pem",
        "p384.pem",
        "p521.pem",
        "ed25519.pem",
        "rsa2048.pem",
        "rsa2048-pkcs1.pem",
        "rsa4096.pem",
    ] {
        let key = PrivateKey::from_pem(&data(name)).expect(name);
        assert_signs(&key, name);
    }
}

#[test]
fn every_encrypted_pem_loads_and_signs() {
    for name in [
        "ed25519-scrypt.pem",
        "p256-pbkdf2.pem",
        "rsa2048-pbkdf2-sha512.pem",
    ] {
        let key = PrivateKey::from_encrypted_pem(&data(name), PASSWORD).expect(name);
        assert_signs(&key, name);
        for wrong in [&b"hunter3"[..], b""] {
            assert!(matches!(
                PrivateKey::from_encrypted_pem(&data(name), wrong),
                Err(KeyError::WrongPassword)
            ));
        }
        assert!(matches!(load_error(name), KeyError::Encrypted));
    }
}

#[test]
fn the_same_key_in_two_formats_is_the_same_key() {
    let pkcs8 = |name: &str| {
        let key = PrivateKey::from_pem(&data(name)).unwrap();
        key.to_pkcs8_der().unwrap()
    };
    assert_eq!(pkcs8("p256.pem"), pkcs8("p256-sec1.pem"));
    assert_eq!(pkcs8("rsa2048.pem"), pkcs8("rsa2048-pkcs1.pem"));
    // OpenSSL writes the same bytes.
    for name in ["p256.pem", "p521.pem", "ed25519.pem", "rsa2048.pem"] {
        assert_eq!(*pkcs8(name), der(name), "{name}");
    }
}

#[test]
fn ed25519_of_version_2_loads_and_its_public_half_is_compared() {
    // RFC 8410 §10.3, with an attribute and the public key.
    let good = "-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";
    assert_signs(&PrivateKey::from_pem(good.as_bytes()).unwrap(), "RFC 8410");

    let mismatched = good.replace("Z9w7lshQ", "Z9w7lshR");
    let key = PrivateKey::from_pem(mismatched.as_bytes()).unwrap();
    for &engine in Engine::ALL {
        assert!(matches!(
            SoftwareSigner::new(&key, Algorithm::EdDsa, engine),
            Err(KeyError::PublicKeyMismatch)
        ));
    }
}

#[test]
fn an_ec_key_with_the_public_half_of_another_is_refused() {
    // The private scalar of one key, then the point of the other.
    let (mut der, other) = (der("p256.pem"), der("p256-with-parameters-pkcs8.pem"));
    assert_eq!(der.len(), other.len());
    let point = der.len() - 64;
    der[point..].copy_from_slice(&other[point..]);
    let key = PrivateKey::from_pkcs8_der(&der).unwrap();
    for &engine in Engine::ALL {
        assert!(matches!(
            SoftwareSigner::new(&key, Algorithm::Es256, engine),
            Err(KeyError::Rejected { .. } | KeyError::Probe | KeyError::PublicKeyMismatch)
        ));
    }
}

#[test]
fn an_rsa_key_whose_numbers_do_not_belong_together_is_refused() {
    let whole = der("rsa2048.pem");
    // n, d, p, q, dP, dQ and qInv begin some way in; a flipped bit in any must show.
    for at in [100, 350, 600, 750, 880, 1000, 1150] {
        let mut der = whole.clone();
        der[at] ^= 4;
        let Ok(key) = PrivateKey::from_pkcs8_der(&der) else {
            continue;
        };
        for &engine in Engine::ALL {
            // Neither engine uses d, where it has the primes; aws-lc-rs compares it.
            let refused = SoftwareSigner::new(&key, Algorithm::Rs256, engine).is_err();
            assert!(refused || at == 350, "{engine} took a bit flipped at {at}");
        }
    }
}

#[test]
fn an_ec_key_without_its_public_half_is_completed_or_says_how() {
    for (name, curve, whole) in [
        ("p256-without-public.pem", Curve::P256, "p256.pem"),
        ("p256-without-public-sec1.pem", Curve::P256, "p256.pem"),
        ("p384-without-public.pem", Curve::P384, "p384.pem"),
        ("p521-without-public.pem", Curve::P521, "p521.pem"),
    ] {
        let loaded = PrivateKey::from_pem(&data(name));
        if cfg!(feature = "derive-public-key") {
            let key = loaded.expect(name);
            assert_eq!(*key.to_pkcs8_der().unwrap(), der(whole), "{name}");
            assert_signs(&key, name);
        } else {
            let error = loaded.expect_err(name);
            assert!(
                matches!(error, KeyError::PublicHalfMissing { curve: missing } if missing == curve)
            );
            assert!(error.to_string().contains("`derive-public-key`"));
        }
    }
}

#[test]
fn weak_and_oversized_rsa_keys_are_refused() {
    for (name, length) in [("rsa1024.pem", 1024), ("rsa4104.pem", 4104)] {
        assert!(matches!(
            load_error(name),
            KeyError::PublicKey(PublicKeyError::RsaSize { bits }) if bits == length
        ));
    }
}

#[test]
fn other_kinds_of_key_are_refused_by_name() {
    for (name, kind_of_key) in [
        ("secp256k1.pem", "secp256k1 (1.3.132.0.10)"),
        ("x25519.pem", "X25519 (1.3.101.110)"),
        ("ed448.pem", "Ed448 (1.3.101.113)"),
        ("dsa.pem", "DSA (1.2.840.10040.4.1)"),
        ("rsa-pss.pem", "id-RSASSA-PSS (1.2.840.113549.1.1.10)"),
        ("p256-explicit.pem", "EC with explicit curve parameters"),
    ] {
        match load_error(name) {
            KeyError::UnsupportedKey { kind } => assert_eq!(kind, kind_of_key),
            other => panic!("{name}: {other}"),
        }
    }
    assert!(matches!(
        load_error("rsa2048-three-primes.pem"),
        KeyError::Der { .. }
    ));
    assert!(matches!(
        load_error("p256-compressed.pem"),
        KeyError::PublicKey(PublicKeyError::PointEncoding { curve: Curve::P256 })
    ));
}

#[test]
fn pem_that_is_no_private_key_is_refused_by_name() {
    for (name, expected) in [
        ("certificate.pem", "CERTIFICATE"),
        ("public.pem", "PUBLIC KEY"),
    ] {
        assert!(matches!(load_error(name), KeyError::PemLabel { label } if label == expected));
    }
    let secret_looking = b"-----BEGIN hunter2-----\n-----END hunter2-----\n";
    let error = PrivateKey::from_pem(secret_looking).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_key_that_lost_its_line_breaks_is_told_so() {
    let pem = String::from_utf8(data("p256.pem")).unwrap();
    for lost in [" ", "\\n", "\r", ""] {
        let error = PrivateKey::from_pem(pem.trim().replace('\n', lost).as_bytes()).unwrap_err();
        assert!(matches!(error, KeyError::NotPem), "{error}");
        assert!(error.to_string().contains("line breaks"), "{error}");
    }
}

#[test]
fn encryption_that_is_not_supported_says_what_to_do() {
    for name in ["p256-pbes1.pem", "p256-des3.pem", "p256-pbkdf2-sha1.pem"] {
        let error = PrivateKey::from_encrypted_pem(&data(name), PASSWORD).expect_err(name);
        assert!(
            matches!(error, KeyError::UnsupportedEncryption),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("openssl pkcs8"));
    }
    let legacy = load_error("rsa2048-legacy-encrypted.pem");
    assert!(matches!(legacy, KeyError::LegacyEncryption));
    assert!(legacy.to_string().contains("openssl pkcs8 -topk8"));
    assert!(matches!(
        PrivateKey::from_encrypted_pem(&data("p256.pem"), PASSWORD),
        Err(KeyError::NotEncrypted)
    ));
}

#[test]
fn a_file_cannot_ask_for_endless_work() {
    // The salt of 8 bytes, N = 16384 and r = 8; p = 1 follows.
    let scrypt = |change: &dyn Fn(&mut [u8])| {
        let mut der = der("ed25519-scrypt.pem");
        let cost = find(&der, &[0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08]);
        let salt = cost - 10;
        assert_eq!(der[salt..salt + 2], [0x04, 0x08]);
        change(&mut der[salt..cost + 10]);
        PrivateKey::from_encrypted_pkcs8_der(&der, PASSWORD).unwrap_err()
    };
    // N = 2³⁰ takes two bytes more, from the salt: 1 TiB.
    let memory = scrypt(&|der| {
        der[1] = 6;
        der[8..14].copy_from_slice(&[0x02, 0x04, 0x40, 0x00, 0x00, 0x00]);
    });
    assert!(matches!(memory, KeyError::EncryptionCost), "{memory:?}");
    // N = 2¹⁹ takes one: 512 MiB, once.
    let memory = scrypt(&|der| {
        der[1] = 7;
        der[9..14].copy_from_slice(&[0x02, 0x03, 0x08, 0x00, 0x00]);
    });
    assert!(matches!(memory, KeyError::EncryptionCost), "{memory:?}");
    // r = p = 127: 254 MiB, 127 times over.
    let work = scrypt(&|der| {
        der[16] = 127;
        der[19] = 127;
    });
    assert!(matches!(work, KeyError::EncryptionCost), "{work:?}");
    // N = 0 and N = 1 take a byte less, which goes to the salt; 2¹⁵ − 1 is no power of two.
    for cost in [[0x00, 0x02, 0x01, 0x00], [0x00, 0x02, 0x01, 0x01]] {
        let error = scrypt(&|der| {
            der[1] = 9;
            der[10..14].copy_from_slice(&cost);
        });
        assert!(
            matches!(error, KeyError::UnsupportedEncryption),
            "{error:?}"
        );
    }
    let odd = scrypt(&|der| der[12..14].copy_from_slice(&[0x7f, 0xff]));
    assert!(matches!(odd, KeyError::UnsupportedEncryption), "{odd:?}");

    // 2048 rounds of PBKDF2, made two billion by two bytes from the salt in front of them.
    let mut rounds = der("p256-pbkdf2.pem");
    let salt = find(&rounds, &[0x04, 0x08]);
    let integer = salt + 10;
    assert_eq!(rounds[integer..integer + 4], [0x02, 0x02, 0x08, 0x00]);
    rounds[salt + 1] = 6;
    rounds[integer - 2..integer + 4].copy_from_slice(&[0x02, 0x04, 0x7f, 0xff, 0xff, 0xff]);
    assert!(matches!(
        PrivateKey::from_encrypted_pkcs8_der(&rounds, PASSWORD),
        Err(KeyError::EncryptionCost)
    ));
}

#[test]
fn truncations_and_flipped_bits_give_errors_and_never_a_panic() {
    for name in [
        "p256.pem",
        "p256-sec1.pem",
        "ed25519.pem",
        "rsa2048-pkcs1.pem",
    ] {
        let pem = data(name);
        for len in 0..pem.len() - 1 {
            assert!(
                PrivateKey::from_pem(&pem[..len]).is_err(),
                "{name} cut at {len}"
            );
        }
        for at in 0..pem.len() {
            let mut flipped = pem.clone();
            flipped[at] ^= 1;
            let _ = PrivateKey::from_pem(&flipped);
        }
    }
    for name in ["p384.pem", "ed25519.pem", "rsa2048.pem"] {
        let der = der(name);
        for len in 0..der.len() {
            assert!(PrivateKey::from_pkcs8_der(&der[..len]).is_err());
        }
        for bit in 0..der.len() * 8 {
            let mut flipped = der.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = PrivateKey::from_pkcs8_der(&flipped);
        }
        let trailing = [&der[..], &[0]].concat();
        assert!(matches!(
            PrivateKey::from_pkcs8_der(&trailing),
            Err(KeyError::Der { .. })
        ));
    }
    let encrypted = der("p256-pbes1.pem");
    for len in 0..encrypted.len() {
        assert!(PrivateKey::from_encrypted_pkcs8_der(&encrypted[..len], PASSWORD).is_err());
    }
    for len in 0..der("ed25519-scrypt.pem").len() {
        let der = &der("ed25519-scrypt.pem")[..len];
        assert!(matches!(
            PrivateKey::from_encrypted_pkcs8_der(der, PASSWORD),
            Err(KeyError::Der { .. })
        ));
    }
}

#[test]
fn nothing_but_the_key_may_follow_in_the_pem() {
    let pem = data("p256.pem");
    for after in [&data("certificate.pem")[..], &pem, b"more\n"] {
        assert!(matches!(
            PrivateKey::from_pem(&[&pem, after].concat()),
            Err(KeyError::PemTrailing)
        ));
    }
    let around = [b"Subject: test\r\n\r\n", &pem[..], b"\r\n\n"].concat();
    assert!(PrivateKey::from_pem(&around).is_ok());
}

#[test]
fn an_end_line_of_another_label_is_refused() {
    let pem = String::from_utf8(data("p256.pem")).unwrap();
    for end in ["-----END RSA PRIVATE KEY-----", "-----END PRIVATE KEY", ""] {
        let pem = pem.replace("-----END PRIVATE KEY-----", end);
        assert!(matches!(
            PrivateKey::from_pem(pem.as_bytes()),
            Err(KeyError::PemEnd)
        ));
    }
}

#[test]
fn a_wrong_password_that_leaves_the_padding_intact_is_still_wrong() {
    // One in about 256 does: this is the first such number.
    let pem = data("p256-pbkdf2.pem");
    assert!(matches!(
        PrivateKey::from_encrypted_pem(&pem, b"267"),
        Err(KeyError::WrongPassword)
    ));
}

#[test]
fn stored_keys_load_again_and_differ_each_time() {
    let key = PrivateKey::from_pem(&data("p384.pem")).unwrap();
    let (first, second) = (
        key.to_encrypted_pem(PASSWORD).unwrap(),
        key.to_encrypted_pem(PASSWORD).unwrap(),
    );
    assert_ne!(first, second);
    for pem in [first, second] {
        let again = PrivateKey::from_encrypted_pem(pem.as_bytes(), PASSWORD).unwrap();
        assert_eq!(again.to_pkcs8_der().unwrap(), key.to_pkcs8_der().unwrap());
        assert!(PrivateKey::from_encrypted_pem(pem.as_bytes(), b"hunter3").is_err());
    }
}

#[test]
fn no_private_byte_is_shown() {
    for name in ["p256.pem", "ed25519.pem", "rsa2048.pem"] {
        let key = PrivateKey::from_pem(&data(name)).unwrap();
        let mut shown = format!("{key:?} {key:#?}");
        for &engine in Engine::ALL {
            for algorithm in algorithms(key.key_type(), engine) {
                let signer = SoftwareSigner::new(&key, algorithm, engine).unwrap();
                shown += &format!("{signer:?} {signer:#?}");
            }
        }
        // Every error that a cut or a flip brings about.
        let der = der(name);
        for at in 0..der.len() {
            let mut flipped = der.clone();
            flipped[at] ^= 0x10;
            for result in [
                PrivateKey::from_pkcs8_der(&der[..at]),
                PrivateKey::from_pkcs8_der(&flipped),
            ] {
                if let Err(error) = result {
                    shown += &format!("{error} {error:?}\n");
                }
            }
        }
        // The private parts, in the ways that bytes are commonly printed: the bytes before the
        // public half of an EC key, the seed, and d and the rest of an RSA key.
        let private = match name {
            "p256.pem" => &der[36..68],
            "ed25519.pem" => &der[16..],
            _ => &der[320..],
        };
        assert_not_shown(&shown, private);
    }
}

fn assert_not_shown(shown: &str, private: &[u8]) {
    for window in private.windows(6) {
        let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{window:?}");
        let list = list.trim_matches(['[', ']']);
        assert!(!shown.to_lowercase().contains(&hex));
        assert!(!shown.contains(list));
    }
}

pub(crate) fn der(name: &str) -> Vec<u8> {
    use base64ct::Encoding as _;

    let pem = String::from_utf8(data(name)).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64ct::Base64::decode_vec(&body).unwrap()
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap()
}
