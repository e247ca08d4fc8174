//! A service of development environments like Gitpod: the caller asks for audiences, and the
//! subject says where the environment came from.
//!
//! ```sh
//! cargo run --all-features --example gitpod
//! ```
//!
//! The issuer's URL has a path. The token binds the login and the authorization code, and names
//! the first audience as `azp`, which AWS reads instead of `aud`. Subjects move from context URLs,
//! which users choose in part, to ids, for one customer after the other.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chancery::federation::aws::{self, Outcome, Provider, Setup, TrustPolicy};
use chancery::federation::{
    Binding, Bindings, RelyingParty, Shape, Sharing, SubjectMigration, SubjectTemplate, Variable,
};
use chancery::software::{Engine, SoftwareSigner};
use chancery::{
    Algorithm, Claims, Clock as _, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
    SystemClock,
};

const ISSUER: &str = "https://api.gitpod.io/idp";
const AWS: &str = "sts.amazonaws.com";

fn main() -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER)?, keys)
        .default_lifetime(Duration::from_secs(60 * 60))
        .allowed_audiences([AWS, "vault.example.com"])
        .allow_several_audiences()
        .token_policy(Arc::new(Bindings::new([
            Binding::new(AWS, RelyingParty::AWS),
            Binding::new("vault.example.com", RelyingParty::VAULT),
        ])))
        .build()?;
    println!("Discovery is at {}.", issuer.discovery()?.path());

    let subjects = SubjectMigration::new(
        SubjectTemplate::parse(
            "https://{host}/{owner}/{repository}",
            [
                Variable::one_of("host", ["github.com", "gitlab.com"]),
                Variable::text("owner"),
                Variable::text("repository"),
            ],
        )?,
        SubjectTemplate::parse(
            "organization_id:{organization}:project_id:{project}",
            [Variable::id("organization"), Variable::id("project")],
        )?,
    )?;
    let ids = [("organization", "018e2c5a"), ("project", "018f77d1")];
    let context = [
        ("host", "github.com"),
        ("owner", "gitpod-io"),
        ("repository", "gitpod"),
    ];

    // The customer's role, for a project by its id.
    let provider = Provider::new("123456789012", issuer.url().clone(), [AWS])?
        .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject_pattern(&subjects.aws_pattern(Shape::New, &ids)?)
        .build()?;
    // Anybody may open an environment on a repository: that does not tell customers apart.
    let by_context = subjects.aws_pattern(Shape::Old, &context)?;
    let refused = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject_pattern(&by_context)
        .build();
    if let Err(refused) = refused {
        println!("A role for the context URL is refused: {refused}.\n");
    }
    println!(
        "{}",
        Setup::new(provider.clone())
            .with_role("gitpod", policy.clone())?
            .aws_commands()
    );

    // What `gp idp login aws` gets, before the customer has moved and after.
    for subject in [
        subjects.template(Shape::Old).subject(&context)?,
        subjects.template(Shape::New).subject(&ids)?,
    ] {
        let claims = Claims::new(&subject)
            .with_audience(AWS)
            .with_authorized_party(AWS)
            .with_code_hash("the authorization code")
            .with_auth_time(SystemClock.now())
            .with_authentication_method("mfa");
        let token = issuer.issue(&claims)?;
        match aws::simulate(&policy, &provider, token.as_str(), SystemClock.now()) {
            Outcome::Allowed(_) => println!("{subject}: allowed"),
            Outcome::Denied(denial) => println!("{subject}: {denial}"),
            Outcome::Indeterminate(doubt) => println!("{subject}: {doubt}"),
        }
    }

    // With another audience first, AWS would read that one, and the token is not minted.
    let claims = Claims::new("organization_id:018e2c5a:project_id:018f77d1")
        .with_audience("vault.example.com")
        .with_audience(AWS)
        .with_authorized_party("vault.example.com");
    if let Err(refused) = issuer.issue(&claims) {
        println!("\nNot minted: {refused}");
    }
    Ok(())
}
