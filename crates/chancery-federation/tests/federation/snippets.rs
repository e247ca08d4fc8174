//! The Rust in the guides in `docs`, compiled: what stands between two marks here is what stands in
//! a guide, line by line.

#![allow(
    dead_code,
    unused_must_use,
    clippy::no_effect_underscore_binding,
    reason = "it is compiled, as it stands in the guides"
)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use chancery_core::{Claims, Issuer, IssuerUrl, KeySet};
use chancery_federation::aws::{Provider, Setup, TrustPolicy};
use chancery_federation::azure::FederatedCredential;
use chancery_federation::google::PoolProvider;
use chancery_federation::kubernetes::Authenticator;
use chancery_federation::minio::OpenIdProvider;
use chancery_federation::{
    Binding, Bindings, RelyingParty, Sharing, SubjectTemplate, TokenFile, aws, azure, ceph, vault,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[rustfmt::skip]
fn aws_service(url: IssuerUrl, keys: KeySet) -> Outcome<Issuer> {
    // aws.md
    let bindings = Bindings::new([Binding::new("sts.amazonaws.com", RelyingParty::AWS)]);
    let issuer = Issuer::builder(url, keys).token_policy(Arc::new(bindings)).build()?;
    // end
    Ok(issuer)
}

#[rustfmt::skip]
fn aws_customer(issuer: &Issuer, template: &SubjectTemplate) -> Outcome {
    // aws.md
    let provider = Provider::new("123456789012", issuer.url().clone(), ["sts.amazonaws.com"])?;
    let pattern = template.aws_pattern(&[("space", "01HZX")])?;
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers).subject_pattern(&pattern).build()?;
    let setup = Setup::new(provider).with_role("deploy", policy)?;
    setup.aws_commands();   // sh; can be run again
    setup.terraform()?;
    setup.cloudformation()?; // JSON
    // end
    Ok(())
}

fn aws_job(issuer: Arc<Issuer>, claims: Claims) -> Outcome {
    // aws.md
    let keeper = TokenFile::new("/run/job/token").keep(issuer, claims);
    let _guard = keeper.spawn(|error| eprintln!("{error}"))?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn google(url: IssuerUrl, keys: KeySet, audience: &str) -> Outcome {
    // google.md
    let bindings = Bindings::new([Binding::new(audience, RelyingParty::GOOGLE_CLOUD)]);
    let issuer = Issuer::builder(url, keys).token_policy(Arc::new(bindings)).build()?;

    let provider = PoolProvider::new("project-1", "example-pool", "example", issuer.url().clone())?
        .with_subject("space:1:job:42")
        .with_mapping("attribute.space", "assertion.space_id")?;
    provider.gcloud(Sharing::ManyCustomers)?;    // sh; can be run again
    provider.terraform(Sharing::ManyCustomers)?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn azure(url: IssuerUrl, keys: KeySet, application_object_id: &str, subject: String) -> Outcome {
    // azure.md
    let bindings = Bindings::new([Binding::new(azure::AUDIENCE, RelyingParty::AZURE)]);
    let issuer = Issuer::builder(url, keys).token_policy(Arc::new(bindings)).build()?;

    let credential = FederatedCredential::new(application_object_id, "job-42", issuer.url(), &subject)?;
    credential.az();        // a command
    credential.terraform()?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn vault(issuer: &Issuer, template: &SubjectTemplate) -> Outcome {
    // vault.md
    let role = vault::Role::new("jwt", "deploy", issuer.url(), "vault.example.com")?
        .with_subject_pattern(&template.aws_pattern(&[("org", "7")])?)
        .with_token_policy("deploy");
    role.commands(Sharing::ManyCustomers)?;   // sh; VAULT=bao runs OpenBao's
    role.config_json();
    role.role_json(Sharing::ManyCustomers)?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn kubernetes(issuer: &Issuer) -> Outcome {
    // kubernetes.md
    let authenticator = Authenticator::new(issuer.url(), "cluster", "example:")?
        .with_subject("space:1:job:42");
    authenticator.yaml(Sharing::ManyCustomers)?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn ceph(issuer: &Issuer, pem_chain: &str) -> Outcome {
    // ceph.md
    let provider = ceph::provider("", issuer.url().clone(), ["ceph"])?
        .with_thumbprint(&aws::thumbprint(pem_chain)?)?;
    let policy = aws::TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject("space:1:job:42")
        .build()?;
    let setup = aws::Setup::new(provider).with_role("deploy", policy)?;
    setup.ceph_commands("https://rgw.example.com")?;   // aws iam … --endpoint-url
    // end
    Ok(())
}

#[rustfmt::skip]
fn minio(issuer: &Issuer) -> Outcome {
    // minio.md
    let provider = OpenIdProvider::new("example", issuer.url(), "minio.example.com")?
        .with_subject("space:1:job:42")
        .with_access("s3:GetObject", "arn:aws:s3:::artefacts/*");
    provider.commands("local", Sharing::ManyCustomers)?;   // mc; restarts the deployment
    provider.policy_json(Sharing::ManyCustomers)?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn databricks(url: IssuerUrl, keys: KeySet, claims: &Claims) -> Outcome {
    // others.md
    let bindings = Bindings::new([Binding::new("databricks.example.com", RelyingParty::DATABRICKS)]);
    for finding in bindings.check_claims(claims) {
        println!("{finding}");
    }
    let issuer = Issuer::builder(url, keys).token_policy(Arc::new(bindings)).build()?;
    for finding in RelyingParty::DATABRICKS.check(&issuer) {
        println!("{finding}");
    }
    // end
    Ok(())
}

fn snowflake(issuer: &Issuer, claims: Claims) -> Outcome {
    // others.md
    let token = issuer.issue(&claims.with_audience("snowflakecomputing.com"))?;
    TokenFile::new("/run/job/token").write(token.as_str())?;
    // end
    Ok(())
}

#[rustfmt::skip]
fn alibaba(issuer: &Issuer) {
    // others.md
    let bindings = Bindings::new([Binding::new("ram.example.com", RelyingParty::ALIBABA)]);
    for finding in bindings.check(issuer) {
        println!("{finding}");   // too many client ids, a URL that is too long
    }
    // end
}

/// The lines between the lines `begin` and `end`, block by block, without what all are indented by.
fn blocks(text: &str, begin: &str, end: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.any(|line| line.trim() == begin) {
        let block: Vec<&str> = lines
            .by_ref()
            .take_while(|line| line.trim() != end)
            .collect();
        let indent = |line: &&str| line.len() - line.trim_start().len();
        let filled = block.iter().copied().filter(|line| !line.is_empty());
        let indent = filled.map(|line| indent(&line)).min().unwrap_or(0);
        let dedented = block.iter().map(|line| line.get(indent..).unwrap_or(""));
        blocks.push(dedented.collect::<Vec<_>>().join("\n"));
    }
    blocks
}

#[test]
fn the_rust_of_the_guides_is_the_one_that_is_compiled_here() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut count = 0;
    for guide in [
        "aws.md",
        "azure.md",
        "ceph.md",
        "google.md",
        "kubernetes.md",
        "minio.md",
        "others.md",
        "relying-parties.md",
        "vault.md",
    ] {
        let text = fs::read_to_string(docs.join(guide)).unwrap();
        let shown = blocks(&text, "```rust", "```");
        let compiled = blocks(
            include_str!("snippets.rs"),
            &format!("// {guide}"),
            "// end",
        );
        assert_eq!(shown, compiled, "{guide}");
        count += shown.len();
    }
    assert_eq!(count, 12);
}
