//! Objects in a device, and what they may do.

use std::fmt;

use crate::error::YubiHsmError;
use crate::link::Link;
use crate::wire;

/// The types of objects, as the device numbers them.
pub(crate) const AUTHENTICATION_KEY: u8 = 2;
pub(crate) const ASYMMETRIC_KEY: u8 = 3;

/// The length of a label in the device, filled up with zeros.
pub(crate) const LABEL_LEN: usize = 40;

/// A capability that is needed to sign, or to manage signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Imports keys.
    PutAsymmetricKey,
    /// Generates keys.
    GenerateAsymmetricKey,
    /// Signs with RSASSA-PKCS1-v1_5.
    SignPkcs,
    /// Signs with ECDSA.
    SignEcdsa,
    /// Signs with Ed25519.
    SignEddsa,
    /// Imports keys that another device has wrapped.
    ImportWrapped,
    /// May leave the device under a wrap key.
    ExportableUnderWrap,
    /// Signs attestation certificates.
    SignAttestationCertificate,
    /// Deletes keys.
    DeleteAsymmetricKey,
}

impl Capability {
    const fn bits(self) -> u64 {
        use yubihsm::Capability as Device;
        match self {
            Self::PutAsymmetricKey => Device::PUT_ASYMMETRIC_KEY,
            Self::GenerateAsymmetricKey => Device::GENERATE_ASYMMETRIC_KEY,
            Self::SignPkcs => Device::SIGN_PKCS,
            Self::SignEcdsa => Device::SIGN_ECDSA,
            Self::SignEddsa => Device::SIGN_EDDSA,
            Self::ImportWrapped => Device::IMPORT_WRAPPED,
            Self::ExportableUnderWrap => Device::EXPORTABLE_UNDER_WRAP,
            Self::SignAttestationCertificate => Device::SIGN_ATTESTATION_CERTIFICATE,
            Self::DeleteAsymmetricKey => Device::DELETE_ASYMMETRIC_KEY,
        }
        .bits()
    }
}

/// The name that yubihsm-shell gives it.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutAsymmetricKey => "put-asymmetric-key",
            Self::GenerateAsymmetricKey => "generate-asymmetric-key",
            Self::SignPkcs => "sign-pkcs",
            Self::SignEcdsa => "sign-ecdsa",
            Self::SignEddsa => "sign-eddsa",
            Self::ImportWrapped => "import-wrapped",
            Self::ExportableUnderWrap => "exportable-under-wrap",
            Self::SignAttestationCertificate => "sign-attestation-certificate",
            Self::DeleteAsymmetricKey => "delete-asymmetric-key",
        })
    }
}

/// A set of capabilities, as the device holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u64);

impl Capabilities {
    pub(crate) fn of(capabilities: &[Capability]) -> Self {
        Self(capabilities.iter().fold(0, |set, one| set | one.bits()))
    }

    pub(crate) const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bits() != 0
    }
}

/// Some of the 16 domains that divide a device. An object is seen by the authentication keys that
/// share a domain with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Domains(pub(crate) u16);

impl Domains {
    /// The domains with these numbers, 1 to 16.
    ///
    /// # Errors
    /// [`YubiHsmError::NewKey`] when there is none, or one is out of range.
    pub fn new(numbers: &[u8]) -> Result<Self, YubiHsmError> {
        let mut bits = 0;
        for &number in numbers {
            if !(1..=16).contains(&number) {
                return Err(YubiHsmError::NewKey("domains are numbered 1 to 16"));
            }
            bits |= 1 << (number - 1);
        }
        if bits == 0 {
            return Err(YubiHsmError::NewKey(
                "a key without a domain cannot be used",
            ));
        }
        Ok(Self(bits))
    }
}

/// The numbers, with commas between, or `all`.
impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == u16::MAX {
            return f.write_str("all");
        }
        let mut comma = "";
        for number in 1..=16 {
            if self.0 & 1 << (number - 1) != 0 {
                write!(f, "{comma}{number}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domains({self})")
    }
}

/// What the device tells of an object.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) id: u16,
    pub(crate) capabilities: Capabilities,
    pub(crate) domains: Domains,
    pub(crate) origin: u8,
    pub(crate) label: String,
    /// What the object may give to objects that it makes.
    pub(crate) delegated: Capabilities,
}

impl Info {
    /// Asks the device.
    pub(crate) fn read(link: &mut Link, id: u16, object_type: u8) -> Result<Self, YubiHsmError> {
        let [high, low] = id.to_be_bytes();
        let body = link.command(wire::GET_OBJECT_INFO, &[high, low, object_type])?;
        Self::parse(&body).ok_or(YubiHsmError::Protocol(
            "the description of an object is malformed",
        ))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let info = Self {
            capabilities: Capabilities(u64::from_be_bytes(fields.take()?)),
            id: u16::from_be_bytes(fields.take()?),
            domains: {
                let _length: [u8; 2] = fields.take()?;
                Domains(u16::from_be_bytes(fields.take()?))
            },
            origin: {
                let [_object_type, _algorithm, _sequence, origin] = fields.take()?;
                origin
            },
            label: {
                let label: [u8; LABEL_LEN] = fields.take()?;
                let len = label
                    .iter()
                    .position(|&byte| byte == 0)
                    .unwrap_or(LABEL_LEN);
                String::from_utf8_lossy(&label[..len]).into_owned()
            },
            delegated: Capabilities(u64::from_be_bytes(fields.take()?)),
        };
        Some(info)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

/// The identifiers of the asymmetric keys that the session sees, of one label or all.
pub(crate) fn asymmetric_keys(
    link: &mut Link,
    label: Option<&str>,
) -> Result<Vec<u16>, YubiHsmError> {
    const BY_TYPE: u8 = 2;
    const BY_LABEL: u8 = 6;
    let mut filters = vec![BY_TYPE, ASYMMETRIC_KEY];
    if let Some(label) = label {
        filters.push(BY_LABEL);
        filters.extend_from_slice(&padded_label(label)?);
    }
    let body = link.command(wire::LIST_OBJECTS, &filters)?;
    let (entries, rest) = body.as_chunks();
    if !rest.is_empty() {
        return Err(YubiHsmError::Protocol("the list of objects is malformed"));
    }
    Ok(entries
        .iter()
        .map(|[high, low, _type, _sequence]| u16::from_be_bytes([*high, *low]))
        .collect())
}

pub(crate) fn padded_label(label: &str) -> Result<[u8; LABEL_LEN], YubiHsmError> {
    let mut padded = [0; LABEL_LEN];
    if label.len() > LABEL_LEN || label.contains('\0') {
        return Err(YubiHsmError::NewKey(
            "a label has at most 40 bytes and no NUL",
        ));
    }
    padded[..label.len()].copy_from_slice(label.as_bytes());
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_numbered_from_1() {
        let domains = Domains::new(&[1, 3, 16]).unwrap();
        assert_eq!(domains.0, 0x8005);
        assert_eq!(domains.to_string(), "1,3,16");
        for wrong in [&[][..], &[0], &[17]] {
            assert!(Domains::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn labels_have_an_end() {
        assert!(padded_label(&"a".repeat(40)).is_ok());
        assert!(padded_label(&"a".repeat(41)).is_err());
        assert!(padded_label("a\0b").is_err());
    }

    #[test]
    fn a_short_description_is_refused() {
        let mut body = vec![0; 66];
        body[11] = 0;
        assert!(Info::parse(&body).is_some());
        for len in 0..66 {
            assert!(Info::parse(&body[..len]).is_none(), "{len}");
        }
    }
}
