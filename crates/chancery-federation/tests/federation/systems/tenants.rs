//! Whatever a tenant chooses, no other tenant's policy lets it in.

use chancery_core::IssuerUrl;
use chancery_federation::aws::{Outcome, Policy, Provider, TrustPolicy, simulate_verified};
use chancery_federation::{Sharing, SubjectTemplate, Variable};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::at;
use crate::support::NOW;

fn provider() -> Provider {
    let url = IssuerUrl::parse("https://id.example.com/idp").unwrap();
    Provider::new("123456789012", url, ["sts.amazonaws.com"]).unwrap()
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
    let claims: Map<_, _> = serde_json::from_value(json!({
        "iss": "https://id.example.com/idp", "sub": subject, "aud": "sts.amazonaws.com",
        "iat": NOW, "exp": NOW + 900,
    }))
    .unwrap();
    let answer = simulate_verified(policy, &provider(), &claims, at(NOW));
    !matches!(answer, Outcome::Denied(_))
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
}
