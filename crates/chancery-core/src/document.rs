//! A published document, ready to be served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::HashAlgorithm;
use crate::base64url;

/// A document as a web server hands it out: path, headers and bytes. Cloning it is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    path: String,
    content_type: &'static str,
    cache_control: String,
    etag: String,
    bytes: Vec<u8>,
}

impl Document {
    pub(crate) fn new(
        path: String,
        content_type: &'static str,
        max_age: Duration,
        bytes: Vec<u8>,
    ) -> Self {
        let digest = HashAlgorithm::Sha256.digest(&bytes);
        Self(Arc::new(Inner {
            path,
            content_type,
            cache_control: format!("public, max-age={}", max_age.as_secs()),
            etag: format!("\"{}\"", base64url::encode(digest.left_half())),
            bytes,
        }))
    }

    /// The path at which relying parties look for it, beginning with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.0.content_type
    }

    /// The value of the `Cache-Control` header (RFC 9111 §5.2).
    #[must_use]
    pub fn cache_control(&self) -> &str {
        &self.0.cache_control
    }

    /// The value of the `ETag` header: a strong validator (RFC 9110 §8.8.3), quotes included.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.0.etag
    }

    /// The JSON.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The headers to send with it, with status 200 and with status 304 alike.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [
            ("content-type", self.content_type()),
            ("cache-control", self.cache_control()),
            ("etag", self.etag()),
        ]
    }

    /// Whether a request with this `If-None-Match` header is answered by 304 Not Modified and no
    /// body (RFC 9110 §13.1.2): the header is `*`, or a list that has this document's tag.
    #[must_use]
    pub fn is_not_modified(&self, if_none_match: Option<&str>) -> bool {
        if_none_match.is_some_and(|header| {
            header.trim() == "*"
                || header.split(',').any(|tag| {
                    let tag = tag.trim();
                    tag.strip_prefix("W/").unwrap_or(tag) == self.etag()
                })
        })
    }
}

/// Gives the JSON; with it `bytes::Bytes::from_owner(document)` makes a body without a copy.
impl AsRef<[u8]> for Document {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("path", &self.0.path)
            .field("etag", &self.0.etag)
            .field("json", &String::from_utf8_lossy(&self.0.bytes))
            .finish_non_exhaustive()
    }
}
