//! The rules, each kept and each broken.

use std::time::Duration;

use chancery_core::Algorithm::{Ed25519, EdDsa, Es256, Ps256, Rs256};
use chancery_core::{
    Algorithm, AlgorithmSet, Claims, Issuer, IssuerUrl, Jwk, KeySet, ProviderMetadata, Schedule,
    ScheduledKey,
};
use chancery_federation::aws::{SessionTags, SourceIdentity};
use chancery_federation::{
    Binding, Bindings, Certainty, RelyingParty, Requirement, Severity, SubjectTemplate, Variable,
};
use serde_json::json;

use crate::support::{builder, issuer, jwk};

const URL: &str = "https://id.example.com";

fn claims() -> Claims {
    Claims::new("job:4711").with_audience("sts.example.com")
}

/// What the checks of claims say is wrong, and how bad that is.
fn said(relying_party: &RelyingParty, claims: &Claims) -> Vec<(Severity, String)> {
    relying_party
        .check_claims(claims)
        .into_iter()
        .map(|finding| (finding.severity, finding.what))
        .collect()
}

fn said_of(relying_party: &RelyingParty, issuer: &Issuer) -> Vec<(Severity, String)> {
    relying_party
        .check(issuer)
        .into_iter()
        .map(|finding| (finding.severity, finding.what))
        .collect()
}

fn error(what: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Error, what.to_owned())]
}

fn warning(what: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Warning, what.to_owned())]
}

#[test]
fn only_what_is_certain_is_an_error() {
    for relying_party in RelyingParty::ALL {
        assert!(!relying_party.rules().is_empty());
        for rule in relying_party.rules() {
            assert!(
                rule.severity == Severity::Warning || rule.certainty == Certainty::Verified,
                "{relying_party}: {rule:?}"
            );
            assert!(rule.source.len() > 10, "{rule:?}");
            assert!(!rule.requirement.to_string().is_empty());
        }
    }
}

#[test]
fn names_are_unique_and_requirements_stand_once() {
    for (index, relying_party) in RelyingParty::ALL.iter().enumerate() {
        assert!(!RelyingParty::ALL[..index].contains(relying_party));
        let rules = relying_party.rules();
        for (index, rule) in rules.iter().enumerate() {
            let is_again = |other: &chancery_federation::Rule| {
                std::mem::discriminant(&other.requirement)
                    == std::mem::discriminant(&rule.requirement)
            };
            assert!(
                !rules[..index].iter().any(is_again),
                "{relying_party}: {rule:?}"
            );
        }
    }
}

#[test]
fn a_portable_token_of_a_portable_issuer_is_taken_everywhere() {
    let issuer = issuer(URL, &[Rs256]);
    let claims = claims().with_lifetime(Duration::from_secs(3600));
    for relying_party in RelyingParty::ALL {
        // Old Ceph wants what only it wants, and Azure its own audience.
        let expected: &[&str] = match relying_party.name() {
            "Ceph 16" => &[
                "the first published key has no certificate",
                "the JWKS stands at https://id.example.com/.well-known/jwks.json",
            ],
            _ => &[],
        };
        let found: Vec<String> = said_of(relying_party, &issuer)
            .into_iter()
            .map(|(_, what)| what)
            .collect();
        assert_eq!(found, expected, "{relying_party}");
        if relying_party != RelyingParty::AZURE {
            assert_eq!(said(relying_party, &claims), [], "{relying_party}");
        }
    }
}

#[test]
fn algorithms_are_those_of_the_table() {
    let all = |algorithms: &[Algorithm]| Some(AlgorithmSet::of(algorithms));
    assert_eq!(RelyingParty::AZURE.algorithms(), all(&[Rs256]));
    assert_eq!(
        RelyingParty::GOOGLE_CLOUD.algorithms(),
        all(&[Rs256, Es256])
    );
    let of = |relying_party: &RelyingParty, algorithm| {
        relying_party
            .algorithms()
            .is_none_or(|accepted| accepted.contains(algorithm))
    };
    for (algorithm, refusing) in [
        (Rs256, &[][..]),
        (Es256, &["Azure", "Kubernetes (flags)", "Ceph"]),
        (
            Ps256,
            &[
                "AWS",
                "Google Cloud",
                "Azure",
                "Kubernetes (flags)",
                "Ceph",
                "Ceph 16",
                "MinIO",
            ],
        ),
        (
            EdDsa,
            &[
                "AWS",
                "Google Cloud",
                "Azure",
                "Kubernetes",
                "Kubernetes (flags)",
                "Ceph",
                "Ceph 16",
                "MinIO",
            ],
        ),
    ] {
        let found: Vec<&str> = RelyingParty::ALL
            .iter()
            .filter(|relying_party| !of(relying_party, algorithm))
            .map(|relying_party| relying_party.name())
            .collect();
        assert_eq!(found, refusing, "{algorithm}");
    }
    // What is not certain binds nobody.
    assert_eq!(RelyingParty::DATABRICKS.algorithms(), None);
    assert_eq!(RelyingParty::PORTABLE.algorithms(), None);

    assert_eq!(
        said_of(RelyingParty::AZURE, &issuer(URL, &[Es256])),
        error("no published key is for RS256")
    );
    assert_eq!(
        said_of(RelyingParty::AZURE, &issuer(URL, &[Rs256, Es256])),
        []
    );
    assert_eq!(
        said_of(RelyingParty::AZURE, &issuer(URL, &[Es256, Rs256])),
        warning("tokens are signed with ES256 where their claims ask for no other")
    );
    assert_eq!(
        said_of(RelyingParty::SNOWFLAKE, &issuer(URL, &[Es256])),
        warning("no published key is for RS256")
    );
    assert_eq!(
        said(
            RelyingParty::AZURE,
            &claims_for_azure().with_signing_algorithm(Es256)
        ),
        error("the claims ask for a signature with ES256")
    );
}

fn claims_for_azure() -> Claims {
    Claims::new("job:4711").with_audience("api://AzureADTokenExchange")
}

#[test]
fn urls_are_held_to_their_limits() {
    let long = format!("https://id.example.com/{}", "a".repeat(233));
    assert_eq!(
        said_of(RelyingParty::AWS, &issuer(&long, &[Es256])),
        error("the issuer's URL has 256 characters")
    );
    assert_eq!(
        said_of(RelyingParty::AWS, &issuer(&long[..255], &[Es256])),
        []
    );
    assert_eq!(said_of(RelyingParty::AZURE, &issuer(&long, &[Rs256])), []);

    assert_eq!(
        said_of(
            RelyingParty::AWS,
            &issuer("https://id.example.com:8443", &[Es256])
        ),
        warning("the issuer's URL https://id.example.com:8443 has a port")
    );
    assert_eq!(
        said_of(
            RelyingParty::AWS,
            &issuer("https://[2001:db8::1]/idp", &[Es256])
        ),
        []
    );
    assert_eq!(
        said_of(
            RelyingParty::AWS,
            &issuer("https://[2001:db8::1]:8443/idp", &[Es256])
        ),
        warning("the issuer's URL https://[2001:db8::1]:8443/idp has a port")
    );
    let loopback = issuer("http://127.0.0.1:8080", &[Rs256]);
    assert_eq!(
        said_of(RelyingParty::KUBERNETES, &loopback),
        error("the issuer's URL http://127.0.0.1:8080 is not https")
    );
    assert_eq!(said_of(RelyingParty::VAULT, &loopback), []);
}

#[test]
fn keys_and_documents_are_held_to_their_limits() {
    let portable = |algorithms: &[Algorithm]| {
        said_of(RelyingParty::PORTABLE, &issuer(URL, algorithms))
            .into_iter()
            .map(|(_, what)| what)
            .collect::<Vec<_>>()
    };
    assert_eq!(portable(&[Rs256]), [""; 0]);
    assert_eq!(
        portable(&[Rs256, Es256]),
        ["a key of ES256 is published", "2 keys are published"]
    );
    assert_eq!(
        said_of(RelyingParty::MINIO, &issuer(URL, &[Rs256, Ed25519])),
        error("a key of Ed25519 is published")
    );
    assert_eq!(
        said_of(RelyingParty::MINIO, &issuer(URL, &[Rs256, EdDsa])),
        []
    );
    assert_eq!(
        said_of(RelyingParty::CEPH, &issuer(URL, &[Rs256, Es256])),
        warning("2 keys are published")
    );

    let named = jwk(Rs256).with_kid("key-1").unwrap();
    let keys = KeySet::new(vec![ScheduledKey::without_signer(named, Schedule::ALWAYS)]).unwrap();
    let named = Issuer::new(IssuerUrl::parse(URL).unwrap(), keys);
    assert_eq!(
        said_of(RelyingParty::MINIO, &named),
        warning("the kid \"key-1\" may be another issuer's as well")
    );

    // 101 keys of a family come with no key set; nine do.
    let nine = (0..9).map(|number| {
        let jwk = jwk(Rs256).with_kid(format!("{number}")).unwrap();
        ScheduledKey::without_signer(jwk, Schedule::ALWAYS)
    });
    let nine = Issuer::new(
        IssuerUrl::parse(URL).unwrap(),
        KeySet::new(nine.collect()).unwrap(),
    );
    assert!(
        said_of(RelyingParty::PORTABLE, &nine)
            .contains(&(Severity::Warning, "9 keys are published".to_owned()))
    );

    let metadata = ProviderMetadata::new()
        .with_member("claims_supported", json!(["sub"]))
        .unwrap();
    let issuer = builder(URL, &[Es256]).metadata(metadata).build().unwrap();
    assert_eq!(said_of(RelyingParty::AWS, &issuer), []);

    let at = IssuerUrl::parse("https://id.example.com/protocol/openid-connect/certs").unwrap();
    let issuer = builder(URL, &[Rs256]).jwks_uri(at).build().unwrap();
    assert_eq!(
        said_of(RelyingParty::CEPH_16, &issuer),
        error("the first published key has no certificate")
    );
}

#[test]
fn certificates_please_old_ceph_and_no_upload() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../chancery-core/tests/data/p256-certificate.der"
    );
    // The key of the certificate.
    let jwk = Jwk::from_json(
        br#"{"kty":"EC","crv":"P-256","x":"C7brFWFufX-Y4BDUjA7KmrjOAlZJnYAxkxE0tI-eRP4","y":"uXPB47A3ea7bfRdGL48xJwN9q79Bw1RaX7cl4SPSN7k"}"#,
    )
    .unwrap();
    let key = ScheduledKey::without_signer(jwk, Schedule::ALWAYS)
        .with_certificate_chain(vec![std::fs::read(path).unwrap()])
        .unwrap();
    let at = IssuerUrl::parse("https://id.example.com/protocol/openid-connect/certs").unwrap();
    let issuer = Issuer::builder(
        IssuerUrl::parse(URL).unwrap(),
        KeySet::new(vec![key]).unwrap(),
    )
    .jwks_uri(at)
    .build()
    .unwrap();
    assert_eq!(said_of(RelyingParty::CEPH_16, &issuer), []);
    assert_eq!(said_of(RelyingParty::CEPH, &issuer), []);
    let certified = Binding::new("ceph", RelyingParty::CEPH).with_certified_keys();
    assert_eq!(Bindings::new([certified]).check(&issuer), []);
    assert_eq!(
        said_of(RelyingParty::GOOGLE_CLOUD, &issuer),
        warning("a published key has a certificate")
    );
}

#[test]
fn an_issuer_without_documents_is_an_error() {
    let retired = Schedule {
        retire: Some(chancery_core::UnixTime::from_secs(1).unwrap()),
        ..Schedule::ALWAYS
    };
    let keys = KeySet::new(vec![ScheduledKey::without_signer(jwk(Rs256), retired)]).unwrap();
    let issuer = Issuer::new(IssuerUrl::parse(URL).unwrap(), keys);
    assert_eq!(
        said_of(RelyingParty::AWS, &issuer),
        error("the issuer has no documents")
    );
}

#[test]
fn audiences_are_held_to_their_limits() {
    let several = claims().with_audience("another");
    assert_eq!(
        said(RelyingParty::AZURE, &several)[0],
        (Severity::Error, "the token has 2 audiences".to_owned())
    );
    assert_eq!(
        said(RelyingParty::AWS, &several),
        warning("the token has 2 audiences")
    );
    assert_eq!(said(RelyingParty::VAULT, &several), []);
    assert_eq!(
        said(RelyingParty::AZURE, &claims()),
        warning("the token's audience is \"sts.example.com\"")
    );
    let long = |len| Claims::new("job:4711").with_audience("a".repeat(len));
    assert_eq!(
        said(RelyingParty::AWS, &long(256)),
        error("the audience \"aaaaaaaaaaaaaaaaaaaa\"… has 256 characters")
    );
    assert_eq!(said(RelyingParty::AWS, &long(255)), []);
    assert_eq!(said(RelyingParty::GOOGLE_CLOUD, &long(256)), []);
    assert_eq!(said(RelyingParty::GOOGLE_CLOUD, &long(257)).len(), 1);
    let none = Claims::new("job:4711");
    assert_eq!(
        said(RelyingParty::GOOGLE_CLOUD, &none)[0],
        (Severity::Error, "the token has no aud".to_owned())
    );
}

#[test]
fn azp_is_told_of_where_it_is_read_instead_of_aud() {
    let other = claims().with_authorized_party("somebody");
    assert_eq!(
        said(RelyingParty::AWS, &other),
        error("azp is \"somebody\", and not the audience")
    );
    let same = claims().with_authorized_party("sts.example.com");
    assert_eq!(said(RelyingParty::AWS, &same), []);
    assert_eq!(said(RelyingParty::GOOGLE_CLOUD, &other), []);
    assert_eq!(
        said(RelyingParty::PORTABLE, &same),
        warning("the token has an azp")
    );
}

#[test]
fn subjects_are_held_to_their_limits() {
    let of = |subject: &str| Claims::new(subject).with_audience("aud-of-some-length");
    // 64 letters of two bytes each: 128 bytes.
    let umlauts = "ä".repeat(64);
    assert_eq!(
        said(RelyingParty::GOOGLE_CLOUD, &of(&umlauts)),
        warning("the subject has a length of 128")
    );
    assert_eq!(said(RelyingParty::GOOGLE_CLOUD, &of(&"a".repeat(127))), []);
    assert_eq!(said(RelyingParty::AWS, &of(&umlauts)), []);
    assert_eq!(
        said(RelyingParty::PORTABLE, &of(&umlauts)),
        warning("the subject is not ASCII")
    );
    for (len, findings) in [(5, 1), (6, 0), (255, 0), (256, 1)] {
        let found = said(RelyingParty::AWS, &of(&"a".repeat(len)));
        assert_eq!(found.len(), findings, "{len}");
        // Whether AWS refuses such a subject is not known.
        assert!(
            found
                .iter()
                .all(|(severity, _)| *severity == Severity::Warning)
        );
    }
    let logout = Claims::logout_of_session("s").with_audience("aud");
    assert_eq!(
        said(RelyingParty::GOOGLE_CLOUD, &logout)[0],
        (Severity::Error, "the token has no sub".to_owned())
    );
}

#[test]
fn other_claims_are_held_to_their_limits() {
    let day = claims().with_lifetime(Duration::from_secs(86_401));
    assert_eq!(
        said(RelyingParty::GOOGLE_CLOUD, &day),
        warning("the token lives 86401 s")
    );
    assert_eq!(said(RelyingParty::AWS, &day), []);

    let unverified = claims().with_email("a@example.com", false);
    assert_eq!(
        said(RelyingParty::KUBERNETES, &unverified),
        warning("email_verified is false")
    );
    for party in [RelyingParty::AWS, RelyingParty::MINIO, RelyingParty::CEPH] {
        assert_eq!(said(party, &unverified), error("email_verified is false"));
    }
    for party in [RelyingParty::GOOGLE_CLOUD, RelyingParty::VAULT] {
        assert_eq!(said(party, &unverified), warning("email_verified is false"));
    }
    let verified = claims().with_email("a@example.com", true);
    assert_eq!(said(RelyingParty::AWS, &verified), []);
    assert_eq!(said(RelyingParty::KUBERNETES, &verified), []);

    let access = claims().into_access_token("client");
    assert_eq!(
        said(RelyingParty::PORTABLE, &access),
        warning("the token is of type at+jwt")
    );

    let nested = claims()
        .with_private_claim("plain", "sub")
        .unwrap()
        .with_private_claim("act", &json!([{"on": {"sub": "root"}}]))
        .unwrap();
    assert_eq!(
        said(RelyingParty::CEPH, &nested),
        error("claim \"act\" has a member \"sub\" inside")
    );
    let harmless = claims()
        .with_private_claim("act", &json!([{"on": "sub"}, "aud"]))
        .unwrap();
    assert_eq!(said(RelyingParty::CEPH, &harmless), []);
}

#[test]
fn aws_claims_are_held_to_their_limits() {
    let with =
        |name: &str, value: serde_json::Value| claims().with_private_claim(name, &value).unwrap();
    let tags = json!({"principal_tags": {"Project": ["x"]}, "transitive_tag_keys": ["Project"]});
    assert_eq!(said(RelyingParty::AWS, &with(SessionTags::CLAIM, tags)), []);
    let tags = json!({"principal_tags": {"aws:Project": ["x"]}});
    assert_eq!(
        said(RelyingParty::AWS, &with(SessionTags::CLAIM, tags)),
        error("session tags: the key \"aws:Project\" begins with aws:, which AWS keeps for itself")
    );
    let identity = |value| with(SourceIdentity::CLAIM, value);
    assert_eq!(said(RelyingParty::AWS, &identity(json!("Admin"))), []);
    for bad in [json!("a"), json!("a b"), json!(["Admin"]), json!(7)] {
        assert_eq!(
            said(RelyingParty::AWS, &identity(bad.clone())).len(),
            1,
            "{bad}"
        );
    }
    assert_eq!(said(RelyingParty::VAULT, &identity(json!(7))), []);
}

#[test]
fn findings_say_why_and_how_to_mend() {
    let finding = &RelyingParty::GOOGLE_CLOUD
        .check_claims(&Claims::new("a".repeat(200)).with_audience("aud"))[0];
    assert_eq!(
        finding.to_string(),
        "warning: the subject has a length of 200: Google Cloud takes subjects of 1 to 127 bytes \
         (IAM API, projects.locations.workloadIdentityPools.providers); use ids of a fixed length \
         instead of names"
    );
    let finding = &RelyingParty::AWS.check_claims(&Claims::new("abc").with_audience("aud"))[0];
    assert!(
        finding
            .why
            .contains("which is not certain (STS API Reference"),
        "{}",
        finding.why
    );
}

#[test]
fn templates_are_held_to_the_length_of_subjects() {
    let template = |longest| {
        SubjectTemplate::parse(
            "org:{org}:repo:{repo}",
            [
                Variable::id("org"),
                Variable::text("repo").with_longest(longest),
            ],
        )
        .unwrap()
    };
    // 4 + 64 + 6 + 53 = 127.
    assert_eq!(RelyingParty::GOOGLE_CLOUD.check_template(&template(53)), []);
    let findings = RelyingParty::GOOGLE_CLOUD.check_template(&template(54));
    assert_eq!(
        findings[0].what,
        "the template can make a subject of 128 characters"
    );
    assert_eq!(findings[0].severity, Severity::Warning);
    assert_eq!(RelyingParty::AZURE.check_template(&template(54)), []);
    // The shortest subject counts as well: AWS wants six characters.
    let short = |text: &str| {
        let kinds = Variable::one_of("kind", ["a", "module"]);
        let template = SubjectTemplate::parse(text, [kinds, Variable::id("id")]).unwrap();
        let findings = RelyingParty::AWS.check_template(&template);
        findings
            .into_iter()
            .map(|found| found.what)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        short("j:{kind}:{id}"),
        ["the template can make a subject of 5 characters"]
    );
    assert_eq!(short("jo:{kind}:{id}"), [""; 0]);
    let length = RelyingParty::AWS
        .rules()
        .iter()
        .find_map(|rule| match rule.requirement {
            Requirement::Subject(length) => Some(length.longest),
            _ => None,
        });
    assert_eq!(length, Some(255));
}

#[test]
fn google_maps_eight_kilobytes_at_most() {
    let with = |len: usize| {
        let claims = claims().with_private_claim("big", &"x".repeat(len - 10));
        said(RelyingParty::GOOGLE_CLOUD, &claims.unwrap())
    };
    // Subject, quotation marks and text.
    assert_eq!(with(8192), []);
    let expected = warning("the subject and the private claims have 8193 bytes");
    assert_eq!(with(8193), expected);
}

/// `docs/relying-parties.md` shows the rules; with `CHANCERY_WRITE_GOLDENS` it is written anew.
#[test]
fn the_guide_shows_all_rules() {
    let mut guide = String::from(
        "# Relying parties\n\n\
         What each relying party demands, as `RelyingParty::rules` has it. A token that breaks a rule\n\
         marked **must** is not minted for an audience that is bound to the relying party; the others\n\
         warn. None was tried against a live cloud: *verified* is what was read in the vendor's own\n\
         documentation or code, *reported* what others tell, *unverified* the rest.\n",
    );
    for relying_party in RelyingParty::ALL {
        guide +=
            &format!("\n## {relying_party}\n\n| it | | certainty | source |\n|---|---|---|---|\n");
        for rule in relying_party.rules() {
            let severity = match rule.severity {
                Severity::Error => "**must**",
                Severity::Warning => "should",
            };
            let certainty = format!("{:?}", rule.certainty).to_lowercase();
            guide += &format!(
                "| {} | {severity} | {certainty} | {} |\n",
                rule.requirement, rule.source
            );
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/relying-parties.md");
    if std::env::var_os("CHANCERY_WRITE_GOLDENS").is_some() {
        std::fs::write(path, &guide).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), guide);
}
