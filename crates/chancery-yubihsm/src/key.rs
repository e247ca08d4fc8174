//! Signing keys in a device.

use std::fmt;

use chancery_core::{Algorithm, Curve, Jwk, KeyType, PublicKey};
use chancery_software::PrivateKey;
use der::asn1::OctetStringRef;
use der::{Decode as _, Reader as _, SliceReader};
use pkcs8::PrivateKeyInfo;
use zeroize::Zeroizing;

use crate::error::YubiHsmError;
use crate::link::Link;
use crate::object::{Capabilities, Capability, Domains, Info};
use crate::wire;

/// The device's numbers for the algorithms of keys.
const RSA_2048: u8 = 0x09;
const RSA_3072: u8 = 0x0a;
const RSA_4096: u8 = 0x0b;
const EC_P256: u8 = 0x0c;
const EC_P384: u8 = 0x0d;
const ED25519: u8 = 0x2e;

/// The one public exponent of a YubiHSM 2.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// A signing key in a device, as seen by the authentication key.
#[derive(Clone, Debug)]
pub struct YubiHsmKey {
    pub(crate) info: Info,
    pub(crate) jwk: Jwk,
}

impl YubiHsmKey {
    /// Its object identifier.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.info.id
    }

    /// Its label; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.info.label
    }

    /// The public half, under the first algorithm that the key can have.
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Its name in a JWKS: the thumbprint of the public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The domains it belongs to.
    #[must_use]
    pub const fn domains(&self) -> Domains {
        self.info.domains
    }

    /// Whether it can leave the device under a wrap key.
    #[must_use]
    pub const fn is_exportable(&self) -> bool {
        self.info
            .capabilities
            .contains(Capability::ExportableUnderWrap)
    }

    /// Whether it was generated in this device, rather than imported.
    #[must_use]
    pub const fn is_generated(&self) -> bool {
        self.info.origin == 1
    }

    /// Reads what the device tells of a key.
    pub(crate) fn read(link: &mut Link, id: u16) -> Result<Self, YubiHsmError> {
        let info = Info::read(link, id, crate::object::ASYMMETRIC_KEY)?;
        let public_key = read_public_key(link, id)?;
        let jwk = Jwk::new(default_algorithm(&public_key), public_key)?;
        Ok(Self { info, jwk })
    }
}

pub(crate) fn read_public_key(link: &mut Link, id: u16) -> Result<PublicKey, YubiHsmError> {
    let body = link.command(wire::GET_PUBLIC_KEY, &id.to_be_bytes())?;
    let (&algorithm, key) = body
        .split_first()
        .ok_or(YubiHsmError::Protocol("a public key is empty"))?;
    let ec = |curve| PublicKey::Ec {
        curve,
        point: [&[4], key].concat(),
    };
    Ok(match algorithm {
        EC_P256 => ec(Curve::P256),
        EC_P384 => ec(Curve::P384),
        RSA_2048 | RSA_3072 | RSA_4096 => PublicKey::Rsa {
            modulus: key.to_vec(),
            exponent: RSA_EXPONENT.to_vec(),
        },
        ED25519 => PublicKey::Ed25519(
            key.try_into()
                .map_err(|_| YubiHsmError::Protocol("an Ed25519 key has a wrong length"))?,
        ),
        algorithm => return Err(YubiHsmError::UnsupportedKey { id, algorithm }),
    })
}

const fn default_algorithm(key: &PublicKey) -> Algorithm {
    match key.key_type() {
        KeyType::Ec(curve) => curve.algorithm(),
        KeyType::Rsa => Algorithm::Rs256,
        _ => Algorithm::EdDsa,
    }
}

/// The capability that signing with the algorithm takes.
///
/// # Errors
/// [`YubiHsmError::UnsupportedAlgorithm`] with the reason.
pub(crate) const fn signing_capability(algorithm: Algorithm) -> Result<Capability, YubiHsmError> {
    let reason = match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => return Ok(Capability::SignEcdsa),
        Algorithm::EdDsa | Algorithm::Ed25519 => return Ok(Capability::SignEddsa),
        Algorithm::Rs256 if cfg!(feature = "experimental-rsa") => return Ok(Capability::SignPkcs),
        Algorithm::Rs256 => {
            "RSA on a YubiHSM is untested with real devices; use ES256, or switch the feature \
             `experimental-rsa` on"
        }
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
            "the `yubihsm` crate encodes PSS wrongly, and no real device has confirmed a better \
             encoding; use ES256"
        }
        _ => "not offered on a YubiHSM; use ES256, ES384 or EdDSA",
    };
    Err(YubiHsmError::UnsupportedAlgorithm { algorithm, reason })
}

/// What a key that is generated or imported will be: not exportable, in all domains of the
/// authentication key, under an identifier that the device picks, unless told otherwise.
#[derive(Clone, Debug)]
pub struct NewKey {
    label: String,
    id: u16,
    domains: Option<Domains>,
    is_exportable: bool,
}

impl NewKey {
    /// Names the key. The label has at most 40 bytes.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            id: 0,
            domains: None,
            is_exportable: false,
        }
    }

    /// Sets the object identifier, 1 to 65534.
    #[must_use]
    pub const fn with_id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Sets the domains.
    #[must_use]
    pub const fn with_domains(mut self, domains: Domains) -> Self {
        self.domains = Some(domains);
        self
    }

    /// Lets the key leave the device under a wrap key, for a backup or a second device.
    #[must_use]
    pub const fn exportable(mut self) -> Self {
        self.is_exportable = true;
        self
    }

    /// The capabilities that the key will have.
    pub(crate) fn capabilities(
        &self,
        algorithm: Algorithm,
    ) -> Result<Vec<Capability>, YubiHsmError> {
        let mut capabilities = vec![signing_capability(algorithm)?];
        if self.is_exportable {
            capabilities.push(Capability::ExportableUnderWrap);
        }
        Ok(capabilities)
    }

    /// The parameters with which the commands that make keys begin, for the authentication key that
    /// makes it.
    pub(crate) fn parameters(
        &self,
        algorithm: Algorithm,
        own: &Info,
    ) -> Result<Vec<u8>, YubiHsmError> {
        let domains = self.domains.unwrap_or(own.domains);
        let missing = Domains(domains.0 & !own.domains.0);
        if missing.0 != 0 {
            return Err(YubiHsmError::MissingDomains {
                authentication_key: own.id,
                domains: missing,
            });
        }
        let capabilities = Capabilities::of(&self.capabilities(algorithm)?);
        let mut parameters = self.id.to_be_bytes().to_vec();
        parameters.extend_from_slice(&crate::object::padded_label(&self.label)?);
        parameters.extend_from_slice(&domains.0.to_be_bytes());
        parameters.extend_from_slice(&capabilities.0.to_be_bytes());
        parameters.push(match algorithm.key_type() {
            KeyType::Ec(Curve::P256) => EC_P256,
            KeyType::Ec(Curve::P384) => EC_P384,
            KeyType::Rsa => RSA_2048,
            KeyType::Ed25519 => ED25519,
            _ => {
                return Err(YubiHsmError::NewKey(
                    "the device has no such kind of key here",
                ));
            }
        });
        Ok(parameters)
    }
}

/// The algorithm and the private number or seed of a key, as the device imports it.
pub(crate) fn secret(key: &PrivateKey) -> Result<(Algorithm, Zeroizing<Vec<u8>>), YubiHsmError> {
    const UNREADABLE: YubiHsmError = YubiHsmError::NewKey("the private key cannot be encoded");
    let pkcs8 = key.to_pkcs8_der().map_err(|_| UNREADABLE)?;
    let info = PrivateKeyInfo::from_der(&pkcs8).map_err(|_| UNREADABLE)?;
    let (algorithm, secret) = match key.key_type() {
        KeyType::Ec(curve @ (Curve::P256 | Curve::P384)) => {
            (curve.algorithm(), ec_number(info.private_key))
        }
        KeyType::Ed25519 => (
            Algorithm::EdDsa,
            OctetStringRef::from_der(info.private_key).map(|seed| seed.as_bytes()),
        ),
        _ => {
            return Err(YubiHsmError::NewKey(
                "only P-256, P-384 and Ed25519 keys are imported",
            ));
        }
    };
    let secret = secret.map_err(|_| UNREADABLE)?;
    Ok((algorithm, Zeroizing::new(secret.to_vec())))
}

/// The private number of an `ECPrivateKey` (RFC 5915 §3), which has the curve's full length.
fn ec_number(der: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|sequence| {
        let _version = u8::decode(sequence)?;
        let number = OctetStringRef::decode(sequence)?.as_bytes();
        // The curve and the public half, which the device finds by itself.
        let _rest = sequence.read_slice(sequence.remaining_len())?;
        Ok(number)
    })
}

impl fmt::Display for YubiHsmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} `{}` {} {} domains {}",
            self.id(),
            self.label(),
            self.jwk.algorithm(),
            self.kid(),
            self.domains()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_offered_or_refused_with_a_reason() {
        let mut offered = vec![
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::EdDsa,
            Algorithm::Ed25519,
        ];
        if cfg!(feature = "experimental-rsa") {
            offered.push(Algorithm::Rs256);
        }
        for algorithm in Algorithm::all() {
            let is_offered = offered.contains(&algorithm);
            match signing_capability(algorithm) {
                Ok(_) => assert!(is_offered, "{algorithm}"),
                Err(error) => {
                    assert!(!is_offered, "{algorithm}");
                    assert!(error.to_string().contains("use "), "{error}");
                }
            }
        }
    }
}
