//! Finds members that are there twice, which JSON parsers read in different ways.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde_core::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::rotation::error::ManifestError;

/// Checks that no object has two members of one name. The bytes have been parsed as JSON before.
pub(super) fn check(json: &[u8]) -> Result<(), ManifestError> {
    let duplicate = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome = Unique {
        duplicate: &duplicate,
    }
    .deserialize(&mut deserializer);
    match (duplicate.into_inner(), outcome) {
        (Some(name), _) => Err(ManifestError::DuplicateMember { name }),
        (None, Err(error)) => Err(super::not_json(&error)),
        (None, Ok(())) => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Unique<'a> {
    /// The name that is there twice.
    duplicate: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                members.next_value::<IgnoredAny>()?;
                self.duplicate.set(Some(name));
                return Err(A::Error::custom("a member is there twice"));
            }
            names.insert(name);
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}
