//! The issuer: the one file that knows tokens, keys and documents together.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::claims::{Claims, ClaimsError};
use crate::document::Document;
use crate::issue_error::{DocumentError, IssueError, RandomError};
use crate::issuer_builder::{IssuerBuilder, Settings};
use crate::issuer_url::IssuerUrl;
use crate::jwk::JsonError;
use crate::key_set::{KeySet, Snapshot};
use crate::lease::Lease;
use crate::payload::{self, Issued, PayloadError};
use crate::time::{Clock, UnixTime};
use crate::token::{Token, UnsignedToken};
use crate::token_policy::{TokenRequest, TokenTerms};

/// The longest token, in characters: the longest that `chancery_software::Verifier` reads, and three
/// times what AWS does.
const MAX_TOKEN_LEN: usize = 65_536;

/// An OpenID Connect issuer: it mints tokens and renders the two documents with which relying
/// parties verify them.
///
/// Thousands of them may share one [`KeySet`]; each is small until its documents are asked for.
pub struct Issuer {
    url: IssuerUrl,
    keys: KeySet,
    /// `{"iss":"…"`, with which every payload begins.
    payload_prefix: Box<str>,
    jwks_uri: Option<IssuerUrl>,
    settings: Arc<Settings>,
    documents: RwLock<Option<Box<Documents>>>,
}

/// The documents of one snapshot of the keys, until the keys or their states change.
struct Documents {
    /// The generation of the snapshot. The snapshot itself would keep replaced signers alive.
    generation: u64,
    /// While it is valid, where the keys follow a manifest.
    lease: Option<Lease>,
    /// From this moment on, and up to the other, these keys are published, and those of them sign.
    valid_from: Option<UnixTime>,
    valid_until: Option<UnixTime>,
    /// Where else the discovery document is looked for.
    other_paths: [String; 2],
    serves_jwks: bool,
    discovery: Document,
    jwks: Document,
}

impl Issuer {
    /// An issuer with the defaults that [`IssuerBuilder`] lists.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use chancery_core::{Claims, Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey, Signer, Token};
    ///
    /// fn mint(signer: Arc<dyn Signer>) -> Result<Token, Box<dyn std::error::Error>> {
    ///     let keys = KeySet::new(vec![ScheduledKey::new(signer, Schedule::ALWAYS)])?;
    ///     let issuer = Issuer::new(IssuerUrl::parse("https://id.example.com")?, keys);
    ///     let claims = Claims::new("job:4711").with_audience("sts.amazonaws.com");
    ///     Ok(issuer.issue(&claims)?)
    /// }
    /// ```
    #[must_use]
    pub fn new(url: IssuerUrl, keys: KeySet) -> Self {
        Self::with_settings(url, keys, None, Arc::new(Settings::default()))
    }

    /// An issuer whose settings differ from the defaults.
    pub fn builder(url: IssuerUrl, keys: KeySet) -> IssuerBuilder {
        IssuerBuilder::new(url, keys)
    }

    /// An issuer of another tenant: another URL, and the same keys and settings, which are shared.
    /// Its JWKS stands under its own URL, unless this issuer was built with a `jwks_uri`.
    #[must_use]
    pub fn tenant(&self, url: IssuerUrl) -> Self {
        Self::with_settings(
            url,
            self.keys.clone(),
            self.jwks_uri.clone(),
            Arc::clone(&self.settings),
        )
    }

    pub(crate) fn with_settings(
        url: IssuerUrl,
        keys: KeySet,
        jwks_uri: Option<IssuerUrl>,
        settings: Arc<Settings>,
    ) -> Self {
        // A checked URL has neither quotes nor backslashes, so it needs no escaping.
        let payload_prefix = format!(r#"{{"iss":"{url}""#).into();
        Self {
            url,
            keys,
            payload_prefix,
            jwks_uri,
            settings,
            documents: RwLock::new(None),
        }
    }

    /// The issuer's URL: `iss` in tokens and `issuer` in discovery, the same bytes.
    #[must_use]
    pub const fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// The lifetime of a token that asks for none.
    #[must_use]
    pub fn default_lifetime(&self) -> Duration {
        self.settings.default_lifetime
    }

    /// The keys it signs with and publishes.
    #[must_use]
    pub const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Mints a token, blocking while the key signs. It makes one allocation of its own.
    ///
    /// # Errors
    /// [`IssueError`] when the claims are refused, no key is active, or the key does not sign.
    pub fn issue(&self, claims: &Claims) -> Result<Token, IssueError> {
        Ok(Token(self.prepare(claims)?.sign()?))
    }

    /// Mints a token into `out`, which it replaces, blocking while the key signs. A buffer that is
    /// used again makes this free of allocations.
    ///
    /// # Errors
    /// As for [`Issuer::issue`]; `out` is then empty.
    pub fn issue_into(&self, claims: &Claims, out: &mut String) -> Result<(), IssueError> {
        let mut text = std::mem::take(out).into_bytes();
        text.clear();
        *out = self.prepare_in(claims, text)?.sign()?;
        Ok(())
    }

    /// Mints a token without blocking the caller's thread while a device or service signs. A key
    /// in memory signs inline.
    ///
    /// # Errors
    /// As for [`Issuer::issue`].
    pub async fn issue_async(&self, claims: &Claims) -> Result<Token, IssueError> {
        let unsigned = self.prepare(claims)?;
        let pending = unsigned.signer()?.begin_sign(&unsigned.signing_input());
        let signature = pending.await?;
        Ok(unsigned.assemble(&signature)?)
    }

    /// Does everything but sign, for a key that only a remote service can use.
    ///
    /// # Errors
    /// [`IssueError`] when the claims are refused or no key is active.
    pub fn prepare(&self, claims: &Claims) -> Result<UnsignedToken, IssueError> {
        self.prepare_in(claims, Vec::new())
    }

    /// The discovery document (OpenID Connect Discovery 1.0 §4).
    ///
    /// # Errors
    /// [`DocumentError`] when no key is published at this moment, or the lease of the keys ran out.
    pub fn discovery(&self) -> Result<Document, DocumentError> {
        self.with_documents(|documents| documents.discovery.clone())
    }

    /// The JWKS (RFC 7517 §5): the key that signs by default first.
    ///
    /// # Errors
    /// [`DocumentError`] when no key is published at this moment, or the lease of the keys ran out.
    pub fn jwks(&self) -> Result<Document, DocumentError> {
        self.with_documents(|documents| documents.jwks.clone())
    }

    /// Answers the path of a request, without its query: the discovery document, where OpenID
    /// Connect and where RFC 8414 put it, and the JWKS, unless it stands on another host. `None`
    /// means that the path is none of this issuer's.
    ///
    /// # Errors
    /// [`DocumentError`] when no key is published at this moment, or the lease of the keys ran out;
    /// answer with status 503 (RFC 9110 §15.6.4). Never serve an earlier document instead: it may
    /// lack the key of another replica's tokens.
    pub fn document(&self, path: &str) -> Result<Option<Document>, DocumentError> {
        let document = |documents: &Documents| documents.at(path).cloned();
        match self.with_current_documents(document) {
            Some(document) => Ok(document),
            // A service asks about every path; the others must not go down with the keys.
            None if !self.has_path(path) => Ok(None),
            None => self.with_documents(document),
        }
    }

    fn prepare_in(&self, claims: &Claims, mut text: Vec<u8>) -> Result<UnsignedToken, IssueError> {
        let settings = &*self.settings;
        settings.check(claims)?;
        let now = settings.clock.now();
        let snapshot = self.keys.snapshot();
        let lease = snapshot.lease();
        self.keys.check(lease, now)?;
        let lifetime = claims.lifetime.unwrap_or(settings.default_lifetime);
        if let Some(longest) = lease.map(Lease::longest_lifetime)
            && lifetime > longest
        {
            return Err(IssueError::OutlivesKeys { lifetime, longest });
        }
        let terms = match &settings.token_policy {
            Some(policy) => policy.terms(&TokenRequest::new(&self.url, claims, lifetime))?,
            None => TokenTerms::default(),
        };
        let expires = now.checked_add(lifetime).ok_or(ClaimsError::Overflow)?;
        let issued_at = now.saturating_sub(settings.backdating);
        let not_before = claims.not_before.unwrap_or(issued_at);
        if not_before >= expires {
            return Err(IssueError::Claims(ClaimsError::NeverValid {
                not_before,
                expires,
            }));
        }

        let algorithm = self.algorithm(claims, &terms, &snapshot, now)?;
        let key = snapshot
            .active(algorithm, now)
            .ok_or(IssueError::NoActiveKey { algorithm, now })?;

        let header = key.header(claims.token_type);
        let payload_len = payload::estimated_len(claims, &self.payload_prefix);
        text.reserve(
            header.len()
                + base64url::encoded_len(payload_len)
                + 1
                + base64url::encoded_len(key.jwk().signature_len()),
        );
        text.extend_from_slice(header);
        let issued = Issued {
            prefix: &self.payload_prefix,
            hash: algorithm.hash(),
            issued_at,
            not_before,
            expires,
        };
        payload::append(claims, &issued, &mut text).map_err(|error| match error {
            PayloadError::Claims(error) => IssueError::Claims(error),
            PayloadError::Random(error) => IssueError::Random(RandomError(error)),
        })?;
        let len = text.len() + 1 + base64url::encoded_len(key.jwk().signature_len());
        let longest = terms
            .longest_token
            .map_or(MAX_TOKEN_LEN, |len| len.min(MAX_TOKEN_LEN));
        if len > longest {
            return Err(IssueError::Claims(ClaimsError::TooLarge { len, longest }));
        }
        Ok(UnsignedToken::new(text, key)?)
    }

    /// The algorithm asked for, the fastest that the token policy accepts, the first of the
    /// issuer's own, or the set's first that has an active key.
    fn algorithm(
        &self,
        claims: &Claims,
        terms: &TokenTerms,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Result<Algorithm, IssueError> {
        let published = self.settings.algorithms.as_deref();
        if let Some(accepted) = terms.algorithms {
            match claims.signing_algorithm {
                None => {
                    return accepted
                        .fastest_first()
                        .filter(|algorithm| {
                            published.is_none_or(|listed| listed.contains(algorithm))
                        })
                        .find(|&algorithm| snapshot.is_active(algorithm, now))
                        .ok_or(IssueError::NoAcceptedKey { accepted, now });
                }
                Some(algorithm) if !accepted.contains(algorithm) => {
                    return Err(IssueError::AlgorithmNotAccepted {
                        algorithm,
                        accepted,
                    });
                }
                Some(_) => {}
            }
        }
        let algorithm = claims
            .signing_algorithm
            .or_else(|| published.and_then(|listed| listed.first().copied()))
            .or_else(|| snapshot.default_algorithm(now))
            .ok_or(IssueError::NoKey { now })?;
        // A key of an algorithm that this issuer does not publish must not sign for it.
        if published.is_some_and(|listed| !listed.contains(&algorithm)) {
            return Err(IssueError::AlgorithmNotPublished { algorithm });
        }
        Ok(algorithm)
    }

    /// Whether a document would stand at this path, were there one.
    fn has_path(&self, path: &str) -> bool {
        self.url.discovery_path() == path
            || self.url.metadata_path() == path
            || self.url.inserted_discovery_path() == path
            || (self.serves_jwks() && self.jwks_path() == path)
    }

    /// Whether the JWKS stands on the issuer's own host.
    fn serves_jwks(&self) -> bool {
        self.jwks_uri
            .as_ref()
            .is_none_or(|uri| uri.origin() == self.url.origin())
    }

    fn jwks_path(&self) -> String {
        match &self.jwks_uri {
            Some(uri) => uri.path().to_owned(),
            None => self.url.default_jwks_path(),
        }
    }

    /// Looks at the documents, after rendering them where the keys or their states have changed.
    fn with_documents<T>(&self, look: impl Fn(&Documents) -> T) -> Result<T, DocumentError> {
        if let Some(found) = self.with_current_documents(&look) {
            return Ok(found);
        }
        let now = self.settings.clock.now();
        let snapshot = self.keys.snapshot();
        if let Some(lease) = snapshot.lease() {
            self.keys.check(Some(lease), now)?;
        }
        let documents = self.render(&snapshot, now)?;
        let found = look(&documents);
        *self
            .documents
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Box::new(documents));
        Ok(found)
    }

    /// Looks at the documents, if they have been rendered and are still right.
    fn with_current_documents<T>(&self, look: impl FnOnce(&Documents) -> T) -> Option<T> {
        self.documents
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .filter(|documents| documents.are_current(&self.keys, &*self.settings.clock))
            .map(|documents| look(documents))
    }

    fn render(&self, snapshot: &Snapshot, now: UnixTime) -> Result<Documents, DocumentError> {
        let settings = &*self.settings;
        let published = settings.algorithms.as_deref();
        let jwks = snapshot
            .jwks(now, published)
            // The kids of a set are unique, so those of a part of it are.
            .map_err(|error| DocumentError::Json(JsonError(error.to_string())))?;
        if jwks.keys().is_empty() {
            return Err(DocumentError::NoPublishedKey { now });
        }
        let mut algorithms = Vec::new();
        for jwk in jwks.keys() {
            if !algorithms.contains(&jwk.algorithm()) {
                algorithms.push(jwk.algorithm());
            }
        }
        let jwks_path = self.jwks_path();
        let jwks_origin = self.jwks_uri.as_ref().unwrap_or(&self.url).origin();
        let jwks_uri = format!("{jwks_origin}{jwks_path}");
        let jwks_json = serde_json::to_vec(&jwks)
            .map_err(|error| DocumentError::Json(JsonError(error.to_string())))?;
        let (valid_from, valid_until) = snapshot.changes_around(now);
        let max_age = snapshot.lease().map_or(settings.max_age, |lease| {
            settings.max_age.min(lease.max_age())
        });
        Ok(Documents {
            valid_from,
            valid_until,
            generation: snapshot.generation(),
            lease: snapshot.lease().cloned(),
            other_paths: [self.url.metadata_path(), self.url.inserted_discovery_path()],
            serves_jwks: self.serves_jwks(),
            discovery: Document::new(
                self.url.discovery_path(),
                "application/json",
                max_age,
                settings.metadata.render(&self.url, &jwks_uri, &algorithms),
            ),
            jwks: Document::new(jwks_path, settings.jwks_content_type, max_age, jwks_json),
        })
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("url", &self.url)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Documents {
    fn are_current(&self, keys: &KeySet, clock: &dyn Clock) -> bool {
        if !keys.is_current(self.generation) {
            return false;
        }
        // Keys that never change need no look at the clock.
        if self.lease.is_none() && self.valid_from.is_none() && self.valid_until.is_none() {
            return true;
        }
        let now = clock.now();
        if let Some(lease) = &self.lease
            && keys.check(Some(lease), now).is_err()
        {
            return false;
        }
        self.valid_from.is_none_or(|from| from <= now)
            && self.valid_until.is_none_or(|until| now < until)
    }

    fn at(&self, path: &str) -> Option<&Document> {
        if path == self.discovery.path() || self.other_paths.iter().any(|other| other == path) {
            Some(&self.discovery)
        } else if self.serves_jwks && path == self.jwks.path() {
            Some(&self.jwks)
        } else {
            None
        }
    }
}
