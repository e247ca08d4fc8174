//! Documents for static hosting.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use chancery_core::rotation::{KeyState, Manifest};
use chancery_core::{Document, DocumentError, Issuer, JwkError, JwkSet, UnixTime};
use tokio::time::error::Elapsed;

use crate::content::{Content, Object};
use crate::error::StoreError;
use crate::store::Store;

/// The documents of issuers, in a store that a web server or a CDN serves as it is.
///
/// The path of a document in the store is its path in the URL, without the first slash: the store is
/// the root of the issuers' host. The JWKS is written before the discovery document that names it,
/// both only over what was read before, and both are read back. What somebody else changes or removes
/// there is put right within a lease.
#[derive(Debug)]
pub struct Publication {
    store: Store,
    issuers: Vec<Published>,
    /// The issuer whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Published {
    issuer: Arc<Issuer>,
    /// The documents that were last seen in the store, and when.
    last: Option<([Document; 2], UnixTime)>,
}

/// Documents that are to be published, and what lies in the store in their places.
#[derive(Debug)]
pub(crate) struct Draft {
    index: usize,
    documents: [Document; 2],
    found: [Option<Object>; 2],
}

impl Publication {
    /// The documents of these issuers, whose keys are the keeper's.
    #[must_use]
    pub fn new(store: Store, issuers: impl IntoIterator<Item = Arc<Issuer>>) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|issuer| Published { issuer, last: None })
            .collect();
        Self {
            store,
            issuers,
            turn: 0,
        }
    }

    pub(crate) fn issuers(&self) -> usize {
        self.issuers.len()
    }

    /// The issuer whose turn it is. One that failed has to wait until all others had theirs.
    pub(crate) fn turn(&mut self) -> usize {
        let turn = self.turn;
        self.turn = (turn + 1) % self.issuers.len().max(1);
        turn
    }

    /// Whether each JWKS lies in the store as it is served.
    pub(crate) fn is_complete(&self) -> bool {
        self.issuers.iter().all(|published| {
            let last = published.last.as_ref().map(|([jwks, _], _)| jwks);
            last.is_some() && last == published.issuer.jwks().ok().as_ref()
        })
    }

    /// Finds out what there is to publish of an issuer: documents that have changed, or that were
    /// not looked at since `recently`. The manifest must be read once more before they are: only one
    /// that was current after this cannot be older than the documents it replaces.
    pub(crate) async fn draft(
        &self,
        index: usize,
        recently: UnixTime,
    ) -> Result<Option<Draft>, PublishError> {
        let published = &self.issuers[index];
        let issuer = &published.issuer;
        let documents = [issuer.jwks()?, issuer.discovery()?];
        if let Some((last, seen_at)) = &published.last
            && *last == documents
            && recently < *seen_at
        {
            return Ok(None);
        }
        let [jwks, discovery] = &documents;
        let found = [
            self.store.read(path(jwks)).await?,
            self.store.read(path(discovery)).await?,
        ];
        Ok(Some(Draft {
            index,
            documents,
            found,
        }))
    }

    /// Publishes, and hands back the paths that were written.
    pub(crate) async fn publish(
        &mut self,
        draft: Draft,
        manifest: &Manifest,
        now: UnixTime,
    ) -> Result<Vec<String>, PublishError> {
        let [jwks, _] = &draft.documents;
        if let [Some(found), _] = &draft.found {
            let object = || format!("{}{}", self.store, path(jwks));
            drops_nothing_early(&object, found, jwks, manifest, now)?;
        }
        let mut written = Vec::new();
        for (document, found) in draft.documents.iter().zip(&draft.found) {
            if !found.as_ref().is_some_and(|found| is(found, document)) {
                self.write(document, found.as_ref()).await?;
                written.push(path(document).to_owned());
            }
        }
        self.issuers[draft.index].last = Some((draft.documents, now));
        Ok(written)
    }

    /// There was no time left in this step.
    pub(crate) fn timed_out(&self, source: Elapsed) -> PublishError {
        PublishError::Store(self.store.unavailable(source))
    }

    async fn write(&self, document: &Document, found: Option<&Object>) -> Result<(), PublishError> {
        let path = path(document);
        let content = Content::from(document);
        match found {
            Some(found) => self.store.replace(path, &content, found.version()).await?,
            None => self.store.create(path, &content).await?,
        };
        match self.store.read(path).await? {
            Some(object) if is(&object, document) => Ok(()),
            _ => Err(PublishError::NotReadBack {
                object: format!("{}{path}", self.store),
            }),
        }
    }
}

/// The path below the root of the host.
fn path(document: &Document) -> &str {
    document.path().trim_start_matches('/')
}

/// Whether the object is the document, with its headers where the store keeps any.
fn is(object: &Object, document: &Document) -> bool {
    let same = |kept: Option<&str>, wanted| kept.is_none_or(|kept| kept == wanted);
    object.bytes() == document.bytes()
        && same(object.content_type(), document.content_type())
        && same(object.cache_control(), document.cache_control())
}

/// Every key that is published stays so until the manifest has retired or revoked it.
fn drops_nothing_early(
    object: &dyn Fn() -> String,
    found: &Object,
    jwks: &Document,
    manifest: &Manifest,
    now: UnixTime,
) -> Result<(), PublishError> {
    let no_jwks = |error| PublishError::NoJwks {
        object: object(),
        error,
    };
    let kept = kids(jwks.bytes()).map_err(no_jwks)?;
    for kid in kids(found.bytes()).map_err(no_jwks)? {
        if kept.contains(&kid) {
            continue;
        }
        let state = manifest.key(&kid).map(|key| key.state(now));
        let is_over = matches!(
            state,
            Some(KeyState::Retired | KeyState::Destroyed | KeyState::Revoked)
        );
        if !is_over {
            return Err(PublishError::WouldDrop {
                object: object(),
                kid,
                state,
            });
        }
    }
    Ok(())
}

fn kids(jwks: &[u8]) -> Result<Vec<String>, JwkError> {
    let jwks = JwkSet::from_json(jwks)?;
    // What cannot be read as a key cannot be told from one that is still in use.
    if let Some((_, error)) = jwks.ignored().first() {
        return Err(error.clone());
    }
    Ok(jwks.keys().iter().map(|key| key.kid().to_owned()).collect())
}

/// Why a document was not published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The issuer has no document.
    Document(DocumentError),
    /// The store did not take it, or somebody else published meanwhile.
    Store(StoreError),
    /// What lies in the place of the JWKS is none, and stays.
    NoJwks {
        /// Where it is.
        object: String,
        /// What is wrong with it.
        error: JwkError,
    },
    /// The published JWKS has a key that must stay, and that the new one lacks.
    WouldDrop {
        /// Where the JWKS is.
        object: String,
        /// The key.
        kid: String,
        /// Its state; none when the manifest does not know it.
        state: Option<KeyState>,
    },
    /// The store took the document and hands out another one, or other headers.
    NotReadBack {
        /// Where it is.
        object: String,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => write!(f, "nothing is published: {error}"),
            Self::Store(error) => write!(f, "a document was not published: {error}"),
            Self::NoJwks { object, error } => write!(
                f,
                "what lies where the JWKS is to be published is none, and stays: {object}: {error}"
            ),
            Self::WouldDrop {
                object,
                kid,
                state: Some(state),
            } => write!(
                f,
                "the published JWKS has key {kid}, which is {state} and must stay; does the issuer \
                 leave out its algorithm? {object}"
            ),
            Self::WouldDrop {
                object,
                kid,
                state: None,
            } => write!(
                f,
                "the published JWKS has key {kid}, which the manifest does not know; move {object} \
                 away once no token of that key is alive"
            ),
            Self::NotReadBack { object } => write!(
                f,
                "{object} was written, and reads back differently; does something rewrite it?"
            ),
        }
    }
}

impl Error for PublishError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Document(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::NoJwks { error, .. } => error.source(),
            Self::WouldDrop { .. } | Self::NotReadBack { .. } => None,
        }
    }
}

impl From<DocumentError> for PublishError {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
