//! The trust policy of a role, safe by construction.

use std::fmt;

use super::lint::MAX_CHARACTERS;
use super::policy::{
    ActionElement, Comparison, Condition, Effect, MAX_POLICY_CHARACTERS, Operator, Policy,
    Principal, PrincipalElement, PrincipalType, Principals, Statement, Version,
};
use super::provider::Provider;
use super::session_tags::{SessionTags, SessionTagsError};
use crate::sharing::{Sharing, is_somebody};
use crate::subject_pattern::SubjectPattern;

/// Builds the trust policy of a role that the tokens of one provider may assume.
///
/// Values are compared as they are: no star in a subject becomes a wildcard, no `${` a variable.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::Sharing;
/// use chancery_federation::aws::{Provider, TrustPolicy, TrustPolicyError};
///
/// let url = IssuerUrl::parse("https://login.app.example.com/")?;
/// let provider = Provider::new("111122223333", url, ["client"])?;
///
/// let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
///     .subject("auth0|632b8219674bde0224a96141")
///     .request_tag("organizationId", "7")
///     .build()?;
/// assert!(policy.to_string().contains(r#""Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"]"#));
///
/// // Every customer of the issuer has tokens for this audience.
/// let refused = TrustPolicy::new(&provider, Sharing::ManyCustomers).build();
/// assert_eq!(refused, Err(TrustPolicyError::NobodyIdentified));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustPolicy<'p> {
    provider: &'p Provider,
    sharing: Sharing,
    audiences: Vec<String>,
    subjects: Vec<Subject>,
    emails: Vec<String>,
    request_tags: Vec<(String, String)>,
    has_session_tags: bool,
    has_source_identity: bool,
    max_characters: usize,
}

#[derive(Clone, Debug)]
struct Subject {
    value: String,
    is_exact: bool,
    is_identifying: bool,
}

impl<'p> TrustPolicy<'p> {
    /// A policy that trusts this provider, for all of its audiences.
    #[must_use]
    pub const fn new(provider: &'p Provider, sharing: Sharing) -> Self {
        Self {
            provider,
            sharing,
            audiences: Vec::new(),
            subjects: Vec::new(),
            emails: Vec::new(),
            request_tags: Vec::new(),
            has_session_tags: false,
            has_source_identity: false,
            max_characters: MAX_CHARACTERS,
        }
    }

    /// Lets in tokens for this audience, one of the provider's, and not for all of them. Called
    /// again, it adds another.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Lets in this subject, and no other. Called again, it adds another.
    ///
    /// It is compared as a whole: `*`, or a beginning such as `repo:`, is refused.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subjects.push(Subject {
            value: subject.into(),
            is_exact: true,
            is_identifying: true,
        });
        self
    }

    /// Lets in the subjects that a template's pattern matches. Called again, it adds others.
    #[must_use]
    pub fn subject_pattern(mut self, pattern: &SubjectPattern) -> Self {
        self.subjects.push(Subject {
            value: pattern.value().to_owned(),
            is_exact: pattern.is_exact(),
            is_identifying: pattern.is_identifying(),
        });
        self
    }

    /// Asks for this e-mail address as well. Called again, it allows another.
    ///
    /// AWS cannot ask for `email_verified`: whoever gets a token with somebody else's address opens
    /// the role. Bind the audience to [`RelyingParty::AWS`](crate::RelyingParty::AWS), so that no
    /// token with an address that was not verified is minted for it.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.emails.push(email.into());
        self
    }

    /// Asks for a session tag of this value as well, and lets the session have tags. Choose a tag
    /// that the service fills with an id of its own, not one that users choose.
    #[must_use]
    pub fn request_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request_tags.push((key.into(), value.into()));
        self.has_session_tags = true;
        self
    }

    /// Lets the session have tags: `sts:TagSession`, without which a token with tags is refused.
    #[must_use]
    pub const fn with_session_tags(mut self) -> Self {
        self.has_session_tags = true;
        self
    }

    /// Lets the session have a source identity: `sts:SetSourceIdentity`, without which a token with
    /// one is refused.
    #[must_use]
    pub const fn with_source_identity(mut self) -> Self {
        self.has_source_identity = true;
        self
    }

    /// Allows 4096 characters and not 2048, for an account whose quota AWS has raised.
    #[must_use]
    pub const fn with_raised_quota(mut self) -> Self {
        self.max_characters = MAX_POLICY_CHARACTERS;
        self
    }

    /// Makes the policy.
    ///
    /// # Errors
    /// [`TrustPolicyError`] when it would let in customers that it should not, could let in nobody,
    /// or is too long for IAM.
    pub fn build(&self) -> Result<Policy, TrustPolicyError> {
        self.check()?;
        let mut actions = vec!["sts:AssumeRoleWithWebIdentity".to_owned()];
        if self.has_session_tags {
            actions.push("sts:TagSession".to_owned());
        }
        if self.has_source_identity {
            actions.push("sts:SetSourceIdentity".to_owned());
        }
        let policy = Policy {
            version: Version::V2012,
            id: None,
            statements: vec![Statement {
                sid: None,
                effect: Effect::Allow,
                principal: PrincipalElement::Principal(Principals::Listed(vec![Principal {
                    principal_type: PrincipalType::Federated,
                    value: self.provider.arn().to_owned(),
                }])),
                action: ActionElement::Action(actions),
                conditions: self.conditions(),
            }],
        };
        let characters = policy.characters();
        if characters > self.max_characters {
            return Err(TrustPolicyError::TooLong {
                characters,
                allowed: self.max_characters,
            });
        }
        Ok(policy)
    }

    fn check(&self) -> Result<(), TrustPolicyError> {
        let is_known = |audience: &&String| self.provider.client_ids().contains(audience);
        if let Some(audience) = self.audiences.iter().find(|audience| !is_known(audience)) {
            return Err(TrustPolicyError::Audience {
                audience: audience.clone(),
            });
        }
        let subjects = self.subjects.iter().map(|subject| &subject.value);
        if subjects.chain(&self.emails).any(String::is_empty) {
            return Err(TrustPolicyError::Empty);
        }
        let exact = self.subjects.iter().filter(|subject| subject.is_exact);
        let is_address = |email: &&String| {
            let parts = email.rsplit_once('@');
            parts.is_some_and(|(name, host)| is_somebody(name) && is_somebody(host))
        };
        let part = exact
            .map(|subject| &subject.value)
            .find(|subject| !is_somebody(subject))
            .or_else(|| self.emails.iter().find(|email| !is_address(email)));
        if let Some(value) = part {
            return Err(TrustPolicyError::NotWhole {
                value: value.clone(),
            });
        }
        let mut tags = SessionTags::new();
        for (key, value) in &self.request_tags {
            tags = tags
                .with_tag(key, value)
                .map_err(TrustPolicyError::RequestTag)?;
        }
        // Several subjects are alternatives: each of them has to identify.
        let by_subject =
            !self.subjects.is_empty() && self.subjects.iter().all(|subject| subject.is_identifying);
        // A tag that is empty is what a service gives to those who have no such thing.
        let by_tag = self
            .request_tags
            .iter()
            .any(|(_, value)| is_somebody(value));
        let is_identified = by_subject || !self.emails.is_empty() || by_tag;
        if self.sharing == Sharing::ManyCustomers && !is_identified {
            return Err(TrustPolicyError::NobodyIdentified);
        }
        Ok(())
    }

    fn conditions(&self) -> Vec<Condition> {
        let equals = |key: String, values: Vec<String>| Condition {
            operator: Operator::new(Comparison::StringEquals),
            key,
            values,
        };
        let audiences = if self.audiences.is_empty() {
            self.provider.client_ids()
        } else {
            &self.audiences
        };
        let escaped = |texts: &[String]| texts.iter().map(|text| escape(text)).collect();
        let mut conditions = vec![equals(
            self.provider.condition_key("aud"),
            escaped(audiences),
        )];
        if !self.emails.is_empty() {
            let key = self.provider.condition_key("email");
            conditions.push(equals(key, escaped(&self.emails)));
        }
        for (key, value) in &self.request_tags {
            conditions.push(equals(format!("aws:RequestTag/{key}"), vec![escape(value)]));
        }
        if !self.subjects.is_empty() {
            conditions.push(self.subject_condition());
        }
        conditions
    }

    /// One condition for all subjects, since conditions are joined by "and".
    fn subject_condition(&self) -> Condition {
        let is_exact = self.subjects.iter().all(|subject| subject.is_exact);
        let value = |subject: &Subject| {
            let value = escape(&subject.value);
            if is_exact || !subject.is_exact {
                value
            } else {
                escape_wildcards(&subject.value)
            }
        };
        let comparison = if is_exact {
            Comparison::StringEquals
        } else {
            Comparison::StringLike
        };
        Condition {
            operator: Operator::new(comparison),
            key: self.provider.condition_key("sub"),
            values: self.subjects.iter().map(value).collect(),
        }
    }
}

/// Keeps `${` from beginning a policy variable (IAM User Guide, "Policy elements: Variables and
/// tags").
fn escape(value: &str) -> String {
    value.replace("${", "${$}{")
}

/// Keeps wildcards from being any as well.
fn escape_wildcards(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => escaped.push_str("${*}"),
            '?' => escaped.push_str("${?}"),
            '$' if characters.peek() == Some(&'{') => escaped.push_str("${$}"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Why a trust policy is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustPolicyError {
    /// The issuer is shared, and nothing tells its customers apart.
    NobodyIdentified,
    /// A subject or an e-mail address is compared as a whole and is only a part: it is all wildcards,
    /// ends where an id should follow, as `repo:` does, or is an address without a name or a host.
    NotWhole {
        /// The subject or the address.
        value: String,
    },
    /// The audience is none of the provider's, so no token would come in.
    Audience {
        /// The audience.
        audience: String,
    },
    /// A subject or an e-mail address is empty.
    Empty,
    /// No session could have such a tag.
    RequestTag(SessionTagsError),
    /// The policy is longer than IAM takes.
    TooLong {
        /// Its length in characters.
        characters: usize,
        /// The most that are allowed.
        allowed: usize,
    },
}

impl fmt::Display for TrustPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyIdentified => f.write_str(
                "the issuer has many customers, and the policy would let in all of them; add a subject, a pattern that fixes an id, an e-mail address or a session tag",
            ),
            Self::Audience { audience } => write!(
                f,
                "the audience {audience:?} is none of the provider's client ids; add it there"
            ),
            Self::NotWhole { value } => write!(
                f,
                "{value:?} is compared as a whole, and is no whole subject or e-mail address; complete it, or use a template's pattern"
            ),
            Self::Empty => f.write_str("a subject and an e-mail address must not be empty"),
            Self::RequestTag(error) => write!(f, "the policy asks for a tag that AWS refuses: {error}"),
            Self::TooLong {
                characters,
                allowed,
            } => write!(
                f,
                "the policy has {characters} characters, and {allowed} are allowed; use a pattern or several roles"
            ),
        }
    }
}

impl std::error::Error for TrustPolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::RequestTag(error) => Some(error),
            _ => None,
        }
    }
}
