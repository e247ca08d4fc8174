//! What each cloud's builder refuses, and what a pattern becomes.

use chancery_core::IssuerUrl;
use chancery_federation::Sharing::{ManyCustomers, OneCustomer};
use chancery_federation::azure::{FederatedCredential, FederatedCredentialError};
use chancery_federation::google::{PoolProvider, PoolProviderError};
use chancery_federation::kubernetes::{Authenticator, AuthenticatorError};
use chancery_federation::minio::{OpenIdProvider, OpenIdProviderError};
use chancery_federation::vault::{Role, RoleError};
use chancery_federation::{SubjectPattern, SubjectTemplate, Variable, aws, ceph};
use serde_json::{Value, json};

fn url() -> IssuerUrl {
    IssuerUrl::parse("https://id.example.com").unwrap()
}

fn pattern(kind: &str, id: Option<&str>) -> SubjectPattern {
    let template = SubjectTemplate::parse(
        "run:{kind}:{id}:{name}",
        [
            Variable::one_of("kind", ["plan", "apply"]),
            Variable::id("id"),
            Variable::text("name"),
        ],
    );
    let mut chosen = vec![("kind", kind)];
    chosen.extend(id.map(|id| ("id", id)));
    template.unwrap().aws_pattern(&chosen).unwrap()
}

#[test]
fn google_ids_keep_to_its_rules() {
    let new = |project: &str, pool: &str, provider: &str| {
        PoolProvider::new(project, pool, provider, url()).err()
    };
    let id = |of| Some(PoolProviderError::Id { of });
    assert_eq!(
        new(
            "example.com:project-1",
            "pool",
            "x234567890123456789012345678901z"
        ),
        None
    );
    for (project, pool, provider, of) in [
        ("", "pool", "prov", "project"),
        ("Project", "pool", "prov", "project"),
        ("--project", "pool", "prov", "project"),
        ("p", "abc", "prov", "pool"),
        ("p", "gcp-pool", "prov", "pool"),
        ("p", "-pool", "prov", "pool"),
        ("p", "pool_1", "prov", "pool"),
        ("p", "pool", "Provider", "provider"),
        ("p", "pool", "x2345678901234567890123456789012z", "provider"),
    ] {
        assert_eq!(
            new(project, pool, provider),
            id(of),
            "{project} {pool} {provider}"
        );
    }
}

#[test]
fn google_limits_are_kept() {
    let provider = PoolProvider::new("p", "pool", "prov", url()).unwrap();
    let audience = |text: String| provider.clone().with_audience(text).err();
    assert_eq!(audience("x".repeat(256)), None);
    assert_eq!(audience("x".repeat(257)), Some(PoolProviderError::Audience));
    assert_eq!(audience(String::new()), Some(PoolProviderError::Audience));
    let full = (0..10).try_fold(provider.clone(), |provider, number: u8| {
        provider.with_audience(number.to_string())
    });
    assert_eq!(
        full.unwrap().with_audience("x").err(),
        Some(PoolProviderError::Audience)
    );

    let mapping = |attribute: &str, expression: &str| {
        provider.clone().with_mapping(attribute, expression).is_ok()
    };
    assert!(mapping("attribute.a_1", "assertion.x"));
    assert!(mapping("google.groups", "assertion.groups"));
    assert!(mapping(
        &format!("attribute.{}", "x".repeat(100)),
        &"x".repeat(2048)
    ));
    for attribute in [
        "google.subject",
        "attribute.",
        "attribute.A",
        "other.a",
        "attribute.a-b",
    ] {
        assert!(!mapping(attribute, "x"), "{attribute}");
    }
    assert!(!mapping(&format!("attribute.{}", "x".repeat(101)), "x"));
    assert!(!mapping("attribute.a", &"x".repeat(2049)));
    assert!(!mapping("attribute.a", ""));
    let full = (0..50).try_fold(provider.clone(), |provider, number: u8| {
        provider.with_mapping(format!("attribute.a{number}"), "x")
    });
    let full = full.unwrap();
    assert!(full.clone().with_mapping("attribute.b", "x").is_err());
    assert!(full.with_mapping("attribute.a0", "x").is_err());

    assert_eq!(
        provider.gcloud(ManyCustomers),
        Err(PoolProviderError::NobodyIdentified)
    );
    assert_eq!(
        provider.terraform(ManyCustomers),
        Err(PoolProviderError::NobodyIdentified)
    );
    assert!(provider.gcloud(OneCustomer).is_ok());
    let long = provider.with_subject("x".repeat(4096 - "assertion.sub == ''".len()));
    assert!(long.gcloud(ManyCustomers).is_ok());
    let error = long.with_condition("true").gcloud(ManyCustomers);
    assert_eq!(
        error,
        Err(PoolProviderError::ConditionLength {
            len: 4096 + " && (true)".len()
        })
    );
}

#[test]
fn a_google_condition_is_one_whole_expression() {
    let provider = PoolProvider::new("p", "pool", "prov", url()).unwrap();
    for (expression, position, problem) in [
        ("", 0, "no expression"),
        (" \n\t", 0, "no expression"),
        ("true) || (true", 4, "closes none"),
        ("true // note", 5, "a comment"),
        ("[1)", 2, "closes none"),
        ("a || (true", 5, "is not closed"),
        ("true]", 4, "closes none"),
        ("a == 'b", 5, "a string"),
        ("ä == 'b\n'", 6, "a string"),
        (r"a == r'b\') || (c == 'd'", 10, "closes none"),
        (r"a == 'b\') || (", 5, "a string"),
        ("a == '''b'' || (", 5, "a string"),
        ("a == b\0", 6, "a NUL"),
        ("a == '\0'", 6, "a NUL"),
    ] {
        let added = provider.clone().with_condition(expression);
        for added in [added.clone(), added.with_subject("a")] {
            for sharing in [ManyCustomers, OneCustomer] {
                let error = added.condition(sharing).unwrap_err();
                let PoolProviderError::Condition {
                    position: found,
                    problem: said,
                } = error
                else {
                    panic!("{error}")
                };
                assert_eq!(found, position, "{expression:?}");
                assert!(said.contains(problem), "{expression:?}: {said}");
            }
        }
        let mapped = provider.clone().with_mapping("attribute.a", expression);
        let error = mapped.unwrap_err().to_string();
        assert!(error.contains("attribute.a"), "{error}");
        assert!(error.contains(problem), "{error}");
        assert!(error.contains(&format!("at byte {position};")), "{error}");
    }
    for condition in [
        "true",
        "(a || b[1]) && {'c': 1} == d",
        r#"a == ')' || b == "'(//""#,
        r"a == 'it\'s ('",
        r"a == r'(\'",
        r#"a == bR"(\""#,
        "a == \"\"\"(\"\n' \"\"\"",
        "a / b > 1",
    ] {
        let added = provider.clone().with_subject("a").with_condition(condition);
        let expected = format!("assertion.sub == 'a' && ({condition})");
        assert_eq!(added.condition(ManyCustomers), Ok(Some(expected)));
        let mapped = provider.clone().with_mapping("attribute.a", condition);
        assert!(mapped.is_ok(), "{condition}");
    }
}

#[test]
fn a_condition_of_google_looks_at_the_token() {
    let provider = PoolProvider::new("p", "pool", "prov", url()).unwrap();
    for (condition, is_taken) in [
        ("true", false),
        ("1 == 1", false),
        ("'org' in ['org']", false),
        ("assertion.org == '7'", true),
        ("assertion['org'] == '7'", true),
        ("attribute.org == '7'", true),
        ("google.subject == 'space:1'", true),
    ] {
        let provider = provider.clone().with_condition(condition);
        let expected = match is_taken {
            true => Ok(Some(condition.to_owned())),
            false => Err(PoolProviderError::NobodyIdentified),
        };
        assert_eq!(provider.condition(ManyCustomers), expected);
        assert!(provider.condition(OneCustomer).is_ok());
    }
}

#[test]
fn a_gcloud_list_splits_into_its_values() {
    let provider = PoolProvider::new("p", "pool", "prov", url()).unwrap();
    for audiences in [["x~0", "y"], ["~1~x~0", "~1~y"], ["~0~", "~1"], ["x", "y"]] {
        let with_audiences = audiences
            .iter()
            .try_fold(provider.clone(), |provider, audience| {
                provider.with_audience(*audience)
            });
        let script = with_audiences.unwrap().gcloud(OneCustomer).unwrap();
        let (_, list) = script.split_once("--allowed-audiences='^").unwrap();
        let (list, _) = list.split_once('\'').unwrap();
        let (delimiter, joined) = list.split_once('^').unwrap();
        assert!(joined.split(delimiter).eq(audiences), "{list}");
    }
    let audience = provider.clone().with_audience("a\0b");
    assert_eq!(audience.err(), Some(PoolProviderError::Audience));
    assert!(provider.with_mapping("attribute.a", "'\0'").is_err());
}

#[test]
fn azure_credentials_match_exactly() {
    const APPLICATION: &str = "00000000-1111-2222-3333-44444444aAfF";
    let new = |application: &str, name: &str, subject: &str| {
        FederatedCredential::new(application, name, &url(), subject).err()
    };
    assert_eq!(new(APPLICATION, "abc", "x"), None);
    assert_eq!(new(APPLICATION, &"x".repeat(120), &"x".repeat(600)), None);
    for application in [
        "",
        "app",
        &APPLICATION[1..],
        "00000000-1111-2222-3333-44444444444g",
    ] {
        assert_eq!(
            new(application, "abc", "x"),
            Some(FederatedCredentialError::Application)
        );
    }
    for name in ["ab", "a b", "-abc", "a'b", &"x".repeat(121)] {
        assert_eq!(
            new(APPLICATION, name, "x"),
            Some(FederatedCredentialError::Name)
        );
    }
    let length = |len| Some(FederatedCredentialError::Length { of: "subject", len });
    assert_eq!(new(APPLICATION, "abc", ""), length(0));
    assert_eq!(new(APPLICATION, "abc", &"x".repeat(601)), length(601));
    assert_eq!(
        new(APPLICATION, "abc", "space:*"),
        Some(FederatedCredentialError::Wildcard)
    );
}

#[test]
fn vault_roles_are_bound() {
    let role = || Role::new("jwt", "deploy", &url(), "vault").unwrap();
    for (mount, name, audience, error) in [
        ("", "deploy", "x", RoleError::Path),
        ("jwt/", "deploy", "x", RoleError::Path),
        ("jwt", "../sys", "x", RoleError::Path),
        ("jwt", "..", "x", RoleError::Path),
        ("jwt", "a b", "x", RoleError::Path),
        ("jwt", "deploy", "", RoleError::Empty),
    ] {
        assert_eq!(
            Role::new(mount, name, &url(), audience).err(),
            Some(error),
            "{mount} {name}"
        );
    }
    assert!(Role::new("team/jwt", "deploy", &url(), "x").is_ok());
    assert_eq!(
        role().role_json(ManyCustomers),
        Err(RoleError::NobodyIdentified)
    );
    assert_eq!(
        role().with_subject("").role_json(ManyCustomers),
        Err(RoleError::Empty)
    );
    // Behind a slash Vault reads a pointer into the claims.
    for claim in [
        "aud",
        "iss",
        "azp",
        "exp",
        "iat",
        "nbf",
        "jti",
        "auth_time",
        "/aud",
        "/iss",
        "/aud/0",
    ] {
        assert_eq!(
            role().with_claim(claim, "x").role_json(ManyCustomers),
            Err(RoleError::NobodyIdentified),
            "{claim}"
        );
        assert!(role().with_claim(claim, "x").role_json(OneCustomer).is_ok());
    }
    let loose = role().with_subject_pattern(&pattern("plan", None));
    assert_eq!(
        loose.role_json(ManyCustomers),
        Err(RoleError::NobodyIdentified)
    );
    assert!(loose.role_json(OneCustomer).is_ok());
    assert!(
        loose
            .clone()
            .with_claim("org", "1")
            .role_json(ManyCustomers)
            .is_ok()
    );
    assert_eq!(
        loose.with_claim("org", "1*").role_json(ManyCustomers),
        Err(RoleError::Star)
    );

    let glob = role()
        .with_subject_pattern(&pattern("plan", Some("7")))
        .role_json(ManyCustomers);
    let glob: Value = serde_json::from_str(&glob.unwrap()).unwrap();
    assert_eq!(glob["bound_claims"], json!({"sub": ["run:plan:7:*"]}));
    assert_eq!(glob["bound_claims_type"], "glob");
    let open: Value = serde_json::from_str(&role().role_json(OneCustomer).unwrap()).unwrap();
    assert!(open.get("bound_claims").is_none());
    assert_eq!(open["bound_audiences"], json!(["vault"]));
}

#[test]
fn kubernetes_users_are_kept_apart() {
    let new = |audience: &str, prefix: &str| Authenticator::new(&url(), audience, prefix);
    assert_eq!(new("", "x:").err(), Some(AuthenticatorError::Audience));
    for prefix in ["", "s", "system", "system:", "system:serviceaccount:"] {
        assert_eq!(
            new("k8s", prefix).err(),
            Some(AuthenticatorError::Prefix),
            "{prefix}"
        );
    }
    let plain = IssuerUrl::parse_allowing_loopback_http("http://localhost:8080").unwrap();
    let error = Authenticator::new(&plain, "k8s", "x:").err();
    assert_eq!(error, Some(AuthenticatorError::NotHttps));
    let authenticator = new("k8s", "x:").unwrap();
    assert_eq!(
        authenticator.clone().with_audience("k8s").err(),
        Some(AuthenticatorError::Audience)
    );
    assert_eq!(
        authenticator.yaml(ManyCustomers),
        Err(AuthenticatorError::NobodyIdentified)
    );
    // Several audiences want a policy, one must have none.
    let open: Value = serde_yaml_ng::from_str(&authenticator.yaml(OneCustomer).unwrap()).unwrap();
    assert_eq!(
        open["jwt"][0]["issuer"],
        json!({"url": "https://id.example.com", "audiences": ["k8s"]})
    );
    assert!(open["jwt"][0].get("claimValidationRules").is_none());
}

#[test]
fn minio_policies_tell_users_apart() {
    let provider = OpenIdProvider::new("example", &url(), "client").unwrap();
    for name in ["", "1st", "a b", "a'b", "-a"] {
        assert_eq!(
            OpenIdProvider::new(name, &url(), "client").err(),
            Some(OpenIdProviderError::Name)
        );
    }
    for client_id in ["", "a b", "a\"b", "a\nb"] {
        let error = OpenIdProvider::new("example", &url(), client_id).err();
        assert_eq!(error, Some(OpenIdProviderError::ClientId), "{client_id:?}");
    }
    let json = |provider: &OpenIdProvider| provider.policy_json(ManyCustomers);
    assert_eq!(json(&provider), Err(OpenIdProviderError::NobodyIdentified));
    let provider = provider.with_subject("space:1");
    assert_eq!(json(&provider), Err(OpenIdProviderError::NoAccess));
    let provider = provider.with_access("s3:GetObject", "arn:aws:s3:::a/*");
    let policy: Value = serde_json::from_str(&json(&provider).unwrap()).unwrap();
    assert_eq!(
        policy["Statement"][0]["Condition"],
        json!({"StringEquals": {"jwt:sub": ["space:1"]}})
    );
    assert_eq!(
        provider.commands("a b", ManyCustomers),
        Err(OpenIdProviderError::Name)
    );
    let variable = provider.with_subject("${jwt:sub}");
    assert_eq!(json(&variable), Err(OpenIdProviderError::Variable));
}

#[test]
fn ceph_wants_a_tenant_and_a_thumbprint() {
    let error = ceph::provider("a b", url(), ["x"]).unwrap_err();
    assert_eq!(error, aws::ProviderError::Account);
    let provider = ceph::provider("tenant_1", url(), ["x"]).unwrap();
    assert_eq!(
        provider.arn(),
        "arn:aws:iam::tenant_1:oidc-provider/id.example.com"
    );
    let error = aws::Setup::new(provider).ceph_commands("https://rgw.example.com");
    assert_eq!(error, Err(aws::SetupError::Thumbprint));
}

#[test]
fn cloudformation_gets_no_dynamic_reference() {
    let setup = |audience: &str, subject: &str| {
        let provider = aws::Provider::new("123456789012", url(), [audience]).unwrap();
        let policy = aws::TrustPolicy::new(&provider, ManyCustomers).subject(subject);
        let policy = policy.build().unwrap();
        aws::Setup::new(provider)
            .with_role("deploy", policy)
            .unwrap()
    };
    let reference = "{{resolve:ssm:x}}";
    let error = Some(aws::SetupError::DynamicReference);
    assert_eq!(setup(reference, "x").cloudformation().err(), error);
    let subject = setup("x", "a{{resolve:secretsmanager:x}}");
    assert_eq!(subject.cloudformation().err(), error);
    assert!(subject.terraform().is_ok());
    assert_eq!(setup("x", "{{resolv:").cloudformation().err(), None);
}

#[test]
fn terraform_gets_no_text_that_it_would_normalize() {
    let decomposed = "e\u{301}";
    let azure = |subject: &str| {
        let application = "00000000-1111-2222-3333-444444444444";
        FederatedCredential::new(application, "job", &url(), subject).unwrap()
    };
    let error = Some(FederatedCredentialError::Normalization);
    assert_eq!(azure(decomposed).terraform().err(), error);
    assert_eq!(azure("\u{2126}").terraform().err(), error);
    assert_eq!(azure("stra\u{df}e").terraform().err(), None);

    let setup = |audience: &str, key: &str, value: &str| {
        let provider = aws::Provider::new("123456789012", url(), [audience]).unwrap();
        let setup = aws::Setup::new(provider).with_tag(key, value);
        setup.unwrap().terraform().err()
    };
    let error = Some(aws::SetupError::Normalization);
    assert_eq!(setup(decomposed, "a", "b"), error);
    assert_eq!(setup("x", "a", "\u{1100}\u{1161}"), error);
    assert_eq!(setup("x", "\u{1100}\u{1161}", "b"), error);
    assert_eq!(setup("\u{e9}", "\u{e9}", "\u{e9}"), None);

    let google = PoolProvider::new("p", "pool", "prov", url()).unwrap();
    let error = Err(PoolProviderError::Normalization);
    let audience = google.clone().with_audience(decomposed).unwrap();
    assert_eq!(audience.terraform(OneCustomer), error);
    assert!(audience.gcloud(OneCustomer).is_ok());
    let mapping = google.clone().with_mapping("attribute.a", "'e\u{301}'");
    assert_eq!(mapping.unwrap().terraform(OneCustomer), error);
    let condition = google.clone().with_condition("'e\u{301}' == assertion.a");
    assert_eq!(condition.terraform(OneCustomer), error);
    // The subject is escaped in CEL.
    let subject = google.with_subject(decomposed);
    assert!(subject.terraform(ManyCustomers).is_ok());
}

/// A subject is compared as a whole, so that a part of one is a mistake.
#[test]
fn a_part_of_a_subject_tells_nobody_apart() {
    for part in ["*", "**?", "repo:", "auth0|"] {
        let google = PoolProvider::new("p", "pool", "prov", url()).unwrap();
        let google = google.with_subject("space:1").with_subject(part);
        assert_eq!(
            google.condition(ManyCustomers),
            Err(PoolProviderError::NobodyIdentified)
        );
        assert!(google.condition(OneCustomer).is_ok());
        let vault = Role::new("jwt", "r", &url(), "a")
            .unwrap()
            .with_subject(part);
        assert_eq!(
            vault.role_json(ManyCustomers),
            Err(RoleError::NobodyIdentified)
        );
        let users = Authenticator::new(&url(), "a", "x:")
            .unwrap()
            .with_subject(part);
        assert_eq!(
            users.yaml(ManyCustomers),
            Err(AuthenticatorError::NobodyIdentified)
        );
        let minio = OpenIdProvider::new("x", &url(), "a").unwrap();
        let minio = minio.with_subject(part).with_access("s3:*", "*");
        assert_eq!(
            minio.policy_json(ManyCustomers),
            Err(OpenIdProviderError::NobodyIdentified)
        );
    }
}

/// An object with one such member is a function, in a trust policy too (CloudFormation User Guide,
/// "Intrinsic function reference").
#[test]
fn cloudformation_gets_no_function() {
    let provider = || aws::Provider::new("123456789012", url(), ["x"]).unwrap();
    let setup = |key: &str| {
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": provider().arn()},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {key: "${AWS::AccountId}"}},
        }]});
        let policy = policy.to_string().parse().unwrap();
        aws::Setup::new(provider()).with_role("r", policy).unwrap()
    };
    for key in ["Ref", "Fn::Sub", "Fn::GetAtt"] {
        let refused = setup(key).cloudformation().unwrap_err();
        assert_eq!(refused, aws::SetupError::Function);
        assert!(setup(key).terraform().is_ok());
    }
    for key in ["Reference", "id.example.com:Fn::Sub"] {
        assert!(setup(key).cloudformation().is_ok());
    }
}
