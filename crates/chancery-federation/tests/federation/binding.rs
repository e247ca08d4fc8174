//! A token that its relying party would refuse is not minted, and the algorithm is chosen for it.

use std::sync::Arc;
use std::time::Duration;

use chancery_core::Algorithm::{EdDsa, Es256, Rs256};
use chancery_core::{
    Claims, ClaimsError, IssueError, Issuer, ProviderMetadata, TokenPolicy, TokenRequest,
};
use chancery_federation::aws::{SessionTags, SourceIdentity};
use chancery_federation::{Binding, Bindings, Refused, RelyingParty, Severity};
use proptest::prelude::*;
use serde_json::json;

use crate::support::builder;

const AWS: &str = "sts.amazonaws.com";
const AZURE: &str = "api://AzureADTokenExchange";

fn bindings() -> Bindings {
    Bindings::new([
        Binding::new(AWS, RelyingParty::AWS),
        Binding::new("tagged", RelyingParty::AWS)
            .allow_session_tags()
            .allow_source_identity(),
        Binding::new(AZURE, RelyingParty::AZURE),
        Binding::new("snowflake", RelyingParty::SNOWFLAKE),
        Binding::new("cluster", RelyingParty::KUBERNETES),
    ])
}

fn issuer_at(url: &str, algorithms: &[chancery_core::Algorithm]) -> Issuer {
    builder(url, algorithms)
        .token_policy(Arc::new(bindings()))
        .allow_several_audiences()
        .longest_lifetime(Duration::from_secs(100_000))
        .build()
        .unwrap()
}

fn issuer() -> Issuer {
    issuer_at("https://id.example.com", &[EdDsa, Rs256, Es256])
}

fn to(audience: &str) -> Claims {
    Claims::new("job:4711").with_audience(audience)
}

fn algorithm(issuer: &Issuer, claims: &Claims) -> String {
    issuer
        .prepare(claims)
        .unwrap()
        .jwk()
        .algorithm()
        .to_string()
}

/// What the refusal says is wrong.
fn refused(claims: &Claims) -> String {
    match issuer().issue(claims) {
        Err(IssueError::Policy(error)) => {
            let refused: &Refused = error.reason().downcast_ref().unwrap();
            assert_eq!(refused.finding.severity, Severity::Error);
            let verb = match refused.by_relying_party {
                true => "would refuse the token: ",
                false => "so it is not minted: ",
            };
            assert!(error.to_string().contains(verb), "{error}");
            refused.finding.what.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_fastest_algorithm_that_the_relying_party_takes_signs() {
    let issuer = issuer();
    assert_eq!(algorithm(&issuer, &to(AWS)), "ES256");
    assert_eq!(algorithm(&issuer, &to(AZURE)), "RS256");
    assert_eq!(algorithm(&issuer, &to("cluster")), "ES256");
    // No rule of it is certain, and the first key of the set is the default.
    assert_eq!(algorithm(&issuer, &to("snowflake")), "EdDSA");
    // Of an audience that is not bound nothing is known.
    assert_eq!(algorithm(&issuer, &to("elsewhere")), "EdDSA");
    // For two relying parties it is one that both take.
    let both = to("cluster").with_audience("tagged");
    assert_eq!(algorithm(&issuer, &both), "ES256");

    let without = issuer_at("https://id.example.com", &[EdDsa, Rs256]);
    assert_eq!(algorithm(&without, &to(AWS)), "RS256");
    let neither = issuer_at("https://id.example.com", &[EdDsa]);
    assert!(matches!(
        neither.issue(&to(AWS)),
        Err(IssueError::NoAcceptedKey { .. })
    ));
    assert!(matches!(
        issuer.issue(&to(AZURE).with_signing_algorithm(Es256)),
        Err(IssueError::AlgorithmNotAccepted { .. })
    ));
}

#[test]
fn session_tags_in_their_flat_spelling_pass_no_binding() {
    for name in ["principal_tags/org", "transitive_tag_keys", ""] {
        let claim = format!("https://aws.amazon.com/tags/{name}");
        let tagged = |audience| {
            to(audience)
                .with_private_claim(claim.as_str(), &["victim"])
                .unwrap()
        };
        // The opt-in is for those that are checked.
        for audience in [AWS, "tagged"] {
            assert_eq!(
                refused(&tagged(audience)),
                format!("claim {claim:?} sets session tags past all checks")
            );
        }
        assert!(issuer().issue(&tagged("cluster")).is_ok());
    }
    let another = to(AWS)
        .with_private_claim("https://aws.amazon.com/tagsonomy", "a")
        .unwrap();
    assert!(issuer().issue(&another).is_ok());
}

#[test]
fn what_is_certain_to_be_refused_is_not_minted() {
    assert_eq!(
        refused(&to(AZURE).with_audience("another")),
        "the token has 2 audiences"
    );
    assert_eq!(
        refused(&Claims::new("a".repeat(601)).with_audience(AZURE)),
        "the subject has a length of 601"
    );
    assert_eq!(
        refused(&to(AWS).with_email("a@example.com", false)),
        "email_verified is false"
    );
    // Kubernetes reads an address only where it is the username.
    assert!(
        issuer()
            .issue(&to("cluster").with_email("a@example.com", false))
            .is_ok()
    );
    // Whether AWS refuses so short a subject is not certain.
    assert!(
        issuer()
            .issue(&Claims::new("me").with_audience(AWS))
            .is_ok()
    );
    assert_eq!(
        bindings().check_claims(&Claims::new("me").with_audience(AWS))[0].what,
        "the subject has a length of 2"
    );
    // For an audience that is not bound nothing is refused.
    assert!(
        issuer()
            .issue(&Claims::new("a".repeat(601)).with_audience("elsewhere"))
            .is_ok()
    );
}

#[test]
fn the_url_of_each_tenant_is_checked_too() {
    let long = format!("https://id.example.com/{}", "a".repeat(240));
    let tenant = issuer().tenant(chancery_core::IssuerUrl::parse(&long).unwrap());
    let error = tenant.issue(&to(AWS)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the issuer's URL has 263 characters"),
        "{error}"
    );
    assert!(tenant.issue(&to(AZURE)).is_ok());
}

#[test]
fn a_token_longer_than_the_relying_party_reads_is_not_minted() {
    let text = "a".repeat(20_000);
    let claims = to(AWS).with_private_claim("text", &text).unwrap();
    assert!(matches!(
        issuer().issue(&claims),
        Err(IssueError::Claims(ClaimsError::TooLarge {
            longest: 20_000,
            ..
        }))
    ));
    let claims = to(AZURE).with_private_claim("text", &text).unwrap();
    assert!(issuer().issue(&claims).is_ok());
}

#[test]
fn azp_stands_for_the_audience_where_it_is_read() {
    // AWS would look for a client id `intruder`.
    assert_eq!(
        refused(&to(AWS).with_authorized_party("intruder")),
        "azp is \"intruder\", and not the audience"
    );
    assert!(issuer().issue(&to(AWS).with_authorized_party(AWS)).is_ok());
    // A client id of another relying party is none of AWS's; one of its own is.
    assert_eq!(
        refused(&to(AWS).with_authorized_party(AZURE)),
        "azp is \"api://AzureADTokenExchange\", and not the audience"
    );
    assert!(
        issuer()
            .issue(&to(AWS).with_authorized_party("tagged"))
            .is_ok()
    );
    // The client id is in azp, as at env zero: the rules for it hold, whatever aud is.
    let claims = Claims::new("auth0|632b82")
        .with_audience("https://prod.example.com")
        .with_authorized_party(AWS);
    assert_eq!(algorithm(&issuer(), &claims), "ES256");
    let tags = SessionTags::new().with_tag("a", "b").unwrap();
    let claims = claims
        .with_private_claim(SessionTags::CLAIM, &tags)
        .unwrap();
    assert_eq!(refused(&claims), "the token carries session tags");
    // Elsewhere azp is nobody's audience.
    let claims = to("elsewhere").with_authorized_party(AZURE);
    assert_eq!(algorithm(&issuer(), &claims), "EdDSA");
}

#[test]
fn session_tags_and_source_identity_are_opted_in_to() {
    let tags = SessionTags::new().with_tag("Project", "x").unwrap();
    let identity = SourceIdentity::parse("Admin").unwrap();
    let tagged = |audience| {
        to(audience)
            .with_private_claim(SessionTags::CLAIM, &tags)
            .unwrap()
    };
    let identified = |audience| {
        to(audience)
            .with_private_claim(SourceIdentity::CLAIM, &identity)
            .unwrap()
    };
    assert_eq!(refused(&tagged(AWS)), "the token carries session tags");
    assert_eq!(
        refused(&identified(AWS)),
        "the token carries a source identity"
    );
    assert!(issuer().issue(&tagged("tagged")).is_ok());
    assert!(issuer().issue(&identified("tagged")).is_ok());
    // Others ignore them.
    assert!(issuer().issue(&tagged(AZURE)).is_ok());

    // Written by hand, they are held to the limits all the same.
    let by_hand = to("tagged")
        .with_private_claim(
            SessionTags::CLAIM,
            &json!({"principal_tags": {"Project": ["x"], "project": ["y"]}}),
        )
        .unwrap();
    assert!(
        refused(&by_hand).contains("is there already"),
        "{}",
        refused(&by_hand)
    );
    let by_hand = to("tagged")
        .with_private_claim(SourceIdentity::CLAIM, "two words")
        .unwrap();
    assert!(
        refused(&by_hand).contains("at byte 3"),
        "{}",
        refused(&by_hand)
    );
}

#[test]
fn bindings_check_the_issuer_once_for_each_relying_party() {
    let issuer = builder("https://id.example.com:8443", &[EdDsa])
        .metadata(ProviderMetadata::new())
        .build()
        .unwrap();
    let whats: Vec<String> = bindings()
        .check(&issuer)
        .into_iter()
        .map(|finding| finding.what)
        .collect();
    let count = |what: &str| whats.iter().filter(|found| found.contains(what)).count();
    assert_eq!(count("has a port"), 1);
    assert_eq!(count("no published key is for"), 4);
}

#[test]
fn the_default_lifetime_counts() {
    let bindings = Bindings::new([Binding::new(AWS, RelyingParty::AWS)]);
    let issuer = issuer();
    let claims = to(AWS);
    let request = TokenRequest::new(issuer.url(), &claims, issuer.default_lifetime());
    let terms = bindings.terms(&request).unwrap();
    assert_eq!(terms.longest_token, Some(20_000));
    assert_eq!(terms.algorithms, RelyingParty::AWS.algorithms());
}

#[test]
fn each_of_many_audiences_has_its_relying_party() {
    let relying_parties = [RelyingParty::AWS, RelyingParty::AZURE, RelyingParty::VAULT];
    let many = (0..10_000).rev().map(|number| {
        let relying_party = relying_parties[number % 3];
        Binding::new(format!("{number}.app.example.com"), relying_party)
    });
    // One audience may be read by two.
    let twice = Binding::new("7.app.example.com", RelyingParty::AZURE);
    let issuer = builder("https://id.example.com", &[EdDsa, Es256, Rs256])
        .token_policy(Arc::new(Bindings::new(many.chain([twice]))))
        .build()
        .unwrap();
    for number in [0, 1, 2, 7, 8, 4999, 9998, 9999] {
        let expected = match number {
            7 => "RS256",
            _ => ["ES256", "RS256", "ES256"][number % 3],
        };
        let claims = to(&format!("{number}.app.example.com"));
        assert_eq!(algorithm(&issuer, &claims), expected, "{number}");
    }
    for unbound in ["10000.app.example.com", "0", "zzz"] {
        assert_eq!(algorithm(&issuer, &to(unbound)), "EdDSA", "{unbound}");
    }
}

/// An AWS token with an address that was not verified is one that AWS would take.
#[test]
fn who_refuses_a_token_is_said() {
    for (claims, verb) in [
        (
            to(AWS).with_email("jo@example.com", false),
            "would take the token for more than it is, so it is not minted: email_verified is false",
        ),
        (
            to(AWS).with_authorized_party("x"),
            "would refuse the token: azp is \"x\"",
        ),
    ] {
        let error = issuer().issue(&claims).unwrap_err().to_string();
        assert!(error.contains(verb), "{error}");
    }
    let bindings = Bindings::new([Binding::new("ceph", RelyingParty::CEPH)]);
    let claims = to("ceph")
        .with_private_claim("act", &json!({"sub": "root"}))
        .unwrap();
    let url = chancery_core::IssuerUrl::parse("https://id.example.com").unwrap();
    let request = TokenRequest::new(&url, &claims, Duration::from_secs(900));
    let error = bindings.terms(&request).unwrap_err();
    let refused = error.reason().downcast_ref::<Refused>().unwrap();
    assert!(!refused.by_relying_party, "{refused}");
}

/// Ceph needs no certificate for RSA, and takes others only with one.
#[test]
fn ceph_is_signed_for_with_rsa_unless_keys_are_certified() {
    let issuer = |binding: Binding| {
        builder("https://id.example.com", &[EdDsa, Es256, Rs256])
            .token_policy(Arc::new(Bindings::new([binding])))
            .build()
            .unwrap()
    };
    let plain = || Binding::new("ceph", RelyingParty::CEPH);
    assert_eq!(algorithm(&issuer(plain()), &to("ceph")), "RS256");
    let certified = issuer(plain().with_certified_keys());
    assert_eq!(algorithm(&certified, &to("ceph")), "ES256");
    // The option means nothing to others.
    let other = Binding::new("ceph", RelyingParty::AZURE).with_certified_keys();
    assert_eq!(algorithm(&issuer(other), &to("ceph")), "RS256");

    let whats = |binding: Binding| -> Vec<String> {
        let findings = Bindings::new([binding]).check(&certified);
        findings.into_iter().map(|finding| finding.what).collect()
    };
    let bare = "a key of ES256 is published without its certificate".to_owned();
    assert!(whats(plain().with_certified_keys()).contains(&bare));
    assert!(!whats(plain()).contains(&bare));
    let asked = to("ceph").with_signing_algorithm(Es256);
    assert!(issuer(plain()).issue(&asked).is_err());
    assert!(certified.issue(&asked).is_ok());
    assert_eq!(Bindings::new([plain()]).check_claims(&asked).len(), 1);
    let certified = Bindings::new([plain().with_certified_keys()]);
    assert_eq!(certified.check_claims(&asked), []);
    let findings = RelyingParty::CEPH.check_claims(&asked);
    assert_eq!(findings[0].severity, Severity::Warning);
    assert!(findings[0].mend.contains("x5c"), "{findings:?}");
}

#[test]
fn audiences_are_counted_where_a_relying_party_does() {
    let issuer = issuer();
    for (relying_party, most) in [
        (RelyingParty::AWS, 100),
        (RelyingParty::GOOGLE_CLOUD, 10),
        (RelyingParty::ALIBABA, 50),
    ] {
        let found = |count: usize| {
            let bindings =
                (0..count).map(|number| Binding::new(format!("client-{number}"), relying_party));
            let other = Binding::new("other", RelyingParty::VAULT);
            let findings = Bindings::new(bindings.chain([other])).check(&issuer);
            let counted = format!("{count} audiences are bound");
            findings
                .iter()
                .any(|finding| finding.what.contains(&counted))
        };
        assert!(!found(most), "{relying_party}");
        assert!(found(most + 1), "{relying_party}");
    }
}

/// Claims of which some break one rule or another.
fn any_claims() -> impl Strategy<Value = Claims> {
    let audience = prop_oneof![
        Just("aud".to_owned()),
        "[a-z]{250,260}",
        Just(AZURE.to_owned())
    ];
    let audiences = prop::collection::vec(audience, 0..3);
    let party = prop::option::of(prop_oneof![
        Just("aud".to_owned()),
        Just("other".to_owned())
    ]);
    let subject = prop_oneof![
        "[a-z]{1,8}",
        "[a-z]{120,135}",
        "[ä-ö]{60,70}",
        "[a-z]{595,605}"
    ];
    let lifetime = prop::option::of(1_u64..200_000);
    let email = prop::option::of(any::<bool>());
    let private = prop_oneof![
        Just(json!({})),
        Just(json!({"act": {"sub": "root"}})),
        Just(json!({"https://aws.amazon.com/tags": {"principal_tags": {"a": ["b"]}}})),
        Just(json!({"https://aws.amazon.com/tags": {"principal_tags": {"aws:a": ["b"]}}})),
        Just(json!({"https://aws.amazon.com/tags/principal_tags/a": ["b"]})),
        Just(json!({"https://aws.amazon.com/source_identity": "a"})),
    ];
    (subject, audiences, party, lifetime, email, private).prop_map(
        |(subject, audiences, party, lifetime, email, private)| {
            let mut claims = Claims::new(subject);
            for audience in audiences {
                claims = claims.with_audience(audience);
            }
            if let Some(party) = party {
                claims = claims.with_authorized_party(party);
            }
            if let Some(lifetime) = lifetime {
                claims = claims.with_lifetime(Duration::from_secs(lifetime));
            }
            if let Some(verified) = email {
                claims = claims.with_email("a@example.com", verified);
            }
            claims.with_private_claims(&private).unwrap()
        },
    )
}

proptest! {
    /// What the check of claims calls an error is not minted, and what it does not is.
    #[test]
    fn the_check_of_claims_and_the_policy_agree(
        claims in any_claims(),
        which in 0..RelyingParty::ALL.len(),
        allows_tags in any::<bool>(),
    ) {
        let mut binding = Binding::new("aud", RelyingParty::ALL[which]);
        if allows_tags {
            binding = binding.allow_session_tags().allow_source_identity();
        }
        let bindings = Bindings::new([binding]);
        let has_error = bindings
            .check_claims(&claims)
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        let url = chancery_core::IssuerUrl::parse("https://id.example.com").unwrap();
        let lifetime = claims.lifetime().unwrap_or(Duration::from_secs(900));
        let terms = bindings.terms(&TokenRequest::new(&url, &claims, lifetime));
        prop_assert_eq!(terms.is_err(), has_error, "{:?}", terms);
    }
}
