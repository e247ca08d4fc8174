//! Audiences bound to relying parties, so that no token is minted that its reader would refuse.

use std::fmt;

use chancery_core::{
    AlgorithmSet, Claims, Issuer, PolicyError, TokenPolicy, TokenRequest, TokenTerms,
};

use crate::aws::{SessionTags, SourceIdentity};
use crate::finding::{Finding, Severity};
use crate::relying_party::{RelyingParty, Requirement};

/// Which audience is read by which relying party: a policy for
/// [`IssuerBuilder::token_policy`](chancery_core::IssuerBuilder::token_policy).
///
/// A token for a bound audience is minted only where its relying party is not certain to refuse
/// it, or to take an e-mail address that was not verified for a verified one, and signed with the fastest algorithm that the relying party takes and the issuer has a key
/// of: with ES256 for AWS where there is such a key, with RS256 for Azure. Rules that are not
/// certain stop nothing; [`Bindings::check_claims`] tells of them. What depends on the published keys
/// and documents, [`Bindings::check`] tells: ask it when keys or settings change. Audiences that are not bound
/// are left alone: [`allowed_audiences`](chancery_core::IssuerBuilder::allowed_audiences) says
/// which there are.
///
/// ```
/// use std::sync::Arc;
/// use chancery_core::{Issuer, IssuerUrl, KeySet};
/// use chancery_federation::{Binding, Bindings, RelyingParty};
///
/// fn issuer(keys: KeySet) -> Result<Issuer, Box<dyn std::error::Error>> {
///     let bindings = Bindings::new([
///         Binding::new("sts.amazonaws.com", RelyingParty::AWS).allow_session_tags(),
///         Binding::new("api://AzureADTokenExchange", RelyingParty::AZURE),
///     ]);
///     let url = IssuerUrl::parse("https://id.example.com")?;
///     Ok(Issuer::builder(url, keys).token_policy(Arc::new(bindings)).build()?)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings(Vec<Binding>);

/// An audience, or a client id, and the relying party that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    audience: String,
    relying_party: &'static RelyingParty,
    session_tags: bool,
    source_identity: bool,
    certified_keys: bool,
}

impl Binding {
    /// Binds an audience: `aud`, or `azp` where the relying party reads that.
    pub fn new(audience: impl Into<String>, relying_party: &'static RelyingParty) -> Self {
        Self {
            audience: audience.into(),
            relying_party,
            session_tags: false,
            source_identity: false,
            certified_keys: false,
        }
    }

    /// Lets tokens carry [`SessionTags`]. Roles that such a token may assume need a trust policy
    /// that allows `sts:TagSession`.
    #[must_use]
    pub fn allow_session_tags(mut self) -> Self {
        self.session_tags = true;
        self
    }

    /// Lets tokens carry a [`SourceIdentity`]. Roles that such a token may assume need a trust
    /// policy that allows `sts:SetSourceIdentity`.
    #[must_use]
    pub fn allow_source_identity(mut self) -> Self {
        self.source_identity = true;
        self
    }

    /// Signs as well with the algorithms that the relying party takes only of keys that carry their
    /// certificate: for Ceph those of elliptic curves, which are faster than RSA. Without it an
    /// RSA key signs, which needs none.
    ///
    /// All keys of these algorithms need one
    /// ([`ScheduledKey::with_certificate_chain`](chancery_core::ScheduledKey::with_certificate_chain));
    /// [`Bindings::check`] tells which has none.
    #[must_use]
    pub fn with_certified_keys(mut self) -> Self {
        self.certified_keys = true;
        self
    }

    /// The audience.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The relying party.
    #[must_use]
    pub const fn relying_party(&self) -> &'static RelyingParty {
        self.relying_party
    }

    /// With which algorithms its tokens may be signed, of those that need no certificate.
    fn algorithms(&self, bare: AlgorithmSet) -> AlgorithmSet {
        match self.relying_party.algorithms_with_certificate() {
            Some(certified) if self.certified_keys => certified,
            _ => bare,
        }
    }

    /// The claims that the audience did not opt in to.
    fn unwanted(&self, claims: &Claims) -> Option<Finding> {
        let is_aws = self.relying_party == RelyingParty::AWS;
        let [name, action, allow] = if !is_aws {
            return None;
        } else if !self.session_tags && claims.private_claim(SessionTags::CLAIM).is_some() {
            ["session tags", "sts:TagSession", "allow_session_tags"]
        } else if !self.source_identity && claims.private_claim(SourceIdentity::CLAIM).is_some() {
            [
                "a source identity",
                "sts:SetSourceIdentity",
                "allow_source_identity",
            ]
        } else {
            return None;
        };
        Some(Finding::error(
            format!("the token carries {name}"),
            format!("a role whose trust policy lacks {action} refuses it"),
            format!("leave them out, or add {action} to the roles and Binding::{allow} here"),
        ))
    }
}

impl Bindings {
    /// These audiences and their relying parties. An audience may have several.
    pub fn new(bindings: impl IntoIterator<Item = Binding>) -> Self {
        let mut bindings: Vec<Binding> = bindings.into_iter().collect();
        // A service may have an audience for each of its tenants, and they are found by halving.
        bindings.sort_by(|one, other| one.audience.cmp(&other.audience));
        Self(bindings)
    }

    /// The bindings, in the order of their audiences.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.0
    }

    /// Checks an issuer for each of the relying parties.
    #[must_use]
    pub fn check(&self, issuer: &Issuer) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, binding) in self.0.iter().enumerate() {
            let relying_party = binding.relying_party;
            let is_new = self.0[..index]
                .iter()
                .all(|other| other.relying_party != relying_party);
            if !is_new {
                continue;
            }
            let others = self.0[index..]
                .iter()
                .filter(|other| other.relying_party == relying_party);
            findings.extend(relying_party.check_bound(issuer));
            if others.clone().any(|binding| binding.certified_keys) {
                findings.extend(relying_party.check_certificates(issuer));
            }
            findings.extend(relying_party.check_audience_count(others.count()));
        }
        findings
    }

    /// Checks claims for the relying parties they are meant for, and tells of what is not certain
    /// as well.
    #[must_use]
    pub fn check_claims(&self, claims: &Claims) -> Vec<Finding> {
        let mut findings = Vec::new();
        for binding in self.meant(claims) {
            findings.extend(binding.unwanted(claims));
            for rule in binding.relying_party.rules() {
                if self.is_bound_party(binding.relying_party, &rule.requirement, claims) {
                    continue;
                }
                let is_lifted = binding.certified_keys
                    && binding
                        .relying_party
                        .takes_with_certificate(&rule.requirement, claims);
                if is_lifted {
                    continue;
                }
                let broken = rule.requirement.broken_by_claims(claims, claims.lifetime());
                findings.extend(broken.map(|broken| binding.relying_party.finding(rule, broken)));
            }
        }
        findings
    }
}

impl Bindings {
    /// The bindings of the token's audiences, and of its `azp` where that is read.
    fn meant<'a>(&'a self, claims: &'a Claims) -> impl Iterator<Item = &'a Binding> {
        let audiences = claims.audiences();
        let party = claims
            .authorized_party()
            .filter(|party| audiences.iter().all(|audience| audience != party));
        let by_party = party
            .into_iter()
            .flat_map(|party| self.of(party))
            .filter(|binding| binding.relying_party.reads_authorized_party());
        audiences
            .iter()
            .flat_map(|audience| self.of(audience))
            .chain(by_party)
    }

    /// The bindings of an audience.
    fn of(&self, audience: &str) -> impl Iterator<Item = &Binding> {
        let start = self
            .0
            .partition_point(|binding| *binding.audience < *audience);
        self.0[start..]
            .iter()
            .take_while(move |binding| *binding.audience == *audience)
    }

    /// Whether `azp`, which the relying party reads instead of `aud`, is a client id that is bound
    /// to it as well.
    fn is_bound_party(
        &self,
        relying_party: &RelyingParty,
        requirement: &Requirement,
        claims: &Claims,
    ) -> bool {
        matches!(requirement, Requirement::AuthorizedPartyFirst)
            && claims.authorized_party().is_some_and(|party| {
                self.of(party)
                    .any(|binding| binding.relying_party == relying_party)
            })
    }
}

impl TokenPolicy for Bindings {
    /// # Errors
    /// A [`PolicyError`] whose reason is [`Refused`].
    fn terms(&self, request: &TokenRequest<'_>) -> Result<TokenTerms, PolicyError> {
        let mut terms = TokenTerms::default();
        let claims = request.claims;
        for binding in self.meant(claims) {
            let refused = |finding, by_relying_party| {
                PolicyError::new(Refused {
                    audience: binding.audience.clone(),
                    relying_party: binding.relying_party,
                    finding,
                    by_relying_party,
                })
            };
            if let Some(finding) = binding.unwanted(claims) {
                return Err(refused(finding, true));
            }
            for rule in binding.relying_party.rules() {
                match rule.requirement {
                    _ if rule.severity != Severity::Error => {}
                    // The issuer sees to these two.
                    Requirement::Algorithms(algorithms) => {
                        terms = terms.with_algorithms(binding.algorithms(algorithms));
                    }
                    Requirement::Token(length) => {
                        terms = terms.with_longest_token(length.longest);
                    }
                    ref requirement
                        if self.is_bound_party(binding.relying_party, requirement, claims) => {}
                    ref requirement => {
                        let broken = requirement
                            .broken_by_claims(claims, Some(request.lifetime))
                            .or_else(|| requirement.broken_by_url(request.issuer));
                        if let Some(broken) = broken {
                            let finding = binding.relying_party.finding(rule, broken);
                            return Err(refused(finding, requirement.is_enforced()));
                        }
                    }
                }
            }
        }
        Ok(terms)
    }
}

/// A token that its relying party is certain to refuse, or would read as somebody else's, and that
/// was not minted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The audience it was for.
    pub audience: String,
    /// Who reads it.
    pub relying_party: &'static RelyingParty,
    /// What is wrong with the token.
    pub finding: Finding,
    /// Whether the relying party itself would refuse it. Otherwise it would take the token, and read
    /// more in it than is true.
    pub by_relying_party: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            audience,
            relying_party,
            finding,
            by_relying_party,
        } = self;
        let verb = if *by_relying_party {
            "would refuse the token"
        } else {
            "would take the token for more than it is, so it is not minted"
        };
        write!(
            f,
            "{relying_party}, to which the audience {audience:?} is bound, {verb}: {}: {}; {}",
            finding.what, finding.why, finding.mend
        )
    }
}

impl std::error::Error for Refused {}
