//! What a service demands of its tokens beyond the rules of every issuer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::algorithm_set::AlgorithmSet;
use crate::claims::Claims;
use crate::issuer_url::IssuerUrl;

/// Decides, before a token is written, whether its relying party would take it, and with which
/// algorithms. [`IssuerBuilder::token_policy`](crate::IssuerBuilder::token_policy) sets it.
///
/// It is asked for each token, so it should neither allocate nor wait.
pub trait TokenPolicy: fmt::Debug + Send + Sync {
    /// The terms on which the token may be issued.
    ///
    /// # Errors
    /// [`PolicyError`] says why no such token is minted.
    fn terms(&self, request: &TokenRequest<'_>) -> Result<TokenTerms, PolicyError>;
}

/// A token that is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// Who issues it.
    pub issuer: &'a IssuerUrl,
    /// What it is to say.
    pub claims: &'a Claims,
    /// How long it is good for, the issuer's default included.
    pub lifetime: Duration,
}

impl<'a> TokenRequest<'a> {
    /// A request, as an issuer makes it.
    #[must_use]
    pub const fn new(issuer: &'a IssuerUrl, claims: &'a Claims, lifetime: Duration) -> Self {
        Self {
            issuer,
            claims,
            lifetime,
        }
    }
}

/// On which terms a token may be issued; by default on any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenTerms {
    /// With one of these it is signed, the fastest of which there is an active key. `None` leaves
    /// the choice to the issuer.
    pub algorithms: Option<AlgorithmSet>,
    /// The longest that the token may be, in characters.
    pub longest_token: Option<usize>,
}

impl TokenTerms {
    /// Lets only these algorithms sign, besides what is demanded already.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = Some(match self.algorithms {
            Some(others) => others.intersection(algorithms),
            None => algorithms,
        });
        self
    }

    /// Lets the token have so many characters at most, or fewer where that is demanded already.
    #[must_use]
    pub fn with_longest_token(mut self, len: usize) -> Self {
        self.longest_token = Some(self.longest_token.map_or(len, |other| other.min(len)));
        self
    }
}

/// Why a [`TokenPolicy`] refuses a token: any error, kept as it is.
#[derive(Debug)]
pub struct PolicyError(Box<dyn Error + Send + Sync>);

impl PolicyError {
    /// Wraps the reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }

    /// The reason, to be downcast to the policy's own type.
    #[must_use]
    pub fn reason(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// It stands for its reason, and so shows the reason's own source.
impl Error for PolicyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
