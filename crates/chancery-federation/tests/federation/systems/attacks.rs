//! What is tried against each of the services, with one and the same token.

use chancery_core::{Algorithm, Claims, IssueError, Issuer};
use chancery_federation::aws::{
    self, DenialReason, ErrorCode, Outcome, Policy, Provider, SessionTags, TrustPolicy,
    TrustPolicyError,
};
use chancery_federation::{Severity, Sharing};
use chancery_software::{Engine, SoftwareSigner};
use serde_json::json;

use super::{at, denied, denied_token, keys, sts};
use crate::support::{NOW, TurnableClock};

/// A token that is allowed, and everything that makes it so.
pub(super) struct Honest<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) provider: &'a Provider,
    pub(super) policy: &'a Policy,
    /// The claims but for audience and `azp`.
    pub(super) claims: &'a Claims,
    pub(super) audience: &'a str,
    /// Where it is not the audience itself.
    pub(super) authorized_party: Option<&'a str>,
}

impl Honest<'_> {
    fn claims_for(&self, audience: &str, authorized_party: Option<&str>) -> Claims {
        let claims = self.claims.clone().with_audience(audience);
        match authorized_party {
            Some(party) => claims.with_authorized_party(party),
            None => claims,
        }
    }

    fn claims(&self) -> Claims {
        self.claims_for(self.audience, self.authorized_party)
    }

    /// An issuer with the same keys and URL, and nothing that holds it back.
    fn careless(&self) -> Issuer {
        Issuer::builder(self.issuer.url().clone(), self.issuer.keys().clone())
            .clock(TurnableClock::at(NOW))
            .build()
            .unwrap()
    }

    /// Tries everything that does not depend on the service.
    pub(super) fn withstands_what_all_do(&self) {
        self.is_allowed_for_its_time();
        self.withstands_other_audiences();
        self.withstands_other_keys();
        self.withstands_other_issuers();
        self.withstands_policies_of_aud_alone();
        self.withstands_tags_that_nobody_expects();
    }

    fn is_allowed_for_its_time(&self) {
        let token = self.issuer.issue(&self.claims()).unwrap();
        let until = NOW + self.issuer.default_lifetime().as_secs();
        let ask = |seconds| aws::simulate(self.policy, self.provider, token.as_str(), at(seconds));
        assert!(matches!(ask(NOW), Outcome::Allowed(_)), "{:?}", ask(NOW));
        // AWS takes it for five minutes more.
        assert!(matches!(ask(until + 299), Outcome::Allowed(_)));
        match ask(until + 301) {
            Outcome::Denied(denial) => {
                assert_eq!(denial.code, ErrorCode::ExpiredTokenException);
                assert_eq!(denial.reason, DenialReason::Expired { expired_at: until });
            }
            other => panic!("{other:?}"),
        }
    }

    fn withstands_other_audiences(&self) {
        // A token for somebody else.
        let elsewhere = self.claims_for("https://elsewhere.example.com", None);
        let token = self.careless().issue(&elsewhere).unwrap();
        let denial = denied_token(self.policy, self.provider, token.as_str());
        assert_eq!(denial.code, ErrorCode::InvalidIdentityToken);
        assert!(matches!(
            denial.reason,
            DenialReason::Audience { claim: "aud", .. }
        ));

        // The right audience in aud, and another in azp, which AWS reads.
        let client_id = &self.provider.client_ids()[0];
        let tricky = self.claims_for(client_id, Some("intruder"));
        match self.issuer.issue(&tricky) {
            Err(IssueError::Policy(error)) => {
                assert!(error.to_string().contains("azp is \"intruder\""), "{error}");
            }
            other => panic!("{other:?}"),
        }
        let token = self.careless().issue(&tricky).unwrap();
        let denial = denied_token(self.policy, self.provider, token.as_str());
        assert_eq!(denial.code, ErrorCode::InvalidIdentityToken);
        assert_eq!(
            denial.reason,
            DenialReason::Audience {
                claim: "azp",
                found: "intruder".to_owned()
            }
        );
    }

    /// A key of one's own, under the name of the issuer's.
    fn withstands_other_keys(&self) {
        let kid = self.provider.keys().unwrap().keys()[0].kid();
        let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)
            .unwrap()
            .with_kid(kid)
            .unwrap();
        let forger = Issuer::builder(self.issuer.url().clone(), keys(signer))
            .clock(TurnableClock::at(NOW))
            .build()
            .unwrap();
        let denial = denied(self.policy, self.provider, &forger, &self.claims());
        assert_eq!(denial.code, ErrorCode::InvalidIdentityToken);
        assert_eq!(denial.reason, DenialReason::Signature);

        // Under its own name it is unknown.
        let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
        let forger = Issuer::builder(self.issuer.url().clone(), keys(signer))
            .clock(TurnableClock::at(NOW))
            .build()
            .unwrap();
        let denial = denied(self.policy, self.provider, &forger, &self.claims());
        assert!(
            matches!(denial.reason, DenialReason::Key { .. }),
            "{denial}"
        );
    }

    /// The same keys and the same claims, at another URL: another tenant's issuer.
    fn withstands_other_issuers(&self) {
        let own = self.issuer.url().as_str();
        let other = match own.strip_suffix('/') {
            Some(without_slash) => without_slash.to_owned(),
            None => format!("{own}/"),
        };
        for other in [other.as_str(), "https://other.example.com"] {
            let tenant = self.issuer.tenant(super::url(other));
            let denial = denied(self.policy, self.provider, &tenant, &self.claims());
            assert_eq!(denial.code, ErrorCode::InvalidIdentityToken);
            assert!(
                denial
                    .message
                    .as_deref()
                    .is_some_and(|message| message.contains("No OpenIDConnect provider found")),
                "{denial}"
            );
        }
    }

    /// Tags make a session what it should not be, and a role that does not expect them refuses it.
    fn withstands_tags_that_nobody_expects(&self) {
        if self.policy.to_string().contains("sts:TagSession") {
            // Its own test takes the action away.
            return;
        }
        let tags = SessionTags::new().with_tag("role", "admin").unwrap();
        let tagged = self
            .claims()
            .with_private_claim(SessionTags::CLAIM, &tags)
            .unwrap();
        match self.issuer.issue(&tagged) {
            Err(IssueError::Policy(error)) => {
                assert!(error.to_string().contains("sts:TagSession"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        let token = self.careless().issue(&tagged).unwrap();
        let denial = denied_token(self.policy, self.provider, token.as_str());
        assert_eq!(denial.code, ErrorCode::AccessDenied);
        assert!(
            matches!(
                denial.reason,
                DenialReason::Action {
                    action: "sts:TagSession"
                }
            ),
            "{denial}"
        );
    }

    fn withstands_policies_of_aud_alone(&self) {
        // Ours refuses to build one for an issuer that is shared.
        let refused = TrustPolicy::new(self.provider, Sharing::ManyCustomers).build();
        assert_eq!(refused, Err(TrustPolicyError::NobodyIdentified));

        // Of one that somebody else wrote it says what is wrong with it.
        let aud_alone: Policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Federated": self.provider.arn()},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {
                    self.provider.condition_key("aud"): self.provider.client_ids()[0]
                }}
            }]
        })
        .to_string()
        .parse()
        .unwrap();
        assert!(
            aws::lint(&aud_alone)
                .iter()
                .any(|finding| finding.severity == Severity::Error),
            "{:?}",
            aws::lint(&aud_alone)
        );
        let errors: Vec<_> = aws::lint(self.policy)
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        assert_eq!(errors, []);
    }
}

/// The same policy without the action that lets a session have tags.
pub(super) fn without_tag_session(policy: &Policy) -> Policy {
    let json = policy.to_string();
    let changed = json.replace(r#","sts:TagSession""#, "");
    assert_ne!(json, changed);
    changed.parse().unwrap()
}

/// A token of these claims is denied because a condition on the subject does not hold.
pub(super) fn is_denied_by_subject(honest: &Honest<'_>, claims: Claims) {
    let claims = claims.with_audience(honest.audience);
    let claims = match honest.authorized_party {
        Some(party) => claims.with_authorized_party(party),
        None => claims,
    };
    let token = honest.issuer.issue(&claims).unwrap();
    match sts(honest.policy, honest.provider, token.as_str()) {
        Outcome::Denied(denial) => {
            assert_eq!(denial.code, ErrorCode::AccessDenied);
            match denial.reason {
                DenialReason::Condition { condition, .. } => {
                    assert_eq!(condition.key, honest.provider.condition_key("sub"));
                }
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_clock_of_a_forger_counts_for_nothing() {
    let outcome = |at: u64| {
        let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
        let issuer = Issuer::builder(super::url("https://id.example.com"), super::keys(signer))
            .clock(TurnableClock::at(at))
            .build()
            .unwrap();
        let provider = super::provider(&issuer, "client-of-aws");
        let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .subject("job:4711")
            .build()
            .unwrap();
        let claims = Claims::new("job:4711").with_audience("client-of-aws");
        sts(&policy, &provider, issuer.issue(&claims).unwrap().as_str())
    };
    // The clock is behind, and the tokens have expired.
    match outcome(NOW - 10_000) {
        Outcome::Denied(denial) => assert_eq!(denial.code, ErrorCode::ExpiredTokenException),
        other => panic!("{other:?}"),
    }
    // The clock has run ahead, and whether AWS minds is not known: it is not told as allowed.
    match outcome(NOW + 10_000) {
        Outcome::Indeterminate(doubt) => assert!(format!("{doubt:?}").contains("iat"), "{doubt:?}"),
        other => panic!("{other:?}"),
    }
}
