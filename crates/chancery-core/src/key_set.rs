//! Keys over time: which are published, and which one signs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::jwk::{Jwk, JwkError, JwkSet};
use crate::lease::{Lapse, Lease, Limits};
use crate::sign_error::{SignError, SignErrorKind};
use crate::signer::Signer;
use crate::time::UnixTime;
use crate::token_type::TokenType;

use self::current::Current;

mod current;

/// The most keys a set may hold: AWS reads no more than 100 of a family.
const MAX_KEYS: usize = 100;

/// How far the clock may go back, as it does when it is set right in small steps. A set that follows
/// a manifest has its own tolerance.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The keys of an issuer, or of thousands of issuers: which are published when, and which one
/// signs when.
///
/// A `KeySet` is a handle: its clones see the same keys, and [`KeySet::replace`] changes them for
/// all at once. A token in the making keeps the keys it began with, so that its `kid` and its
/// signature cannot come apart.
///
/// A set that is kept in step with a key manifest is made by [`KeySet::following`]. Its keys come
/// with a [`Lease`]: once that has run out, nothing signs and no document is served.
#[derive(Clone)]
pub struct KeySet(Arc<Shared>);

struct Shared {
    current: Current,
    /// The latest moment at which a token was begun, in seconds.
    latest: AtomicU64,
}

impl KeySet {
    /// Makes a set of keys.
    ///
    /// The order matters twice: an issuer's default is the first algorithm that has an active key,
    /// and of two keys of one algorithm that are active at the same moment the one activated last
    /// signs (the earlier in the list, where they were activated together).
    ///
    /// # Errors
    /// [`KeySetError`] when there is no key, or more than 100, a `kid` is there twice, a key
    /// has two algorithms, or the times of a key are out of order.
    pub fn new(keys: Vec<ScheduledKey>) -> Result<Self, KeySetError> {
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        Ok(Self::of(Snapshot::new(keys, None)?))
    }

    /// Makes a set that follows a key manifest, which has yet to be read: until the first
    /// [`KeySet::follow`] nothing signs and no document is served.
    #[must_use]
    pub fn following() -> Self {
        let not_read = Lease::new(Limits {
            as_of: UnixTime::EPOCH,
            lease: Duration::ZERO,
            longest_lifetime: Duration::ZERO,
            max_age: Duration::ZERO,
            clock_error: Duration::ZERO,
        });
        Self::of(Snapshot {
            generation: 0,
            entries: Vec::new(),
            lease: Some(not_read),
        })
    }

    fn of(snapshot: Snapshot) -> Self {
        Self(Arc::new(Shared {
            current: Current::new(snapshot),
            latest: AtomicU64::new(0),
        }))
    }

    /// Replaces the keys for every issuer that uses this set, at once. They have no lease.
    ///
    /// # Errors
    /// [`KeySetError`], as for [`KeySet::new`]; the old keys then stay.
    pub fn replace(&self, keys: Vec<ScheduledKey>) -> Result<(), KeySetError> {
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        self.0.current.replace(Snapshot::new(keys, None)?);
        Ok(())
    }

    /// Replaces the keys, for every issuer that uses this set and at once, by those of a manifest
    /// that was just read, and gives their lease. There may be none, as long as the manifest has
    /// announced none.
    ///
    /// # Errors
    /// [`KeySetError`], as for [`KeySet::new`]; the old keys and their lease then stay.
    pub fn follow(&self, keys: Vec<ScheduledKey>, limits: Limits) -> Result<Lease, KeySetError> {
        let lease = Lease::new(limits);
        let snapshot = Snapshot::new(keys, Some(lease.clone()))?;
        self.0.current.replace(snapshot);
        Ok(lease)
    }

    /// The public keys published at a moment, in the order of the set, whether or not a lease has
    /// run out.
    #[must_use]
    pub fn published(&self, now: UnixTime) -> Vec<Jwk> {
        self.snapshot().published(now, None).cloned().collect()
    }

    /// Whether the keys may be relied on: their lease, where they have one, has not run out, and the
    /// clock did not go back further than it may. Where they may not, nothing is signed.
    #[must_use]
    pub fn is_valid(&self, now: UnixTime) -> bool {
        let snapshot = self.snapshot();
        let lease = snapshot.lease();
        self.check_latest(now, tolerance(lease)).is_ok()
            && lease.is_none_or(|lease| lease.is_valid(now))
    }

    /// Whether keys with this lease, or with none, may be relied on now. Takes note of the time.
    pub(crate) fn check(&self, lease: Option<&Lease>, now: UnixTime) -> Result<(), Lapse> {
        let checked = self.check_latest(now, tolerance(lease));
        if now.as_secs() > self.0.latest.load(Ordering::Relaxed) {
            self.0.latest.fetch_max(now.as_secs(), Ordering::Relaxed);
        }
        checked?;
        lease.map_or(Ok(()), |lease| lease.check(now))
    }

    /// A clock that went back further than this could make keys sign that have been stopped.
    fn check_latest(&self, now: UnixTime, tolerance: Duration) -> Result<(), Lapse> {
        match UnixTime::from_secs(self.0.latest.load(Ordering::Relaxed)) {
            Some(latest) if now < latest.saturating_sub(tolerance) => {
                Err(Lapse::ClockWentBack { now, latest })
            }
            _ => Ok(()),
        }
    }

    /// Whether the set has not been replaced since its snapshot of this generation was taken.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.0.current.generation() == generation
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.load()
    }
}

/// How far the clock may go back.
fn tolerance(lease: Option<&Lease>) -> Duration {
    lease.map_or(CLOCK_TOLERANCE, Lease::clock_tolerance)
}

/// Shows the keys by `kid` and `alg`.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_list()
            .entries(snapshot.entries.iter().map(|entry| &entry.jwk))
            .finish()
    }
}

/// A key and its times.
#[derive(Debug)]
pub struct ScheduledKey {
    jwk: Jwk,
    signer: Option<Arc<dyn Signer>>,
    schedule: Schedule,
}

impl ScheduledKey {
    /// A key that signs in this process.
    #[must_use]
    pub fn new(signer: Arc<dyn Signer>, schedule: Schedule) -> Self {
        Self {
            jwk: signer.jwk().clone(),
            signer: Some(signer),
            schedule,
        }
    }

    /// A key that signs elsewhere: one whose tokens of another process are still alive, or one in
    /// a remote service that is used with [`Issuer::prepare`](crate::Issuer::prepare).
    ///
    /// While it is the active one of its algorithm, [`Issuer::issue`](crate::Issuer::issue) cannot
    /// sign with that algorithm here.
    #[must_use]
    pub const fn without_signer(jwk: Jwk, schedule: Schedule) -> Self {
        Self {
            jwk,
            signer: None,
            schedule,
        }
    }

    /// Publishes a certificate chain with the key, as old Ceph RGW needs: `x5c`, DER, the
    /// certificate of this key first (RFC 7517 §4.7).
    ///
    /// # Errors
    /// [`JwkError::Certificate`] when one cannot be read or the first is not of this key.
    pub fn with_certificate_chain(mut self, chain: Vec<Vec<u8>>) -> Result<Self, JwkError> {
        self.jwk = self.jwk.with_certificate_chain(chain)?;
        Ok(self)
    }
}

/// When a key is published and when it signs.
///
/// A relying party must be able to fetch a key before the first token signed by it arrives, and as
/// long as the last one lives. So `announce ≤ activate ≤ stop ≤ retire`, with room between.
///
/// ```
/// use chancery_core::{Schedule, UnixTime};
///
/// let announced = Schedule {
///     announce: UnixTime::EPOCH,
///     activate: None,
///     stop: None,
///     retire: None,
/// };
/// let active = Schedule { activate: Some(UnixTime::EPOCH), ..announced };
/// assert!(announced.is_published(UnixTime::MAX) && !announced.is_active(UnixTime::MAX));
/// assert!(active.is_active(UnixTime::MAX));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From this moment on the key stands in the JWKS.
    pub announce: UnixTime,
    /// From this moment on it signs; `None` while that is not planned.
    pub activate: Option<UnixTime>,
    /// From this moment on it signs no longer; `None` while that is not planned.
    pub stop: Option<UnixTime>,
    /// From this moment on it is out of the JWKS; `None` while that is not planned.
    pub retire: Option<UnixTime>,
}

impl Schedule {
    /// Published and active at all times: the first key of an issuer that nobody trusts yet.
    pub const ALWAYS: Self = Self {
        announce: UnixTime::EPOCH,
        activate: Some(UnixTime::EPOCH),
        stop: None,
        retire: None,
    };

    /// Whether the key stands in the JWKS.
    #[must_use]
    pub fn is_published(&self, now: UnixTime) -> bool {
        self.announce <= now && self.retire.is_none_or(|retire| now < retire)
    }

    /// Whether the key may sign.
    #[must_use]
    pub fn is_active(&self, now: UnixTime) -> bool {
        self.activate.is_some_and(|activate| activate <= now)
            && self.stop.is_none_or(|stop| now < stop)
            && self.is_published(now)
    }

    fn moments(&self) -> [(&'static str, Option<UnixTime>); 4] {
        [
            ("announce", Some(self.announce)),
            ("activate", self.activate),
            ("stop", self.stop),
            ("retire", self.retire),
        ]
    }

    /// The first two moments that are out of order.
    fn disorder(&self) -> Option<[(&'static str, UnixTime); 2]> {
        let mut latest = ("announce", self.announce);
        for (name, moment) in self.moments() {
            if let Some(moment) = moment {
                if moment < latest.1 {
                    return Some([latest, (name, moment)]);
                }
                latest = (name, moment);
            }
        }
        None
    }
}

/// The keys as they are until the next replacement.
pub(crate) struct Snapshot {
    generation: u64,
    entries: Vec<Entry>,
    lease: Option<Lease>,
}

struct Entry {
    jwk: Jwk,
    signer: Option<Arc<dyn Signer>>,
    schedule: Schedule,
    /// The encoded header and its dot, for each [`TokenType`].
    headers: [Vec<u8>; 3],
}

impl Snapshot {
    fn new(keys: Vec<ScheduledKey>, lease: Option<Lease>) -> Result<Self, KeySetError> {
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany { found: keys.len() });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(keys.len());
        for ScheduledKey {
            jwk,
            signer,
            schedule,
        } in keys
        {
            if entries.iter().any(|entry| entry.jwk.kid() == jwk.kid()) {
                return Err(KeySetError::DuplicateKid {
                    kid: jwk.kid().to_owned(),
                });
            }
            if let Some(entry) = entries.iter().find(|entry| {
                entry.jwk.public_key() == jwk.public_key()
                    && entry.jwk.algorithm() != jwk.algorithm()
            }) {
                return Err(KeySetError::SeveralAlgorithms {
                    kids: [entry.jwk.kid().to_owned(), jwk.kid().to_owned()],
                });
            }
            if let Some([earlier, later]) = schedule.disorder() {
                return Err(KeySetError::Order {
                    kid: jwk.kid().to_owned(),
                    earlier,
                    later,
                });
            }
            let headers = TokenType::ALL.map(|token_type| encoded_header(&jwk, token_type));
            entries.push(Entry {
                jwk,
                signer,
                schedule,
                headers,
            });
        }
        Ok(Self {
            generation: 0,
            entries,
            lease,
        })
    }

    /// How long these keys may be relied on, where they follow a manifest.
    pub(crate) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The number of replacements before this snapshot.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// The first algorithm, in the order of the keys, that has an active key; that of the first key
    /// where none is active, and none where there is no key.
    pub(crate) fn default_algorithm(&self, now: UnixTime) -> Option<Algorithm> {
        let mut algorithms = self.entries.iter().map(|entry| entry.jwk.algorithm());
        let first = algorithms.clone().next();
        algorithms
            .find(|&algorithm| self.is_active(algorithm, now))
            .or(first)
    }

    /// Whether a key signs with this algorithm now.
    pub(crate) fn is_active(&self, algorithm: Algorithm, now: UnixTime) -> bool {
        self.active_index(algorithm, now).is_some()
    }

    /// The key that signs with this algorithm now.
    pub(crate) fn active(
        self: Arc<Self>,
        algorithm: Algorithm,
        now: UnixTime,
    ) -> Option<ActiveKey> {
        let index = self.active_index(algorithm, now)?;
        Some(ActiveKey {
            snapshot: self,
            index,
        })
    }

    fn active_index(&self, algorithm: Algorithm, now: UnixTime) -> Option<usize> {
        let mut found: Option<(usize, Option<UnixTime>)> = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let activate = entry.schedule.activate;
            if entry.jwk.algorithm() == algorithm
                && entry.schedule.is_active(now)
                && found.is_none_or(|(_, latest)| latest < activate)
            {
                found = Some((index, activate));
            }
        }
        found.map(|(index, _)| index)
    }

    /// The keys published now, of the named algorithms or of all.
    pub(crate) fn published<'a>(
        &'a self,
        now: UnixTime,
        algorithms: Option<&'a [Algorithm]>,
    ) -> impl Iterator<Item = &'a Jwk> {
        self.entries
            .iter()
            .filter(move |entry| {
                entry.schedule.is_published(now)
                    && algorithms.is_none_or(|listed| listed.contains(&entry.jwk.algorithm()))
            })
            .map(|entry| &entry.jwk)
    }

    /// The JWKS: the key that signs by default first, because some relying parties read only the
    /// first, then those that sign with other algorithms, then the rest.
    pub(crate) fn jwks(
        &self,
        now: UnixTime,
        algorithms: Option<&[Algorithm]>,
    ) -> Result<JwkSet, JwkError> {
        let default = algorithms
            .and_then(|listed| listed.first().copied())
            .or_else(|| self.default_algorithm(now));
        let mut keys: Vec<(u8, Jwk)> = self
            .published(now, algorithms)
            .map(|jwk| {
                let algorithm = jwk.algorithm();
                let signs = self
                    .active_index(algorithm, now)
                    .is_some_and(|index| self.entries[index].jwk.kid() == jwk.kid());
                let rank = match (signs, Some(algorithm) == default) {
                    (true, true) => 0,
                    (true, false) => 1,
                    (false, _) => 2,
                };
                (rank, jwk.clone())
            })
            .collect();
        keys.sort_by_key(|(rank, _)| *rank);
        JwkSet::new(keys.into_iter().map(|(_, jwk)| jwk).collect())
    }

    /// The latest moment up to now, and the first one after it, at which another set of keys is
    /// published or signs. Before the epoch there is no time.
    pub(crate) fn changes_around(&self, now: UnixTime) -> (Option<UnixTime>, Option<UnixTime>) {
        let moments = || {
            self.entries
                .iter()
                .flat_map(|entry| entry.schedule.moments())
                .filter_map(|(_, moment)| moment)
                .filter(|&moment| moment != UnixTime::EPOCH)
        };
        (
            moments().filter(|&moment| moment <= now).max(),
            moments().filter(|&moment| moment > now).min(),
        )
    }
}

/// The key that signs at this moment, held together with the set it was chosen from.
pub(crate) struct ActiveKey {
    snapshot: Arc<Snapshot>,
    index: usize,
}

impl ActiveKey {
    pub(crate) fn jwk(&self) -> &Jwk {
        &self.entry().jwk
    }

    pub(crate) fn signer(&self) -> Result<&Arc<dyn Signer>, SignError> {
        let entry = self.entry();
        entry.signer.as_ref().ok_or_else(|| {
            SignError::new(
                SignErrorKind::Unsupported,
                format!(
                    "key {} has no signer in this process; use prepare and assemble",
                    entry.jwk.kid()
                ),
            )
        })
    }

    /// The encoded header with the dot behind it.
    pub(crate) fn header(&self, token_type: TokenType) -> &[u8] {
        let [jwt, access_token, logout] = &self.entry().headers;
        match token_type {
            TokenType::Jwt => jwt,
            TokenType::AccessToken => access_token,
            TokenType::Logout => logout,
        }
    }

    fn entry(&self) -> &Entry {
        // The index was found in this very snapshot, which never changes.
        &self.snapshot.entries[self.index]
    }
}

/// `alg`, `typ` and `kid` come from the key and the kind of token; nothing else goes in.
fn encoded_header(jwk: &Jwk, token_type: TokenType) -> Vec<u8> {
    // A kid has neither quotes nor backslashes nor controls, so it needs no escaping.
    let header = format!(
        r#"{{"alg":"{}","typ":"{}","kid":"{}"}}"#,
        jwk.algorithm(),
        token_type,
        jwk.kid()
    );
    let mut encoded = Vec::new();
    base64url::append(header.as_bytes(), &mut encoded);
    encoded.push(b'.');
    encoded
}

/// Why keys make no set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetError {
    /// There is no key.
    Empty,
    /// There are more keys than relying parties read.
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Two keys have the same `kid`.
    DuplicateKid {
        /// The name.
        kid: String,
    },
    /// One key is there with two algorithms. A key has one.
    SeveralAlgorithms {
        /// The names.
        kids: [String; 2],
    },
    /// Two times of a key are out of order.
    Order {
        /// The key.
        kid: String,
        /// The one that has to come first, and its time.
        earlier: (&'static str, UnixTime),
        /// The one that has to come after it, and its time.
        later: (&'static str, UnixTime),
    },
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a key set needs at least one key"),
            Self::TooMany { found } => write!(
                f,
                "{found} keys are more than the {MAX_KEYS} that relying parties read; retire old ones"
            ),
            Self::DuplicateKid { kid } => write!(f, "two keys of the set have the kid `{kid}`"),
            Self::SeveralAlgorithms { kids: [one, other] } => write!(
                f,
                "`{one}` and `{other}` are one key with two algorithms; use a key for each"
            ),
            Self::Order {
                kid,
                earlier,
                later,
            } => write!(
                f,
                "key {kid}: {} at {} must not come after {} at {}",
                earlier.0, earlier.1, later.0, later.1
            ),
        }
    }
}

impl std::error::Error for KeySetError {}
