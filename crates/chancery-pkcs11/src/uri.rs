//! PKCS#11 URIs (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::Pin;
use crate::error::Pkcs11Error;
use crate::percent::{self, Component};
use crate::selector::TokenSelector;

/// A PKCS#11 URI (RFC 7512): a token, a key on it, the module and the PIN that it is reached with.
///
/// All attributes of the RFC are understood. One that is not known matches nothing when it stands
/// in the path, so it is refused there, and is ignored in the query (§2.3, §2.5).
///
/// `Display` writes the URI in a canonical form and leaves out the PIN, which `Debug` does too. A
/// URI with `pin-value` belongs into no command line and no log; prefer `pin-source`.
///
/// ```
/// use chancery_pkcs11::Pkcs11Uri;
///
/// let uri: Pkcs11Uri = "pkcs11:token=issuer;object=tokens%202026;id=%01%ff?\
///                       module-path=/usr/lib/softhsm/libsofthsm2.so&pin-value=1234".parse()?;
/// assert_eq!(uri.object(), Some("tokens 2026"));
/// assert_eq!(uri.id(), Some([1, 0xff].as_slice()));
/// assert_eq!(
///     uri.to_string(),
///     "pkcs11:token=issuer;object=tokens%202026;id=%01%FF?\
///      module-path=/usr/lib/softhsm/libsofthsm2.so"
/// );
/// # Ok::<(), chancery_pkcs11::Pkcs11UriError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    token: TokenSelector,
    object: Option<String>,
    id: Option<Vec<u8>>,
    object_type: Option<ObjectType>,
    module_path: Option<String>,
    module_name: Option<String>,
    pin_source: Option<String>,
    pin_value: Option<Arc<Zeroizing<String>>>,
}

/// The kind of object that a URI names (RFC 7512 §2.3, `type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectType {
    /// A public key.
    Public,
    /// A private key.
    Private,
    /// A certificate.
    Certificate,
    /// A secret key.
    SecretKey,
    /// A data object.
    Data,
}

impl ObjectType {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Public, "public"),
        (Self::Private, "private"),
        (Self::Certificate, "cert"),
        (Self::SecretKey, "secret-key"),
        (Self::Data, "data"),
    ];
}

impl Pkcs11Uri {
    /// The URI of a private key and nothing else, by its label and its id.
    pub(crate) fn of_private_key(label: Option<String>, id: Option<Vec<u8>>) -> Self {
        Self {
            object: label,
            id,
            object_type: Some(ObjectType::Private),
            ..Self::default()
        }
    }

    /// The label of the object, `object`.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The id of the object, `id`.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The kind of object, `type`.
    #[must_use]
    pub const fn object_type(&self) -> Option<ObjectType> {
        self.object_type
    }

    /// The file of the module, `module-path`.
    #[must_use]
    pub fn module_path(&self) -> Option<&str> {
        self.module_path.as_deref()
    }

    /// The name of the module, `module-name`.
    #[must_use]
    pub fn module_name(&self) -> Option<&str> {
        self.module_name.as_deref()
    }

    /// Where the PIN comes from: `pin-source`, a file that is named by a path or a `file:` URI, or
    /// `pin-value`.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        if let Some(source) = &self.pin_source {
            return Some(Pin::file(pin_file(source)?));
        }
        self.pin_value
            .as_ref()
            .map(|pin| Pin::from(Arc::clone(pin)))
    }

    pub(crate) const fn token(&self) -> &TokenSelector {
        &self.token
    }

    fn set_path_attribute(&mut self, name: &str, value: &str) -> Result<(), Pkcs11UriError> {
        let token = &mut self.token;
        let text = match name {
            "token" => &mut token.label,
            "manufacturer" => &mut token.manufacturer,
            "serial" => &mut token.serial,
            "model" => &mut token.model,
            "slot-manufacturer" => &mut token.slot_manufacturer,
            "slot-description" => &mut token.slot_description,
            "library-manufacturer" => &mut token.library_manufacturer,
            "library-description" => &mut token.library_description,
            "object" => &mut self.object,
            "id" => {
                let id = percent::decode(value, Component::Path);
                let id = id.ok_or_else(|| Pkcs11UriError::value("id"))?;
                return set(&mut self.id, "id", Some(id.to_vec()));
            }
            "slot-id" => return set(&mut token.slot_id, "slot-id", number(value)),
            "library-version" => {
                let version = version(value);
                return set(&mut token.library_version, "library-version", version);
            }
            "type" => {
                let known = ObjectType::ALL.iter().find(|(_, name)| *name == value);
                return set(&mut self.object_type, "type", known.map(|(kind, _)| *kind));
            }
            _ => {
                return Err(Pkcs11UriError::UnknownAttribute {
                    name: name.to_owned(),
                });
            }
        };
        let value = decode_text(value, Component::Path);
        set(text, name, value)
    }

    fn set_query_attribute(&mut self, name: &str, value: &str) -> Result<(), Pkcs11UriError> {
        let text = match name {
            "module-path" => &mut self.module_path,
            "module-name" => &mut self.module_name,
            "pin-source" => &mut self.pin_source,
            "pin-value" => {
                let pin = percent::decode(value, Component::Query).and_then(|pin| {
                    let pin = std::str::from_utf8(&pin).ok()?;
                    Some(Arc::new(Zeroizing::new(pin.to_owned())))
                });
                return set(&mut self.pin_value, "pin-value", pin);
            }
            _ => return Ok(()),
        };
        let value = decode_text(value, Component::Query);
        set(text, name, value)
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    fn from_str(uri: &str) -> Result<Self, Pkcs11UriError> {
        let (scheme, rest) = uri.split_once(':').ok_or(Pkcs11UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11") {
            return Err(Pkcs11UriError::Scheme);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut this = Self::default();
        for attribute in attributes(path, ';') {
            let (name, value) = attribute?;
            this.set_path_attribute(name, value)?;
        }
        for attribute in attributes(query.unwrap_or_default(), '&') {
            let (name, value) = attribute?;
            this.set_query_attribute(name, value)?;
        }
        if this.pin_source.is_some() && this.pin_value.is_some() {
            return Err(Pkcs11UriError::TwoPins);
        }
        if let Some(source) = &this.pin_source
            && pin_file(source).is_none()
        {
            return Err(Pkcs11UriError::value("pin-source"));
        }
        Ok(this)
    }
}

/// Writes the URI without the PIN.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = &self.token;
        let slot_id = token.slot_id.map(|slot| slot.to_string());
        let version = token
            .library_version
            .map(|(major, minor)| format!("{major}.{minor}"));
        let object_type = self.object_type.and_then(|object_type| {
            let name = ObjectType::ALL
                .iter()
                .find(|(kind, _)| *kind == object_type);
            name.map(|(_, name)| *name)
        });
        let text = |text: &'_ Option<String>| text.clone().map(String::into_bytes);
        let path = [
            ("library-manufacturer", text(&token.library_manufacturer)),
            ("library-description", text(&token.library_description)),
            ("library-version", text(&version)),
            ("slot-manufacturer", text(&token.slot_manufacturer)),
            ("slot-description", text(&token.slot_description)),
            ("slot-id", text(&slot_id)),
            ("manufacturer", text(&token.manufacturer)),
            ("model", text(&token.model)),
            ("serial", text(&token.serial)),
            ("token", text(&token.label)),
            ("object", text(&self.object)),
            ("type", object_type.map(|name| name.as_bytes().to_vec())),
            ("id", None),
        ];
        let query = [
            ("module-name", text(&self.module_name)),
            ("module-path", text(&self.module_path)),
            ("pin-source", text(&self.pin_source)),
        ];
        f.write_str("pkcs11:")?;
        let mut separator = "";
        for (name, value) in path {
            let value = match (name, &self.id) {
                // The RFC wants all of its bytes encoded.
                ("id", Some(id)) => percent::encode_all(id),
                _ => match value {
                    Some(value) => percent::encode(&value, Component::Path),
                    None => continue,
                },
            };
            write!(f, "{separator}{name}={value}")?;
            separator = ";";
        }
        let mut separator = "?";
        for (name, value) in query {
            if let Some(value) = value {
                let value = percent::encode(&value, Component::Query);
                write!(f, "{separator}{name}={value}")?;
                separator = "&";
            }
        }
        Ok(())
    }
}

/// Shows the URI without the PIN.
impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Uri({self})")
    }
}

/// Splits into names and values. An empty component has none.
fn attributes(
    component: &str,
    separator: char,
) -> impl Iterator<Item = Result<(&str, &str), Pkcs11UriError>> {
    let attributes = (!component.is_empty()).then(|| component.split(separator));
    attributes.into_iter().flatten().map(|attribute| {
        attribute
            .split_once('=')
            .filter(|(name, _)| {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                !name.is_empty() && name.bytes().all(is_name)
            })
            .ok_or(Pkcs11UriError::Attribute)
    })
}

fn set<T>(slot: &mut Option<T>, name: &str, value: Option<T>) -> Result<(), Pkcs11UriError> {
    if slot.is_some() {
        return Err(Pkcs11UriError::Duplicate {
            name: name.to_owned(),
        });
    }
    *slot = Some(value.ok_or_else(|| Pkcs11UriError::value(name))?);
    Ok(())
}

fn decode_text(value: &str, component: Component) -> Option<String> {
    let bytes = percent::decode(value, component)?;
    String::from_utf8(bytes.to_vec()).ok()
}

fn number<T: FromStr>(value: &str) -> Option<T> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().ok()).flatten()
}

/// A version without a minor number is one of minor number 0.
fn version(value: &str) -> Option<(u8, u8)> {
    let (major, minor) = value.split_once('.').unwrap_or((value, "0"));
    Some((number(major)?, number(minor)?))
}

/// The file that `pin-source` names; `None` when it is a program or some other URI (§2.4).
fn pin_file(source: &str) -> Option<PathBuf> {
    let path = match source.strip_prefix("file:") {
        None => source,
        Some(rest) => match rest.strip_prefix("//") {
            None => rest,
            // Between the slashes stands the host, which is this one (RFC 8089 §2).
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        },
    };
    let is_other_uri = !path.starts_with('/') && path.contains(':');
    let is_host = source.starts_with("file://") && !path.starts_with('/');
    (!path.is_empty() && !path.starts_with('|') && !is_other_uri && !is_host)
        .then(|| PathBuf::from(path))
}

/// Adds what a URI names to what is known already, which must not be something else.
pub(crate) fn merge<T: Clone + PartialEq>(
    known: &mut Option<T>,
    named: Option<&T>,
    contradiction: &'static str,
) -> Result<(), Pkcs11Error> {
    match (&known, named) {
        (_, None) => Ok(()),
        (Some(known), Some(named)) if known != named => Err(Pkcs11Error::Uri {
            reason: contradiction,
        }),
        (_, Some(named)) => {
            *known = Some(named.clone());
            Ok(())
        }
    }
}

/// Why a text is no PKCS#11 URI. It holds names of attributes, and no values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pkcs11UriError {
    /// It does not begin with `pkcs11:`.
    Scheme,
    /// An attribute is not a name, `=` and a value.
    Attribute,
    /// An attribute of the path is not known, so nothing can match it.
    UnknownAttribute {
        /// Its name.
        name: String,
    },
    /// An attribute is there twice.
    Duplicate {
        /// Its name.
        name: String,
    },
    /// A value is malformed.
    Value {
        /// The name of the attribute.
        name: String,
    },
    /// There are both `pin-source` and `pin-value`.
    TwoPins,
}

impl Pkcs11UriError {
    fn value(name: &str) -> Self {
        Self::Value {
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Pkcs11UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("a PKCS#11 URI begins with `pkcs11:`"),
            Self::Attribute => f.write_str(
                "an attribute of the PKCS#11 URI is not a name, `=` and a value; attributes of the \
                 path are separated by `;`, those of the query by `&`; write one that belongs to a \
                 value, such as a PIN, as %3B or %26",
            ),
            Self::UnknownAttribute { name } => write!(
                f,
                "the PKCS#11 URI has the attribute `{name}` in its path, which RFC 7512 does not \
                 know; attributes of the module and of the PIN come after a `?`"
            ),
            Self::Duplicate { name } => {
                write!(f, "the PKCS#11 URI has the attribute `{name}` twice")
            }
            Self::Value { name } if name == "pin-source" => f.write_str(
                "`pin-source` of the PKCS#11 URI must be the path or the `file:` URI of a file; \
                 programs and other schemes are not supported",
            ),
            Self::Value { name } => write!(
                f,
                "the value of `{name}` in the PKCS#11 URI is malformed; write what is not a \
                 letter, a digit or one of -._~ as % and two hexadecimal digits"
            ),
            Self::TwoPins => {
                f.write_str("the PKCS#11 URI has both `pin-source` and `pin-value`; keep the first")
            }
        }
    }
}

impl std::error::Error for Pkcs11UriError {}
