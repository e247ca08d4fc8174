//! What a service writes that clouds are to trust: every type can be named through the facade.

#![cfg(feature = "federation")]

use std::sync::Arc;

use chancery::federation::aws::{
    self, Outcome, Policy, Provider, SessionTags, Setup, SourceIdentity, TrustPolicy,
};
use chancery::federation::{
    Binding, Bindings, Finding, Refused, RelyingParty, Severity, Shape, Sharing, SubjectMigration,
    SubjectPattern, SubjectTemplate, TokenFile, Variable,
};
use chancery::{Claims, IssueError, Issuer, IssuerUrl, KeySet, UnixTime};

type Outcomes<T> = Result<T, Box<dyn std::error::Error>>;

struct Service {
    issuer: Arc<Issuer>,
    bindings: Arc<Bindings>,
    subjects: SubjectMigration,
}

impl Service {
    fn open(keys: KeySet) -> Outcomes<Self> {
        let bindings = Arc::new(Bindings::new([
            Binding::new("sts.amazonaws.com", RelyingParty::AWS)
                .allow_session_tags()
                .allow_source_identity(),
            Binding::new("api://AzureADTokenExchange", RelyingParty::AZURE),
        ]));
        let issuer = Issuer::builder(IssuerUrl::parse("https://id.example.com")?, keys)
            .token_policy(Arc::clone(&bindings) as _)
            .build()?;
        Ok(Self {
            issuer: Arc::new(issuer),
            bindings,
            subjects: subjects()?,
        })
    }

    fn findings(&self, claims: &Claims) -> Vec<Finding> {
        let mut findings = self.bindings.check(&self.issuer);
        findings.extend(self.bindings.check_claims(claims));
        findings.retain(|finding| finding.severity == Severity::Error);
        findings
    }

    fn claims(&self, has_moved: bool, organization: &str) -> Outcomes<Claims> {
        let shape = if has_moved { Shape::New } else { Shape::Old };
        let subject = self
            .subjects
            .template(shape)
            .subject(&[("org", organization)])?;
        let tags = SessionTags::new().with_tag("organization", organization)?;
        let identity = SourceIdentity::parse(organization)?;
        Ok(Claims::new(subject)
            .with_audience("sts.amazonaws.com")
            .with_private_claim(SessionTags::CLAIM, &tags)?
            .with_private_claim(SourceIdentity::CLAIM, &identity)?)
    }

    /// Why a cloud would refuse the token, where one would.
    fn refusal(&self, claims: &Claims) -> Option<String> {
        match self.issuer.issue(claims) {
            Err(IssueError::Policy(error)) => {
                let refused: &Refused = error.reason().downcast_ref()?;
                Some(format!(
                    "{}: {}",
                    refused.relying_party, refused.finding.mend
                ))
            }
            _ => None,
        }
    }

    fn keep(&self, claims: Claims) -> Outcomes<()> {
        let file = TokenFile::new("/run/job/token");
        let _guard = file.keep(Arc::clone(&self.issuer), claims).spawn(|error| {
            eprintln!("{error}");
        })?;
        Ok(())
    }
}

fn subjects() -> Outcomes<SubjectMigration> {
    Ok(SubjectMigration::new(
        SubjectTemplate::parse("organization:{org}", [Variable::id("org")])?,
        SubjectTemplate::parse("org:{org}", [Variable::id("org")])?,
    )?)
}

fn role(provider: &Provider, pattern: &SubjectPattern) -> Outcomes<(Policy, String)> {
    let policy = TrustPolicy::new(provider, Sharing::ManyCustomers)
        .subject_pattern(pattern)
        .with_session_tags()
        .build()?;
    let setup = Setup::new(provider.clone()).with_role("deploy", policy.clone())?;
    Ok((policy, setup.terraform()?))
}

#[test]
fn a_policy_is_made_and_tried_without_keys() {
    let provider = Provider::new(
        "123456789012",
        IssuerUrl::parse("https://id.example.com").unwrap(),
        ["sts.amazonaws.com"],
    )
    .unwrap();
    let pattern = subjects()
        .unwrap()
        .aws_pattern(Shape::New, &[("org", "7")])
        .unwrap();
    let (policy, terraform) = role(&provider, &pattern).unwrap();
    assert!(terraform.contains("org:7") && aws::lint(&policy).is_empty());
    match aws::simulate(&policy, &provider, "no token", UnixTime::EPOCH) {
        Outcome::Denied(denial) => assert_eq!(denial.code.name(), "InvalidIdentityToken"),
        other => panic!("{other:?}"),
    }
    // What needs keys is only named here.
    let _: [fn(&Service, &Claims) -> Vec<Finding>; 1] = [Service::findings];
    let _ = (
        Service::open,
        Service::claims,
        Service::refusal,
        Service::keep,
    );
}
