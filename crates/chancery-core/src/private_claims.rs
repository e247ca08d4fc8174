//! The service's own claims, rendered once and checked name by name.

use std::fmt;
use std::ops::Range;

use serde_core::ser::{self, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::Value;

use crate::payload::is_plain_text;

/// Whether the claim is one that the library writes itself. A private claim must not repeat it.
const fn is_registered(name: &[u8]) -> bool {
    matches!(
        name,
        b"iss"
            | b"sub"
            | b"aud"
            | b"exp"
            | b"nbf"
            | b"iat"
            | b"jti"
            | b"azp"
            | b"nonce"
            | b"auth_time"
            | b"acr"
            | b"amr"
            | b"at_hash"
            | b"c_hash"
            | b"name"
            | b"email"
            | b"email_verified"
            | b"client_id"
            | b"scope"
            | b"sid"
            | b"events"
    )
}

/// How many arrays and objects of a value may stand inside one another. With the payload around
/// them that makes 64, the most that .NET's parser takes by default; serde_json's takes 127.
const MAX_DEPTH: usize = 63;

/// JSON members, each with a comma before it, ready to stand behind the registered claims.
#[derive(Clone, Default)]
pub(crate) struct PrivateClaims {
    json: Vec<u8>,
    names: Vec<Range<usize>>,
    /// A bit for each name, by its length and last byte: a name whose bit is not set is new.
    seen: u64,
}

impl PrivateClaims {
    /// The rendered members: empty, or beginning with a comma.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The names, as they are escaped in JSON.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter_map(|range| std::str::from_utf8(&self.json[range.clone()]).ok())
    }

    /// Adds one claim.
    pub(crate) fn insert<T>(&mut self, name: &str, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.push_name(name)?;
        self.push_value(value)
    }

    /// Adds each member of a map or struct.
    pub(crate) fn extend<T>(&mut self, object: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        object.serialize(Members {
            claims: self,
            has_name: false,
            error: None,
        })
    }

    fn push_name(&mut self, name: &str) -> Result<(), PrivateClaimError> {
        if self.names.is_empty() {
            // Room for the claims of most services, so that they are not moved while they grow.
            self.json.reserve(1024);
            self.names.reserve(16);
        }
        self.json.push(b',');
        let start = self.json.len();
        if is_plain_text(name) {
            self.json.push(b'"');
            self.json.extend_from_slice(name.as_bytes());
            self.json.push(b'"');
        } else {
            name.serialize(&mut serde_json::Serializer::new(&mut self.json))?;
        }
        let between_quotes = start + 1..self.json.len() - 1;
        let escaped = &self.json[between_quotes.clone()];
        // Escaping is deterministic and leaves the registered names as they are, so names are
        // equal exactly when their escaped forms are.
        if is_registered(escaped) {
            return Err(PrivateClaimError::Registered {
                name: String::from_utf8_lossy(escaped).into_owned(),
            });
        }
        let last = escaped.last().copied().map_or(0, usize::from);
        let bit = 1 << ((escaped.len() * 8 + last) % 64);
        let may_repeat = self.seen & bit != 0;
        self.seen |= bit;
        if may_repeat
            && self
                .names
                .iter()
                .any(|range| self.json[range.clone()] == *escaped)
        {
            return Err(PrivateClaimError::Duplicate {
                name: String::from_utf8_lossy(escaped).into_owned(),
            });
        }
        self.names.push(between_quotes);
        self.json.push(b':');
        Ok(())
    }

    fn push_value<T>(&mut self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let start = self.json.len();
        if let Err(error) = value.serialize(&mut serde_json::Serializer::new(&mut self.json)) {
            return Err(PrivateClaimError::Serialize {
                name: Some(self.last_name()),
                message: error.to_string(),
            });
        }
        if is_too_deep(&self.json[start..]) {
            return Err(PrivateClaimError::TooDeep {
                name: self.last_name(),
            });
        }
        Ok(())
    }

    /// The name whose value is being written.
    fn last_name(&self) -> String {
        self.names().last().unwrap_or_default().to_owned()
    }
}

/// Whether more than [`MAX_DEPTH`] arrays and objects stand inside one another.
fn is_too_deep(json: &[u8]) -> bool {
    // Nearly all values have fewer brackets than that altogether. Counting them in bytes, of which
    // 255 cannot overflow one, is vectorised.
    let brackets = |chunk: &[u8]| {
        let is_bracket = |byte: &u8| u8::from(matches!(byte, b'[' | b'{'));
        usize::from(chunk.iter().map(is_bracket).sum::<u8>())
    };
    json.len() > MAX_DEPTH
        && json.chunks(255).map(brackets).sum::<usize>() > MAX_DEPTH
        && depth(json) > MAX_DEPTH
}

/// How many arrays and objects of the JSON stand inside one another.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Takes the members of one map or struct; every other shape is refused.
struct Members<'a> {
    claims: &'a mut PrivateClaims,
    /// Whether a name was written whose value was not.
    has_name: bool,
    /// The first error, kept for a type that goes on after it.
    error: Option<PrivateClaimError>,
}

impl Members<'_> {
    #[inline]
    fn keep(&mut self, outcome: Result<(), PrivateClaimError>) -> Result<(), PrivateClaimError> {
        if let Err(error) = &outcome {
            self.error.get_or_insert_with(|| error.clone());
        }
        outcome
    }

    fn name<T>(&mut self, key: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        if std::mem::replace(&mut self.has_name, true) {
            return Err(out_of_turn());
        }
        // Through a value, because a key that writes itself could spell a registered name with
        // escapes.
        match serde_json::to_value(key)? {
            Value::String(name) => self.claims.push_name(&name),
            _ => Err(PrivateClaimError::NameNotAString),
        }
    }

    fn value<T>(&mut self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        if !std::mem::replace(&mut self.has_name, false) {
            return Err(out_of_turn());
        }
        self.claims.push_value(value)
    }

    fn finish(self) -> Result<(), PrivateClaimError> {
        match self.error {
            Some(error) => Err(error),
            None if self.has_name => Err(out_of_turn()),
            None => Ok(()),
        }
    }
}

fn out_of_turn() -> PrivateClaimError {
    ser::Error::custom("the type writes names and values of a map out of turn")
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*);)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<(), PrivateClaimError> {
            Err(PrivateClaimError::NotAnObject)
        }
    )*};
}

impl<'a> Serializer for Members<'a> {
    type Ok = ();
    type Error = PrivateClaimError;
    type SerializeSeq = Impossible<(), PrivateClaimError>;
    type SerializeTuple = Impossible<(), PrivateClaimError>;
    type SerializeTupleStruct = Impossible<(), PrivateClaimError>;
    type SerializeTupleVariant = Impossible<(), PrivateClaimError>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), PrivateClaimError>;

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T>(self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.claims.insert(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, PrivateClaimError> {
        Err(PrivateClaimError::NotAnObject)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, PrivateClaimError> {
        Err(PrivateClaimError::NotAnObject)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, PrivateClaimError> {
        Err(PrivateClaimError::NotAnObject)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, PrivateClaimError> {
        Err(PrivateClaimError::NotAnObject)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, PrivateClaimError> {
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, PrivateClaimError> {
        // Under such names serde_json hides its raw values and its numbers of any precision.
        if name.starts_with("$serde_json::private::") {
            return Err(PrivateClaimError::NotAnObject);
        }
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, PrivateClaimError> {
        Err(PrivateClaimError::NotAnObject)
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = PrivateClaimError;

    fn serialize_key<T>(&mut self, key: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.name(key);
        self.keep(outcome)
    }

    fn serialize_value<T>(&mut self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.value(value);
        self.keep(outcome)
    }

    fn end(self) -> Result<(), PrivateClaimError> {
        self.finish()
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = PrivateClaimError;

    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.claims.insert(name, value);
        self.keep(outcome)
    }

    fn end(self) -> Result<(), PrivateClaimError> {
        self.finish()
    }
}

/// Why something cannot stand among the private claims of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrivateClaimError {
    /// The name is one that the library writes itself; there is a typed method for it.
    Registered {
        /// The name.
        name: String,
    },
    /// The name was added before.
    Duplicate {
        /// The name.
        name: String,
    },
    /// The value given as a group of claims is neither a map nor a struct.
    NotAnObject,
    /// A key of the map is not a string.
    NameNotAString,
    /// More than 63 arrays and objects of the value stand inside one another. Many relying
    /// parties' parsers refuse to go so deep.
    TooDeep {
        /// The name of the claim.
        name: String,
    },
    /// A type's own `Serialize` failed.
    Serialize {
        /// The name of the claim; `None` when it was the group of claims that failed.
        name: Option<String>,
        /// What it said.
        message: String,
    },
}

impl fmt::Display for PrivateClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { name } => write!(
                f,
                "claim `{name}` is a registered one and is not for a private claim; Claims has a method for it, or writes it by itself"
            ),
            Self::Duplicate { name } => write!(f, "private claim `{name}` is there twice"),
            Self::NotAnObject => f.write_str(
                "private claims must be a map or a struct; use with_private_claim for one value",
            ),
            Self::NameNotAString => f.write_str("the name of a private claim must be a string"),
            Self::TooDeep { name } => write!(
                f,
                "private claim `{name}` has more than {MAX_DEPTH} arrays and objects inside one another, deeper than relying parties read"
            ),
            Self::Serialize {
                name: Some(name),
                message,
            } => write!(
                f,
                "private claim `{name}` cannot be written as JSON: {message}"
            ),
            Self::Serialize {
                name: None,
                message,
            } => write!(f, "private claims cannot be written as JSON: {message}"),
        }
    }
}

impl std::error::Error for PrivateClaimError {}

impl ser::Error for PrivateClaimError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Serialize {
            name: None,
            message: message.to_string(),
        }
    }
}

impl From<serde_json::Error> for PrivateClaimError {
    fn from(error: serde_json::Error) -> Self {
        ser::Error::custom(error)
    }
}
