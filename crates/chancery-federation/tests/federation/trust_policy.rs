//! Trust policies as they are built: what they let in, and what is refused.

use chancery_core::{IssuerUrl, UnixTime};
use chancery_federation::aws::{
    Outcome, Policy, Provider, ProviderError, Setup, SetupError, ThumbprintError, TrustPolicy,
    TrustPolicyError, lint, simulate_verified, thumbprint,
};
use chancery_federation::{Sharing, SubjectTemplate, Variable};
use serde_json::{Value, json};

const NOW: u64 = 1_795_132_800;

fn provider(url: &str) -> Provider {
    Provider::new(
        "111122223333",
        IssuerUrl::parse(url).unwrap(),
        ["sts.amazonaws.com", "client"],
    )
    .unwrap()
}

fn lets_in(policy: &Policy, provider: &Provider, change: Value) -> bool {
    let mut claims = json!({
        "iss": provider.url().as_str(), "sub": "space:1:job:42", "aud": "sts.amazonaws.com",
        "iat": NOW, "exp": NOW + 60,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let now = UnixTime::from_secs(NOW).unwrap();
    let outcome = simulate_verified(policy, provider, claims.as_object().unwrap(), now);
    match outcome {
        Outcome::Allowed(_) => true,
        Outcome::Denied(_) => false,
        Outcome::Indeterminate(doubt) => panic!("{doubt}"),
    }
}

#[test]
fn a_subject_is_let_in_and_no_other() {
    let provider = provider("https://id.example.com/tenant/");
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .audience("client")
        .subject("space:1:job:42")
        .build()
        .unwrap();
    assert_eq!(lint(&policy), []);
    assert!(lets_in(&policy, &provider, json!({"aud": "client"})));
    for change in [
        json!({}),
        json!({"aud": "client", "sub": "space:2:job:42"}),
        json!({"aud": "client", "azp": "sts.amazonaws.com"}),
    ] {
        assert!(!lets_in(&policy, &provider, change));
    }
}

#[test]
fn every_audience_of_the_provider_is_the_default() {
    let provider = provider("https://id.example.com");
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .build()
        .unwrap();
    assert!(lets_in(&policy, &provider, json!({"aud": "client"})));
    assert!(lets_in(
        &policy,
        &provider,
        json!({"aud": "sts.amazonaws.com"})
    ));
}

#[test]
fn patterns_and_subjects_go_together() {
    let variables = [Variable::id("space"), Variable::text("branch")];
    let template = SubjectTemplate::parse("space:{space}:branch:{branch}", variables).unwrap();
    let pattern = template.aws_pattern(&[("space", "1")]).unwrap();
    let provider = provider("https://id.example.com");
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject_pattern(&pattern)
        .subject("fixed:*?${$}{x}")
        .build()
        .unwrap();
    for (subject, expected) in [
        ("space:1:branch:main", true),
        ("space:2:branch:main", false),
        ("fixed:*?${$}{x}", true),
        ("fixed:ab${$}{x}", false),
        ("fixed:ab?${$}{x}", false),
        ("fixed:*b${$}{x}", false),
    ] {
        assert_eq!(
            lets_in(&policy, &provider, json!({"sub": subject})),
            expected,
            "{subject}"
        );
    }
}

/// Nothing a value holds is read as a wildcard or a variable.
#[test]
fn values_are_compared_as_they_are() {
    let provider = provider("https://id.example.com");
    for subject in [
        "job:*",
        "job:?",
        "${aws:username}",
        "${*}x:y",
        "$${",
        "${",
        "a\"b\\c\u{1}",
        "straße|😀",
    ] {
        let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .subject(format!("prefix:{subject}"))
            .build()
            .unwrap();
        let policy: Policy = policy.to_string().parse().unwrap();
        assert!(
            lets_in(
                &policy,
                &provider,
                json!({"sub": format!("prefix:{subject}")})
            ),
            "{policy}"
        );
        assert!(
            !lets_in(&policy, &provider, json!({"sub": "prefix:job:1"})),
            "{policy}"
        );
        assert!(
            !lets_in(&policy, &provider, json!({"sub": "prefix:*x:y"})),
            "{policy}"
        );
    }
}

#[test]
fn session_tags_bring_their_action() {
    let provider = provider("https://id.example.com");
    let tags =
        json!({"https://aws.amazon.com/tags": {"principal_tags": {"organizationId": ["7"]}}});
    let other =
        json!({"https://aws.amazon.com/tags": {"principal_tags": {"organizationId": ["8"]}}});
    let gated = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .request_tag("organizationId", "7")
        .build()
        .unwrap();
    assert_eq!(lint(&gated), []);
    assert!(lets_in(&gated, &provider, tags.clone()));
    assert!(!lets_in(&gated, &provider, other));
    assert!(!lets_in(&gated, &provider, json!({})));
    let subject = TrustPolicy::new(&provider, Sharing::ManyCustomers).subject("space:1:job:42");
    assert!(!lets_in(&subject.build().unwrap(), &provider, tags.clone()));
    assert!(lets_in(
        &subject.clone().with_session_tags().build().unwrap(),
        &provider,
        tags
    ));
    let identity = json!({"https://aws.amazon.com/source_identity": "admin"});
    assert!(!lets_in(
        &subject.build().unwrap(),
        &provider,
        identity.clone()
    ));
    assert!(lets_in(
        &subject.with_source_identity().build().unwrap(),
        &provider,
        identity
    ));
}

#[test]
fn what_would_let_in_everybody_or_nobody_is_refused() {
    let provider = provider("https://id.example.com");
    let shared = || TrustPolicy::new(&provider, Sharing::ManyCustomers);
    let template = SubjectTemplate::parse(
        "run:{type}:{id}",
        [
            Variable::one_of("type", ["plan", "apply"]),
            Variable::id("id"),
        ],
    )
    .unwrap();
    let loose = template.aws_pattern(&[("type", "plan")]).unwrap();
    let nobody = Err(TrustPolicyError::NobodyIdentified);
    assert_eq!(shared().build(), nobody);
    assert_eq!(shared().audience("client").build(), nobody);
    assert_eq!(shared().subject_pattern(&loose).build(), nobody);
    assert_eq!(
        shared().subject("space:1").subject_pattern(&loose).build(),
        nobody
    );
    assert!(
        TrustPolicy::new(&provider, Sharing::OneCustomer)
            .subject_pattern(&loose)
            .build()
            .is_ok()
    );
    assert!(shared().email("jo@example.com").build().is_ok());
    assert_eq!(shared().request_tag("org", "org:").build(), nobody);
    // All who have no organization come with an empty one.
    assert_eq!(shared().request_tag("org", "").build(), nobody);
    let one = TrustPolicy::new(&provider, Sharing::OneCustomer).request_tag("org", "");
    assert!(one.build().is_ok());
    let both = shared().request_tag("org", "").request_tag("id", "7");
    assert!(both.build().is_ok());
    assert_eq!(
        shared().subject("space:1").audience("other").build(),
        Err(TrustPolicyError::Audience {
            audience: "other".to_owned()
        })
    );
    assert_eq!(shared().subject("").build(), Err(TrustPolicyError::Empty));
    let error = shared().request_tag("aws:x", "y").build().unwrap_err();
    assert!(matches!(error, TrustPolicyError::RequestTag(_)), "{error}");
}

/// What is compared as a whole must be whole, whoever shares the issuer.
#[test]
fn a_part_of_a_subject_or_an_address_is_refused() {
    let provider = provider("https://id.example.com");
    let shared = || TrustPolicy::new(&provider, Sharing::ManyCustomers).email("jo@example.com");
    let one = || TrustPolicy::new(&provider, Sharing::OneCustomer);
    let subjects = ["*", "?*", "repo:", "auth0|"];
    let subjects = subjects.map(|subject| {
        let policies = [shared(), one()].map(|policy| policy.subject(subject));
        (subject, policies)
    });
    let emails = ["*", "*@*", "jo", "@example.com", "jo@", "*@example.com"];
    let emails = emails.map(|email| (email, [shared(), one()].map(|policy| policy.email(email))));
    for (value, policies) in subjects.into_iter().chain(emails) {
        let value = value.to_owned();
        let expected = Err(TrustPolicyError::NotWhole { value });
        for policy in policies {
            assert_eq!(policy.build(), expected);
        }
    }
}

#[test]
fn the_size_is_checked() {
    let provider = provider("https://id.example.com");
    let of_size = |subjects: usize| {
        (0..subjects).fold(
            TrustPolicy::new(&provider, Sharing::ManyCustomers),
            |policy, number| policy.subject(format!("space:{number:0100}")),
        )
    };
    assert!(of_size(15).build().is_ok());
    let error = of_size(25).build().unwrap_err();
    assert!(
        matches!(error, TrustPolicyError::TooLong { characters, allowed: 2048 } if characters > 2500),
        "{error}"
    );
    assert!(of_size(25).with_raised_quota().build().is_ok());
    assert!(matches!(
        of_size(50).with_raised_quota().build(),
        Err(TrustPolicyError::TooLong { allowed: 4096, .. })
    ));
}

#[test]
fn providers_keep_to_the_limits_of_iam() {
    let url = || IssuerUrl::parse("https://id.example.com").unwrap();
    let new = |account: &str, ids: &[&str]| {
        Provider::new(account, url(), ids.iter().copied()).map(|_| ())
    };
    assert_eq!(new("111122223333", &["a"]), Ok(()));
    assert_eq!(new("11112222333", &["a"]), Err(ProviderError::Account));
    assert_eq!(new("11112222333x", &["a"]), Err(ProviderError::Account));
    assert_eq!(
        new("111122223333", &[]),
        Err(ProviderError::ClientIds { count: 0 })
    );
    assert_eq!(
        new("111122223333", &["a", ""]),
        Err(ProviderError::ClientIdLength { index: 1, len: 0 })
    );
    assert_eq!(
        new("111122223333", &["a", "a"]),
        Err(ProviderError::ClientIdTwice { index: 1 })
    );
    let long = "x".repeat(256);
    assert_eq!(
        new("111122223333", &[&long]),
        Err(ProviderError::ClientIdLength { index: 0, len: 256 })
    );
    assert_eq!(new("111122223333", &[&long[1..]]), Ok(()));
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let error = Provider::new("111122223333", url(), many.iter().map(String::as_str)).unwrap_err();
    assert_eq!(error, ProviderError::ClientIds { count: 101 });
    let long = IssuerUrl::parse(&format!("https://id.example.com/{}", "x".repeat(233))).unwrap();
    let error = Provider::new("111122223333", long, ["a"]).unwrap_err();
    assert_eq!(error, ProviderError::UrlLength { len: 256 });
    let plain = IssuerUrl::parse_allowing_loopback_http("http://localhost:8080").unwrap();
    assert_eq!(
        Provider::new("111122223333", plain, ["a"]).unwrap_err(),
        ProviderError::NotHttps
    );
    let digits = "0123456789ABCDEF0123456789abcdef01234567";
    let provider = Provider::new("111122223333", url(), ["a"])
        .unwrap()
        .with_thumbprint(digits)
        .unwrap();
    assert_eq!(provider.thumbprints(), [digits.to_ascii_lowercase()]);
    assert!(provider.clone().with_thumbprint(&digits[1..]).is_err());
    let full = (0..4)
        .try_fold(provider, |provider, _| provider.with_thumbprint(digits))
        .unwrap();
    assert_eq!(
        full.with_thumbprint(digits).unwrap_err(),
        ProviderError::Thumbprint
    );
}

#[test]
fn roles_have_names_of_their_own() {
    let provider = provider("https://id.example.com");
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .build()
        .unwrap();
    let setup = Setup::new(provider)
        .with_role("deploy", policy.clone())
        .unwrap();
    for (name, error) in [
        ("", SetupError::RoleName),
        ("a b", SetupError::RoleName),
        ("a/b", SetupError::RoleName),
        (&"x".repeat(65), SetupError::RoleName),
        ("DEPLOY", SetupError::RoleTwice),
    ] {
        assert_eq!(
            setup.clone().with_role(name, policy.clone()).unwrap_err(),
            error
        );
    }
    assert!(setup.with_role(&"x".repeat(64), policy).is_ok());
}

/// The certificate is one of the tests of chancery-software; its SHA-1 is what `openssl x509
/// -fingerprint -sha1` prints.
#[test]
fn the_thumbprint_is_that_of_the_last_certificate() {
    let last = include_str!("../../../chancery-software/tests/data/certificate.pem");
    let other = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let expected = "9bd982bc92dce1321a2d54ba5fd21cf36b28f441";
    assert_eq!(thumbprint(last).as_deref(), Ok(expected));
    assert_eq!(
        thumbprint(&format!("0 s:CN = x\n{other}---\n{last}trailer")).as_deref(),
        Ok(expected)
    );
    assert_ne!(
        thumbprint(&format!("{last}{other}")).as_deref(),
        Ok(expected)
    );
    assert_eq!(thumbprint(""), Err(ThumbprintError::NoCertificate));
    assert_eq!(
        thumbprint("-----BEGIN CERTIFICATE-----\nMAA="),
        Err(ThumbprintError::Malformed { index: 0 })
    );
    for broken in ["MAA", "MAE=", "!", "", "AgEB"] {
        let broken = other.replace("MAA=", broken);
        assert_eq!(
            thumbprint(&format!("{last}{broken}")),
            Err(ThumbprintError::Malformed { index: 1 }),
            "{broken}"
        );
    }
}
