//! The ASN.1 structures of private keys: PKCS#8 (RFC 5958), SEC 1 (RFC 5915), PKCS#1 (RFC 8017)
//! and Ed25519 (RFC 8410).

use chancery_core::{Curve, PublicKey};
use pkcs8::der::asn1::{
    AnyRef, BitStringRef, ContextSpecific, Null, ObjectIdentifier, OctetStringRef, UintRef,
};
use pkcs8::der::{
    self, Decode, DecodeValue, Encode, EncodeValue, Header, Length, Reader, Sequence, TagMode,
    TagNumber, Writer,
};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfo};
use zeroize::Zeroizing;

use crate::key_error::{Asn1Error, KeyError};
use crate::private_key::Material;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The names of the kinds that people try, for the error that refuses them.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("1.2.840.113549.1.1.10", "id-RSASSA-PSS"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.113549.1.3.1", "Diffie-Hellman"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.113", "Ed448"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.2.156.10197.1.301", "SM2"),
];

/// Parses a PKCS#8 `PrivateKeyInfo`, version 1 or 2 (RFC 5958 §2).
pub(crate) fn parse_pkcs8(bytes: &[u8]) -> Result<Material, KeyError> {
    const STRUCTURE: &str = "PKCS#8 PrivateKeyInfo";
    let info = PrivateKeyInfo::from_der(bytes).map_err(in_structure(STRUCTURE))?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let parameters = info.algorithm.parameters.ok_or(KeyError::UnsupportedKey {
                kind: "EC without a curve".to_owned(),
            })?;
            let named = parameters.decode_as::<ObjectIdentifier>().map_err(|_| {
                KeyError::UnsupportedKey {
                    kind: "EC with explicit curve parameters".to_owned(),
                }
            })?;
            let key = decode::<EcPrivateKey<'_>>(info.private_key, "SEC 1 ECPrivateKey")?;
            ec_material(Some(named), key, info.public_key)
        }
        RSA_ENCRYPTION => {
            if info.algorithm.parameters != Some(AnyRef::NULL) {
                return Err(KeyError::UnsupportedKey {
                    kind: "RSA with parameters".to_owned(),
                });
            }
            let material = parse_pkcs1(info.private_key)?;
            match info.public_key {
                Some(public) if !is_rsa_public_key(public, &material) => {
                    Err(KeyError::PublicKeyMismatch)
                }
                _ => Ok(material),
            }
        }
        ED25519 if info.algorithm.parameters.is_some() => Err(KeyError::UnsupportedKey {
            kind: "Ed25519 with parameters".to_owned(),
        }),
        ED25519 => {
            let seed = OctetStringRef::from_der(info.private_key)
                .map_err(in_structure("CurvePrivateKey"))?;
            Material::ed25519(seed.as_bytes(), info.public_key)
        }
        oid => Err(unsupported(oid)),
    }
}

/// Parses a SEC 1 `ECPrivateKey`, which must name its curve (RFC 5915 §3).
pub(crate) fn parse_sec1(bytes: &[u8]) -> Result<Material, KeyError> {
    ec_material(None, decode(bytes, "SEC 1 ECPrivateKey")?, None)
}

/// Parses a PKCS#1 `RSAPrivateKey` of two primes (RFC 8017 §A.1.2).
pub(crate) fn parse_pkcs1(bytes: &[u8]) -> Result<Material, KeyError> {
    let key = decode::<RsaPrivateKey<'_>>(bytes, "PKCS#1 RSAPrivateKey")?;
    Material::rsa(
        Zeroizing::new(bytes.to_vec()),
        key.modulus.as_bytes(),
        key.public_exponent.as_bytes(),
    )
}

/// Encodes the key as PKCS#8 version 1, with the public half of an EC key inside.
///
/// This is the form that most programs read. An Ed25519 key goes without its public half, which
/// its seed determines.
pub(crate) fn to_pkcs8(material: &Material) -> der::Result<Zeroizing<Vec<u8>>> {
    let (oid, parameters, private_key) = match material {
        Material::Ec {
            curve,
            scalar,
            point,
        } => {
            let key = EcPrivateKey {
                scalar,
                parameters: None,
                point: Some(point),
            };
            let named = match curve {
                Curve::P256 => &P256,
                Curve::P384 => &P384,
                Curve::P521 => &P521,
            };
            (EC_PUBLIC_KEY, Some(AnyRef::from(named)), key.to_der()?)
        }
        Material::Rsa { der, .. } => (RSA_ENCRYPTION, Some(AnyRef::from(Null)), der.to_vec()),
        Material::Ed25519 { seed, .. } => (ED25519, None, OctetStringRef::new(seed)?.to_der()?),
    };
    let private_key = Zeroizing::new(private_key);
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    PrivateKeyInfo::new(algorithm, &private_key)
        .to_der()
        .map(Zeroizing::new)
}

/// The numbers of a PKCS#1 `RSAPrivateKey`, big-endian, in the order of the structure after its
/// version: n, e, d, p, q, dP, dQ, qInv.
pub(crate) fn rsa_material(numbers: [&[u8]; 8]) -> Result<Material, KeyError> {
    let uint = |index: usize| UintRef::new(numbers[index]).map_err(|_| KeyError::Encode);
    let key = RsaPrivateKey {
        modulus: uint(0)?,
        public_exponent: uint(1)?,
        private: [uint(2)?, uint(3)?, uint(4)?, uint(5)?, uint(6)?, uint(7)?],
    };
    let der = key.to_der().map_err(|_| KeyError::Encode)?;
    Material::rsa(Zeroizing::new(der), numbers[0], numbers[1])
}

fn ec_material(
    named: Option<ObjectIdentifier>,
    key: EcPrivateKey<'_>,
    outer_point: Option<&[u8]>,
) -> Result<Material, KeyError> {
    if let (Some(outer), Some(inner)) = (named, key.parameters)
        && outer != inner
    {
        return Err(KeyError::UnsupportedKey {
            kind: "EC with two different curves".to_owned(),
        });
    }
    let oid = named
        .or(key.parameters)
        .ok_or_else(|| KeyError::UnsupportedKey {
            kind: "EC without a curve".to_owned(),
        })?;
    let curve = match oid {
        P256 => Curve::P256,
        P384 => Curve::P384,
        P521 => Curve::P521,
        other => return Err(unsupported(other)),
    };
    if let (Some(outer), Some(inner)) = (outer_point, key.point)
        && outer != inner
    {
        return Err(KeyError::PublicKeyMismatch);
    }
    Material::ec(curve, key.scalar, key.point.or(outer_point))
}

fn is_rsa_public_key(public: &[u8], material: &Material) -> bool {
    let numbers = der::SliceReader::new(public).and_then(|mut reader| {
        let numbers = reader.sequence(|key| Ok((UintRef::decode(key)?, UintRef::decode(key)?)))?;
        reader.finish(numbers)
    });
    let (Ok((n, e)), Material::Rsa { public_key, .. }) = (numbers, material) else {
        return false;
    };
    matches!(public_key, PublicKey::Rsa { modulus, exponent }
        if modulus == n.as_bytes() && exponent == e.as_bytes())
}

fn unsupported(oid: ObjectIdentifier) -> KeyError {
    let oid = oid.to_string();
    let kind = UNSUPPORTED
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or_else(|| oid.clone(), |(_, name)| format!("{name} ({oid})"));
    KeyError::UnsupportedKey { kind }
}

fn decode<'a, T: Decode<'a>>(bytes: &'a [u8], structure: &'static str) -> Result<T, KeyError> {
    T::from_der(bytes).map_err(in_structure(structure))
}

fn in_structure(structure: &'static str) -> impl Fn(der::Error) -> KeyError {
    move |error| KeyError::Der {
        structure,
        source: Asn1Error(error),
    }
}

/// `ECPrivateKey` (RFC 5915 §3).
struct EcPrivateKey<'a> {
    scalar: &'a [u8],
    parameters: Option<ObjectIdentifier>,
    point: Option<&'a [u8]>,
}

impl<'a> DecodeValue<'a> for EcPrivateKey<'a> {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        reader.read_nested(header.length, |reader| {
            if u8::decode(reader)? != 1 {
                return Err(der::Tag::Integer.value_error());
            }
            let scalar = OctetStringRef::decode(reader)?.as_bytes();
            let parameters = reader.context_specific(TagNumber::N0, TagMode::Explicit)?;
            let point = reader
                .context_specific::<BitStringRef<'_>>(TagNumber::N1, TagMode::Explicit)?
                .map(|bits| {
                    bits.as_bytes()
                        .ok_or_else(|| der::Tag::BitString.value_error())
                })
                .transpose()?;
            Ok(Self {
                scalar,
                parameters,
                point,
            })
        })
    }
}

impl EcPrivateKey<'_> {
    fn tagged_point(&self) -> der::Result<Option<ContextSpecific<BitStringRef<'_>>>> {
        self.point
            .map(|point| {
                Ok(ContextSpecific {
                    tag_number: TagNumber::N1,
                    tag_mode: TagMode::Explicit,
                    value: BitStringRef::from_bytes(point)?,
                })
            })
            .transpose()
    }
}

/// Encodes without the parameters, which stand in the PKCS#8 structure around it.
impl EncodeValue for EcPrivateKey<'_> {
    fn value_len(&self) -> der::Result<Length> {
        1u8.encoded_len()?
            + OctetStringRef::new(self.scalar)?.encoded_len()?
            + self.tagged_point()?.encoded_len()?
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        1u8.encode(writer)?;
        OctetStringRef::new(self.scalar)?.encode(writer)?;
        self.tagged_point()?.encode(writer)
    }
}

impl<'a> Sequence<'a> for EcPrivateKey<'a> {}

/// `RSAPrivateKey` of version 0, two primes (RFC 8017 §A.1.2).
struct RsaPrivateKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    /// d, p, q, dP, dQ, qInv.
    private: [UintRef<'a>; 6],
}

impl<'a> DecodeValue<'a> for RsaPrivateKey<'a> {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        reader.read_nested(header.length, |reader| {
            if u8::decode(reader)? != 0 {
                return Err(der::Tag::Integer.value_error());
            }
            let mut uint = || UintRef::decode(reader);
            Ok(Self {
                modulus: uint()?,
                public_exponent: uint()?,
                private: [uint()?, uint()?, uint()?, uint()?, uint()?, uint()?],
            })
        })
    }
}

impl EncodeValue for RsaPrivateKey<'_> {
    fn value_len(&self) -> der::Result<Length> {
        let mut len = (0u8.encoded_len()? + self.modulus.encoded_len()?)?;
        len = (len + self.public_exponent.encoded_len()?)?;
        for number in &self.private {
            len = (len + number.encoded_len()?)?;
        }
        Ok(len)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        0u8.encode(writer)?;
        self.modulus.encode(writer)?;
        self.public_exponent.encode(writer)?;
        self.private
            .iter()
            .try_for_each(|number| number.encode(writer))
    }
}

impl<'a> Sequence<'a> for RsaPrivateKey<'a> {}
