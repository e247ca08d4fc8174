//! JSON that comes as text: it is checked before it is taken as it is.

use std::collections::HashSet;
use std::fmt;

use serde_core::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_core::ser::Serialize;
use serde_json::Number;

use super::name::{Name, NameKind};
use super::{MAX_DEPTH, Turn, ValueError, Writer};

/// Under names that begin so, serde_json hides its raw values and its numbers of any precision.
pub(crate) const PRIVATE: &str = "$serde_json::private::";
const RAW_VALUE: &str = "$serde_json::private::RawValue";
const NUMBER: &str = "$serde_json::private::Number";

/// A raw value of serde_json, or one of its numbers of any precision: one field with JSON as text.
pub(crate) struct Verbatim<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    /// The name of the struct, and of its field.
    pub(super) token: &'static str,
    pub(super) turn: Turn,
}

impl Verbatim<'_, '_> {
    #[cold]
    pub(super) fn text<T>(&mut self, name: &str, value: &T) -> Result<(), Box<ValueError>>
    where
        T: Serialize + ?Sized,
    {
        if !self.turn.begin()? || name != self.token {
            return Err(ValueError::OutOfTurn.into());
        }
        let start = self.writer.json.len();
        value.serialize(Name {
            writer: &mut *self.writer,
            kind: NameKind::Text,
        })?;
        let text: String = serde_json::from_slice(&self.writer.json[start..])
            .map_err(ValueError::from_serde_json)?;
        self.writer.json.truncate(start);
        match self.token {
            RAW_VALUE => check(&text, self.writer.depth)?,
            NUMBER => {
                text.parse::<Number>()
                    .map_err(ValueError::from_serde_json)?;
            }
            _ => return Err(ValueError::OutOfTurn.into()),
        }
        self.writer.raw(&text);
        self.turn = Turn::Next;
        Ok(())
    }
}

/// Checks that the text is one JSON value that can stand at this depth, and that none of its objects
/// has two members of one name, which JSON parsers read in different ways.
pub(crate) fn check(text: &str, depth: usize) -> Result<(), Box<ValueError>> {
    let mut error = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let checked = Checked {
        depth,
        error: &mut error,
    };
    let outcome = checked.deserialize(&mut reader).and_then(|()| reader.end());
    outcome.map_err(|outcome| error.map_or_else(|| ValueError::from_serde_json(outcome), Box::new))
}

/// Reads a value, and keeps nothing of it but what is wrong with it.
struct Checked<'e> {
    depth: usize,
    error: &'e mut Option<ValueError>,
}

impl Checked<'_> {
    fn inside(&mut self) -> Checked<'_> {
        Checked {
            depth: self.depth + 1,
            error: self.error,
        }
    }

    fn fail<E: de::Error>(&mut self, error: ValueError) -> E {
        let message = E::custom(&error);
        *self.error = Some(error);
        message
    }

    fn check_depth<E: de::Error>(&mut self) -> Result<(), E> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(ValueError::TooDeep));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.check_depth()?;
        while elements.next_element_seed(self.inside())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(name) = names.replace(name) {
                return Err(self.fail(ValueError::Duplicate { name }));
            }
            members.next_value_seed(self.inside())?;
        }
        Ok(())
    }
}
