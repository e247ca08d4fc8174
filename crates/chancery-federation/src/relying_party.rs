//! Relying parties as data: what each accepts, how certain that is, and who says so.

mod alibaba;
mod aws;
mod azure;
mod ceph;
mod check;
mod databricks;
mod google_cloud;
mod kubernetes;
mod minio;
mod portable;
mod snowflake;
mod vault;

use std::fmt;
use std::time::Duration;

use chancery_core::{AlgorithmSet, Claims, Issuer};

use crate::finding::{Finding, Severity};
use crate::subject_template::SubjectTemplate;

pub(crate) use self::check::Broken;

/// A service that takes tokens of other issuers, and what it demands of them.
///
/// ```
/// use chancery_core::Claims;
/// use chancery_federation::{RelyingParty, Severity};
///
/// let claims = Claims::new("space:production").with_audience("api://AzureADTokenExchange");
/// assert_eq!(RelyingParty::AZURE.check_claims(&claims), []);
///
/// let claims = claims.with_audience("sts.amazonaws.com");
/// let findings = RelyingParty::AZURE.check_claims(&claims);
/// assert_eq!(findings[0].severity, Severity::Error);
/// assert_eq!(findings[0].what, "the token has 2 audiences");
/// ```
pub struct RelyingParty {
    name: &'static str,
    rules: &'static [Rule],
}

impl RelyingParty {
    /// AWS IAM and STS: `AssumeRoleWithWebIdentity`.
    pub const AWS: &'static Self = &aws::AWS;
    /// Google Cloud Workload Identity Federation, where `google.subject` is mapped from `sub`.
    pub const GOOGLE_CLOUD: &'static Self = &google_cloud::GOOGLE_CLOUD;
    /// Azure: federated identity credentials of Microsoft Entra.
    pub const AZURE: &'static Self = &azure::AZURE;
    /// HashiCorp Vault and OpenBao: the JWT auth method.
    pub const VAULT: &'static Self = &vault::VAULT;
    /// The Kubernetes API server, configured by a file (`AuthenticationConfiguration`).
    pub const KUBERNETES: &'static Self = &kubernetes::KUBERNETES;
    /// The Kubernetes API server, configured by `--oidc-…` flags without `--oidc-signing-algs`.
    pub const KUBERNETES_FLAGS: &'static Self = &kubernetes::KUBERNETES_FLAGS;
    /// Ceph RGW STS, of releases that read the discovery document.
    pub const CEPH: &'static Self = &ceph::CEPH;
    /// Ceph RGW STS of releases 16 and 17.
    pub const CEPH_16: &'static Self = &ceph::CEPH_16;
    /// MinIO STS.
    pub const MINIO: &'static Self = &minio::MINIO;
    /// Databricks: service principal federation.
    pub const DATABRICKS: &'static Self = &databricks::DATABRICKS;
    /// Snowflake: workload identity federation with `TYPE = OIDC`.
    pub const SNOWFLAKE: &'static Self = &snowflake::SNOWFLAKE;
    /// Alibaba Cloud RAM: OIDC identity providers.
    pub const ALIBABA: &'static Self = &alibaba::ALIBABA;
    /// None in particular: what every relying party above takes, and what 28 verifiers took when
    /// they were tried. For issuers that don't know who will verify.
    pub const PORTABLE: &'static Self = &portable::PORTABLE;

    /// Every relying party.
    pub const ALL: [&'static Self; 13] = [
        Self::AWS,
        Self::GOOGLE_CLOUD,
        Self::AZURE,
        Self::VAULT,
        Self::KUBERNETES,
        Self::KUBERNETES_FLAGS,
        Self::CEPH,
        Self::CEPH_16,
        Self::MINIO,
        Self::DATABRICKS,
        Self::SNOWFLAKE,
        Self::ALIBABA,
        Self::PORTABLE,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its rules.
    #[must_use]
    pub const fn rules(&self) -> &'static [Rule] {
        self.rules
    }

    /// The algorithms it is certain to refuse all others than.
    #[must_use]
    pub fn algorithms(&self) -> Option<AlgorithmSet> {
        self.rules.iter().find_map(|rule| match rule.requirement {
            Requirement::Algorithms(algorithms) if rule.severity == Severity::Error => {
                Some(algorithms)
            }
            _ => None,
        })
    }

    /// The algorithms that it takes of keys that carry their certificate, where those are more.
    pub(crate) fn algorithms_with_certificate(&self) -> Option<AlgorithmSet> {
        self.rules.iter().find_map(|rule| match rule.requirement {
            Requirement::AlgorithmsWithCertificate(algorithms) => Some(algorithms),
            _ => None,
        })
    }

    /// Whether the claims ask for an algorithm that it takes besides those of the requirement, of a
    /// key that carries its certificate.
    pub(crate) fn takes_with_certificate(
        &self,
        requirement: &Requirement,
        claims: &Claims,
    ) -> bool {
        matches!(requirement, Requirement::Algorithms(_))
            && claims.signing_algorithm().is_some_and(|asked| {
                self.algorithms_with_certificate()
                    .is_some_and(|algorithms| algorithms.contains(asked))
            })
    }

    /// Checks how many audiences of an issuer it would have to register.
    pub(crate) fn check_audience_count(&self, count: usize) -> Option<Finding> {
        self.rules.iter().find_map(|rule| match rule.requirement {
            Requirement::Audiences(most) if count > most => {
                let broken = Broken {
                    what: format!("{count} audiences are bound to {}", self.name),
                    mend: "let several customers share an audience, and tell them apart by the subject"
                        .into(),
                };
                Some(self.finding(rule, broken))
            }
            _ => None,
        })
    }

    /// Looks for a published key of an algorithm that needs its certificate, and has none.
    pub(crate) fn check_certificates(&self, issuer: &Issuer) -> Option<Finding> {
        self.rules.iter().find_map(|rule| match rule.requirement {
            Requirement::AlgorithmsWithCertificate(algorithms) => {
                let broken = check::without_certificate(self.algorithms()?, algorithms, issuer)?;
                Some(self.finding(rule, broken))
            }
            _ => None,
        })
    }

    /// Checks the issuer's URL, its keys and its documents, as they are at this moment, and whether
    /// it signs with an algorithm of the relying party's where it is not asked to.
    #[must_use]
    pub fn check(&self, issuer: &Issuer) -> Vec<Finding> {
        let mut findings = self.check_bound(issuer);
        findings.extend(check::default_algorithm(self, issuer));
        findings
    }

    /// Checks an issuer whose audiences are bound, so that algorithms are chosen for them.
    pub(crate) fn check_bound(&self, issuer: &Issuer) -> Vec<Finding> {
        check::issuer(self, issuer)
    }

    /// Checks what a token would say. Where the claims ask for no lifetime, that is not checked.
    #[must_use]
    pub fn check_claims(&self, claims: &Claims) -> Vec<Finding> {
        self.rules
            .iter()
            .filter_map(|rule| {
                let mut broken = rule
                    .requirement
                    .broken_by_claims(claims, claims.lifetime())?;
                let mut severity = rule.severity;
                if self.takes_with_certificate(&rule.requirement, claims) {
                    broken.mend = "give the key its certificate (x5c)".into();
                    severity = Severity::Warning;
                }
                Some(Finding {
                    severity,
                    ..self.finding(rule, broken)
                })
            })
            .collect()
    }

    /// Checks whether every subject that the template can make fits.
    #[must_use]
    pub fn check_template(&self, template: &SubjectTemplate) -> Vec<Finding> {
        self.rules
            .iter()
            .filter_map(|rule| match rule.requirement {
                Requirement::Subject(length) => Some((rule, length)),
                _ => None,
            })
            .flat_map(|(rule, length)| {
                let (shortest, longest) = (template.shortest(), template.longest());
                let too_long = (longest > length.longest).then_some((
                    longest,
                    "give its variables shorter longest lengths, or use ids instead of names",
                ));
                let too_short = (shortest < length.shortest).then_some((
                    shortest,
                    "put a name before its variables, such as \"job:{id}\"",
                ));
                [too_long, too_short]
                    .into_iter()
                    .flatten()
                    .map(|(len, mend)| {
                        let broken = Broken {
                            what: format!("the template can make a subject of {len} characters"),
                            mend: mend.into(),
                        };
                        self.finding(rule, broken)
                    })
            })
            .collect()
    }

    /// Whether the token's `azp` may stand where the relying party looks for its audience.
    pub(crate) fn reads_authorized_party(&self) -> bool {
        self.rules.iter().any(|rule| {
            matches!(
                rule.requirement,
                Requirement::AuthorizedPartyFirst | Requirement::AuthorizedPartyElse
            )
        })
    }

    pub(crate) fn finding(&self, rule: &Rule, broken: Broken) -> Finding {
        let certainty = match rule.certainty {
            Certainty::Verified => "",
            Certainty::Reported => ", as reported",
            Certainty::Unverified => ", which is not certain",
        };
        Finding {
            severity: rule.severity,
            what: broken.what,
            why: format!(
                "{} {}{certainty} ({})",
                self.name, rule.requirement, rule.source
            ),
            mend: broken.mend,
        }
    }
}

/// By name.
impl PartialEq for RelyingParty {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RelyingParty {}

/// Shows the name.
impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelyingParty({})", self.name)
    }
}

/// The name.
impl fmt::Display for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One thing that a relying party demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// What it demands.
    pub requirement: Requirement,
    /// What breaking it is: an error only where it is certain that the token is refused.
    pub severity: Severity,
    /// How certain it is.
    pub certainty: Certainty,
    /// Who says so.
    pub source: &'static str,
}

impl Rule {
    /// A rule that is certain: a token that breaks it is not minted.
    const fn must(requirement: Requirement, source: &'static str) -> Self {
        Self {
            requirement,
            severity: Severity::Error,
            certainty: Certainty::Verified,
            source,
        }
    }

    /// A rule that warns.
    const fn should(requirement: Requirement, certainty: Certainty, source: &'static str) -> Self {
        Self {
            requirement,
            severity: Severity::Warning,
            certainty,
            source,
        }
    }
}

/// How certain a rule is. None was tried against a live cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// Read in the vendor's own documentation or code.
    Verified,
    /// Told by others: the vendor quoted, or a report from the field.
    Reported,
    /// Not verified.
    Unverified,
}

/// What a relying party may demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// One of these signs the token.
    Algorithms(AlgorithmSet),
    /// One of these signs the token, where the key carries its certificate (`x5c`); the set has
    /// those that need none as well.
    AlgorithmsWithCertificate(AlgorithmSet),
    /// So many keys of a family (RSA, EC) are read. A key set has no more than 100 in all.
    KeysOfFamily(usize),
    /// So many keys are read.
    Keys(usize),
    /// Only the first key is read, so it must be the one that signs.
    FirstKey,
    /// The key that signs carries its certificate (`x5c`).
    Certificate,
    /// A JWKS that is uploaded, and not fetched, has no certificates (`x5c`).
    PlainUpload,
    /// Keys of other algorithms make it refuse the whole JWKS.
    OnlyKeysOf(AlgorithmSet),
    /// The header and the JWKS name the key. The library always does.
    KeyId,
    /// Keys have names that no other issuer uses: it keeps those of all in one map.
    UniqueKeyIds,
    /// The issuer's URL begins with `https://`.
    Https,
    /// The issuer's URL has no port.
    NoPort,
    /// The length of the issuer's URL.
    IssuerUrl(Length),
    /// The discovery document has these members.
    Discovery(&'static [&'static str]),
    /// The JWKS stands at this path behind the issuer's URL as well.
    JwksAt(&'static str),
    /// The token has these claims. The library always writes `iss`, `iat` and `exp`.
    Claims(&'static [&'static str]),
    /// The token has one audience.
    OneAudience,
    /// The token's audience is this one.
    Audience(&'static str),
    /// The length of each audience.
    AudienceLength(Length),
    /// So many audiences, or client ids, are registered for one issuer.
    Audiences(usize),
    /// `azp` is read instead of `aud` where it is present.
    AuthorizedPartyFirst,
    /// `azp` is read where `aud` does not have the client id.
    AuthorizedPartyElse,
    /// `azp` confuses some.
    NoAuthorizedParty,
    /// The length of the subject.
    Subject(Length),
    /// The subject is ASCII.
    AsciiSubject,
    /// The longest lifetime of a token.
    Lifetime(Duration),
    /// How long after `exp` the token is still taken.
    Leeway(Duration),
    /// `email_verified` is true where it is present: one that is false is refused where `email` is
    /// the username.
    VerifiedEmail,
    /// `email` is there only where it was verified: policies read it, and cannot or need not ask
    /// whether it was.
    OnlyVerifiedEmail,
    /// No object inside a private claim has a member of these names.
    NoNested(&'static [&'static str]),
    /// So many bytes may be mapped from the subject and the private claims.
    MappedBytes(usize),
    /// The length of the token, in characters.
    Token(Length),
    /// `typ` is `JWT`, not that of access tokens.
    PlainType,
    /// Session tags and the source identity, where present, are as AWS reads them.
    AwsClaims,
}

impl Requirement {
    /// Whether the relying party itself refuses a token that breaks it. Otherwise it would take the
    /// token, and read more in it than is true: that such a token is not minted is a rule of this
    /// library.
    pub(crate) const fn is_enforced(&self) -> bool {
        !matches!(self, Self::OnlyVerifiedEmail | Self::NoNested(_))
    }
}

/// From the shortest to the longest that something may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Length {
    /// The shortest that it may be.
    pub shortest: usize,
    /// The longest that it may be.
    pub longest: usize,
    /// What is counted.
    pub unit: Unit,
}

/// What a [`Length`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Unicode characters.
    Characters,
    /// Bytes of UTF-8.
    Bytes,
}

impl Length {
    const fn characters(shortest: usize, longest: usize) -> Self {
        Self {
            shortest,
            longest,
            unit: Unit::Characters,
        }
    }

    const fn bytes(shortest: usize, longest: usize) -> Self {
        Self {
            shortest,
            longest,
            unit: Unit::Bytes,
        }
    }

    /// The length of a text, where it is not one of these.
    pub(crate) fn broken_by(self, text: &str) -> Option<usize> {
        // A character has one to four bytes, so that most texts need no counting.
        if text.len() <= self.longest && text.len() >= 4 * self.shortest {
            return None;
        }
        let len = match self.unit {
            Unit::Characters => text.chars().count(),
            Unit::Bytes => text.len(),
        };
        (len < self.shortest || len > self.longest).then_some(len)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Characters => "characters",
            Unit::Bytes => "bytes",
        };
        write!(f, "{} to {} {unit}", self.shortest, self.longest)
    }
}

/// What the relying party does, to stand behind its name.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithms(algorithms) => write!(f, "takes {algorithms}"),
            Self::AlgorithmsWithCertificate(algorithms) => {
                write!(f, "takes {algorithms} of keys with their certificate (x5c)")
            }
            Self::KeysOfFamily(most) => write!(f, "reads {most} RSA and {most} EC keys"),
            Self::Keys(most) => write!(f, "reads {most} keys"),
            Self::FirstKey => f.write_str("reads only the first key of a JWKS"),
            Self::Certificate => f.write_str("takes only keys with their certificate (x5c)"),
            Self::PlainUpload => f.write_str("refuses an uploaded JWKS with certificates (x5c)"),
            Self::OnlyKeysOf(algorithms) => {
                write!(f, "is safe only with keys of {algorithms} in the JWKS")
            }
            Self::KeyId => f.write_str("finds the key by its kid"),
            Self::UniqueKeyIds => f.write_str("keeps the keys of all issuers in one map by kid"),
            Self::Https => f.write_str("fetches documents over https only"),
            Self::NoPort => f.write_str("wants no port in the issuer's URL"),
            Self::IssuerUrl(length) => write!(f, "takes issuer URLs of {length}"),
            Self::Discovery(members) => {
                write!(f, "reads {} in the discovery document", members.join(", "))
            }
            Self::JwksAt(path) => write!(f, "looks for the JWKS at <issuer>{path}"),
            Self::Claims(names) => write!(f, "demands the claims {}", names.join(", ")),
            Self::OneAudience => f.write_str("wants exactly one audience"),
            Self::Audience(audience) => write!(f, "expects the audience {audience}"),
            Self::AudienceLength(length) => write!(f, "takes audiences of {length}"),
            Self::Audiences(most) => write!(f, "registers {most} audiences of an issuer"),
            Self::AuthorizedPartyFirst => {
                f.write_str("reads azp instead of aud where it is present")
            }
            Self::AuthorizedPartyElse => {
                f.write_str("reads azp where aud does not have the client id")
            }
            Self::NoAuthorizedParty => f.write_str("may read azp or not"),
            Self::Subject(length) => write!(f, "takes subjects of {length}"),
            Self::AsciiSubject => f.write_str("is safe only with ASCII in subjects"),
            Self::Lifetime(longest) => {
                write!(f, "wants tokens no older than {} s", longest.as_secs())
            }
            Self::Leeway(leeway) => {
                write!(f, "takes tokens up to {} s after exp", leeway.as_secs())
            }
            Self::VerifiedEmail => {
                f.write_str("refuses an address that is not verified, where it is the username")
            }
            Self::OnlyVerifiedEmail => f.write_str("lets policies read email, verified or not"),
            Self::NoNested(_) => {
                f.write_str("reads the members of nested objects as claims of their own")
            }
            Self::MappedBytes(most) => write!(f, "maps values of {most} bytes in all"),
            Self::Token(length) => write!(f, "takes tokens of {length}"),
            Self::PlainType => f.write_str("expects ID tokens"),
            Self::AwsClaims => f.write_str("holds session tags and the source identity to limits"),
        }
    }
}
