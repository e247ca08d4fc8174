//! Values as JSON that is well-formed whatever the `Serialize` of their types does.
//!
//! serde_json writes what it is told: names without values, one name twice, and with its raw
//! values any text. Here the value is refused.

mod compound;
mod name;
mod verbatim;

use std::fmt;
use std::ops::Range;

use serde_core::ser::{self, Serialize, Serializer};

use self::compound::{Array, Object, Struct};
use self::name::Name;
use self::verbatim::Verbatim;

pub(crate) use self::compound::Turn;
pub(crate) use self::name::{NameKind, UniqueNames};
pub(crate) use self::verbatim::{PRIVATE, check};

/// How many arrays and objects of a value may stand inside one another. With the payload around
/// them that makes 64, the most that .NET's parser takes by default; serde_json's takes 127.
pub(crate) const MAX_DEPTH: usize = 63;

/// How many bytes of JSON there may be.
pub(crate) const MAX_LENGTH: usize = 65_536;

/// Writes values at the end of a buffer.
pub(crate) struct Writer<'a> {
    json: &'a mut Vec<u8>,
    /// Where in the buffer the names of the objects are that are being written: those of the
    /// outermost first.
    names: &'a mut Vec<Range<usize>>,
    /// How many arrays and objects are open.
    depth: usize,
    /// The first error, kept for a type that goes on after it.
    error: Option<Box<ValueError>>,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(json: &'a mut Vec<u8>, names: &'a mut Vec<Range<usize>>) -> Self {
        Self {
            json,
            names,
            depth: 0,
            error: None,
        }
    }

    /// Writes one value. After an error, the buffer is of no use.
    #[inline]
    pub(crate) fn value<T>(mut self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        let outcome = value.serialize(&mut self);
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        outcome?;
        if self.depth > 0 {
            return Err(ValueError::OutOfTurn.into());
        }
        self.check_room_for(0)
    }

    /// Writes the name of a member and a colon.
    #[inline]
    pub(crate) fn name<T>(
        &mut self,
        name: &T,
        kind: NameKind,
        names: &mut UniqueNames,
    ) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        let start = self.json.len() + 1;
        name.serialize(Name { writer: self, kind })?;
        let between_quotes = start..self.json.len() - 1;
        names.insert(self.json, self.names, between_quotes)?;
        self.json.push(b':');
        Ok(())
    }

    #[inline]
    fn string(&mut self, text: &str) -> Result<(), Box<ValueError>> {
        self.check_room_for(text.len())?;
        if is_plain(text.as_bytes()) {
            self.json.push(b'"');
            self.json.extend_from_slice(text.as_bytes());
            self.json.push(b'"');
            return Ok(());
        }
        self.by_serde_json(text)
    }

    #[inline]
    fn integer(&mut self, integer: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(integer));
    }

    fn float(&mut self, is_finite: bool, float: impl Serialize) -> Result<(), Box<ValueError>> {
        if !is_finite {
            return Err(ValueError::NotANumber.into());
        }
        self.by_serde_json(&float)
    }

    /// Writes a string or a number as serde_json does.
    #[inline(never)]
    fn by_serde_json<T>(&mut self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        serde_json::to_writer(&mut *self.json, value).map_err(ValueError::from_serde_json)
    }

    #[inline]
    fn raw(&mut self, json: &str) {
        self.json.extend_from_slice(json.as_bytes());
    }

    #[inline]
    fn check_room_for(&self, length: usize) -> Result<(), Box<ValueError>> {
        if self.json.len().saturating_add(length) > MAX_LENGTH {
            return Err(ValueError::TooLarge.into());
        }
        Ok(())
    }

    #[inline]
    fn open(&mut self, bracket: u8) -> Result<(), Box<ValueError>> {
        if self.depth == MAX_DEPTH {
            return Err(ValueError::TooDeep.into());
        }
        self.depth += 1;
        self.json.push(bracket);
        Ok(())
    }

    /// Closes as many arrays and objects as there are brackets.
    #[inline]
    fn close(&mut self, brackets: &str) {
        self.depth -= brackets.len();
        self.raw(brackets);
    }

    /// Opens the object around the content of an enum's variant.
    fn open_variant(&mut self, variant: &str) -> Result<(), Box<ValueError>> {
        self.open(b'{')?;
        self.string(variant)?;
        self.json.push(b':');
        Ok(())
    }

    #[inline]
    fn array<'w>(&'w mut self, brackets: &'static str) -> Result<Array<'w, 'a>, Box<ValueError>> {
        self.open(b'[')?;
        Ok(Array {
            writer: self,
            turn: Turn::First,
            brackets,
        })
    }

    #[inline]
    fn object<'w>(&'w mut self, brackets: &'static str) -> Result<Object<'w, 'a>, Box<ValueError>> {
        self.open(b'{')?;
        Ok(Object {
            names: UniqueNames::inside(self.names),
            writer: self,
            turn: Turn::First,
            brackets,
        })
    }

    #[inline]
    fn keep(&mut self, outcome: Result<(), Box<ValueError>>) -> Result<(), Box<ValueError>> {
        if let Err(error) = &outcome {
            self.error.get_or_insert_with(|| error.clone());
        }
        outcome
    }
}

macro_rules! integers {
    ($($method:ident($integer:ty);)*) => {$(
        #[inline]
        fn $method(self, integer: $integer) -> Result<(), Box<ValueError>> {
            self.integer(integer);
            Ok(())
        }
    )*};
}

impl<'w, 'a> Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Box<ValueError>;
    type SerializeSeq = Array<'w, 'a>;
    type SerializeTuple = Array<'w, 'a>;
    type SerializeTupleStruct = Array<'w, 'a>;
    type SerializeTupleVariant = Array<'w, 'a>;
    type SerializeMap = Object<'w, 'a>;
    type SerializeStruct = Struct<'w, 'a>;
    type SerializeStructVariant = Object<'w, 'a>;

    integers! {
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
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Box<ValueError>> {
        self.raw(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Box<ValueError>> {
        self.float(value.is_finite(), value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Box<ValueError>> {
        self.float(value.is_finite(), value)
    }

    fn serialize_char(self, value: char) -> Result<(), Box<ValueError>> {
        self.string(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Box<ValueError>> {
        self.string(value)
    }

    /// Writes an array of numbers.
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Box<ValueError>> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Box<ValueError>> {
        self.serialize_unit()
    }

    fn serialize_some<T>(self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Box<ValueError>> {
        self.raw("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Box<ValueError>> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Box<ValueError>> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<(), Box<ValueError>>
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
    ) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.close("}");
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'w, 'a>, Box<ValueError>> {
        self.array("]")
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Array<'w, 'a>, Box<ValueError>> {
        self.array("]")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Array<'w, 'a>, Box<ValueError>> {
        self.array("]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'w, 'a>, Box<ValueError>> {
        self.open_variant(variant)?;
        self.array("]}")
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Object<'w, 'a>, Box<ValueError>> {
        self.object("}")
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Struct<'w, 'a>, Box<ValueError>> {
        if name.starts_with(PRIVATE) {
            return Ok(Struct::Verbatim(Verbatim {
                writer: self,
                token: name,
                turn: Turn::First,
            }));
        }
        self.object("}").map(Struct::Object)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'w, 'a>, Box<ValueError>> {
        self.open_variant(variant)?;
        self.object("}}")
    }
}

/// Whether the text is printable ASCII that stands in JSON as it is.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    // Most texts are short: eight bytes at a time, the last eight of which may overlap others.
    let Some(last) = text.last_chunk::<8>() else {
        return text
            .iter()
            .all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\'));
    };
    let (chunks, _) = text.as_chunks::<8>();
    let odd = chunks
        .iter()
        .fold(odd_bytes(*last), |odd, chunk| odd | odd_bytes(*chunk));
    odd == 0
}

const fn odd_bytes(chunk: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(chunk);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    (word
        | word.wrapping_sub(ONES * 0x20)
        | word.wrapping_add(ONES)
        | quote.wrapping_sub(ONES)
        | backslash.wrapping_sub(ONES))
        & (ONES * 0x80)
}

/// Why a value cannot be written. In a box, so that the outcome of each step fits a register.
#[derive(Clone, Debug)]
pub(crate) enum ValueError {
    TooDeep,
    TooLarge,
    NotANumber,
    Duplicate { name: String },
    NameNotAString,
    OutOfTurn,
    Custom { message: String },
}

impl ValueError {
    #[cold]
    fn duplicate(escaped: &[u8]) -> Box<Self> {
        let name = String::from_utf8_lossy(escaped).into_owned();
        Box::new(Self::Duplicate { name })
    }

    #[cold]
    fn from_serde_json(error: serde_json::Error) -> Box<Self> {
        ser::Error::custom(error)
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => f.write_str("too many arrays and objects inside one another"),
            Self::TooLarge => f.write_str("too many bytes of JSON"),
            Self::NotANumber => f.write_str("JSON has no NaN and no infinity"),
            Self::Duplicate { name } => write!(f, "the name `{name}` is there twice"),
            Self::NameNotAString => f.write_str("the name of a member must be a string"),
            Self::OutOfTurn => f.write_str("the type writes parts of a value out of turn"),
            Self::Custom { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for ValueError {}

impl ser::Error for Box<ValueError> {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        Self::new(ValueError::Custom { message })
    }
}

/// Methods of a `Serializer` that refuse what they are given.
macro_rules! refuse {
    ($error:expr; $($method:ident($($argument:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok, Self::Error> {
            Err($error)
        }
    )*};
}
pub(crate) use refuse;
