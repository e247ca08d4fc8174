//! What a token says.

use std::fmt;
use std::time::Duration;

use serde_core::Serialize;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::private_claims::{PrivateClaimError, PrivateClaims};
use crate::time::UnixTime;
use crate::token_type::TokenType;

/// What a token says: the registered claims, typed, and the service's own.
///
/// `iss`, `iat`, `nbf`, `exp` and `jti` are filled in by the [`Issuer`](crate::Issuer). The values
/// are checked when the token is issued; see [`ClaimsError`] for what is refused.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
/// use chancery_core::Claims;
///
/// let claims = Claims::new("space:production:stack:42")
///     .with_audience("sts.amazonaws.com")
///     .with_lifetime(Duration::from_secs(15 * 60))
///     .with_private_claim("runId", "01JD3Z")?
///     .with_private_claims(&BTreeMap::from([("spaceId", "production")]))?;
/// assert_eq!(claims.audiences(), ["sts.amazonaws.com"]);
/// # Ok::<(), chancery_core::PrivateClaimError>(())
/// ```
#[derive(Clone)]
pub struct Claims {
    pub(crate) token_type: TokenType,
    pub(crate) signing_algorithm: Option<Algorithm>,
    pub(crate) subject: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) token_id: Option<String>,
    pub(crate) authorized_party: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: Option<UnixTime>,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
    pub(crate) access_token: Option<Zeroizing<String>>,
    pub(crate) code: Option<Zeroizing<String>>,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: Option<bool>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) private: PrivateClaims,
}

impl Claims {
    /// Claims about a subject (`sub`, RFC 7519 §4.1.2): who or what the token stands for.
    ///
    /// Relying parties write it into trust policies and audit logs: use identifiers that are
    /// never given to somebody else, and no personal data.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..Self::empty(TokenType::Jwt)
        }
    }

    /// The claims of a back-channel logout token that ends all sessions of a subject (OpenID
    /// Connect Back-Channel Logout 1.0 §2.4). The `events` claim is written for you.
    #[must_use]
    pub fn logout_of_subject(subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..Self::empty(TokenType::Logout)
        }
    }

    /// The claims of a back-channel logout token that ends one session (`sid`). The `events` claim
    /// is written for you.
    #[must_use]
    pub fn logout_of_session(session_id: impl Into<String>) -> Self {
        Self {
            session_id: Some(session_id.into()),
            ..Self::empty(TokenType::Logout)
        }
    }

    fn empty(token_type: TokenType) -> Self {
        Self {
            token_type,
            signing_algorithm: None,
            subject: None,
            audiences: Vec::new(),
            lifetime: None,
            not_before: None,
            token_id: None,
            authorized_party: None,
            nonce: None,
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            access_token: None,
            code: None,
            name: None,
            email: None,
            email_verified: None,
            client_id: None,
            scope: None,
            session_id: None,
            private: PrivateClaims::default(),
        }
    }

    /// Makes the token an OAuth 2.0 access token for a client: `typ` is `at+jwt`, and `client_id`
    /// is set (RFC 9068 §2).
    #[must_use]
    pub fn into_access_token(mut self, client_id: impl Into<String>) -> Self {
        self.token_type = TokenType::AccessToken;
        self.client_id = Some(client_id.into());
        self
    }

    /// The client the token was issued to (`client_id`, RFC 8693 §4.3), in a token of another type
    /// than an access token, which always names one.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Asks for the key of this algorithm, where the key set has several. The issuer's first
    /// algorithm is the default.
    #[must_use]
    pub const fn with_signing_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.signing_algorithm = Some(algorithm);
        self
    }

    /// Adds an audience (`aud`, RFC 7519 §4.1.3): the relying party that may accept the token. One
    /// audience is written as a string. Several need an issuer that allows them.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How long the token is good for, counted from now, in whole seconds (`exp`, RFC 7519
    /// §4.1.4). The issuer's default holds otherwise, and its longest is never exceeded.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Before when the token must not be accepted (`nbf`, RFC 7519 §4.1.5), instead of the moment
    /// it was issued.
    #[must_use]
    pub const fn with_not_before(mut self, not_before: UnixTime) -> Self {
        self.not_before = Some(not_before);
        self
    }

    /// Names the token (`jti`, RFC 7519 §4.1.7) otherwise than by 128 random bits. It must not be
    /// used twice.
    #[must_use]
    pub fn with_token_id(mut self, token_id: impl Into<String>) -> Self {
        self.token_id = Some(token_id.into());
        self
    }

    /// The party the token was issued to (`azp`, OpenID Connect Core §2).
    ///
    /// AWS reads it instead of `aud` where it is present.
    #[must_use]
    pub fn with_authorized_party(mut self, client_id: impl Into<String>) -> Self {
        self.authorized_party = Some(client_id.into());
        self
    }

    /// The client's nonce, handed back (`nonce`, OpenID Connect Core §2).
    #[must_use]
    pub fn with_nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// When the end user logged in (`auth_time`, OpenID Connect Core §2).
    #[must_use]
    pub const fn with_auth_time(mut self, auth_time: UnixTime) -> Self {
        self.auth_time = Some(auth_time);
        self
    }

    /// The authentication context class (`acr`, OpenID Connect Core §2).
    #[must_use]
    pub fn with_authentication_context(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// Adds an authentication method (`amr`, RFC 8176), such as `mfa`.
    #[must_use]
    pub fn with_authentication_method(mut self, method: impl Into<String>) -> Self {
        self.amr.push(method.into());
        self
    }

    /// Binds the token to an access token: `at_hash` is computed with the hash of the signing
    /// algorithm (OpenID Connect Core §3.1.3.6).
    #[must_use]
    pub fn with_access_token_hash(mut self, access_token: impl Into<String>) -> Self {
        self.access_token = Some(Zeroizing::new(access_token.into()));
        self
    }

    /// Binds the token to an authorization code: `c_hash` is computed with the hash of the signing
    /// algorithm (OpenID Connect Core §3.3.2.11).
    #[must_use]
    pub fn with_code_hash(mut self, code: impl Into<String>) -> Self {
        self.code = Some(Zeroizing::new(code.into()));
        self
    }

    /// The person's name (`name`, OpenID Connect Core §5.1).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The person's address, and whether it was verified (`email`, `email_verified`, OpenID
    /// Connect Core §5.1). Kubernetes refuses one that was not.
    #[must_use]
    pub fn with_email(mut self, email: impl Into<String>, verified: bool) -> Self {
        self.email = Some(email.into());
        self.email_verified = Some(verified);
        self
    }

    /// What the token permits: names separated by spaces (`scope`, RFC 8693 §4.2).
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The session (`sid`, OpenID Connect Front-Channel Logout 1.0 §3).
    #[must_use]
    pub fn with_session_id(mut self, session_id: impl Into<String>) -> Self {
        self.session_id = Some(session_id.into());
        self
    }

    /// Adds a claim of the service's own, of any type that serializes. It is rendered here, once,
    /// however many tokens are made of these claims.
    ///
    /// # Errors
    /// [`PrivateClaimError`] when the name is registered or was used before, or the value cannot
    /// be written as JSON.
    pub fn with_private_claim<T>(mut self, name: &str, value: &T) -> Result<Self, PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.private.insert(name, value)?;
        Ok(self)
    }

    /// Adds claims of the service's own: each member of a map or of a struct.
    ///
    /// # Errors
    /// [`PrivateClaimError`], as for one claim, and when the value is no map or struct.
    pub fn with_private_claims<T>(mut self, claims: &T) -> Result<Self, PrivateClaimError>
    where
        T: Serialize + ?Sized,
    {
        self.private.extend(claims)?;
        Ok(self)
    }

    /// What kind of token it becomes.
    #[must_use]
    pub const fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// The algorithm asked for, if any.
    #[must_use]
    pub const fn signing_algorithm(&self) -> Option<Algorithm> {
        self.signing_algorithm
    }

    /// The subject; only a logout token may lack one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The subject, to be written anew where the claims are used again for another token. What is
    /// written into it takes the place of the text that was there, and needs no allocation once it
    /// is large enough.
    pub fn subject_mut(&mut self) -> &mut String {
        self.subject.get_or_insert_default()
    }

    /// The audiences, in the order in which they were added.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The lifetime asked for, if any.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The authorized party, if any.
    #[must_use]
    pub fn authorized_party(&self) -> Option<&str> {
        self.authorized_party.as_deref()
    }

    /// Whether the person's address was verified, where there is one.
    #[must_use]
    pub const fn email_verified(&self) -> Option<bool> {
        self.email_verified
    }

    /// The names of the private claims, in the order in which they were added; characters that
    /// JSON escapes are shown escaped.
    pub fn private_names(&self) -> impl Iterator<Item = &str> {
        self.private.names()
    }

    /// The private claims whose names begin so, and their JSON. The names are escaped as those of
    /// [`private_names`](Self::private_names).
    pub fn private_claims_starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.private.starting_with(prefix)
    }

    /// The private claims that are objects or arrays, and their JSON. The names are escaped as those
    /// of [`private_names`](Self::private_names).
    pub fn nested_private_claims(&self) -> impl Iterator<Item = (&str, &str)> {
        self.private.nested()
    }

    /// The JSON of a private claim, as it stands in the token.
    #[must_use]
    pub fn private_claim(&self, name: &str) -> Option<&str> {
        self.private.value(name)
    }
}

/// Shows subject, audiences and the names of private claims; other values may be personal.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("token_type", &self.token_type)
            .field("subject", &self.subject)
            .field("audiences", &self.audiences)
            .field("lifetime", &self.lifetime)
            .field("private", &self.private.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Why claims cannot become a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A claim that the token must have is missing.
    Missing {
        /// The claim.
        claim: &'static str,
        /// The kind of token that needs it.
        token_type: TokenType,
    },
    /// A claim is an empty string.
    Empty {
        /// The claim.
        claim: &'static str,
    },
    /// A claim holds a control character, which has no business in an identifier.
    ControlCharacter {
        /// The claim.
        claim: &'static str,
        /// The place of the character in the value, in bytes from 0.
        position: usize,
    },
    /// A claim that this kind of token must not have.
    Forbidden {
        /// The claim.
        claim: &'static str,
        /// The kind of token that forbids it.
        token_type: TokenType,
    },
    /// Several audiences, and the issuer allows one.
    SeveralAudiences {
        /// How many there are.
        found: usize,
    },
    /// An audience that the issuer may not issue for.
    AudienceNotAllowed {
        /// The audience.
        audience: String,
    },
    /// The lifetime is zero.
    NoLifetime,
    /// The lifetime has a fraction of a second; JWT times are integers here.
    FractionOfSecond {
        /// The lifetime that was asked for.
        lifetime: Duration,
    },
    /// The lifetime exceeds the issuer's longest.
    TooLong {
        /// The lifetime that was asked for.
        lifetime: Duration,
        /// The issuer's longest.
        longest: Duration,
    },
    /// The token would be longer than 65,536 characters, or than its relying party reads.
    TooLarge {
        /// Its length in characters.
        len: usize,
        /// The longest that it may be.
        longest: usize,
    },
    /// The token would expire after the year 9999.
    Overflow,
    /// The token would never be valid: `nbf` is not before `exp`.
    NeverValid {
        /// When it would begin to be valid.
        not_before: UnixTime,
        /// When it would cease to be.
        expires: UnixTime,
    },
}

impl fmt::Display for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { claim, token_type } => {
                write!(
                    f,
                    "a token of type {token_type} needs the claim `{claim}`; Claims has a method for it"
                )
            }
            Self::Empty { claim } => write!(f, "claim `{claim}` is empty"),
            Self::ControlCharacter { claim, position } => {
                write!(
                    f,
                    "claim `{claim}` has a control character at byte {position}"
                )
            }
            Self::Forbidden { claim, token_type } => {
                write!(
                    f,
                    "a token of type {token_type} must not have the claim `{claim}`"
                )
            }
            Self::SeveralAudiences { found } => write!(
                f,
                "the token has {found} audiences and the issuer allows one; mint one token for each relying party, or allow several when building the issuer"
            ),
            Self::AudienceNotAllowed { audience } => write!(
                f,
                "audience {audience:?} is not among those of IssuerBuilder::allowed_audiences"
            ),
            Self::NoLifetime => f.write_str("the lifetime is zero"),
            Self::FractionOfSecond { lifetime } => write!(
                f,
                "the lifetime {lifetime:?} has a fraction of a second; use whole seconds"
            ),
            Self::TooLong { lifetime, longest } => write!(
                f,
                "the lifetime of {} s exceeds the issuer's longest of {} s",
                lifetime.as_secs(),
                longest.as_secs()
            ),
            Self::TooLarge { len, longest } => write!(
                f,
                "the token would have {len} characters, more than the {longest} that are read; put less into it"
            ),
            Self::Overflow => f.write_str("the token would expire after the year 9999"),
            Self::NeverValid {
                not_before,
                expires,
            } => write!(
                f,
                "the token would never be valid: nbf {not_before} is not before exp {expires}"
            ),
        }
    }
}

impl std::error::Error for ClaimsError {}
