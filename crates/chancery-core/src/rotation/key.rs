//! A key over its life: what it is, where it lies, and the moments it goes through.

use std::fmt;

use serde_json::{Map, Value};

use super::policy::Role;
use crate::jwk::Jwk;
use crate::time::UnixTime;

/// The longest reference to a key, in bytes.
const LONGEST_REFERENCE: usize = 1024;

/// A key that the manifest keeps: its public half, where the private half lies, and its moments.
///
/// It stays in the manifest after its end, so that its `kid` is never used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedKey {
    pub(super) jwk: Jwk,
    pub(super) backend: String,
    pub(super) reference: String,
    pub(super) role: Role,
    pub(super) bootstrap: Option<Bootstrap>,
    pub(super) moments: Moments,
    /// Members of a later version of the manifest, of the key and of its JWK.
    pub(super) unknown: Map<String, Value>,
    pub(super) unknown_of_jwk: Map<String, Value>,
}

impl ManagedKey {
    /// The public half. Its `kid` is the RFC 7638 thumbprint.
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The `kid`.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The name of the backend in which the private half lies.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// What the backend finds the private half by.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// What the key was made for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether it is one of the very first keys, announced when there was none before.
    #[must_use]
    pub const fn bootstrap(&self) -> Option<Bootstrap> {
        self.bootstrap
    }

    /// Its moments.
    #[must_use]
    pub const fn moments(&self) -> &Moments {
        &self.moments
    }

    /// What the key is at this moment, which is a function of its moments alone.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> KeyState {
        let moments = &self.moments;
        let reached = |moment: Option<UnixTime>| moment.is_some_and(|moment| moment <= now);
        let out = if reached(moments.destroyed_at) {
            KeyState::Destroyed
        } else {
            KeyState::Retired
        };
        if reached(moments.revoked_at) {
            KeyState::Revoked
        } else if !reached(moments.announce) {
            if reached(moments.stop) {
                out
            } else {
                KeyState::Provisioned
            }
        } else if reached(moments.retire) {
            out
        } else if reached(moments.end()) {
            KeyState::Draining
        } else if reached(moments.activate) {
            KeyState::Active
        } else if reached(moments.observed_at) {
            KeyState::Observed
        } else {
            KeyState::Announced
        }
    }

    /// Whether the key could still become the one that signs: it never has, and is not withdrawn.
    pub(super) fn is_waiting(&self) -> bool {
        let moments = &self.moments;
        moments.activate.is_none() && moments.stop.is_none() && moments.revoked_at.is_none()
    }

    /// Whether the key waits for its turn, or for a moment that was planned and has not come.
    pub(super) fn may_take_over(&self, now: UnixTime) -> bool {
        self.is_waiting()
            || (self.moments.activate.is_some_and(|activate| now < activate)
                && self.moments.end().is_none_or(|end| now < end))
    }
}

/// The moments of a key, each in its own words. Those that end in `at` are recorded when something
/// was done; the others are planned, and count from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// The key was made and has signed once.
    pub provisioned_at: Option<UnixTime>,
    /// It enters the JWKS.
    pub announce: Option<UnixTime>,
    /// It was fetched through the public URL.
    pub observed_at: Option<UnixTime>,
    /// It begins to sign.
    pub activate: Option<UnixTime>,
    /// It signs no longer: its successor does.
    pub stop: Option<UnixTime>,
    /// It signs no longer, whether it has a successor or not.
    pub sign_not_after: Option<UnixTime>,
    /// It leaves the JWKS.
    pub retire: Option<UnixTime>,
    /// Its private half may be destroyed.
    pub destroy: Option<UnixTime>,
    /// Its private half was destroyed.
    pub destroyed_at: Option<UnixTime>,
    /// The policy took it out of service: its lane ended, or moved to another backend.
    pub withdrawn_at: Option<UnixTime>,
    /// It was found to be compromised, and left the JWKS at once.
    pub revoked_at: Option<UnixTime>,
}

impl Moments {
    /// From when on the key does not sign: `stop`, `sign_not_after` or `revoked_at`, whichever
    /// comes first.
    #[must_use]
    pub fn end(&self) -> Option<UnixTime> {
        [self.stop, self.sign_not_after, self.revoked_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// From when on the key is out of the JWKS: `retire` or `revoked_at`.
    #[must_use]
    pub fn out(&self) -> Option<UnixTime> {
        [self.retire, self.revoked_at].into_iter().flatten().min()
    }

    /// The moments by the names they have in a manifest.
    pub(super) const fn named(&self) -> [(&'static str, Option<UnixTime>); 11] {
        [
            ("provisioned_at", self.provisioned_at),
            ("announce", self.announce),
            ("observed_at", self.observed_at),
            ("activate", self.activate),
            ("stop", self.stop),
            ("sign_not_after", self.sign_not_after),
            ("retire", self.retire),
            ("destroy", self.destroy),
            ("destroyed_at", self.destroyed_at),
            ("withdrawn_at", self.withdrawn_at),
            ("revoked_at", self.revoked_at),
        ]
    }

    /// The moments by what [`named`](Self::named) calls them.
    pub(super) fn from_named<E>(
        mut moment: impl FnMut(&'static str) -> Result<Option<UnixTime>, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            provisioned_at: moment("provisioned_at")?,
            announce: moment("announce")?,
            observed_at: moment("observed_at")?,
            activate: moment("activate")?,
            stop: moment("stop")?,
            sign_not_after: moment("sign_not_after")?,
            retire: moment("retire")?,
            destroy: moment("destroy")?,
            destroyed_at: moment("destroyed_at")?,
            withdrawn_at: moment("withdrawn_at")?,
            revoked_at: moment("revoked_at")?,
        })
    }
}

/// How one of the very first keys may begin to sign (inequality 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bootstrap {
    /// Once it was observed and no memory of its absence is left.
    Observed,
    /// At once, because nobody had fetched a JWKS.
    AtOnce,
}

impl Bootstrap {
    /// The word for it in a manifest: `observed` or `at_once`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::AtOnce => "at_once",
        }
    }
}

/// What a key is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// It was made and tested; nobody knows it yet.
    Provisioned,
    /// It is in the JWKS.
    Announced,
    /// It was fetched through the public URL.
    Observed,
    /// It signs.
    Active,
    /// It signs no longer and stays in the JWKS, because its tokens live.
    Draining,
    /// It is out of the JWKS.
    Retired,
    /// Its private half is gone, too.
    Destroyed,
    /// It was compromised, and left the JWKS at once.
    Revoked,
}

impl KeyState {
    /// Every state, in the order in which a key goes through them.
    pub const ALL: [Self; 8] = [
        Self::Provisioned,
        Self::Announced,
        Self::Observed,
        Self::Active,
        Self::Draining,
        Self::Retired,
        Self::Destroyed,
        Self::Revoked,
    ];

    /// The word for it, such as `active`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::Announced => "announced",
            Self::Observed => "observed",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the key stands in the JWKS.
    #[must_use]
    pub const fn is_published(self) -> bool {
        matches!(
            self,
            Self::Announced | Self::Observed | Self::Active | Self::Draining
        )
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a reference to a key. It stands in the manifest for all to read, so nothing
/// that looks like a secret may be in it.
pub(super) fn reference_problem(reference: &str) -> Option<&'static str> {
    if !matches!(reference.len(), 1..=LONGEST_REFERENCE)
        || !reference.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
    {
        return Some("it must have 1 to 1024 printable ASCII characters");
    }
    let lower = reference.to_ascii_lowercase();
    let names_a_secret = [
        "-----begin",
        "private key",
        "pin-value",
        "pin=",
        "password=",
        "password:",
        "passphrase=",
        "passphrase:",
        "\"d\"",
    ]
    .into_iter()
    .any(|mark| lower.contains(mark));
    // DER in base64: a SEQUENCE of more than 127 bytes. Paths are shorter or have dots.
    let is_der = reference.starts_with("MI")
        && reference.len() >= 64
        && reference.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
        });
    (names_a_secret || is_der)
        .then_some("it looks like a secret; a reference only names the place of a key")
}
