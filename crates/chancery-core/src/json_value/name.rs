//! The names of members: how they are written, and that none is there twice.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::Range;

use serde_core::ser::{Impossible, Serialize, Serializer};

use super::{ValueError, Writer, refuse};

/// Which types a name may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// Text alone.
    Text,
    /// Text, and what serde_json puts between quotes: numbers, `true` and `false`.
    Scalar,
}

/// The names of one object.
#[derive(Clone, Default)]
pub(crate) struct UniqueNames {
    /// Where the names of this object begin among those of all that are being written.
    first: usize,
    /// A bit for each name, by its length and last byte: a name whose bit is not set is new.
    seen: u64,
    /// The hashes of all names, once there are many.
    hashes: Option<Box<Hashes>>,
}

#[derive(Clone, Default)]
struct Hashes(HashSet<u64>);

impl Hashes {
    #[inline]
    fn insert(&mut self, name: &[u8]) -> bool {
        let hash = self.0.hasher().hash_one(name);
        self.0.insert(hash)
    }
}

/// Up to so many names, the bits tell nearly all of them apart.
const FEW: usize = 32;

impl UniqueNames {
    /// For an object inside those whose names these are.
    pub(super) const fn inside(names: &[Range<usize>]) -> Self {
        Self {
            first: names.len(),
            seen: 0,
            hashes: None,
        }
    }

    /// Adds the name that is there in the JSON, between its quotes.
    #[inline]
    pub(super) fn insert(
        &mut self,
        json: &[u8],
        names: &mut Vec<Range<usize>>,
        name: Range<usize>,
    ) -> Result<(), Box<ValueError>> {
        let own = &names[self.first..];
        // Escaping is deterministic, so names are equal exactly when their escaped forms are.
        let escaped = &json[name.clone()];
        let may_repeat = if own.len() < FEW {
            let last = escaped.last().copied().map_or(0, usize::from);
            let bit = 1 << ((escaped.len() * 8 + last) % 64);
            let may_repeat = self.seen & bit != 0;
            self.seen |= bit;
            may_repeat
        } else {
            self.is_hash_known(json, own, escaped)
        };
        if may_repeat && own.iter().any(|other| json[other.clone()] == *escaped) {
            return Err(ValueError::duplicate(escaped));
        }
        names.push(name);
        Ok(())
    }

    #[cold]
    fn is_hash_known(&mut self, json: &[u8], own: &[Range<usize>], name: &[u8]) -> bool {
        let hashes = self.hashes.get_or_insert_with(|| {
            let mut hashes = Box::<Hashes>::default();
            for other in own {
                hashes.insert(&json[other.clone()]);
            }
            hashes
        });
        !hashes.insert(name)
    }

    /// Forgets the names at the end of their object.
    pub(super) fn leave(self, names: &mut Vec<Range<usize>>) {
        names.truncate(self.first);
    }
}

/// Writes a name. It cannot write itself: that could spell one name in several ways.
pub(super) struct Name<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    pub(super) kind: NameKind,
}

impl Name<'_, '_> {
    #[inline]
    fn quoted<T>(self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        if self.kind == NameKind::Text {
            return Err(ValueError::NameNotAString.into());
        }
        self.writer.json.push(b'"');
        value.serialize(&mut *self.writer)?;
        self.writer.json.push(b'"');
        Ok(())
    }
}

macro_rules! quoted {
    ($($method:ident($value:ty);)*) => {$(
        fn $method(self, value: $value) -> Result<(), Box<ValueError>> {
            self.quoted(&value)
        }
    )*};
}

impl Serializer for Name<'_, '_> {
    type Ok = ();
    type Error = Box<ValueError>;
    type SerializeSeq = Impossible<(), Box<ValueError>>;
    type SerializeTuple = Impossible<(), Box<ValueError>>;
    type SerializeTupleStruct = Impossible<(), Box<ValueError>>;
    type SerializeTupleVariant = Impossible<(), Box<ValueError>>;
    type SerializeMap = Impossible<(), Box<ValueError>>;
    type SerializeStruct = Impossible<(), Box<ValueError>>;
    type SerializeStructVariant = Impossible<(), Box<ValueError>>;

    quoted! {
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
    }

    fn serialize_char(self, value: char) -> Result<(), Box<ValueError>> {
        self.writer.serialize_char(value)
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Box<ValueError>> {
        self.writer.string(value)
    }

    fn serialize_some<T>(self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Box<ValueError>> {
        self.writer.string(variant)
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    refuse! {
        ValueError::NameNotAString.into();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        Err(ValueError::NameNotAString.into())
    }
}
