//! What is written to a store and what is read from it.

use std::fmt;
use std::time::SystemTime;

use chancery_core::Document;
use object_store::UpdateVersion;

/// What is written: bytes, and the HTTP headers that they are to be served with.
///
/// Object stores keep the headers beside the bytes; a directory has no place for them, so there they
/// are up to the web server.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) content_type: &'a str,
    pub(crate) cache_control: &'a str,
}

impl<'a> Content<'a> {
    /// Bytes of a media type, which no cache is to keep.
    #[must_use]
    pub const fn new(bytes: &'a [u8], content_type: &'a str) -> Self {
        Self {
            bytes,
            content_type,
            cache_control: "no-store",
        }
    }

    /// Sets the header `Cache-Control` (RFC 9111, section 5.2).
    #[must_use]
    pub const fn with_cache_control(mut self, cache_control: &'a str) -> Self {
        self.cache_control = cache_control;
        self
    }
}

impl<'a> From<&'a Document> for Content<'a> {
    fn from(document: &'a Document) -> Self {
        Self::new(document.bytes(), document.content_type())
            .with_cache_control(document.cache_control())
    }
}

/// An object as it was read.
#[derive(Clone)]
pub struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
}

impl Object {
    /// What was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, by value.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Which version of the object this is.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// The media type it is served with; none in a directory.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The `Cache-Control` it is served with; none in a directory.
    #[must_use]
    pub fn cache_control(&self) -> Option<&str> {
        self.cache_control.as_deref()
    }
}

impl fmt::Debug for Object {
    /// Leaves out the bytes, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("size", &self.bytes.len())
            .field("version", &self.version)
            .field("content_type", &self.content_type)
            .field("cache_control", &self.cache_control)
            .finish()
    }
}

/// Tells one state of an object from every other, in the store that it came from.
///
/// S3 derives it from the bytes alone: there an object that is changed and then changed back has its
/// first version again. So content carries something that never repeats, such as a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(crate) VersionKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VersionKind {
    /// The time is a counter too: each change of a file moves it forward.
    File {
        modified: SystemTime,
        size: u64,
        digest: [u8; 32],
    },
    Tag(UpdateVersion),
}

/// The largest object that is read, in bytes: a thousand times what a manifest needs.
pub(crate) const LARGEST: u64 = 16 << 20;
