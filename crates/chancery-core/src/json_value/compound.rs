//! Arrays and objects, whose parts come one after the other or not at all.

use serde_core::ser::{self, Serialize};

use super::name::{NameKind, UniqueNames};
use super::verbatim::Verbatim;
use super::{ValueError, Writer};

/// What an array or object takes next. Nothing more after an error, or a panic that its type
/// caught: it then stays in `Inside`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// An element or name, the first one, or the end.
    First,
    /// An element or name, or the end.
    Next,
    /// The value of a name.
    Value,
    /// Nothing: something is being written.
    Inside,
}

impl Turn {
    /// Begins an element or name, and says whether it is the first one.
    #[inline]
    pub(crate) fn begin(&mut self) -> Result<bool, Box<ValueError>> {
        match std::mem::replace(self, Self::Inside) {
            Self::First => Ok(true),
            Self::Next => Ok(false),
            Self::Value | Self::Inside => Err(ValueError::OutOfTurn.into()),
        }
    }

    /// Begins the value of a name.
    #[inline]
    pub(crate) fn begin_value(&mut self) -> Result<(), Box<ValueError>> {
        match std::mem::replace(self, Self::Inside) {
            Self::Value => Ok(()),
            Self::First | Self::Next | Self::Inside => Err(ValueError::OutOfTurn.into()),
        }
    }

    #[inline]
    pub(crate) fn end(self) -> Result<(), Box<ValueError>> {
        match self {
            Self::First | Self::Next => Ok(()),
            Self::Value | Self::Inside => Err(ValueError::OutOfTurn.into()),
        }
    }
}

pub(crate) struct Array<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    pub(super) turn: Turn,
    /// The brackets at the end.
    pub(super) brackets: &'static str,
}

impl Array<'_, '_> {
    #[inline]
    fn element<T>(&mut self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        self.writer.check_room_for(1)?;
        if !self.turn.begin()? {
            self.writer.json.push(b',');
        }
        value.serialize(&mut *self.writer)?;
        self.turn = Turn::Next;
        Ok(())
    }
}

macro_rules! array {
    ($($trait:ident::$method:ident;)*) => {$(
        impl ser::$trait for Array<'_, '_> {
            type Ok = ();
            type Error = Box<ValueError>;

            #[inline]
            fn $method<T>(&mut self, value: &T) -> Result<(), Box<ValueError>>
            where
                T: Serialize + ?Sized,
            {
                let outcome = self.element(value);
                self.writer.keep(outcome)
            }

            #[inline]
            fn end(self) -> Result<(), Box<ValueError>> {
                self.turn.end()?;
                self.writer.close(self.brackets);
                Ok(())
            }
        }
    )*};
}

array! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

pub(crate) struct Object<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    pub(super) names: UniqueNames,
    pub(super) turn: Turn,
    /// The brackets at the end.
    pub(super) brackets: &'static str,
}

impl Object<'_, '_> {
    #[inline]
    fn name<T>(&mut self, name: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        self.writer.check_room_for(1)?;
        if !self.turn.begin()? {
            self.writer.json.push(b',');
        }
        self.writer.name(name, NameKind::Scalar, &mut self.names)?;
        self.turn = Turn::Value;
        Ok(())
    }

    #[inline]
    fn value<T>(&mut self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        self.turn.begin_value()?;
        value.serialize(&mut *self.writer)?;
        self.turn = Turn::Next;
        Ok(())
    }

    #[inline]
    fn member<T>(&mut self, name: &'static str, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.name(name).and_then(|()| self.value(value));
        self.writer.keep(outcome)
    }

    #[inline]
    fn finish(self) -> Result<(), Box<ValueError>> {
        self.turn.end()?;
        self.names.leave(self.writer.names);
        self.writer.close(self.brackets);
        Ok(())
    }
}

impl ser::SerializeMap for Object<'_, '_> {
    type Ok = ();
    type Error = Box<ValueError>;

    #[inline]
    fn serialize_key<T>(&mut self, key: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.name(key);
        self.writer.keep(outcome)
    }

    #[inline]
    fn serialize_value<T>(&mut self, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        let outcome = self.value(value);
        self.writer.keep(outcome)
    }

    #[inline]
    fn end(self) -> Result<(), Box<ValueError>> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Object<'_, '_> {
    type Ok = ();
    type Error = Box<ValueError>;

    #[inline]
    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        self.member(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), Box<ValueError>> {
        self.finish()
    }
}

pub(crate) enum Struct<'w, 'a> {
    Object(Object<'w, 'a>),
    Verbatim(Verbatim<'w, 'a>),
}

impl ser::SerializeStruct for Struct<'_, '_> {
    type Ok = ();
    type Error = Box<ValueError>;

    #[inline]
    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        match self {
            Self::Object(object) => object.member(name, value),
            Self::Verbatim(verbatim) => {
                let outcome = verbatim.text(name, value);
                verbatim.writer.keep(outcome)
            }
        }
    }

    #[inline]
    fn end(self) -> Result<(), Box<ValueError>> {
        match self {
            Self::Object(object) => object.finish(),
            // Anything but one text was an error before.
            Self::Verbatim(verbatim) if verbatim.turn == Turn::Next => Ok(()),
            Self::Verbatim(_) => Err(ValueError::OutOfTurn.into()),
        }
    }
}
