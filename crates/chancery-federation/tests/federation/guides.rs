//! The guides in `docs` quote what the library says to each mistake; here each is made.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chancery_core::Algorithm::{Ed25519, EdDsa, Es256, Ps256, Rs256};
use chancery_core::{
    Algorithm, Claims, Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey, UnixTime,
};
use chancery_federation::aws::{
    self, DenialReason, Policy, Provider, SessionTags, Setup, TrustPolicy,
};
use chancery_federation::azure::FederatedCredential;
use chancery_federation::google::PoolProvider;
use chancery_federation::kubernetes::Authenticator;
use chancery_federation::minio::OpenIdProvider;
use chancery_federation::vault::Role;
use chancery_federation::{
    Binding, Bindings, RelyingParty, Sharing, SubjectTemplate, Variable, ceph,
};
use serde_json::{Value, json};

use crate::support::{builder, issuer, jwk, key};

const URL: &str = "https://id.example.com";

/// The guide has all of these sentences, one for each of its mistakes.
fn assert_quoted(guide: &str, said: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(guide);
    assert_quoted_in(guide, &fs::read_to_string(&path).unwrap(), said);
}

fn assert_quoted_in(guide: &str, text: &str, said: &[String]) {
    // A quotation is broken into lines.
    let text = text
        .split_whitespace()
        .filter(|word| *word != ">")
        .collect::<Vec<_>>()
        .join(" ");
    for (index, sentence) in said.iter().enumerate() {
        assert!(
            text.contains(sentence.as_str()),
            "{guide}, mistake {}: it does not say: {sentence}",
            index + 1
        );
        assert!(
            text.contains(&format!(" {}. **", index + 1)),
            "{guide}: no {}",
            index + 1
        );
    }
    assert_eq!(said.len(), 10, "{guide}");
    assert!(!text.contains(" 11. **"), "{guide}");
}

fn url() -> IssuerUrl {
    IssuerUrl::parse(URL).unwrap()
}

fn error<T, E: Display>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

/// The one finding that begins so.
fn finding(findings: &[chancery_federation::Finding], beginning: &str) -> String {
    let found: Vec<String> = findings
        .iter()
        .filter(|finding| finding.what.contains(beginning))
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), 1, "{beginning}: {findings:?}");
    found[0].clone()
}

fn of_issuer(relying_party: &RelyingParty, algorithms: &[Algorithm], beginning: &str) -> String {
    finding(&relying_party.check(&issuer(URL, algorithms)), beginning)
}

/// What an issuer says that has the audience bound to the relying party.
fn refused(relying_party: &'static RelyingParty, audience: &str, claims: Claims) -> String {
    let issuer = builder(URL, &[EdDsa, Rs256, Es256])
        .allow_several_audiences()
        .token_policy(Arc::new(Bindings::new([Binding::new(
            audience,
            relying_party,
        )])))
        .build()
        .unwrap();
    error(issuer.issue(&claims.with_audience(audience)))
}

fn template() -> SubjectTemplate {
    SubjectTemplate::parse(
        "org:{org}:repo:{repo}",
        [Variable::id("org"), Variable::text("repo")],
    )
    .unwrap()
}

fn with_kid(kid: &str, algorithm: Algorithm, schedule: Schedule) -> ScheduledKey {
    ScheduledKey::without_signer(jwk(algorithm).with_kid(kid).unwrap(), schedule)
}

#[test]
fn aws() {
    let provider = Provider::new("123456789012", url(), ["sts.amazonaws.com"]).unwrap();
    let slashed = IssuerUrl::parse("https://id.example.com/").unwrap();
    let slashed = Provider::new("123456789012", slashed, ["sts.amazonaws.com"]).unwrap();
    let policy = |provider: &Provider, condition: Value| -> Policy {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Federated": provider.arn()},
            "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
        }]})
        .to_string()
        .parse()
        .unwrap()
    };
    let lint = |condition: Value, beginning: &str| {
        finding(&aws::lint(&policy(&provider, condition)), beginning)
    };
    let tagged = Claims::new("job:4711").with_private_claim(
        SessionTags::CLAIM,
        &SessionTags::new().with_tag("organizationId", "7").unwrap(),
    );
    let without_action = DenialReason::Action {
        action: "sts:TagSession",
    };
    assert_quoted(
        "aws.md",
        &[
            error(TrustPolicy::new(&provider, Sharing::ManyCustomers).build()),
            finding(
                &aws::lint(&policy(
                    &slashed,
                    json!({"StringEquals": {"id.example.com:sub": "job:1"}}),
                )),
                "is a key of another provider",
            ),
            lint(
                json!({"StringEquals": {"id.example.com:sub": "org:7:*"}}),
                "with",
            ),
            lint(
                json!({"StringLike": {"id.example.com:sub": "repo:org*"}}),
                "with",
            ),
            lint(
                json!({"ForAllValues:StringEquals": {"id.example.com:sub": "job:1"}}),
                "ForAllValues",
            ),
            format!(
                "{} … {without_action}",
                refused(RelyingParty::AWS, "sts.amazonaws.com", tagged.unwrap())
            ),
            lint(
                json!({"StringEquals": {"id.example.com:sub": "job:1", "id.example.com:project": "7"}}),
                "is no condition key",
            ),
            refused(
                RelyingParty::AWS,
                "sts.amazonaws.com",
                Claims::new("job:4711").with_authorized_party("vault.example.com"),
            ),
            error(template().aws_pattern(&[("repo", "site")])),
            lint(
                json!({"StringEqualsIfExists": {"id.example.com:sub": "job:1"}}),
                "IfExists",
            ),
        ],
    );
}

/// The three that are told of in one guide, a section each.
#[test]
fn others() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/others.md");
    let text = fs::read_to_string(path).unwrap();
    let section = |title: &str, said: Vec<String>| {
        let (_, section) = text.split_once(&format!("\n## {title}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert_quoted_in(title, section, &said);
    };
    let to = |audience: &str| Claims::new("job:4711").with_audience(audience);
    let of_claims = |relying_party: &RelyingParty, claims: &Claims, beginning: &str| {
        finding(&relying_party.check_claims(claims), beginning)
    };
    let of_keys = |relying_party: &RelyingParty, audience: &str| {
        let asking = to(audience).with_signing_algorithm(Ps256);
        vec![
            of_issuer(relying_party, &[EdDsa], "no published key"),
            of_issuer(relying_party, &[EdDsa, Rs256], "tokens are signed"),
            of_claims(relying_party, &asking, "the claims ask"),
        ]
    };
    let at = |relying_party: &RelyingParty, url: &str, beginning: &str| {
        finding(&relying_party.check(&issuer(url, &[Rs256])), beginning)
    };
    let without_audience = Claims::new("job:4711");
    let without_subject = Claims::logout_of_session("08a5019c");
    let portable = RelyingParty::PORTABLE;
    let hour = Duration::from_secs(3600);

    let databricks = RelyingParty::DATABRICKS;
    let mut said = of_keys(databricks, "databricks.example.com");
    said.extend([
        of_claims(databricks, &without_audience, "no aud"),
        of_claims(databricks, &without_subject, "no sub"),
        at(databricks, "http://127.0.0.1:8080", "is not https"),
        error(template().subject(&[("org", "acme/site"), ("repo", "site")])),
        error(IssuerUrl::parse("https://id.example.com?tenant=7")),
        of_claims(portable, &to("a").with_audience("b"), "the token has 2"),
        of_issuer(portable, &[Rs256, Es256], "a key of ES256"),
    ]);
    section("Databricks", said);

    let snowflake = RelyingParty::SNOWFLAKE;
    let mut said = of_keys(snowflake, "snowflakecomputing.com");
    said.extend([
        of_claims(snowflake, &without_audience, "no aud"),
        of_claims(snowflake, &without_subject, "no sub"),
        at(snowflake, "http://127.0.0.1:8080", "is not https"),
        error(template().subject(&[("org", "7"), ("repo", "")])),
        error(IssuerUrl::parse("https://id.example.com#tenant")),
        of_claims(portable, &to("a").with_authorized_party("a"), "azp"),
        of_claims(
            portable,
            &to("a").with_lifetime(24 * hour),
            "the token lives",
        ),
    ]);
    section("Snowflake", said);

    let alibaba = RelyingParty::ALIBABA;
    let many = (0..51).map(|number| Binding::new(format!("client-{number}"), alibaba));
    let bound = Bindings::new(many).check(&issuer(URL, &[Rs256]));
    let long = format!("https://id.example.com/{}", "a".repeat(233));
    let mut said = of_keys(alibaba, "ram.example.com");
    said.extend([
        of_claims(alibaba, &to(&"a".repeat(129)), "the audience"),
        finding(&bound, "51 audiences"),
        at(alibaba, "http://127.0.0.1:8080", "is not https"),
        at(alibaba, &long, "the issuer's URL has"),
        of_claims(alibaba, &to("a").with_lifetime(2 * hour), "the token lives"),
        of_claims(
            portable,
            &Claims::new("größe:1").with_audience("a"),
            "ASCII",
        ),
        at(portable, "https://id.example.com:8443", "has a port"),
    ]);
    section("Alibaba Cloud", said);
}

#[test]
fn google() {
    let provider = || PoolProvider::new("project-1", "example-pool", "example", url());
    let audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/example-pool/providers/example";
    let long = Claims::new("a".repeat(128)).with_audience(audience);
    assert_quoted(
        "google.md",
        &[
            error(provider().unwrap().gcloud(Sharing::ManyCustomers)),
            finding(
                &RelyingParty::GOOGLE_CLOUD.check_claims(&long),
                "the subject has a length of 128",
            ),
            finding(
                &RelyingParty::GOOGLE_CLOUD.check_template(&template()),
                "the template can make",
            ),
            of_issuer(RelyingParty::GOOGLE_CLOUD, &[EdDsa], "no published key"),
            refused(
                RelyingParty::GOOGLE_CLOUD,
                audience,
                Claims::new("job:4711").with_signing_algorithm(EdDsa),
            ),
            finding(
                &RelyingParty::GOOGLE_CLOUD.check_claims(
                    &Claims::new("job:4711")
                        .with_audience("a")
                        .with_audience("b"),
                ),
                "the token has 2",
            ),
            finding(
                &RelyingParty::GOOGLE_CLOUD.check_claims(
                    &Claims::new("job:4711")
                        .with_audience("a")
                        .with_lifetime(Duration::from_secs(172_800)),
                ),
                "the token lives",
            ),
            error(provider().unwrap().with_audience("a".repeat(257))),
            error(
                provider()
                    .unwrap()
                    .with_mapping("attribute.spaceId", "assertion.spaceId"),
            ),
            error(PoolProvider::new("project-1", "gcp-pool", "example", url())),
        ],
    );
}

#[test]
fn azure() {
    let application = "00000000-1111-2222-3333-444444444444";
    let credential = |application: &str, name: &str, subject: &str| {
        error(FederatedCredential::new(application, name, &url(), subject))
    };
    let audience = "api://AzureADTokenExchange";
    let many = (0..101).map(|number| with_kid(&number.to_string(), Rs256, Schedule::ALWAYS));
    assert_quoted(
        "azure.md",
        &[
            of_issuer(RelyingParty::AZURE, &[Es256], "no published key"),
            refused(
                RelyingParty::AZURE,
                audience,
                Claims::new("job:4711").with_signing_algorithm(Es256),
            ),
            credential(application, "job-42", "org:7:*"),
            refused(
                RelyingParty::AZURE,
                audience,
                Claims::new("job:4711").with_audience("sts.amazonaws.com"),
            ),
            finding(
                &RelyingParty::AZURE.check_claims(
                    &Claims::new("job:4711").with_audience("https://login.example.com"),
                ),
                "the token's audience",
            ),
            credential("my-application", "job-42", "job:42"),
            credential(application, "x", "job:42"),
            refused(RelyingParty::AZURE, audience, Claims::new("a".repeat(601))),
            credential(application, "job-42", ""),
            error(KeySet::new(many.collect())),
        ],
    );
}

#[test]
fn vault() {
    let role = || Role::new("jwt", "deploy", &url(), "vault.example.com").unwrap();
    let pattern = template().aws_pattern(&[("org", "7")]).unwrap();
    assert_quoted(
        "vault.md",
        &[
            error(role().role_json(Sharing::ManyCustomers)),
            error(
                role()
                    .with_subject_pattern(&pattern)
                    .with_claim("branch", "release/*")
                    .role_json(Sharing::ManyCustomers),
            ),
            error(template().aws_pattern(&[("repo", "site")])),
            error(Role::new("jwt", "deploy", &url(), "")),
            error(Role::new("jwt", "my role", &url(), "vault.example.com")),
            error(template().subject(&[("org", "acme/site"), ("repo", "site")])),
            error(IssuerUrl::parse("https://id.example.com?tenant=7")),
            error(IssuerUrl::parse("http://id.example.com")),
            of_issuer(RelyingParty::VAULT, &[Ed25519], "no published key"),
            refused(
                RelyingParty::VAULT,
                "vault.example.com",
                Claims::new("job:4711").with_signing_algorithm(Ed25519),
            ),
        ],
    );
}

#[test]
fn kubernetes() {
    let authenticator = |prefix: &str| Authenticator::new(&url(), "cluster", prefix);
    let loopback = IssuerUrl::parse_allowing_loopback_http("http://127.0.0.1:8080").unwrap();
    let time = |seconds| UnixTime::from_secs(seconds).unwrap();
    let hasty = Schedule {
        announce: time(1_767_225_600),
        activate: Some(time(1_767_222_000)),
        ..Schedule::ALWAYS
    };
    let allowing = builder(URL, &[Rs256])
        .allowed_audiences(["cluster"])
        .build()
        .unwrap();
    assert_quoted(
        "kubernetes.md",
        &[
            error(authenticator("system:")),
            error(
                authenticator("example:")
                    .unwrap()
                    .yaml(Sharing::ManyCustomers),
            ),
            finding(
                &RelyingParty::KUBERNETES.check_claims(
                    &Claims::new("job:4711")
                        .with_audience("cluster")
                        .with_email("a@example.com", false),
                ),
                "email_verified is false",
            ),
            of_issuer(RelyingParty::KUBERNETES, &[EdDsa], "no published key"),
            of_issuer(RelyingParty::KUBERNETES_FLAGS, &[Es256], "no published key"),
            error(Authenticator::new(&loopback, "cluster", "example:")),
            error(authenticator("example:").unwrap().with_audience("cluster")),
            error(KeySet::new(vec![with_kid("next", Rs256, hasty)])),
            error(
                allowing.issue(
                    &Claims::new("job:4711")
                        .with_audience("cluster")
                        .with_lifetime(Duration::from_secs(86_400)),
                ),
            ),
            error(allowing.issue(&Claims::new("job:4711").with_audience("another-cluster"))),
        ],
    );
}

#[test]
fn ceph() {
    let provider = ceph::provider("", url(), ["ceph"]).unwrap();
    let setup = Setup::new(provider.clone());
    let nested = Claims::new("job:4711")
        .with_private_claim("act", &json!({"sub": "admin"}))
        .unwrap();
    let plain = Issuer::new(url(), KeySet::new(vec![key(Rs256)]).unwrap());
    let old = RelyingParty::CEPH_16.check(&plain);
    assert_quoted(
        "ceph.md",
        &[
            error(setup.ceph_commands("https://rgw.example.com")),
            error(
                provider
                    .clone()
                    .with_thumbprint("01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67"),
            ),
            error(aws::thumbprint("-----BEGIN PUBLIC KEY-----")),
            of_issuer(RelyingParty::CEPH, &[Es256], "no published key"),
            of_issuer(RelyingParty::CEPH, &[Rs256, Es256], "2 keys"),
            finding(&old, "no certificate"),
            finding(&old, "the JWKS stands at"),
            refused(RelyingParty::CEPH, "ceph", nested),
            error(TrustPolicy::new(&provider, Sharing::ManyCustomers).build()),
            error(ceph::provider("my-tenant", url(), ["ceph"])),
        ],
    );
}

#[test]
fn minio() {
    let provider = || OpenIdProvider::new("example", &url(), "minio.example.com").unwrap();
    let reading = || provider().with_access("s3:GetObject", "arn:aws:s3:::artefacts/*");
    let named = KeySet::new(vec![with_kid("key-1", Rs256, Schedule::ALWAYS)]).unwrap();
    let session = Claims::logout_of_session("08a5019c");
    assert_quoted(
        "minio.md",
        &[
            error(reading().policy_json(Sharing::ManyCustomers)),
            error(
                provider()
                    .with_subject("job:42")
                    .policy_json(Sharing::ManyCustomers),
            ),
            error(
                reading()
                    .with_subject("${jwt:sub}")
                    .policy_json(Sharing::ManyCustomers),
            ),
            of_issuer(RelyingParty::MINIO, &[Rs256, Ed25519], "a key of Ed25519"),
            of_issuer(RelyingParty::MINIO, &[Ps256], "no published key"),
            finding(
                &RelyingParty::MINIO.check(&Issuer::new(url(), named)),
                "the kid",
            ),
            refused(
                RelyingParty::MINIO,
                "minio.example.com",
                Claims::new("job:4711").with_signing_algorithm(EdDsa),
            ),
            error(OpenIdProvider::new("example", &url(), "my client")),
            error(OpenIdProvider::new(
                "my provider",
                &url(),
                "minio.example.com",
            )),
            refused(RelyingParty::MINIO, "minio.example.com", session),
        ],
    );
}
