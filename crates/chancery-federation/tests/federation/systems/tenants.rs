//! Whatever a tenant chooses, no other tenant's policy lets it in.

use chancery_core::IssuerUrl;
use chancery_federation::aws::{
    Outcome, Policy, Provider, SessionTags, SourceIdentity, TrustPolicy, simulate_verified,
};
use chancery_federation::{Sharing, SubjectTemplate, Variable};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::at;
use crate::support::NOW;

fn provider() -> Provider {
    let url = IssuerUrl::parse("https://id.example.com/idp").unwrap();
    Provider::new("123456789012", url, ["sts.amazonaws.com", "client"]).unwrap()
}

fn template() -> SubjectTemplate {
    SubjectTemplate::parse(
        "org:{org}:{kind}:{name}/{branch}:run:{run}",
        [
            Variable::id("org"),
            Variable::one_of("kind", ["repo", "stack"]),
            Variable::text("name").with_longest(999),
            Variable::text("branch").with_longest(999),
            Variable::id("run"),
        ],
    )
    .unwrap()
}

/// What is not certain counts as let in: how AWS takes a very long subject is not known.
fn is_let_in(policy: &Policy, subject: &str) -> bool {
    is_let_in_with(policy, subject, json!({}))
}

/// With these claims besides.
fn is_let_in_with(policy: &Policy, subject: &str, others: Value) -> bool {
    let mut claims: Map<_, _> = serde_json::from_value(json!({
        "iss": "https://id.example.com/idp", "sub": subject, "aud": "sts.amazonaws.com",
        "iat": NOW, "exp": NOW + 900,
    }))
    .unwrap();
    let Value::Object(others) = others else {
        panic!("{others}")
    };
    claims.extend(others);
    let answer = simulate_verified(policy, &provider(), &claims, at(NOW));
    !matches!(answer, Outcome::Denied(_))
}

/// What a tenant says of itself. Of all that a policy can bind, the service fills in the id of the
/// organization and the host of the address; the rest users choose.
#[derive(Clone, Debug)]
struct Tenant {
    organization: &'static str,
    names: [String; 2],
    mailbox: String,
    team: String,
    /// Another tag, under a key that users choose too.
    tag: (String, String),
    is_transitive: bool,
    audience: &'static str,
    authorized_party: Option<&'static str>,
    method: String,
    source_identity: Option<String>,
    /// A private claim, under a name that users choose.
    claim: String,
}

impl Tenant {
    fn subject(&self) -> Option<String> {
        let values = [
            ("org", self.organization),
            ("kind", "repo"),
            ("name", &self.names[0]),
            ("branch", &self.names[1]),
            ("run", "1"),
        ];
        template().subject(&values).ok()
    }

    fn email(&self) -> String {
        format!("{}@{}.example", self.mailbox, self.organization)
    }

    /// None where the service could not make such a token.
    fn tags(&self) -> Option<SessionTags> {
        let tags = SessionTags::new()
            .with_transitive_tag("organizationId", self.organization)
            .and_then(|tags| tags.with_tag("team", &self.team))
            .ok()?;
        let (key, value) = &self.tag;
        // A tag that would hide the service's own is refused, and left out.
        let more = match self.is_transitive {
            true => tags.clone().with_transitive_tag(key, value),
            false => tags.clone().with_tag(key, value),
        };
        Some(more.unwrap_or(tags))
    }

    fn claims(&self) -> Option<Value> {
        let mut claims = json!({
            "aud": self.audience,
            "email": self.email(),
            "email_verified": true,
            "amr": [self.method],
            SessionTags::CLAIM: self.tags()?,
        });
        if let Some(party) = self.authorized_party {
            claims["azp"] = json!(party);
        }
        if let Some(identity) = &self.source_identity {
            claims[SourceIdentity::CLAIM] = json!(SourceIdentity::parse(identity).ok()?);
        }
        if claims.get(&self.claim).is_none() {
            claims[&self.claim] = json!(["victim"]);
        }
        Some(claims)
    }
}

fn tenant(organization: &'static str) -> impl Strategy<Value = Tenant> {
    let tag_key = prop_oneof![
        Just("organizationid".to_owned()),
        Just("ORGANIZATIONID".to_owned()),
        Just("environment".to_owned()),
        "[a-z:/]{1,8}",
    ];
    let tag_value = prop_oneof![Just("victim".to_owned()), "[a-z:/@ ]{0,6}"];
    let claim = prop_oneof![
        Just("id.example.com/idp:sub".to_owned()),
        Just("aws:RequestTag/organizationId".to_owned()),
        Just("organizationId".to_owned()),
    ];
    let audience = prop_oneof![Just("sts.amazonaws.com"), Just("client")];
    let party = prop::option::of(audience.clone());
    let names = [chosen(), chosen()];
    let source_identity = prop::option::of("[a-z]{2,6}");
    let texts = (chosen(), tag_value.clone(), (tag_key, tag_value), chosen());
    let others = (audience, party, any::<bool>(), source_identity, claim);
    (names, texts, others).prop_map(move |(names, texts, others)| {
        let (mailbox, team, tag, method) = texts;
        let (audience, authorized_party, is_transitive, source_identity, claim) = others;
        Tenant {
            organization,
            names,
            mailbox,
            team,
            tag,
            is_transitive,
            audience,
            authorized_party,
            method,
            source_identity,
            claim,
        }
    })
}

/// Names that look like parts of subjects and of patterns, and any others.
fn chosen() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[a-z:/*?$%{}]{1,8}",
        "(victim|:org:|org:victim:|repo:|\\*|/|:run:|%3A|\\$\\{aws:username\\}){1,4}",
        any::<String>().prop_filter("empty", |text| !text.is_empty()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_other_tenants_policy_allows_the_token(
        theirs in [chosen(), chosen()],
        mine in [chosen(), chosen()],
        kinds in [0_usize..2, 0_usize..2],
        fixed in 0_u8..8,
    ) {
        let kind = |index: usize| ["repo", "stack"][kinds[index]];
        let template = template();
        let choices = [
            ("kind", kind(0)),
            ("name", theirs[0].as_str()),
            ("branch", theirs[1].as_str()),
        ];
        let mut chosen = vec![("org", "victim")];
        chosen.extend((0..3).filter(|index| fixed & 1 << index != 0).map(|index| choices[index]));
        let Ok(pattern) = template.aws_pattern(&chosen) else { return Ok(()) };
        let Ok(policy) = TrustPolicy::new(&provider(), Sharing::ManyCustomers)
            .subject_pattern(&pattern)
            .build()
        else {
            return Ok(());
        };
        let subject = |org: &str, kind: &str, names: &[String; 2]| {
            template.subject(&[
                ("org", org),
                ("kind", kind),
                ("name", &names[0]),
                ("branch", &names[1]),
                ("run", "1"),
            ])
        };
        for org in ["intruder", "victims", "Victim", "victim.", "v"] {
            if let Ok(subject) = subject(org, kind(1), &mine) {
                prop_assert!(!is_let_in(&policy, &subject), "{policy} {subject}");
            }
        }
        // The victim's own runs come in: a policy that allowed nobody would pass the above.
        if let Ok(subject) = subject("victim", kind(0), &theirs) {
            prop_assert!(is_let_in(&policy, &subject), "{policy} {subject}");
        }
    }

    /// The same for every claim that a policy can bind, alone and together.
    #[test]
    fn no_claim_that_a_tenant_chooses_opens_another_tenants_role(
        victim in tenant("victim"),
        intruders in [tenant("intruder"), tenant("victims"), tenant("Victim"), tenant("v")],
        bound in 0_u8..128,
    ) {
        let binds = |bit: u8| bound & 1 << bit != 0;
        let (Some(subject), Some(claims)) = (victim.subject(), victim.claims()) else {
            return Ok(());
        };
        let provider = provider();
        let mut policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .with_session_tags()
            .with_source_identity();
        if binds(0) {
            policy = policy.subject(&subject);
        }
        if binds(1) {
            let pattern = template().aws_pattern(&[("org", "victim")]).unwrap();
            policy = policy.subject_pattern(&pattern);
        }
        if binds(2) {
            policy = policy.email(victim.email());
        }
        if binds(3) {
            policy = policy.request_tag("organizationId", "victim");
        }
        // What users choose comes besides: by itself it tells nobody apart.
        let is_identified = bound & 0b1111 != 0;
        if binds(4) && is_identified {
            policy = policy.request_tag("team", &victim.team);
        }
        if binds(5) {
            policy = policy.audience(victim.authorized_party.unwrap_or(victim.audience));
        }
        let built = policy.build();
        prop_assert!(is_identified || built.is_err(), "{:?}", built);
        // Some are too long.
        let Ok(policy) = built else { return Ok(()) };
        for intruder in &intruders {
            let (Some(subject), Some(claims)) = (intruder.subject(), intruder.claims()) else {
                continue;
            };
            prop_assert!(
                !is_let_in_with(&policy, &subject, claims),
                "{} {:?}",
                policy,
                intruder
            );
        }
        prop_assert!(is_let_in_with(&policy, &subject, claims), "{} {:?}", policy, victim);
    }
}
