//! How an issuer is set up, and the policy it holds claims to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::claims::{Claims, ClaimsError};
use crate::issuer::Issuer;
use crate::issuer_url::IssuerUrl;
use crate::key_set::KeySet;
use crate::provider_metadata::ProviderMetadata;
use crate::time::{Clock, SystemClock};
use crate::token_policy::TokenPolicy;
use crate::token_type::TokenType;

const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);
const BACKDATING: Duration = Duration::from_secs(5);
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// Sets what an [`Issuer`] does otherwise than by default.
#[derive(Clone, Debug)]
#[must_use = "build() makes the issuer"]
pub struct IssuerBuilder {
    url: IssuerUrl,
    keys: KeySet,
    jwks_uri: Option<IssuerUrl>,
    settings: Settings,
}

impl IssuerBuilder {
    pub(crate) fn new(url: IssuerUrl, keys: KeySet) -> Self {
        Self {
            url,
            keys,
            jwks_uri: None,
            settings: Settings::default(),
        }
    }

    /// The lifetime of a token that asks for none, in whole seconds; 15 minutes by default.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.default_lifetime = lifetime;
        self
    }

    /// The longest lifetime that a token may ask for, in whole seconds; an hour by default. More
    /// is refused, never cut.
    ///
    /// Clouds cannot revoke a token, and a key must stay published as long as this after it has
    /// stopped signing. So the manifest that a key set follows has its own longest, and a token must
    /// keep to both.
    pub fn longest_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.longest_lifetime = lifetime;
        self
    }

    /// How far `iat` and `nbf` are dated back, in whole seconds; 5 by default. Many relying
    /// parties refuse a token that was issued a moment in their future. `exp` counts from now.
    pub fn backdating(mut self, backdating: Duration) -> Self {
        self.settings.backdating = backdating;
        self
    }

    /// Allows these audiences and no others. By default any is allowed, and the service decides.
    pub fn allowed_audiences<A: Into<String>>(
        mut self,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        self.settings.audiences = Some(audiences.into_iter().map(Into::into).collect());
        self
    }

    /// Allows a token several audiences. By default it has exactly one, so that no relying party
    /// can use it with another.
    pub fn allow_several_audiences(mut self) -> Self {
        self.settings.several_audiences = true;
        self
    }

    /// Publishes and uses only the keys of these algorithms, the first by default. Some relying
    /// parties choke on a family of keys they don't know. By default all keys are published.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.settings.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Asks this policy about each token: whether its relying party would take it, and with which
    /// algorithms. A token for which the policy names algorithms, and its claims none, is signed
    /// with the fastest of them that the issuer has an active key of.
    pub fn token_policy(mut self, policy: Arc<dyn TokenPolicy>) -> Self {
        self.settings.token_policy = Some(policy);
        self
    }

    /// What the discovery document says besides issuer and keys.
    pub fn metadata(mut self, metadata: ProviderMetadata) -> Self {
        self.settings.metadata = metadata;
        self
    }

    /// Where the JWKS stands, on this host or another; `/.well-known/jwks.json` behind the
    /// issuer's own URL by default.
    pub fn jwks_uri(mut self, uri: IssuerUrl) -> Self {
        self.jwks_uri = Some(uri);
        self
    }

    /// How long relying parties may cache the documents (`max-age`), in whole seconds; 5 minutes by
    /// default. A new key must be announced longer than this before it signs. So a key set that
    /// follows a manifest brings the longest that this was planned for ([`Limits::max_age`]), which
    /// is served where it is shorter.
    ///
    /// [`Limits::max_age`]: crate::Limits::max_age
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.settings.max_age = max_age;
        self
    }

    /// Serves the JWKS as `application/jwk-set+json` (RFC 7517 §8.5.2) instead of
    /// `application/json`, which every relying party takes.
    pub fn jwk_set_media_type(mut self) -> Self {
        self.settings.jwks_content_type = "application/jwk-set+json";
        self
    }

    /// Tells the time by another clock than the system's: for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Makes the issuer.
    ///
    /// # Errors
    /// [`IssuerError`] when settings contradict each other.
    pub fn build(self) -> Result<Issuer, IssuerError> {
        let settings = self.settings;
        for (setting, duration) in [
            ("default_lifetime", settings.default_lifetime),
            ("longest_lifetime", settings.longest_lifetime),
            ("backdating", settings.backdating),
            ("max_age", settings.max_age),
        ] {
            if duration.subsec_nanos() != 0 {
                return Err(IssuerError::FractionOfSecond { setting });
            }
        }
        if settings.default_lifetime.is_zero()
            || settings.default_lifetime > settings.longest_lifetime
        {
            return Err(IssuerError::DefaultLifetime {
                default: settings.default_lifetime,
                longest: settings.longest_lifetime,
            });
        }
        if settings.audiences.as_ref().is_some_and(Vec::is_empty) {
            return Err(IssuerError::EmptyList {
                setting: "allowed_audiences",
            });
        }
        if settings.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(IssuerError::EmptyList {
                setting: "algorithms",
            });
        }
        if let Some(uri) = &self.jwks_uri {
            let taken = [
                self.url.discovery_path(),
                self.url.metadata_path(),
                self.url.inserted_discovery_path(),
            ];
            let clashes =
                uri.origin() == self.url.origin() && taken.iter().any(|path| path == uri.path());
            if clashes || uri.path().is_empty() {
                return Err(IssuerError::JwksUri);
            }
        }
        Ok(Issuer::with_settings(
            self.url,
            self.keys,
            self.jwks_uri,
            Arc::new(settings),
        ))
    }
}

/// What an operator may set; many issuers can share one.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) default_lifetime: Duration,
    pub(crate) longest_lifetime: Duration,
    pub(crate) backdating: Duration,
    pub(crate) audiences: Option<Vec<String>>,
    pub(crate) several_audiences: bool,
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    pub(crate) token_policy: Option<Arc<dyn TokenPolicy>>,
    pub(crate) metadata: ProviderMetadata,
    pub(crate) max_age: Duration,
    pub(crate) jwks_content_type: &'static str,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_lifetime: DEFAULT_LIFETIME,
            longest_lifetime: LONGEST_LIFETIME,
            backdating: BACKDATING,
            audiences: None,
            several_audiences: false,
            algorithms: None,
            token_policy: None,
            metadata: ProviderMetadata::new(),
            max_age: MAX_AGE,
            jwks_content_type: "application/json",
            clock: Arc::new(SystemClock),
        }
    }
}

impl Settings {
    /// Checks what depends on the issuer's policy and on the kind of token.
    pub(crate) fn check(&self, claims: &Claims) -> Result<(), ClaimsError> {
        if let Some(lifetime) = claims.lifetime {
            check_lifetime(lifetime)?;
            if lifetime > self.longest_lifetime {
                return Err(ClaimsError::TooLong {
                    lifetime,
                    longest: self.longest_lifetime,
                });
            }
        }
        let token_type = claims.token_type;
        match (token_type, &claims.subject, &claims.session_id) {
            (TokenType::Jwt | TokenType::AccessToken, None, _)
            | (TokenType::Logout, None, None) => {
                return Err(ClaimsError::Missing {
                    claim: "sub",
                    token_type,
                });
            }
            _ => {}
        }
        if token_type == TokenType::Logout && claims.nonce.is_some() {
            return Err(ClaimsError::Forbidden {
                claim: "nonce",
                token_type,
            });
        }
        if claims.audiences.len() > 1 && !self.several_audiences {
            return Err(ClaimsError::SeveralAudiences {
                found: claims.audiences.len(),
            });
        }
        if let Some(allowed) = &self.audiences
            && let Some(audience) = claims
                .audiences
                .iter()
                .find(|audience| !allowed.contains(audience))
        {
            return Err(ClaimsError::AudienceNotAllowed {
                audience: audience.clone(),
            });
        }
        Ok(())
    }
}

fn check_lifetime(lifetime: Duration) -> Result<(), ClaimsError> {
    if lifetime.subsec_nanos() != 0 {
        return Err(ClaimsError::FractionOfSecond { lifetime });
    }
    if lifetime.is_zero() {
        return Err(ClaimsError::NoLifetime);
    }
    Ok(())
}

/// Why settings make no issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerError {
    /// A time has a fraction of a second.
    FractionOfSecond {
        /// The setting.
        setting: &'static str,
    },
    /// The default lifetime is zero or exceeds the longest.
    DefaultLifetime {
        /// The default lifetime.
        default: Duration,
        /// The longest lifetime.
        longest: Duration,
    },
    /// A list allows nothing at all.
    EmptyList {
        /// The setting.
        setting: &'static str,
    },
    /// The `jwks_uri` has no path, or that of another document.
    JwksUri,
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FractionOfSecond { setting } => {
                write!(f, "{setting} has a fraction of a second; use whole seconds")
            }
            Self::DefaultLifetime { default, longest } => write!(
                f,
                "default_lifetime of {} s must be at least 1 s and at most longest_lifetime of {} s",
                default.as_secs(),
                longest.as_secs()
            ),
            Self::EmptyList { setting } => {
                write!(
                    f,
                    "{setting} is an empty list, which allows nothing; leave it out to allow all"
                )
            }
            Self::JwksUri => f.write_str(
                "jwks_uri needs a path of its own, such as https://keys.example.com/jwks.json",
            ),
        }
    }
}

impl std::error::Error for IssuerError {}
