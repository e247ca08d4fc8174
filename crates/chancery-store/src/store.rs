//! The store: one interface over directories, memory and object stores.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use tokio::task;
use tokio::time::{self, Instant};

use crate::client::Client;
use crate::content::{Content, Object, Version};
use crate::directory::{Access, Directory};
use crate::error::StoreError;
use crate::object_path;
use crate::open;

/// How long any method may take, its retries included.
const DEADLINE: Duration = Duration::from_secs(20);

/// Objects in a directory or an object store, below a prefix. Cloning is cheap, and clones share the
/// store.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    /// Empty, or ends in a slash.
    prefix: String,
}

#[derive(Clone)]
enum Backend {
    Directory(Arc<Directory>),
    Client(Arc<Client>),
}

impl Store {
    /// A directory of this machine for what is nobody else's business, made where it is missing.
    ///
    /// Any number of processes may use it at once, also over NFS where the server has locks. A change
    /// survives a crash as soon as it has been answered: it is written to a temporary file, which
    /// reaches the disk before it takes the object's name. Only the owner can read the files (0600)
    /// and the folders that are made (0700).
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the directory cannot be made, or is none.
    pub fn local(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::directory(directory.into(), Access::Owner)
    }

    /// As [`local`](Self::local), for what a web server hands out: everybody can read the files
    /// (0644) and the folders that are made (0755).
    ///
    /// # Errors
    ///
    /// As those of [`local`](Self::local).
    pub fn public_directory(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::directory(directory.into(), Access::Everybody)
    }

    /// Memory of this process, for tests. Clones share it.
    #[must_use]
    pub fn memory() -> Self {
        Self::client(Client::new(
            Box::new(InMemory::new()),
            "memory://".to_owned(),
        ))
    }

    /// Opens what a URL names:
    ///
    /// | URL | store | feature |
    /// |---|---|---|
    /// | `s3://bucket/prefix` | Amazon S3, and what speaks its protocol | `aws` |
    /// | `gs://bucket/prefix` | Google Cloud Storage | `gcp` |
    /// | `az://container/prefix` | Azure Blob Storage | `azure` |
    /// | `file:///directory` | [`local`](Self::local) | |
    /// | `memory:///prefix` | a new [`memory`](Self::memory) | |
    ///
    /// Credentials and endpoints come from the environment, by the names that the crate
    /// `object_store` reads (`AWS_…`, `GOOGLE_…`, `AZURE_…`), and from the options, which have the
    /// same names in either case and go first. Directories and memory take none.
    ///
    /// A request has 2 seconds to connect (option `connect_timeout`) and 5 to be answered (option
    /// `timeout`). What is known to have failed, or can be repeated without harm, is repeated up to
    /// three times within 5 seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidLocation`] for a URL, an option or a setting of the environment that is
    /// none, or whose feature is missing; [`StoreError::InvalidPath`] for the prefix; and those of
    /// [`local`](Self::local).
    pub fn open<K, V>(
        url: &str,
        options: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, StoreError>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        let options = options
            .into_iter()
            .map(|(name, value)| (name.as_ref().to_owned(), value.into()))
            .collect();
        open::open(url, options)
    }

    /// The store below a further prefix, such as a tenant's.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidPath`] as for [`read`](Self::read).
    pub fn below(&self, prefix: &str) -> Result<Self, StoreError> {
        object_path::check(prefix)?;
        Ok(Self {
            backend: self.backend.clone(),
            prefix: format!("{}{prefix}/", self.prefix),
        })
    }

    /// Reads an object; none when it is not there.
    ///
    /// A path is made of segments with single slashes between them, none of them `.` or `..`. They
    /// have the characters `A-Z a-z 0-9 - . _` and do not begin with `.chancery`.
    ///
    /// # Errors
    ///
    /// Any of [`StoreError`] but `Conflict`.
    pub async fn read(&self, path: &str) -> Result<Option<Object>, StoreError> {
        object_path::check(path)?;
        self.read_unchecked(path, None).await
    }

    /// Reads an object unless it is of this version still, for which there is none. Costs a request
    /// without a body, or a look at a file's times.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is gone, and as [`read`](Self::read).
    pub async fn read_if_changed(
        &self,
        path: &str,
        version: &Version,
    ) -> Result<Option<Object>, StoreError> {
        object_path::check(path)?;
        self.read_unchecked(path, Some(version)).await
    }

    /// Writes an object that is not there yet. Hands back its version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it exists, and any other of [`StoreError`]. After
    /// [`StoreError::Unavailable`] it may have been written nevertheless.
    pub async fn create(&self, path: &str, content: &Content<'_>) -> Result<Version, StoreError> {
        object_path::check(path)?;
        self.write_unchecked(path, content, None).await
    }

    /// Replaces an object that is of this version still. Hands back its new version.
    ///
    /// A connection that breaks leaves open whether the server took the change. So each write carries
    /// a mark of its own, and when it seems to have failed, it has succeeded nevertheless if the
    /// object bears this mark. Of writers of the same bytes, too, one wins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it is of another version or gone, and any other of
    /// [`StoreError`]. After [`StoreError::Unavailable`] it may have been replaced nevertheless.
    pub async fn replace(
        &self,
        path: &str,
        content: &Content<'_>,
        expected: &Version,
    ) -> Result<Version, StoreError> {
        object_path::check(path)?;
        self.write_unchecked(path, content, Some(expected)).await
    }

    /// Deletes an object, of whatever version. It may be gone already.
    ///
    /// # Errors
    ///
    /// Any of [`StoreError`] but `Conflict` and `NotFound`.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        object_path::check(path)?;
        let path = format!("{}{path}", self.prefix);
        match &self.backend {
            Backend::Directory(directory) => {
                let directory = Arc::clone(directory);
                self.blocking(move || directory.delete(&path)).await
            }
            Backend::Client(client) => self.bounded(client.delete(&path)).await,
        }
    }

    /// The paths of all objects below the prefix, sorted. What others have put there under names
    /// that are no paths is left out.
    ///
    /// # Errors
    ///
    /// Any of [`StoreError`] but `Conflict` and `NotFound`.
    pub async fn list(&self) -> Result<Vec<String>, StoreError> {
        let prefix = self.prefix.clone();
        let mut paths = match &self.backend {
            Backend::Directory(directory) => {
                let directory = Arc::clone(directory);
                self.blocking(move || directory.list(&prefix)).await?
            }
            Backend::Client(client) => self.bounded(client.list(&prefix)).await?,
        };
        paths.retain(|path| object_path::is_valid(path));
        paths.sort_unstable();
        Ok(paths)
    }

    pub(crate) fn client(client: Client) -> Self {
        Self {
            backend: Backend::Client(Arc::new(client)),
            prefix: String::new(),
        }
    }

    fn directory(root: PathBuf, access: Access) -> Result<Self, StoreError> {
        Ok(Self {
            backend: Backend::Directory(Arc::new(Directory::open(root, access)?)),
            prefix: String::new(),
        })
    }

    /// Reads also what stores keep for themselves.
    pub(crate) async fn read_unchecked(
        &self,
        path: &str,
        unless: Option<&Version>,
    ) -> Result<Option<Object>, StoreError> {
        let path = format!("{}{path}", self.prefix);
        match &self.backend {
            Backend::Directory(directory) => {
                let directory = Arc::clone(directory);
                let unless = unless.cloned();
                self.blocking(move || directory.read(&path, unless.as_ref()))
                    .await
            }
            Backend::Client(client) => self.bounded(client.read(&path, unless)).await,
        }
    }

    /// Creates an object, or replaces the one that is expected.
    pub(crate) async fn write_unchecked(
        &self,
        path: &str,
        content: &Content<'_>,
        expected: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let until = Instant::now() + DEADLINE;
        self.write_until(path, content, expected, until).await
    }

    /// As [`replace`](Self::replace), and given up at this moment. A directory does not change after
    /// it, also where this process was stopped meanwhile; a request that is on its way cannot be
    /// called back.
    pub(crate) async fn replace_until(
        &self,
        path: &str,
        content: &Content<'_>,
        expected: &Version,
        until: Instant,
    ) -> Result<Version, StoreError> {
        object_path::check(path)?;
        let write = self.write_until(path, content, Some(expected), until);
        match time::timeout_at(until, write).await {
            Ok(outcome) => outcome,
            Err(error) => Err(self.unavailable(error)),
        }
    }

    async fn write_until(
        &self,
        path: &str,
        content: &Content<'_>,
        expected: Option<&Version>,
        until: Instant,
    ) -> Result<Version, StoreError> {
        let path = format!("{}{path}", self.prefix);
        match &self.backend {
            Backend::Directory(directory) => {
                let directory = Arc::clone(directory);
                let bytes = content.bytes.to_vec();
                let expected = expected.cloned();
                let until = until.into_std();
                self.blocking(move || directory.write(&path, &bytes, expected.as_ref(), until))
                    .await
            }
            Backend::Client(client) => self.bounded(client.write(&path, content, expected)).await,
        }
    }

    /// Runs what waits for a disk on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.bounded(async {
            match task::spawn_blocking(operation).await {
                Ok(outcome) => outcome,
                Err(error) => Err(self.unavailable(error)),
            }
        })
        .await
    }

    async fn bounded<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match time::timeout(DEADLINE, operation).await {
            Ok(outcome) => outcome,
            Err(error) => Err(self.unavailable(error)),
        }
    }

    pub(crate) fn unavailable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::Unavailable {
            object: self.to_string(),
            source: source.into(),
        }
    }
}

impl fmt::Display for Store {
    /// Where the store is, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Backend::Directory(directory) => write!(f, "{}", directory.name(&self.prefix)),
            Backend::Client(client) => write!(f, "{}", client.name(&self.prefix)),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({self})")
    }
}
