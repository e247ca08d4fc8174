//! The manifest as JSON.
//!
//! Times are whole seconds. What a later release adds is kept and written back, at every level; a
//! later version of the format is refused.

mod read;
mod write;

use super::error::ManifestError;
use super::manifest::Manifest;
use crate::json_value::{self, ValueError};
use crate::jwk::JsonError;

/// The version of the format.
const VERSION: u64 = 1;

impl Manifest {
    /// Parses a manifest and checks it, as [`Manifest::check`] does.
    ///
    /// # Errors
    /// [`ManifestError`]: what is wrong and where. So when the JSON is longer than
    /// [`Manifest::MAX_LEN`], has two members of one name in an object, is of another version, or
    /// an inequality does not hold.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        check_length(json.len())?;
        let value = serde_json::from_slice(json).map_err(|error| not_json(&error))?;
        check_members(json)?;
        let manifest = read::manifest(value)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Renders the manifest for a store, and for people who look into it: always the same bytes for
    /// the same manifest, with a line for each member.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] when it is longer than [`Manifest::MAX_LEN`], so that nobody
    /// could read it.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let mut json =
            serde_json::to_vec_pretty(&write::manifest(self)).map_err(|error| not_json(&error))?;
        json.push(b'\n');
        check_length(json.len())?;
        Ok(json)
    }
}

fn check_length(found: usize) -> Result<(), ManifestError> {
    if found > Manifest::MAX_LEN {
        return Err(ManifestError::TooLarge { found });
    }
    Ok(())
}

/// Checks that no object has two members of one name.
fn check_members(json: &[u8]) -> Result<(), ManifestError> {
    let not_json = |message: String| ManifestError::Json(JsonError(message));
    let text = std::str::from_utf8(json).map_err(|error| not_json(error.to_string()))?;
    json_value::check(text, 0).map_err(|error| match *error {
        ValueError::Duplicate { name } => ManifestError::DuplicateMember { name },
        error => not_json(error.to_string()),
    })
}

fn not_json(error: &serde_json::Error) -> ManifestError {
    ManifestError::Json(JsonError(error.to_string()))
}
