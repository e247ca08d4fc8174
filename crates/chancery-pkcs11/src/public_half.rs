//! Public keys as tokens write them.

use std::fmt;

use chancery_core::{Curve, JwkError, KeyType, PublicKey};
use pkcs8::der::asn1::{
    BitStringRef, ObjectIdentifier, OctetStringRef, PrintableStringRef, UintRef,
};
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use pkcs8::spki::SubjectPublicKeyInfoRef;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// What GnuPG and the cards that follow it use for Ed25519.
const ED25519_GNU: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11591.15.1");
/// What stands for Ed25519 in `CKA_EC_PARAMS` instead of an object identifier (PKCS#11 3.0
/// §2.3.10).
const ED25519_NAME: &str = "edwards25519";

/// The names of curves that people try.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "P-224"),
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.113", "Ed448"),
];

/// A curve that keys on tokens may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenCurve {
    Nist(Curve),
    Ed25519,
}

impl TokenCurve {
    /// Reads `CKA_EC_PARAMS` (PKCS#11 3.0 §2.3.3).
    pub(crate) fn from_ec_params(params: &[u8]) -> Result<Self, UnusableKey> {
        if let Ok(oid) = ObjectIdentifier::from_der(params) {
            return Self::from_oid(oid);
        }
        if let Ok(name) = PrintableStringRef::from_der(params) {
            return if name.as_str() == ED25519_NAME {
                Ok(Self::Ed25519)
            } else {
                Err(UnusableKey::Curve {
                    curve: name.to_string(),
                })
            };
        }
        Err(UnusableKey::Curve {
            curve: "one that is not named, but spelled out or malformed".to_owned(),
        })
    }

    fn from_oid(oid: ObjectIdentifier) -> Result<Self, UnusableKey> {
        match oid {
            P256 => Ok(Self::Nist(Curve::P256)),
            P384 => Ok(Self::Nist(Curve::P384)),
            ED25519 | ED25519_GNU => Ok(Self::Ed25519),
            other => {
                let oid = other.to_string();
                let name = UNSUPPORTED.iter().find(|(known, _)| *known == oid);
                Err(UnusableKey::Curve {
                    curve: name.map_or_else(|| oid.clone(), |(_, name)| format!("{name} ({oid})")),
                })
            }
        }
    }

    pub(crate) const fn key_type(self) -> KeyType {
        match self {
            Self::Nist(curve) => KeyType::Ec(curve),
            Self::Ed25519 => KeyType::Ed25519,
        }
    }

    /// Writes `CKA_EC_PARAMS`. For Ed25519 modules differ in which form they take.
    pub(crate) fn ec_params(self) -> &'static [&'static [u8]] {
        match self {
            Self::Nist(Curve::P256) => {
                &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]]
            }
            Self::Nist(Curve::P384) => &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]],
            Self::Nist(Curve::P521) => &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]],
            Self::Ed25519 => &[&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"],
        }
    }

    /// Reads `CKA_EC_POINT`, which is a DER `OCTET STRING` by the standard, and the bare point on
    /// some tokens. A bare point may look like a DER structure, so the length is looked at first.
    pub(crate) fn point(self, point: &[u8]) -> Result<PublicKey, UnusableKey> {
        let bare_len = match self {
            Self::Nist(curve) => 1 + 2 * curve.coordinate_len(),
            Self::Ed25519 => 32,
        };
        let bare = if point.len() == bare_len {
            point
        } else {
            let wrapped =
                OctetStringRef::from_der(point).map_err(|_| UnusableKey::PointEncoding)?;
            wrapped.as_bytes()
        };
        match self {
            Self::Nist(curve) => match bare.first() {
                Some(4) if bare.len() == bare_len => Ok(PublicKey::Ec {
                    curve,
                    point: bare.to_vec(),
                }),
                Some(2 | 3) if bare.len() == 1 + curve.coordinate_len() => {
                    Err(UnusableKey::CompressedPoint)
                }
                _ => Err(UnusableKey::PointEncoding),
            },
            Self::Ed25519 => bare
                .try_into()
                .map(PublicKey::Ed25519)
                .map_err(|_| UnusableKey::PointEncoding),
        }
    }
}

/// Reads `CKA_PUBLIC_KEY_INFO`, a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1).
pub(crate) fn from_public_key_info(info: &[u8]) -> Result<PublicKey, UnusableKey> {
    const MALFORMED: UnusableKey = UnusableKey::PointEncoding;
    let info = SubjectPublicKeyInfoRef::from_der(info).map_err(|_| MALFORMED)?;
    let key: BitStringRef<'_> = info.subject_public_key;
    let key = key.as_bytes().ok_or(MALFORMED)?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters_oid().map_err(|_| MALFORMED)?;
            TokenCurve::from_oid(curve)?.point(key)
        }
        ED25519 => TokenCurve::Ed25519.point(key),
        RSA_ENCRYPTION => {
            let numbers = SliceReader::new(key).and_then(|mut reader| {
                let numbers =
                    reader.sequence(|key| Ok((UintRef::decode(key)?, UintRef::decode(key)?)))?;
                reader.finish(numbers)
            });
            let (modulus, exponent) = numbers.map_err(|_| MALFORMED)?;
            Ok(PublicKey::Rsa {
                modulus: modulus.as_bytes().to_vec(),
                exponent: exponent.as_bytes().to_vec(),
            })
        }
        other => Err(UnusableKey::KeyType {
            key_type: other.to_string(),
        }),
    }
}

/// Why a private key on a token cannot sign tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusableKey {
    /// It is of a kind that has no algorithm here.
    KeyType {
        /// The kind.
        key_type: String,
    },
    /// Its curve has no algorithm here.
    Curve {
        /// The name of the curve, or its object identifier.
        curve: String,
    },
    /// Its public half is nowhere on the token.
    PublicHalfMissing,
    /// Its public point is in the compressed form.
    CompressedPoint,
    /// Its public half cannot be read.
    PointEncoding,
    /// It made no signature that a public key of its id verifies.
    SelfTest {
        /// Each way that was tried, and what came of it.
        attempts: Vec<String>,
    },
    /// The key is weak or malformed, such as an RSA key below 2048 bits.
    PublicKey(JwkError),
    /// It is marked as not for signing.
    CannotSign,
    /// It asks for the PIN with each signature.
    AlwaysAuthenticates,
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyType { key_type } => write!(
                f,
                "it is a key of type {key_type}; use one of EC, RSA or Ed25519"
            ),
            Self::Curve { curve } => write!(f, "its curve is {curve}; use P-256, P-384 or Ed25519"),
            Self::PublicHalfMissing => f.write_str(
                "its public half is not on the token; store the public key object with the same \
                 CKA_ID",
            ),
            Self::CompressedPoint => f.write_str(
                "its public point is compressed; store the public key object with the \
                 uncompressed point",
            ),
            Self::PointEncoding => f.write_str(
                "its public half is neither a DER OCTET STRING nor a bare point of the curve's \
                 length",
            ),
            Self::SelfTest { attempts } => write!(
                f,
                "it made no signature that a public key of its CKA_ID verifies; the module has no \
                 usable mechanism, or its public half is not on the token; tried: {}",
                attempts.join("; ")
            ),
            Self::PublicKey(error) => error.fmt(f),
            Self::CannotSign => f.write_str(
                "it is not for signing (CKA_SIGN is false); set that or generate another",
            ),
            Self::AlwaysAuthenticates => f.write_str(
                "it asks for the PIN with each signature (CKA_ALWAYS_AUTHENTICATE), which nobody \
                 is there to give; generate one that does not",
            ),
        }
    }
}

impl std::error::Error for UnusableKey {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::PublicKey(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

    fn curve(params: &[u8]) -> TokenCurve {
        TokenCurve::from_ec_params(params).unwrap()
    }

    #[test]
    fn what_is_written_as_parameters_is_read_again() {
        for curve in [
            TokenCurve::Nist(Curve::P256),
            TokenCurve::Nist(Curve::P384),
            TokenCurve::Ed25519,
        ] {
            for params in curve.ec_params() {
                assert_eq!(TokenCurve::from_ec_params(params), Ok(curve));
            }
        }
    }

    #[test]
    fn other_curves_are_refused_by_name() {
        let secp256k1 = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
        let error = TokenCurve::from_ec_params(&secp256k1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its curve is secp256k1 (1.3.132.0.10); use P-256, P-384 or Ed25519"
        );
        let p521 = TokenCurve::Nist(Curve::P521).ec_params()[0];
        let error = TokenCurve::from_ec_params(p521).unwrap_err();
        assert!(error.to_string().contains("P-521 (1.3.132.0.35)"));
        for params in [b"\x13\x08edward25".as_slice(), &[0x30, 0], &[], &[0xff; 9]] {
            assert!(TokenCurve::from_ec_params(params).is_err());
        }
    }

    #[test]
    fn points_are_bare_or_wrapped() {
        // A bare point begins as an OCTET STRING does, and even its length may fit.
        let mut bare = vec![4; 65];
        bare[1] = 63;
        let key = PublicKey::Ec {
            curve: Curve::P256,
            point: bare.clone(),
        };
        let wrapped = [&[4, 65], bare.as_slice()].concat();
        assert_eq!(curve(P256_PARAMS).point(&bare), Ok(key.clone()));
        assert_eq!(curve(P256_PARAMS).point(&wrapped), Ok(key));
        let ed25519 = [4; 32];
        let wrapped = [&[4, 32], ed25519.as_slice()].concat();
        for point in [ed25519.as_slice(), &wrapped] {
            let key = TokenCurve::Ed25519.point(point);
            assert_eq!(key, Ok(PublicKey::Ed25519(ed25519)));
        }
    }

    #[test]
    fn other_points_are_refused() {
        let compressed = [2; 33];
        let wrapped = [&[4, 33], compressed.as_slice()].concat();
        assert_eq!(
            curve(P256_PARAMS).point(&wrapped),
            Err(UnusableKey::CompressedPoint)
        );
        for point in [&[][..], &[4; 64], &[4; 66], &[5; 65], &[4, 0]] {
            assert_eq!(
                curve(P256_PARAMS).point(point),
                Err(UnusableKey::PointEncoding),
                "{point:?}"
            );
        }
    }
}
