//! The keys on a token, as its objects describe them.

use std::fmt::Write as _;

use chancery_core::{Algorithm, Jwk, KeyType, PublicKey};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{
    Attribute, AttributeType, KeyType as TokenKeyType, ObjectClass, ObjectHandle,
};

use crate::module::ModuleSession;
use crate::module_error::CallError;
use crate::public_half::{TokenCurve, UnusableKey, from_public_key_info};

/// Which key of a token is meant. All that is named must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySelector {
    pub(crate) label: Option<String>,
    pub(crate) id: Option<Vec<u8>>,
}

impl KeySelector {
    pub(crate) fn template(&self) -> Vec<Attribute> {
        let label = self
            .label
            .as_ref()
            .map(|label| Attribute::Label(label.clone().into_bytes()));
        let id = self.id.as_ref().map(|id| Attribute::Id(id.clone()));
        label.into_iter().chain(id).collect()
    }

    /// Whether the module found what it was asked for. Some do not heed all of a template.
    fn matches(&self, label: &str, id: &[u8]) -> bool {
        self.label.as_ref().is_none_or(|wanted| wanted == label)
            && self.id.as_ref().is_none_or(|wanted| wanted == id)
    }
}

/// As a part of an error message.
impl std::fmt::Display for KeySelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.label, &self.id) {
            (None, None) => f.write_str("any key"),
            (Some(label), None) => write!(f, "the key `{label}`"),
            (None, Some(id)) => write!(f, "the key of id {}", hex(id)),
            (Some(label), Some(id)) => write!(f, "the key `{label}` of id {}", hex(id)),
        }
    }
}

/// A private key and what the token says of it.
#[derive(Debug)]
pub(crate) struct KeyObject {
    pub(crate) handle: ObjectHandle,
    pub(crate) label: String,
    pub(crate) id: Vec<u8>,
    key_type: Option<TokenKeyType>,
    /// Where it tells one.
    curve: Option<TokenCurve>,
    can_sign: bool,
    always_authenticates: bool,
    /// `CKA_EXTRACTABLE` is not false, or `CKA_SENSITIVE` is.
    pub(crate) is_extractable: bool,
    /// `CKA_NEVER_EXTRACTABLE` is false.
    pub(crate) was_extractable: bool,
    /// What the private key itself tells of its public half.
    own_half: Option<Result<PublicKey, UnusableKey>>,
}

/// The public keys that may be the other half of a private key; at least one.
#[derive(Debug)]
pub(crate) struct PublicHalves {
    pub(crate) keys: Vec<PublicKey>,
    /// The private key tells itself which it is. All else is what somebody stored beside it, and
    /// which of that it is, if any, only a signature tells.
    pub(crate) is_its_own: bool,
}

/// A public key object.
#[derive(Debug)]
pub(crate) struct PublicKeyObject {
    pub(crate) handle: ObjectHandle,
    label: String,
    id: Vec<u8>,
    pub(crate) key: Result<PublicKey, UnusableKey>,
}

/// Finds the private keys that match, on the token and not in some session's memory, and reads
/// each when it is come to.
pub(crate) fn private_keys(
    session: &ModuleSession,
    selector: &KeySelector,
) -> Result<impl Iterator<Item = Result<KeyObject, CallError>>, CallError> {
    let handles = find(session, ObjectClass::PRIVATE_KEY, selector)?;
    Ok(handles
        .into_iter()
        .map(|handle| KeyObject::read(session, handle))
        .filter(|key| {
            key.as_ref()
                .map_or(true, |key| selector.matches(&key.label, &key.id))
        }))
}

/// Describes the private keys that match, for an error message. A token may have thousands.
pub(crate) fn describe_private_keys(
    session: &ModuleSession,
    selector: &KeySelector,
) -> Result<Vec<String>, CallError> {
    const MOST: usize = 20;
    let mut described = Vec::new();
    for key in private_keys(session, selector)?.take(MOST + 1) {
        described.push(key?.name());
    }
    if described.len() > MOST {
        described.truncate(MOST);
        described.push("and more".to_owned());
    }
    Ok(described)
}

/// Finds and reads the public keys that match.
pub(crate) fn public_keys(
    session: &ModuleSession,
    selector: &KeySelector,
) -> Result<Vec<PublicKeyObject>, CallError> {
    find(session, ObjectClass::PUBLIC_KEY, selector)?
        .into_iter()
        .map(|handle| PublicKeyObject::read(session, handle))
        .filter(|object| {
            object
                .as_ref()
                .map_or(true, |object| selector.matches(&object.label, &object.id))
        })
        .collect()
}

impl KeyObject {
    pub(crate) fn read(session: &ModuleSession, handle: ObjectHandle) -> Result<Self, CallError> {
        let attributes = Attributes::read(
            session,
            handle,
            &[
                AttributeType::Label,
                AttributeType::Id,
                AttributeType::KeyType,
                AttributeType::Sign,
                AttributeType::AlwaysAuthenticate,
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::NeverExtractable,
                AttributeType::Modulus,
                AttributeType::PublicExponent,
                AttributeType::EcParams,
                AttributeType::EcPoint,
                AttributeType::PublicKeyInfo,
            ],
        )?;
        Ok(Self {
            handle,
            label: attributes.label(),
            id: attributes.id(),
            key_type: attributes.key_type(),
            curve: attributes.curve().and_then(Result::ok),
            can_sign: attributes.flag(AttributeType::Sign) != Some(false),
            always_authenticates: attributes.flag(AttributeType::AlwaysAuthenticate) == Some(true),
            is_extractable: attributes.flag(AttributeType::Extractable) != Some(false)
                || attributes.flag(AttributeType::Sensitive) == Some(false),
            was_extractable: attributes.flag(AttributeType::NeverExtractable) == Some(false),
            own_half: attributes.public_key(),
        })
    }

    /// Why it cannot sign, whatever its public half.
    pub(crate) fn check_use(&self) -> Result<(), UnusableKey> {
        if !self.can_sign {
            return Err(UnusableKey::CannotSign);
        }
        if self.always_authenticates {
            return Err(UnusableKey::AlwaysAuthenticates);
        }
        Ok(())
    }

    /// The public keys that may be its other half: what it tells itself, else the objects of its
    /// id, or of its label where it has no id, that are of its kind.
    pub(crate) fn public_halves(
        &self,
        session: &ModuleSession,
    ) -> Result<Result<PublicHalves, UnusableKey>, CallError> {
        if let Some(Ok(key)) = &self.own_half {
            return Ok(checked(key.clone()).map(|key| PublicHalves {
                keys: vec![key],
                is_its_own: true,
            }));
        }
        if let Some(Err(reason @ (UnusableKey::Curve { .. } | UnusableKey::KeyType { .. }))) =
            &self.own_half
        {
            return Ok(Err(reason.clone()));
        }
        if let Some(reason) = self.unusable_key_type() {
            return Ok(Err(reason));
        }
        let mut keys = Vec::new();
        let mut reason = UnusableKey::PublicHalfMissing;
        for object in public_keys(session, &self.sibling())? {
            match object.key.and_then(checked) {
                Ok(key) if self.is_of_kind(key.key_type()) && !keys.contains(&key) => {
                    keys.push(key);
                }
                Ok(_) => {}
                Err(error) => reason = error,
            }
        }
        Ok(if keys.is_empty() {
            Err(reason)
        } else {
            Ok(PublicHalves {
                keys,
                is_its_own: false,
            })
        })
    }

    /// Whether its public half may be of that type, by what it tells of itself.
    fn is_of_kind(&self, key_type: KeyType) -> bool {
        if let Some(curve) = self.curve {
            return key_type == curve.key_type();
        }
        match self.key_type {
            Some(TokenKeyType::RSA) => key_type == KeyType::Rsa,
            // Some modules have Ed25519 keys of this type too.
            Some(TokenKeyType::EC) => key_type != KeyType::Rsa,
            Some(TokenKeyType::EC_EDWARDS) => key_type == KeyType::Ed25519,
            _ => true,
        }
    }

    /// Selects the public key objects that belong to it.
    pub(crate) fn sibling(&self) -> KeySelector {
        if self.id.is_empty() {
            KeySelector {
                label: Some(self.label.clone()),
                id: None,
            }
        } else {
            KeySelector {
                label: None,
                id: Some(self.id.clone()),
            }
        }
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        let kind = match self.key_type {
            Some(TokenKeyType::RSA) => "RSA".to_owned(),
            Some(TokenKeyType::EC) => "EC".to_owned(),
            Some(TokenKeyType::EC_EDWARDS) => "Edwards".to_owned(),
            Some(other) => other.to_string(),
            None => "unknown".to_owned(),
        };
        format!(
            "the {kind} key `{}` of id {}",
            self.label,
            if self.id.is_empty() {
                "(none)".to_owned()
            } else {
                hex(&self.id)
            }
        )
    }

    fn unusable_key_type(&self) -> Option<UnusableKey> {
        let key_type = self.key_type?;
        let is_known = [
            TokenKeyType::RSA,
            TokenKeyType::EC,
            TokenKeyType::EC_EDWARDS,
        ]
        .contains(&key_type);
        (!is_known).then(|| UnusableKey::KeyType {
            key_type: key_type.to_string(),
        })
    }
}

impl PublicKeyObject {
    fn read(session: &ModuleSession, handle: ObjectHandle) -> Result<Self, CallError> {
        let attributes = Attributes::read(
            session,
            handle,
            &[
                AttributeType::Label,
                AttributeType::Id,
                AttributeType::KeyType,
                AttributeType::Modulus,
                AttributeType::PublicExponent,
                AttributeType::EcParams,
                AttributeType::EcPoint,
                AttributeType::PublicKeyInfo,
            ],
        )?;
        Ok(Self {
            handle,
            label: attributes.label(),
            id: attributes.id(),
            key: attributes
                .public_key()
                .unwrap_or(Err(UnusableKey::PublicHalfMissing)),
        })
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        format!("the public key `{}` of id {}", self.label, hex(&self.id))
    }
}

/// The algorithm-independent checks of a public key: its size, and that it is on its curve.
fn checked(key: PublicKey) -> Result<PublicKey, UnusableKey> {
    let algorithm = default_algorithm(key.key_type());
    let jwk = Jwk::new(algorithm, key).map_err(UnusableKey::PublicKey)?;
    Ok(jwk.public_key().clone())
}

/// The algorithm that a key has when none was asked for.
pub(crate) const fn default_algorithm(key_type: KeyType) -> Algorithm {
    match key_type {
        KeyType::Ec(curve) => curve.algorithm(),
        KeyType::Ed25519 => Algorithm::EdDsa,
        _ => Algorithm::Rs256,
    }
}

/// Bytes in hexadecimal, as tools show ids.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn find(
    session: &ModuleSession,
    class: ObjectClass,
    selector: &KeySelector,
) -> Result<Vec<ObjectHandle>, CallError> {
    let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
    template.extend(selector.template());
    session.call(|session| session.find_objects(&template))
}

/// Whether reading failed because of what an attribute holds, and not because of the token.
fn is_about_one(error: &CallError) -> bool {
    match error {
        CallError::Module(Error::Pkcs11(code, _)) => matches!(
            code,
            RvError::AttributeTypeInvalid
                | RvError::AttributeSensitive
                | RvError::AttributeValueInvalid
        ),
        CallError::Module(_) => true,
        _ => false,
    }
}

/// The attributes of an object that it has and shows.
struct Attributes(Vec<Attribute>);

impl Attributes {
    fn read(
        session: &ModuleSession,
        handle: ObjectHandle,
        types: &[AttributeType],
    ) -> Result<Self, CallError> {
        match session.call(|session| session.get_attributes(handle, types)) {
            Ok(attributes) => Ok(Self(attributes)),
            // One that the binding stumbles over, such as a vendor's key type, must not hide the
            // others.
            Err(error) if is_about_one(&error) => {
                let mut attributes = Vec::new();
                for &attribute in types {
                    match session.call(|session| session.get_attributes(handle, &[attribute])) {
                        Ok(read) => attributes.extend(read),
                        Err(error) if is_about_one(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(Self(attributes))
            }
            Err(error) => Err(error),
        }
    }

    fn bytes(&self, wanted: AttributeType) -> Option<&[u8]> {
        self.0.iter().find_map(|attribute| match attribute {
            Attribute::Label(bytes)
            | Attribute::Id(bytes)
            | Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::EcPoint(bytes)
            | Attribute::PublicKeyInfo(bytes)
                if attribute.attribute_type() == wanted && !bytes.is_empty() =>
            {
                Some(bytes.as_slice())
            }
            _ => None,
        })
    }

    fn flag(&self, wanted: AttributeType) -> Option<bool> {
        self.0.iter().find_map(|attribute| match attribute {
            Attribute::Sign(flag)
            | Attribute::AlwaysAuthenticate(flag)
            | Attribute::Sensitive(flag)
            | Attribute::Extractable(flag)
            | Attribute::NeverExtractable(flag)
                if attribute.attribute_type() == wanted =>
            {
                Some(*flag)
            }
            _ => None,
        })
    }

    fn key_type(&self) -> Option<TokenKeyType> {
        self.0.iter().find_map(|attribute| match attribute {
            Attribute::KeyType(key_type) => Some(*key_type),
            _ => None,
        })
    }

    fn curve(&self) -> Option<Result<TokenCurve, UnusableKey>> {
        let params = self.bytes(AttributeType::EcParams)?;
        Some(TokenCurve::from_ec_params(params))
    }

    fn label(&self) -> String {
        let label = self.bytes(AttributeType::Label).unwrap_or_default();
        String::from_utf8_lossy(label).into_owned()
    }

    fn id(&self) -> Vec<u8> {
        self.bytes(AttributeType::Id).unwrap_or_default().to_vec()
    }

    /// The public key, where the object tells one.
    fn public_key(&self) -> Option<Result<PublicKey, UnusableKey>> {
        let modulus = self.bytes(AttributeType::Modulus);
        let exponent = self.bytes(AttributeType::PublicExponent);
        if let (Some(modulus), Some(exponent)) = (modulus, exponent) {
            return Some(Ok(PublicKey::Rsa {
                modulus: modulus.to_vec(),
                exponent: exponent.to_vec(),
            }));
        }
        let info = self.bytes(AttributeType::PublicKeyInfo);
        if let Some(curve) = self.curve() {
            let curve = match curve {
                Ok(curve) => curve,
                Err(reason) => return Some(Err(reason)),
            };
            if let Some(point) = self.bytes(AttributeType::EcPoint) {
                return Some(curve.point(point));
            }
        }
        info.map(from_public_key_info)
    }
}
