//! Private JSON Web Keys (RFC 7517), read without leaving copies of their secrets on the heap.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::{Algorithm, Curve};
use serde_core::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::asn1;
use crate::key_error::KeyError;
use crate::private_key::Material;

/// The public and private numbers of an RSA key, in the order of PKCS#1.
const RSA_MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// Parses a private JWK into the key and the algorithm that it is bound to.
pub(crate) fn parse(json: &[u8]) -> Result<(Material, Option<Algorithm>), KeyError> {
    // serde_json's own words would quote the input, and with it the key.
    let members: Members<'_> =
        serde_json::from_slice(json).map_err(|error| KeyError::JwkSyntax {
            line: error.line(),
            column: error.column(),
        })?;
    if let Some(name) = members.repeated {
        return Err(KeyError::JwkMember { name });
    }
    check_purpose(&members)?;
    let material = match members.text("kty")? {
        "EC" => ec(&members)?,
        "OKP" => okp(&members)?,
        "RSA" => rsa(&members)?,
        "oct" => {
            return Err(KeyError::UnsupportedKey {
                kind: "oct (symmetric)".to_owned(),
            });
        }
        _ => return Err(KeyError::JwkMember { name: "kty" }),
    };
    let algorithm = match members.texts[index_of("alg")] {
        Some(name) => Some(
            name.parse::<Algorithm>()
                .map_err(|_| KeyError::JwkMember { name: "alg" })?,
        ),
        None => None,
    };
    Ok((material, algorithm))
}

fn ec(members: &Members<'_>) -> Result<Material, KeyError> {
    let curve = match members.text("crv")? {
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        "P-521" => Curve::P521,
        "secp256k1" => {
            return Err(KeyError::UnsupportedKey {
                kind: "secp256k1".to_owned(),
            });
        }
        _ => return Err(KeyError::JwkMember { name: "crv" }),
    };
    let len = curve.coordinate_len();
    let scalar = members.octets_of("d", len)?;
    let mut point = vec![4];
    for name in ["x", "y"] {
        point.extend_from_slice(&members.octets_of(name, len)?);
    }
    Material::ec(curve, &scalar, Some(&point))
}

fn okp(members: &Members<'_>) -> Result<Material, KeyError> {
    match members.text("crv")? {
        "Ed25519" => {
            let seed = members.octets_of("d", 32)?;
            Material::ed25519(&seed, Some(&members.octets_of("x", 32)?))
        }
        known @ ("Ed448" | "X25519" | "X448") => Err(KeyError::UnsupportedKey {
            kind: known.to_owned(),
        }),
        _ => Err(KeyError::JwkMember { name: "crv" }),
    }
}

fn rsa(members: &Members<'_>) -> Result<Material, KeyError> {
    if members.has_other_primes {
        return Err(KeyError::UnsupportedKey {
            kind: "RSA with more than two primes".to_owned(),
        });
    }
    let mut numbers: [Zeroizing<Vec<u8>>; 8] = Default::default();
    for (number, name) in numbers.iter_mut().zip(RSA_MEMBERS) {
        *number = members.octets(name)?;
    }
    asn1::rsa_material(numbers.each_ref().map(|number| number.as_slice()))
}

fn check_purpose(members: &Members<'_>) -> Result<(), KeyError> {
    if members.texts[index_of("use")].is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::JwkPurpose { member: "use" });
    }
    match &members.key_ops {
        Some(operations) if !operations.contains(&"sign") => {
            Err(KeyError::JwkPurpose { member: "key_ops" })
        }
        _ => Ok(()),
    }
}

/// The members whose values are strings.
const TEXTS: [&str; 14] = [
    "kty", "crv", "alg", "use", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi",
];

/// Where a member stands in [`TEXTS`]; only names from there are asked for.
fn index_of(name: &str) -> usize {
    TEXTS.iter().position(|&known| known == name).unwrap_or(0)
}

/// The members of a JWK, borrowed from the input.
#[derive(Default)]
struct Members<'a> {
    texts: [Option<&'a str>; TEXTS.len()],
    key_ops: Option<Vec<&'a str>>,
    has_other_primes: bool,
    repeated: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn text(&self, name: &'static str) -> Result<&'a str, KeyError> {
        self.texts[index_of(name)].ok_or(KeyError::JwkMember { name })
    }

    /// Decodes a member in constant time.
    fn octets(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.text(name)?;
        let mut octets = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let len = Base64UrlUnpadded::decode(text, &mut octets)
            .map_err(|_| KeyError::JwkMember { name })?
            .len();
        octets.truncate(len);
        if octets.is_empty() {
            return Err(KeyError::JwkMember { name });
        }
        Ok(octets)
    }

    fn octets_of(&self, name: &'static str, len: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let octets = self.octets(name)?;
        if octets.len() == len {
            Ok(octets)
        } else {
            Err(KeyError::JwkMember { name })
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<&str>()? {
            if let Some(index) = TEXTS.iter().position(|&known| known == name) {
                // A string is borrowed only where it has no escapes, which no member needs.
                let text = map.next_value::<&str>()?;
                if members.texts[index].replace(text).is_some() {
                    members.repeated = Some(TEXTS[index]);
                }
            } else if name == "key_ops" {
                if members.key_ops.replace(map.next_value()?).is_some() {
                    members.repeated = Some("key_ops");
                }
            } else if name == "oth" {
                members.has_other_primes = true;
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}
