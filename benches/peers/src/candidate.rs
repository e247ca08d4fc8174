//! What is measured: a task that signs, who wrote it, and which engine signs below it.

use std::fmt;

use crate::claims::Request;
use crate::engines::Engine;
use crate::keys::Key;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Makes one token, or one raw signature, and leaves the token in the string.
pub(crate) type Task = Box<dyn FnMut(&mut String) -> Result<(), Failure>>;

/// The signature algorithms that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    EdDsa,
    Rs256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The JWS name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// How many tokens a candidate on this engine makes in a row, of which the fastest counts: the
    /// slow engines get fewer, for what is held against one another is on the same engine.
    pub(crate) const fn batch(self, engine: Engine) -> u32 {
        match (self, engine) {
            (Self::Es256 | Self::EdDsa, _) => 16,
            (Self::Rs256, Engine::Rsa | Engine::RsaBlinded) => 2,
            (Self::Rs256, _) => 8,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a candidate gets: one key and one request, the same for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: &'a Key,
    pub(crate) request: Request,
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A library that chancery is compared with.
    Peer,
    /// chancery, its claims built for each token: what the peers are compared with.
    Chancery,
    /// chancery in a way that has no counterpart in the peers.
    Aside,
}

/// One library on one engine.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) engine: Engine,
    pub(crate) task: Task,
}

impl Candidate {
    /// A peer.
    pub(crate) fn peer<T>(name: &'static str, engine: Engine, task: T) -> Self
    where
        T: FnMut(&mut String) -> Result<(), Failure> + 'static,
    {
        Self {
            name,
            role: Role::Peer,
            engine,
            task: Box::new(task),
        }
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
