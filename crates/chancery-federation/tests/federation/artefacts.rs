//! The artefacts of one example set-up: as files to be looked at, and read back by parsers of others.

use std::fs;
use std::path::Path;

use chancery_core::IssuerUrl;
use chancery_federation::Sharing::ManyCustomers;
use chancery_federation::aws::{Policy, Provider, Setup, SetupError, TrustPolicy};
use chancery_federation::azure::FederatedCredential;
use chancery_federation::google::{PoolProvider, PoolProviderError};
use chancery_federation::kubernetes::Authenticator;
use chancery_federation::minio::OpenIdProvider;
use chancery_federation::vault::Role;
use chancery_federation::{SubjectTemplate, Variable, ceph};
use serde_json::{Value, json};

/// An example whose values need quoting in every format, and with which every option is used.
pub(crate) struct Example {
    pub(crate) setup: Setup,
    pub(crate) ceph: Setup,
    pub(crate) google: PoolProvider,
    pub(crate) azure: FederatedCredential,
    pub(crate) vault: Role,
    pub(crate) kubernetes: Authenticator,
    pub(crate) minio: OpenIdProvider,
    pub(crate) subject: String,
    pub(crate) audience: String,
}

/// What is no whole subject is refused, which other tests show: a full stop makes it one.
pub(crate) fn whole(subject: String) -> String {
    let is_part = subject.ends_with([':', '|']) || subject.chars().all(|one| "*?".contains(one));
    if is_part { subject + "." } else { subject }
}

const THUMBPRINT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Example {
    /// With this subject and this audience.
    pub(crate) fn new(subject: &str, audience: &str) -> Self {
        let url = || IssuerUrl::parse("https://id.example.com/it's/$HOME/").unwrap();
        let trust = |provider: &Provider| {
            TrustPolicy::new(provider, ManyCustomers)
                .subject(subject)
                .email("jo@example.com")
                .request_tag("Project", "x y")
                .with_source_identity()
                .build()
                .unwrap()
        };
        let template = SubjectTemplate::parse(
            "space:{space}:{kind}",
            [
                Variable::id("space"),
                Variable::one_of("kind", ["stack", "module"]),
            ],
        );
        let pattern = template.unwrap().aws_pattern(&[("space", "1")]).unwrap();
        let provider = Provider::new("123456789012", url(), [audience, "second"]).unwrap();
        let provider = provider.with_thumbprint(THUMBPRINT).unwrap();
        let like = TrustPolicy::new(&provider, ManyCustomers)
            .subject_pattern(&pattern)
            .build();
        let policy = trust(&provider);
        let setup = Setup::new(provider)
            .with_tag("example.com/cluster", "a = b")
            .and_then(|setup| setup.with_role("deploy.one", policy))
            .and_then(|setup| setup.with_role("deploy@one", like.unwrap()))
            .unwrap();
        let provider = ceph::provider("tenant", url(), [audience]).unwrap();
        let provider = provider.with_thumbprint(THUMBPRINT).unwrap();
        let policy = trust(&provider);
        let plain = IssuerUrl::parse("https://id.example.com").unwrap();
        let google = PoolProvider::new("project-1", "example-pool", "example", plain.clone())
            .and_then(|provider| provider.with_audience(audience))
            .and_then(|provider| provider.with_audience("second,third"))
            .and_then(|provider| {
                provider.with_mapping("attribute.space", "assertion.space_id + ','")
            })
            .unwrap()
            .with_subject(subject)
            .with_subject("space:2")
            .with_condition("assertion.tier != \"free\"");
        Self {
            setup,
            ceph: Setup::new(provider).with_role("deploy", policy).unwrap(),
            google,
            azure: FederatedCredential::new(
                "00000000-1111-2222-3333-444444444444",
                "job-42",
                &url(),
                &azure_subject(subject),
            )
            .unwrap(),
            vault: Role::new("jwt", "deploy", &url(), audience)
                .unwrap()
                .with_subject(subject)
                .with_subject("space:2")
                .with_claim("space_id", "1")
                .with_token_policy("deploy"),
            kubernetes: Authenticator::new(&url(), audience, "example:")
                .and_then(|authenticator| authenticator.with_audience("second: audience"))
                .unwrap()
                .with_subject(subject),
            minio: OpenIdProvider::new("example", &plain, "minio.example.com")
                .unwrap()
                .with_subject(subject.replace("${", "$"))
                .with_access("s3:GetObject", "arn:aws:s3:::artefacts/*"),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
        }
    }

    pub(crate) fn scripts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("aws.sh", self.setup.aws_commands()),
            (
                "ceph.sh",
                self.ceph
                    .ceph_commands("https://rgw.example.com:8443/it's")
                    .unwrap(),
            ),
            ("google.sh", self.google.gcloud(ManyCustomers).unwrap()),
            ("azure.sh", self.azure.az()),
            ("vault.sh", self.vault.commands(ManyCustomers).unwrap()),
            (
                "minio.sh",
                self.minio.commands("local", ManyCustomers).unwrap(),
            ),
        ]
    }

    pub(crate) fn terraform(&self) -> Vec<(&'static str, String)> {
        vec![
            ("aws.tf", self.setup.terraform().unwrap()),
            ("google.tf", self.google.terraform(ManyCustomers).unwrap()),
            ("azure.tf", self.azure.terraform().unwrap()),
        ]
    }
}

/// Entra ID takes no star, and Terraform no character that it may normalize.
fn azure_subject(subject: &str) -> String {
    subject.replace(|character| character == '*' || character >= '\u{300}', "+")
}

fn example() -> Example {
    Example::new(
        "it's \"quoted\" \\ $HOME ${x} %{y} `id` *?\n# straße 😀",
        "https://example.com/?a=b,c ~0~ 'd'",
    )
}

/// The files in `tests/data/golden` are what the example gives; `CHANCERY_WRITE_GOLDENS=1` writes
/// them.
#[test]
fn the_example_is_rendered_as_before() {
    let example = example();
    let mut files = example.scripts();
    files.extend(example.terraform());
    files.push((
        "aws.cloudformation.json",
        example.setup.cloudformation().unwrap(),
    ));
    files.push(("azure.json", example.azure.json()));
    files.push(("vault.config.json", example.vault.config_json()));
    files.push((
        "vault.role.json",
        example.vault.role_json(ManyCustomers).unwrap(),
    ));
    files.push((
        "kubernetes.yaml",
        example.kubernetes.yaml(ManyCustomers).unwrap(),
    ));
    files.push((
        "minio.policy.json",
        example.minio.policy_json(ManyCustomers).unwrap(),
    ));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    for (name, text) in files {
        let path = folder.join(name);
        if std::env::var_os("CHANCERY_WRITE_GOLDENS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let golden =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(text, golden, "{name}");
    }
}

#[test]
fn json_is_read_back() {
    let example = example();
    let template: Value = serde_json::from_str(&example.setup.cloudformation().unwrap()).unwrap();
    let resources = &template["Resources"];
    assert_eq!(
        resources["Issuer"]["Properties"]["Url"],
        "https://id.example.com/it's/$HOME/"
    );
    assert_eq!(
        resources["Issuer"]["Properties"]["ClientIdList"],
        json!([example.audience, "second"])
    );
    for role in ["Role0", "Role1"] {
        let document = resources[role]["Properties"]["AssumeRolePolicyDocument"].to_string();
        assert!(document.parse::<Policy>().is_ok());
    }
    let azure: Value = serde_json::from_str(&example.azure.json()).unwrap();
    assert_eq!(azure["audiences"], json!(["api://AzureADTokenExchange"]));
    assert_eq!(azure["subject"], azure_subject(&example.subject));
    let role: Value =
        serde_json::from_str(&example.vault.role_json(ManyCustomers).unwrap()).unwrap();
    assert_eq!(
        role["bound_claims"]["sub"],
        json!([example.subject, "space:2"])
    );
    assert_eq!(role["bound_claims_type"], "string");
    let config: Value = serde_json::from_str(&example.vault.config_json()).unwrap();
    assert_eq!(config["bound_issuer"], config["oidc_discovery_url"]);
}

#[test]
fn yaml_is_read_back() {
    let example = example();
    let yaml = example.kubernetes.yaml(ManyCustomers).unwrap();
    let read: Value = serde_yaml_ng::from_str(&yaml).unwrap();
    assert_eq!(
        read,
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": "https://id.example.com/it's/$HOME/",
                           "audiences": [example.audience, "second: audience"],
                           "audienceMatchPolicy": "MatchAny"},
                "claimValidationRules": [{
                    "expression": r#"claims.sub == 'it\'s "quoted" \\ $HOME ${x} %{y} `id` *?\U0000000a# stra\U000000dfe \U0001f600'"#,
                    "message": "the subject is none of those let in",
                }],
                "claimMappings": {"username": {"claim": "sub", "prefix": "example:"}},
            }],
        })
    );
}

/// The blocks of a Terraform file, by kind and label, their values without any template left in them.
pub(crate) fn blocks(terraform: &str) -> Vec<(String, String, hcl::Body)> {
    let body = hcl::parse(terraform).unwrap_or_else(|error| panic!("{error}: {terraform}"));
    body.into_blocks()
        .map(|block| {
            assert_eq!(block.identifier(), "resource");
            let [kind, label] = block.labels() else {
                panic!("two labels")
            };
            (
                kind.as_str().to_owned(),
                label.as_str().to_owned(),
                block.body,
            )
        })
        .collect()
}

fn as_value(policy: &Policy) -> Value {
    serde_json::from_str(&policy.to_string()).unwrap()
}

fn evaluate(body: &hcl::Body, name: &str) -> Value {
    let attribute = body.attributes().find(|attribute| attribute.key() == name);
    let expression = attribute.unwrap_or_else(|| panic!("no {name}")).expr();
    let mut context = hcl::eval::Context::new();
    let arguments = hcl::eval::ParamType::Any;
    let jsonencode =
        hcl::eval::FuncDef::builder()
            .param(arguments)
            .build(|arguments: hcl::eval::FuncArgs| {
                let json =
                    serde_json::to_string(&arguments[0]).map_err(|error| error.to_string())?;
                Ok(hcl::Value::String(json))
            });
    context.declare_func("jsonencode", jsonencode);
    let value = hcl::eval::Evaluate::evaluate(expression, &context)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(value).unwrap()
}

#[test]
fn terraform_is_read_back() {
    let example = example();
    let aws = blocks(&example.setup.terraform().unwrap());
    let names: Vec<_> = aws
        .iter()
        .map(|(kind, label, _)| (kind.as_str(), label.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("aws_iam_openid_connect_provider", "issuer"),
            ("aws_iam_role", "deploy_one"),
            ("aws_iam_role", "deploy_one_"),
        ]
    );
    let (_, _, provider) = &aws[0];
    assert_eq!(
        evaluate(provider, "url"),
        "https://id.example.com/it's/$HOME/"
    );
    assert_eq!(
        evaluate(provider, "client_id_list"),
        json!([example.audience, "second"])
    );
    assert_eq!(evaluate(provider, "thumbprint_list"), json!([THUMBPRINT]));
    assert_eq!(
        evaluate(provider, "tags"),
        json!({"example.com/cluster": "a = b"})
    );
    let document = evaluate(&aws[1].2, "assume_role_policy");
    let policy: Policy = document.as_str().unwrap().parse().unwrap();
    let template: Value = serde_json::from_str(&example.setup.cloudformation().unwrap()).unwrap();
    let document = &template["Resources"]["Role0"]["Properties"]["AssumeRolePolicyDocument"];
    assert_eq!(as_value(&policy), *document);

    let google = blocks(&example.google.terraform(ManyCustomers).unwrap());
    let (_, _, provider) = &google[1];
    assert_eq!(
        evaluate(provider, "attribute_condition"),
        json!(example.google.condition(ManyCustomers).unwrap())
    );
    assert_eq!(
        evaluate(provider, "attribute_mapping"),
        json!({"google.subject": "assertion.sub", "attribute.space": "assertion.space_id + ','"})
    );
    let oidc = provider.blocks().next().unwrap();
    assert_eq!(
        evaluate(&oidc.body, "allowed_audiences"),
        json!([example.audience, "second,third"])
    );

    let azure = blocks(&example.azure.terraform().unwrap());
    assert_eq!(
        evaluate(&azure[0].2, "subject"),
        json!(azure_subject(&example.subject))
    );
}

/// Whatever the subject and the audience hold, each format is read back as it was meant.
#[test]
fn any_value_is_read_back() {
    use proptest::prelude::*;

    let text = || {
        prop_oneof![
            any::<String>(),
            "[\\x00-\\x7f]{1,40}",
            "([$%]{0,3}[{]?[\"'\\\\*?~0^,]?){1,10}",
        ]
    };
    proptest!(ProptestConfig::with_cases(256), |(subject in text(), audience in text())| {
        let subject: String = subject.chars().take(60).collect();
        let audience: String = audience.chars().take(60).collect();
        prop_assume!(!subject.is_empty() && !audience.is_empty() && audience != "second" && audience != "second: audience");
        let subject = whole(subject);
        // Google's builder refuses it.
        prop_assume!(!audience.contains('\0'));
        let example = Example::new(&subject, &audience);
        let template: Value = serde_json::from_str(&example.setup.cloudformation().unwrap()).unwrap();
        let document = &template["Resources"]["Role0"]["Properties"]["AssumeRolePolicyDocument"];
        let policy = example.setup.terraform().map(|text| {
            let aws = blocks(&text);
            assert_eq!(evaluate(&aws[0].2, "client_id_list"), json!([audience, "second"]));
            let document = evaluate(&aws[1].2, "assume_role_policy");
            as_value(&document.as_str().unwrap().parse().unwrap())
        });
        let is_kept = audience.chars().all(|character| character < '\u{300}');
        prop_assert_eq!(policy, if is_kept { Ok(document.clone()) } else { Err(SetupError::Normalization) });
        let yaml: Value = serde_yaml_ng::from_str(&example.kubernetes.yaml(ManyCustomers).unwrap()).unwrap();
        prop_assert_eq!(&yaml["jwt"][0]["issuer"]["audiences"][0], &json!(audience));
        let azure = blocks(&example.azure.terraform().unwrap());
        prop_assert_eq!(evaluate(&azure[0].2, "subject"), json!(azure_subject(&subject)));
        let condition = example.google.terraform(ManyCustomers).map(|text| {
            evaluate(&blocks(&text)[1].2, "attribute_condition")
        });
        let expected = json!(example.google.condition(ManyCustomers).unwrap());
        prop_assert_eq!(condition, if is_kept { Ok(expected) } else { Err(PoolProviderError::Normalization) });
    });
}
