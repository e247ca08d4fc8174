//! Holds an issuer and claims to the rules.

use std::time::Duration;

use chancery_core::{AlgorithmSet, Claims, Issuer, IssuerUrl, Jwk, JwkSet, TokenType};
use serde_json::Value;

use super::{RelyingParty, Requirement};
use crate::aws::{SessionTags, SourceIdentity};
use crate::finding::{Finding, Severity};

/// How a requirement is broken.
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) mend: String,
}

fn broken(what: impl Into<String>, mend: impl Into<String>) -> Option<Broken> {
    Some(Broken {
        what: what.into(),
        mend: mend.into(),
    })
}

/// What an issuer publishes.
struct Published<'a> {
    jwks: &'a JwkSet,
    discovery: &'a Value,
    /// With which algorithms keys may sign that carry their certificate.
    with_certificate: Option<AlgorithmSet>,
}

impl Published<'_> {
    /// Whether a key signs tokens of these algorithms, or, with its certificate, of the others.
    fn signs(&self, key: &Jwk, accepted: AlgorithmSet) -> bool {
        is_accepted(key, accepted, self.with_certificate)
    }
}

fn is_accepted(key: &Jwk, accepted: AlgorithmSet, certified: Option<AlgorithmSet>) -> bool {
    let is_certified = certified.is_some_and(|certified| certified.contains(key.algorithm()));
    accepted.contains(key.algorithm()) || (is_certified && !key.certificate_chain().is_empty())
}

/// Checks an issuer as it is at this moment.
pub(super) fn issuer(relying_party: &RelyingParty, issuer: &Issuer) -> Vec<Finding> {
    let (jwks, discovery) = match (issuer.jwks(), issuer.discovery()) {
        (Ok(jwks), Ok(discovery)) => (jwks, discovery),
        (Err(error), _) | (_, Err(error)) => return vec![unpublished(&error)],
    };
    let jwks = match JwkSet::from_json(jwks.bytes()) {
        Ok(jwks) => jwks,
        Err(error) => return vec![unpublished(&error)],
    };
    let discovery: Value = match serde_json::from_slice(discovery.bytes()) {
        Ok(discovery) => discovery,
        Err(error) => return vec![unpublished(&error)],
    };
    let published = Published {
        jwks: &jwks,
        discovery: &discovery,
        with_certificate: relying_party.algorithms_with_certificate(),
    };
    relying_party
        .rules()
        .iter()
        .filter_map(|rule| {
            let broken = rule
                .requirement
                .broken_by_url(issuer.url())
                .or_else(|| rule.requirement.broken_by_documents(&published))?;
            Some(relying_party.finding(rule, broken))
        })
        .collect()
}

/// Looks at the first key, with which tokens are signed that ask for no algorithm.
pub(super) fn default_algorithm(relying_party: &RelyingParty, issuer: &Issuer) -> Option<Finding> {
    let jwks = JwkSet::from_json(issuer.jwks().ok()?.bytes()).ok()?;
    let default = jwks.keys().first()?;
    let (rule, accepted) =
        relying_party
            .rules()
            .iter()
            .find_map(|rule| match rule.requirement {
                Requirement::Algorithms(accepted) => Some((rule, accepted)),
                _ => None,
            })?;
    let certified = relying_party.algorithms_with_certificate();
    let is_accepted = |key: &Jwk| is_accepted(key, accepted, certified);
    if is_accepted(default) || !jwks.keys().iter().any(is_accepted) {
        return None;
    }
    let default = default.algorithm();
    let broken = Broken {
        what: format!("tokens are signed with {default} where their claims ask for no other"),
        mend: "bind the audience to the relying party (Bindings), so that the algorithm is chosen"
            .into(),
    };
    Some(Finding {
        severity: Severity::Warning,
        ..relying_party.finding(rule, broken)
    })
}

/// Looks for a published key that has no certificate, and is of an algorithm that needs one.
pub(super) fn without_certificate(
    bare: AlgorithmSet,
    certified: AlgorithmSet,
    issuer: &Issuer,
) -> Option<Broken> {
    let jwks = JwkSet::from_json(issuer.jwks().ok()?.bytes()).ok()?;
    let needs_certificate = |key: &&Jwk| {
        certified.contains(key.algorithm()) && !is_accepted(key, bare, Some(certified))
    };
    let key = jwks.keys().iter().find(needs_certificate)?;
    broken(
        format!(
            "a key of {} is published without its certificate",
            key.algorithm()
        ),
        "add one with ScheduledKey::with_certificate_chain, or leave out Binding::with_certified_keys",
    )
}

fn unpublished(error: &dyn std::error::Error) -> Finding {
    Finding::error(
        "the issuer has no documents",
        error.to_string(),
        "publish a key",
    )
}

impl Requirement {
    /// Checks the issuer's URL. Nothing is allocated where it is as it should be.
    pub(crate) fn broken_by_url(&self, url: &IssuerUrl) -> Option<Broken> {
        match *self {
            Self::Https if !url.as_str().starts_with("https://") => broken(
                format!("the issuer's URL {url} is not https"),
                "serve the issuer over https under a public name",
            ),
            Self::NoPort if has_port(url) => broken(
                format!("the issuer's URL {url} has a port"),
                "serve the issuer on the default port",
            ),
            Self::IssuerUrl(length) => {
                let len = length.broken_by(url.as_str())?;
                broken(
                    format!("the issuer's URL has {len} characters"),
                    "choose a shorter URL",
                )
            }
            _ => None,
        }
    }

    /// Checks what a token would say; its lifetime where that is known. Nothing is allocated where
    /// all is as it should be.
    pub(crate) fn broken_by_claims(
        &self,
        claims: &Claims,
        lifetime: Option<Duration>,
    ) -> Option<Broken> {
        match *self {
            Self::Algorithms(accepted) => {
                let asked = claims.signing_algorithm()?;
                if accepted.contains(asked) {
                    return None;
                }
                broken(
                    format!("the claims ask for a signature with {asked}"),
                    "leave the choice to an issuer whose audiences are bound to relying parties",
                )
            }
            Self::Claims(names) => {
                let missing = names.iter().find(|name| match **name {
                    "sub" => claims.subject().is_none_or(str::is_empty),
                    "aud" => claims.audiences().is_empty(),
                    _ => false,
                })?;
                broken(
                    format!("the token has no {missing}"),
                    "set it: Claims::new for sub, with_audience for aud",
                )
            }
            Self::OneAudience if claims.audiences().len() != 1 => broken(
                format!("the token has {} audiences", claims.audiences().len()),
                "mint a token for each relying party",
            ),
            Self::Audience(expected) => {
                let other = claims.audiences().iter().find(|found| *found != expected)?;
                broken(
                    format!("the token's audience is {other:?}"),
                    format!("use {expected:?}, or name this audience in the credential"),
                )
            }
            Self::AudienceLength(length) => {
                let party = claims.authorized_party().into_iter();
                let (audience, len) = claims
                    .audiences()
                    .iter()
                    .map(String::as_str)
                    .chain(party)
                    .find_map(|audience| Some((audience, length.broken_by(audience)?)))?;
                let start: String = audience.chars().take(20).collect();
                broken(
                    format!("the audience {start:?}… has {len} characters"),
                    "choose a shorter audience",
                )
            }
            Self::AuthorizedPartyFirst => {
                let party = claims.authorized_party()?;
                if claims.audiences().iter().all(|audience| audience == party) {
                    return None;
                }
                broken(
                    format!("azp is {party:?}, and not the audience"),
                    format!(
                        "leave azp out, or register {party:?} as the client id and bind that to AWS"
                    ),
                )
            }
            Self::NoAuthorizedParty => {
                claims.authorized_party()?;
                broken("the token has an azp", "leave it out")
            }
            Self::Subject(length) => {
                let len = length.broken_by(claims.subject()?)?;
                broken(
                    format!("the subject has a length of {len}"),
                    "use ids of a fixed length instead of names",
                )
            }
            Self::AsciiSubject if !claims.subject().is_none_or(str::is_ascii) => broken(
                "the subject is not ASCII",
                "use ids, or a template, which encodes what is not ASCII",
            ),
            Self::Lifetime(longest) if lifetime.is_some_and(|lifetime| lifetime > longest) => {
                broken(
                    format!(
                        "the token lives {} s",
                        lifetime.unwrap_or_default().as_secs()
                    ),
                    "ask for a shorter lifetime, and refresh the token",
                )
            }
            Self::VerifiedEmail | Self::OnlyVerifiedEmail
                if claims.email_verified() == Some(false) =>
            {
                broken(
                    "email_verified is false",
                    "leave an address out that was not verified",
                )
            }
            Self::NoNested(names) => {
                let (claim, name) = claims.nested_private_claims().find_map(|(claim, json)| {
                    let value: Value = serde_json::from_str(json).ok()?;
                    Some((claim, nested(&value, names)?))
                })?;
                broken(
                    format!("claim {claim:?} has a member {name:?} inside"),
                    "rename the member, or leave the claim out of tokens for this relying party",
                )
            }
            Self::MappedBytes(most) => {
                let private = claims
                    .private_names()
                    .filter_map(|name| claims.private_claim(name).map(str::len));
                let len = private.sum::<usize>() + claims.subject().map_or(0, str::len);
                if len <= most {
                    return None;
                }
                broken(
                    format!("the subject and the private claims have {len} bytes"),
                    "map only a few of them, and keep those short",
                )
            }
            Self::PlainType if claims.token_type() != TokenType::Jwt => broken(
                format!("the token is of type {}", claims.token_type()),
                "mint an ID token",
            ),
            // One pass finds all of them: most tokens have none.
            Self::AwsClaims => claims
                .private_claims_starting_with("https://aws.amazon.com/")
                .find_map(|(name, json)| broken_aws_claim(name, json)),
            _ => None,
        }
    }

    /// Checks the published keys and metadata.
    fn broken_by_documents(&self, published: &Published<'_>) -> Option<Broken> {
        let keys = published.jwks.keys();
        let first = keys.first()?;
        match *self {
            Self::Algorithms(accepted) => {
                if keys.iter().any(|key| published.signs(key, accepted)) {
                    return None;
                }
                broken(
                    format!("no published key is for {accepted}"),
                    "add such a key to the key set, and its algorithm to the issuer's",
                )
            }
            Self::Keys(most) if keys.len() > most => broken(
                format!("{} keys are published", keys.len()),
                "retire old keys",
            ),
            Self::OnlyKeysOf(safe) => {
                let other = keys.iter().find(|key| !safe.contains(key.algorithm()))?;
                broken(
                    format!("a key of {} is published", other.algorithm()),
                    "publish other algorithms on an issuer of their own (IssuerBuilder::algorithms)",
                )
            }
            Self::FirstKey if keys.len() > 1 => broken(
                format!("{} keys are published", keys.len()),
                format!(
                    "only {} verifies, with {}: publish one key, or see to it that the first one signs",
                    first.kid(),
                    first.algorithm()
                ),
            ),
            Self::Certificate if first.certificate_chain().is_empty() => broken(
                "the first published key has no certificate",
                "add one with ScheduledKey::with_certificate_chain",
            ),
            Self::PlainUpload if keys.iter().any(|key| !key.certificate_chain().is_empty()) => {
                broken(
                    "a published key has a certificate",
                    "let Google fetch the JWKS, or upload one without x5c",
                )
            }
            Self::UniqueKeyIds => {
                let named = keys.iter().find(|key| key.kid() != key.thumbprint())?;
                broken(
                    format!("the kid {:?} may be another issuer's as well", named.kid()),
                    "name keys by their thumbprint, as is the default",
                )
            }
            Self::Discovery(members) => {
                let missing = members
                    .iter()
                    .find(|member| published.discovery.get(**member).is_none())?;
                broken(
                    format!("the discovery document has no {missing}"),
                    "add it with ProviderMetadata::with_member",
                )
            }
            Self::JwksAt(path) => {
                let uri = published
                    .discovery
                    .get("jwks_uri")
                    .and_then(Value::as_str)?;
                if uri.ends_with(path) {
                    return None;
                }
                broken(
                    format!("the JWKS stands at {uri}"),
                    format!(
                        "answer <issuer>{path} with Issuer::jwks as well, or set IssuerBuilder::jwks_uri to it"
                    ),
                )
            }
            _ => None,
        }
    }
}

/// Checks the JSON of a claim that may be one of those that AWS reads.
fn broken_aws_claim(name: &str, json: &str) -> Option<Broken> {
    let build = "build them with aws::SessionTags and aws::SourceIdentity";
    match name {
        SessionTags::CLAIM => broken(SessionTags::check_json(json).err()?.to_string(), build),
        SourceIdentity::CLAIM => broken(SourceIdentity::check_json(json).err()?.to_string(), build),
        flat if SessionTags::is_flat_claim(flat) => broken(
            format!("claim {flat:?} sets session tags past all checks"),
            "set them with aws::SessionTags, under SessionTags::CLAIM",
        ),
        _ => None,
    }
}

fn has_port(url: &IssuerUrl) -> bool {
    let (_, authority) = url.origin().split_once("://").unwrap_or_default();
    // An IPv6 address has colons, within brackets.
    authority
        .rsplit(']')
        .next()
        .is_some_and(|end| end.contains(':'))
}

/// The name of a member that an object inside the value has.
fn nested(value: &Value, names: &'static [&'static str]) -> Option<&'static str> {
    match value {
        Value::Object(members) => names
            .iter()
            .copied()
            .find(|name| members.contains_key(*name))
            .or_else(|| members.values().find_map(|value| nested(value, names))),
        Value::Array(values) => values.iter().find_map(|value| nested(value, names)),
        _ => None,
    }
}
