//! The claims, as AWS reads them.

use std::borrow::Cow;

use chancery_core::UnixTime;
use serde_json::{Map, Value};

use super::outcome::{Denial, DenialReason, Doubt, ErrorCode};
use crate::aws::evaluate::{Context, Key, moment};
use crate::aws::provider::Provider;
use crate::aws::session_tags::SessionTags;
use crate::aws::source_identity::SourceIdentity;

/// AWS takes a token for so long after it expired.
const GRACE: u64 = 300;

/// What AWS makes of the claims of a token.
pub(super) struct WebIdentity<'c> {
    subject: &'c str,
    /// `azp`, or else `aud`; an array of audiences where there is no `azp`.
    audience: Key<'c>,
    original_audience: Key<'c>,
    email: Key<'c>,
    methods: Key<'c>,
    pub(super) tags: Option<SessionTags>,
    /// Whether there are tags in claims of their own, of which AWS may make keys.
    has_flat_tags: bool,
    pub(super) source_identity: Option<SourceIdentity>,
    /// The first thing about them of which it is not known how AWS takes it.
    pub(super) doubt: Option<Doubt>,
}

impl<'c> WebIdentity<'c> {
    pub(super) fn read(
        provider: &Provider,
        claims: &'c Map<String, Value>,
        now: UnixTime,
    ) -> Result<Self, Box<Denial>> {
        let mut doubt = None;
        check_issuer(provider, claims)?;
        let subject = text(claims, "sub")?.ok_or_else(|| missing("sub"))?;
        let issued_at = time(claims, "iat")?.ok_or_else(|| missing("iat"))?;
        let expires_at = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
        let valid_from = time(claims, "nbf")?;
        let (audience, original_audience) = audiences(provider, claims, &mut doubt)?;
        let now = now.as_secs();
        if now > expires_at.saturating_add(GRACE) {
            return Err(Box::new(Denial {
                code: ErrorCode::ExpiredTokenException,
                message: None,
                reason: DenialReason::Expired {
                    expired_at: expires_at,
                },
            }));
        }
        let mut wonder = |is_unusual: bool, claim, message| {
            if is_unusual && doubt.is_none() {
                doubt = Some(Doubt::Claim { claim, message });
            }
        };
        wonder(issued_at > now, "iat", "it lies in the future");
        wonder(valid_from > Some(now), "nbf", "it lies in the future");
        let len = subject.chars().count();
        wonder(
            !(6..=255).contains(&len),
            "sub",
            "it should have 6 to 255 characters",
        );
        let has_flat_tags = claims.keys().any(|name| SessionTags::is_flat_claim(name));
        wonder(
            has_flat_tags,
            SessionTags::CLAIM,
            "session tags in claims of their own",
        );
        let tags = claims
            .get(SessionTags::CLAIM)
            .map(|claim| SessionTags::from_value(claim).map_err(|error| limits(&error)))
            .transpose()?;
        wonder(
            tags.as_ref().is_some_and(SessionTags::is_empty),
            SessionTags::CLAIM,
            "it holds no tag",
        );
        let source_identity = match claims.get(SourceIdentity::CLAIM) {
            None => None,
            Some(claim) => {
                let claim = claim.as_str().unwrap_or_default();
                Some(SourceIdentity::parse(claim).map_err(|error| limits(&error))?)
            }
        };
        Ok(Self {
            subject,
            audience,
            original_audience,
            email: string_key(claims.get("email")),
            methods: match claims.get("amr") {
                None => Key::Absent,
                Some(Value::Array(methods)) => strings(methods).map_or(Key::Unknown, Key::Many),
                // OpenID Connect knows no other shape of it (Core §2).
                Some(_) => Key::Unknown,
            },
            tags,
            has_flat_tags,
            source_identity,
            doubt,
        })
    }

    /// The keys of the request that the token fills. Of others AWS knows more than is known here.
    pub(super) fn context<'a>(&'a self, provider: &'a Provider, now: UnixTime) -> Context<'a> {
        let names = &provider.condition_keys;
        let mut context = Context::partial(16).with_other_tags(self.has_flat_tags);
        context.insert(&names.sub, Key::One(self.subject.into()));
        context.insert(&names.aud, self.audience.clone());
        context.insert(&names.oaud, self.original_audience.clone());
        context.insert(&names.email, self.email.clone());
        context.insert(&names.amr, self.methods.clone());
        context.insert("aws:CurrentTime", Key::One(moment::format(now).into()));
        let epoch = now.as_secs().to_string();
        context.insert("aws:EpochTime", Key::One(epoch.into()));
        context.insert("aws:SecureTransport", Key::One("true".into()));
        if let Some(identity) = &self.source_identity {
            context.insert("sts:SourceIdentity", Key::One(identity.as_str().into()));
        }
        let Some(tags) = &self.tags else {
            return context;
        };
        let (mut keys, mut transitive) = (Vec::new(), Vec::new());
        for (key, value, is_transitive) in tags.iter() {
            context.insert(format!("aws:RequestTag/{key}"), Key::One(value.into()));
            keys.push(key.into());
            if is_transitive {
                transitive.push(key.into());
            }
        }
        if !keys.is_empty() {
            context.insert("aws:TagKeys", Key::Many(keys));
        }
        if !transitive.is_empty() {
            context.insert("sts:TransitiveTagKeys", Key::Many(transitive));
        }
        context
    }
}

pub(super) fn missing(claim: &'static str) -> Box<Denial> {
    let message = format!("Missing a required claim: {claim}");
    Denial::invalid(Some(message), DenialReason::ClaimMissing { claim })
}

/// The issuer is the provider's, byte for byte.
pub(super) fn check_issuer(
    provider: &Provider,
    claims: &Map<String, Value>,
) -> Result<(), Box<Denial>> {
    let expected = provider.url().as_str();
    match text(claims, "iss")? {
        None => Err(missing("iss")),
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(Denial::invalid(
            Some(format!(
                "No OpenIDConnect provider found in your account for {found}"
            )),
            DenialReason::Issuer {
                found: found.to_owned(),
                expected: expected.to_owned(),
            },
        )),
    }
}

/// The keys `aud` and `oaud`. AWS reads `azp` instead of `aud` where the token has it.
fn audiences<'c>(
    provider: &Provider,
    claims: &'c Map<String, Value>,
    doubt: &mut Option<Doubt>,
) -> Result<(Key<'c>, Key<'c>), Box<Denial>> {
    let authorized_party = text(claims, "azp")?;
    let is_known = |audience: &str| provider.client_ids().iter().any(|id| id == audience);
    let wrong = |claim, found: String| {
        Denial::invalid(
            Some("Incorrect token audience".to_owned()),
            DenialReason::Audience { claim, found },
        )
    };
    let original = match claims.get("aud") {
        None => return Err(missing("aud")),
        Some(Value::String(audience)) => {
            if authorized_party.is_none() && !is_known(audience) {
                return Err(wrong("aud", audience.clone()));
            }
            Key::One(audience.into())
        }
        Some(Value::Array(audiences)) => {
            let Some(all) = strings(audiences) else {
                return Err(of_wrong_type("aud"));
            };
            if authorized_party.is_none() {
                if !all.iter().any(|audience| is_known(audience)) {
                    return Err(wrong("aud", all.join(" ")));
                }
                *doubt = Some(Doubt::Claim {
                    claim: "aud",
                    message: "it is an array, and there is no azp",
                });
            }
            Key::Unknown
        }
        Some(_) => return Err(of_wrong_type("aud")),
    };
    match authorized_party {
        None => Ok((original.clone(), original)),
        Some(party) if is_known(party) => Ok((Key::One(party.into()), original)),
        Some(party) => Err(wrong("azp", party.to_owned())),
    }
}

fn text<'c>(
    claims: &'c Map<String, Value>,
    claim: &'static str,
) -> Result<Option<&'c str>, Box<Denial>> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(of_wrong_type(claim)),
    }
}

/// AWS takes times as integers only.
fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<u64>, Box<Denial>> {
    match claims.get(claim) {
        None => Ok(None),
        Some(time) => time.as_u64().map(Some).ok_or_else(|| of_wrong_type(claim)),
    }
}

fn string_key(claim: Option<&Value>) -> Key<'_> {
    match claim {
        None => Key::Absent,
        Some(Value::String(text)) => Key::One(text.into()),
        Some(_) => Key::Unknown,
    }
}

fn strings(values: &[Value]) -> Option<Vec<Cow<'_, str>>> {
    values
        .iter()
        .map(|value| value.as_str().map(Cow::Borrowed))
        .collect()
}

fn of_wrong_type(claim: &'static str) -> Box<Denial> {
    Denial::invalid(None, DenialReason::ClaimType { claim })
}

fn limits(error: &dyn std::error::Error) -> Box<Denial> {
    Box::new(Denial {
        code: ErrorCode::Undocumented,
        message: None,
        reason: DenialReason::Limits {
            message: error.to_string(),
        },
    })
}
