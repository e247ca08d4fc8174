//! The whole job: a key, the two documents, a token, and its verification.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chancery::software::{Engine, KeyFile, SoftwareSigner, Verifier};
use chancery::{Algorithm, Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.amazonaws.com";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from("target/quickstart");
    std::fs::create_dir_all(&folder)?;
    let file = KeyFile::new(folder.join("signing-key.pem"));
    let first_run = !file.path().exists();
    let password = match env::var("CHANCERY_KEY_PASSWORD") {
        Ok(password) => password,
        Err(_) => "only for the quickstart".to_owned(),
    };

    // The key is made on the first run and found again on the next.
    let key = file.load_or_generate(password.as_bytes(), Algorithm::Es256, Engine::Ring)?;
    let signer = SoftwareSigner::new(&key, Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, keys);

    // What relying parties fetch.
    let discovery = issuer.discovery()?;
    let jwks = issuer.jwks()?;

    // What a job is given.
    let claims = Claims::new("space:production:stack:42")
        .with_audience(AUDIENCE)
        .with_private_claim("runId", "01JD3Z8M4T6V9X2B")?;
    let token = issuer.issue(&claims)?;

    // What a relying party does with it, knowing nothing but the published documents.
    let published = JwkSet::from_json(jwks.bytes())?;
    let verified = Verifier::new(ISSUER, AUDIENCE, published).verify(token.as_str())?;

    let made = if first_run { "made" } else { "found again" };
    println!("The signing key was {made} in {}.\n", file.path().display());
    for document in [&discovery, &jwks] {
        println!("{ISSUER}{}", document.path());
        println!("{}\n", String::from_utf8_lossy(document.bytes()));
    }
    println!("A token for {AUDIENCE}:\n{}\n", token.as_str());
    println!(
        "Verified with key {} from the JWKS: {} may act until {} (Unix time).\n",
        verified.kid(),
        verified.subject().unwrap_or_default(),
        verified.expires_at()
    );
    println!("What to do next:");
    println!("1. Replace {ISSUER} by a URL of yours and serve the two documents there over https:");
    println!("   cargo run --example serve");
    println!(
        "2. In the cloud that is to trust you, register the URL as an OpenID Connect provider"
    );
    println!("   with the audience {AUDIENCE}, and let a role trust the subject.");
    println!("3. Give each job a token; it exchanges it for credentials, as AWS does with");
    println!("   aws sts assume-role-with-web-identity --web-identity-token TOKEN --role-arn …");
    println!("4. Keep the key's password out of the code: CHANCERY_KEY_PASSWORD sets it here.");
    println!("   Azure takes RS256 alone: the feature aws-lc-rs generates RSA keys.");
    Ok(())
}
