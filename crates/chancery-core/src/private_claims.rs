//! The service's own claims, rendered once and checked name by name.

use std::fmt;
use std::ops::Range;

use serde_core::ser::{self, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::json_value::{
    MAX_DEPTH, MAX_LENGTH, NameKind, PRIVATE, Turn, UniqueNames, ValueError, Writer, refuse,
};

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

/// JSON members, each with a comma before it, ready to stand behind the registered claims.
#[derive(Clone, Default)]
pub(crate) struct PrivateClaims {
    json: Vec<u8>,
    names: Vec<Range<usize>>,
    unique: UniqueNames,
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

    /// The JSON of one claim's value; the name is the one that JSON escapes.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let index = self.names.iter().position(|range| {
            range.len() == name.len() && self.json[range.clone()] == *name.as_bytes()
        })?;
        Some(self.at(index)?.1)
    }

    /// The names that begin so, and their values. What begins otherwise costs a comparison.
    pub(crate) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let begins = move |range: &Range<usize>| {
            let name = &self.json[range.clone()];
            name.starts_with(prefix.as_bytes())
        };
        self.matching(begins)
    }

    /// The names and values of the claims that are objects or arrays.
    pub(crate) fn nested(&self) -> impl Iterator<Item = (&str, &str)> {
        self.matching(|range| matches!(self.json.get(range.end + 2), Some(b'{' | b'[')))
    }

    fn matching(
        &self,
        matches: impl Fn(&Range<usize>) -> bool,
    ) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names.iter().enumerate();
        names
            .filter(move |(_, range)| matches(range))
            .filter_map(|(index, _)| self.at(index))
    }

    /// The name and the value of one claim.
    fn at(&self, index: usize) -> Option<(&str, &str)> {
        let name = self.names.get(index)?;
        // A value stands between `":` after its name and `,"` before the next one.
        let start = name.end + 2;
        let end = match self.names.get(index + 1) {
            Some(next) => next.start - 2,
            None => self.json.len(),
        };
        let text = |range| std::str::from_utf8(self.json.get::<Range<usize>>(range)?).ok();
        Some((text(name.clone())?, text(start..end)?))
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
            turn: Turn::First,
            error: None,
        })
    }

    fn push_name<T>(&mut self, name: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        if self.names.is_empty() {
            // Room for the claims of most services, so that they are not moved while they grow.
            self.json.reserve(1024);
            self.names.reserve(32);
        }
        self.json.push(b',');
        Writer::new(&mut self.json, &mut self.names)
            .name(name, NameKind::Text, &mut self.unique)
            .map_err(PrivateClaimError::of_group)?;
        let name = self.names.last().cloned().unwrap_or_default();
        // Escaping leaves the registered names as they are.
        if is_registered(&self.json[name]) {
            return Err(PrivateClaimError::Registered {
                name: self.last_name(),
            });
        }
        Ok(())
    }

    fn push_value<T>(&mut self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let count = self.names.len();
        Writer::new(&mut self.json, &mut self.names)
            .value(value)
            .map_err(|error| {
                // What stands behind it are names inside the value.
                self.names.truncate(count);
                PrivateClaimError::of_claim(error, self.last_name())
            })
    }

    /// The name whose value is being written.
    fn last_name(&self) -> String {
        self.names().last().unwrap_or_default().to_owned()
    }
}

/// Takes the members of one map or struct; every other shape is refused.
struct Members<'a> {
    claims: &'a mut PrivateClaims,
    turn: Turn,
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

    fn name<T>(&mut self, name: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.turn.begin().map_err(PrivateClaimError::of_group)?;
        self.claims.push_name(name)?;
        self.turn = Turn::Value;
        Ok(())
    }

    fn value<T>(&mut self, value: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.turn
            .begin_value()
            .map_err(PrivateClaimError::of_group)?;
        self.claims.push_value(value)?;
        self.turn = Turn::Next;
        Ok(())
    }

    fn finish(self) -> Result<(), PrivateClaimError> {
        match self.error {
            Some(error) => Err(error),
            None => self.turn.end().map_err(PrivateClaimError::of_group),
        }
    }
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
        PrivateClaimError::NotAnObject;
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
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

    fn serialize_map(self, _: Option<usize>) -> Result<Self, PrivateClaimError> {
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, PrivateClaimError> {
        if name.starts_with(PRIVATE) {
            return Err(PrivateClaimError::NotAnObject);
        }
        Ok(self)
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = PrivateClaimError;

    fn serialize_key<T>(&mut self, name: &T) -> Result<(), PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.name(name);
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
        let outcome = self.name(name).and_then(|()| self.value(value));
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
    /// The name was added before, or is there twice in one object of a value.
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
    /// The value is or holds a floating-point number that is NaN or infinite, which JSON does not
    /// have (RFC 8259 §6).
    NotANumber {
        /// The name of the claim.
        name: String,
    },
    /// The private claims take more than 65,536 bytes of JSON.
    TooLarge,
    /// A type's own `Serialize` failed, or writes what is no JSON.
    Serialize {
        /// The name of the claim; `None` when it was the group of claims that failed.
        name: Option<String>,
        /// What it said.
        message: String,
    },
}

impl PrivateClaimError {
    /// The error of a claim's value.
    #[cold]
    fn of_claim(error: Box<ValueError>, name: String) -> Self {
        match *error {
            ValueError::TooDeep => Self::TooDeep { name },
            ValueError::NotANumber => Self::NotANumber { name },
            ValueError::TooLarge => Self::TooLarge,
            ValueError::Duplicate { name } => Self::Duplicate { name },
            ValueError::NameNotAString | ValueError::OutOfTurn | ValueError::Custom { .. } => {
                Self::Serialize {
                    name: Some(name),
                    message: error.to_string(),
                }
            }
        }
    }

    /// The error of a group of claims, or of a claim's name.
    #[cold]
    fn of_group(error: Box<ValueError>) -> Self {
        match *error {
            ValueError::NameNotAString => Self::NameNotAString,
            ValueError::TooLarge => Self::TooLarge,
            ValueError::Duplicate { name } => Self::Duplicate { name },
            ValueError::TooDeep
            | ValueError::NotANumber
            | ValueError::OutOfTurn
            | ValueError::Custom { .. } => ser::Error::custom(error),
        }
    }
}

impl fmt::Display for PrivateClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { name } => write!(
                f,
                "claim `{name}` is a registered one and is not for a private claim; Claims has a method for it, or writes it by itself"
            ),
            Self::Duplicate { name } => write!(
                f,
                "the name `{name}` is there twice, among the private claims or in an object inside one"
            ),
            Self::NotAnObject => f.write_str(
                "private claims must be a map or a struct; use with_private_claim for one value",
            ),
            Self::NameNotAString => f.write_str("the name of a private claim must be a string"),
            Self::TooDeep { name } => write!(
                f,
                "private claim `{name}` has more than {MAX_DEPTH} arrays and objects inside one another, deeper than relying parties read"
            ),
            Self::NotANumber { name } => write!(
                f,
                "private claim `{name}` has a number that is NaN or infinite, which JSON cannot say; leave it out or write it as a string"
            ),
            Self::TooLarge => write!(
                f,
                "the private claims take more than {MAX_LENGTH} bytes of JSON; put only what relying parties read into a token"
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
