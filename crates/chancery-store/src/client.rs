//! Objects behind a client of the crate `object_store`: memory and the clouds.

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, UpdateVersion,
};

use crate::content::{Content, LARGEST, Object, Version, VersionKind};
use crate::error::StoreError;
use crate::random;

/// Metadata that tells a write from every other. All services take a name of letters alone.
const WRITE: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("write"));

pub(crate) struct Client {
    store: Box<dyn ObjectStore>,
    /// Scheme and bucket, as in `s3://bucket`.
    location: String,
}

impl Client {
    pub(crate) fn new(store: Box<dyn ObjectStore>, location: String) -> Self {
        Self { store, location }
    }

    /// What an object is called in errors.
    pub(crate) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.location)
    }

    pub(crate) async fn read(
        &self,
        path: &str,
        unless: Option<&Version>,
    ) -> Result<Option<Object>, StoreError> {
        let unless = unless.and_then(tag);
        let options = GetOptions {
            if_none_match: unless.and_then(|version| version.e_tag.clone()),
            ..GetOptions::default()
        };
        let found = match self.store.get_opts(&Path::from(path), options).await {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(None),
            Err(Error::NotFound { .. }) if unless.is_none() => return Ok(None),
            Err(error) => return Err(self.error(path, error)),
        };
        let version = UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        };
        // A server may ignore the condition.
        if unless == Some(&version) {
            return Ok(None);
        }
        if found.meta.size > LARGEST {
            return Err(StoreError::TooLarge {
                object: self.name(path),
                size: found.meta.size,
                limit: LARGEST,
            });
        }
        let attribute = |name| {
            found
                .attributes
                .get(&name)
                .map(|value| value.as_ref().to_owned())
        };
        let content_type = attribute(Attribute::ContentType);
        let cache_control = attribute(Attribute::CacheControl);
        let bytes = found.bytes().await;
        Ok(Some(Object {
            bytes: bytes.map_err(|error| self.error(path, error))?.to_vec(),
            version: Version(VersionKind::Tag(version)),
            content_type,
            cache_control,
        }))
    }

    /// Creates an object, or replaces the one that is expected.
    pub(crate) async fn write(
        &self,
        path: &str,
        content: &Content<'_>,
        expected: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let mode = match expected.map(tag) {
            None => PutMode::Create,
            Some(Some(version)) => PutMode::Update(version.clone()),
            // A version of another kind of store.
            Some(None) => return Err(self.conflict(path)),
        };
        let write = random::hex().map_err(|error| self.unavailable(path, error))?;
        let mut attributes = Attributes::new();
        attributes.insert(
            Attribute::ContentType,
            content.content_type.to_owned().into(),
        );
        attributes.insert(
            Attribute::CacheControl,
            content.cache_control.to_owned().into(),
        );
        attributes.insert(WRITE, write.clone().into());
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        let payload = PutPayload::from(content.bytes.to_vec());
        let location = Path::from(path);
        let written = self.store.put_opts(&location, payload, options);
        let version = match written.await {
            Ok(written) => UpdateVersion {
                e_tag: written.e_tag,
                version: written.version,
            },
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                let own = self.own_version(path, &write).await?;
                own.ok_or_else(|| self.conflict(path))?
            }
            Err(error) => match self.own_version(path, &write).await {
                Ok(Some(own)) => own,
                _ => return Err(self.error(path, error)),
            },
        };
        Ok(Version(VersionKind::Tag(version)))
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), StoreError> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(path, error)),
        }
    }

    /// The paths below a prefix, which is cut off.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let below = (!prefix.is_empty()).then(|| Path::from(prefix));
        self.store
            .list(below.as_ref())
            .map_ok(|found| {
                let path = found.location.as_ref();
                path.strip_prefix(prefix).unwrap_or(path).to_owned()
            })
            .try_collect()
            .await
            .map_err(|error| self.error(prefix, error))
    }

    /// The version of the object that is there, if this write made it: the server took it, its answer
    /// was lost, and whatever the client sent after that was refused.
    async fn own_version(
        &self,
        path: &str,
        write: &str,
    ) -> Result<Option<UpdateVersion>, StoreError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.store.get_opts(&Path::from(path), options).await {
            Ok(found) if found.attributes.get(&WRITE).map(AsRef::as_ref) == Some(write) => {
                Ok(Some(UpdateVersion {
                    e_tag: found.meta.e_tag,
                    version: found.meta.version,
                }))
            }
            Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(path, error)),
        }
    }

    fn conflict(&self, path: &str) -> StoreError {
        StoreError::Conflict {
            object: self.name(path),
        }
    }

    fn unavailable(
        &self,
        path: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::Unavailable {
            object: self.name(path),
            source: source.into(),
        }
    }

    fn error(&self, path: &str, error: Error) -> StoreError {
        let object = self.name(path);
        match error {
            Error::NotFound { .. } => StoreError::NotFound { object },
            Error::NotImplemented { .. } | Error::NotSupported { .. } => StoreError::Unsupported {
                store: self.location.clone(),
                reason: "its settings switch conditional writes off".to_owned(),
                source: Some(error.into()),
            },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                StoreError::PermissionDenied {
                    object,
                    source: error.into(),
                }
            }
            _ => self.unavailable(path, error),
        }
    }
}

fn tag(version: &Version) -> Option<&UpdateVersion> {
    match &version.0 {
        VersionKind::Tag(version) => Some(version),
        VersionKind::File { .. } => None,
    }
}
