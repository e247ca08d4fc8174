//! The quickstart's job with a key in a PKCS#11 token: SoftHSM's, in a temporary folder.
//!
//! ```sh
//! apt-get install softhsm2
//! cargo run --example pkcs11 --features pkcs11
//! ```
//!
//! With a module of your own, all that changes is `open_token`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use chancery::hsm::HsmOptions;
use chancery::pkcs11::{KeyPair, Pin, Token};
use chancery::software::Verifier;
use chancery::{Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.amazonaws.com";
const TOKEN: &str = "chancery-example";
const PIN: &str = "1234";

/// What this program says to itself when it starts itself again.
const TOKEN_IS_MADE: &str = "token-is-made";

fn main() -> ExitCode {
    let outcome = if env::args().nth(1).as_deref() == Some(TOKEN_IS_MADE) {
        run()
    } else {
        with_soft_hsm()
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let token = open_token()?;

    // The key is made in the token and cannot leave it. Do this once, not at each start.
    let key = token.generate(KeyPair::P256, "issuer-2026", None)?;
    println!("Generated {} in the token:", key.label());
    for key in token.keys()? {
        println!(
            "  kid {}  label {}  {}  extractable: {}",
            key.kid(),
            key.label(),
            key.algorithm(),
            key.is_extractable()
        );
    }

    // Eight sessions sign side by side; what happens to them is told to the hook.
    let options = HsmOptions::new().on_event(|event| {
        if event.is_trouble() {
            eprintln!("{event}");
        }
    });
    let signer = Arc::new(
        token
            .signer()
            .label("issuer-2026")
            .refuse_extractable()
            .options(options)
            .open()?,
    );

    // From here on it is the quickstart.
    let key = ScheduledKey::new(Arc::clone(&signer) as _, Schedule::ALWAYS);
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, KeySet::new(vec![key])?);
    let jwks = issuer.jwks()?;
    let claims = Claims::new("space:production:stack:42").with_audience(AUDIENCE);
    let signed = issuer.issue(&claims)?;
    let published = JwkSet::from_json(jwks.bytes())?;
    let verified = Verifier::new(ISSUER, AUDIENCE, published).verify(signed.as_str())?;

    println!("\n{ISSUER}{}", jwks.path());
    println!("{}\n", String::from_utf8_lossy(jwks.bytes()));
    println!("A token for {AUDIENCE}:\n{}\n", signed.as_str());
    println!("Verified with key {} from the JWKS.", verified.kid());
    let health = signer.health();
    println!(
        "The signer is {}: {} sessions, {} signed, {:?} each.",
        health.state, health.sessions, health.signed, health.mean_latency
    );

    // Exactly this key, named by its kid. Take it out of the JWKS long before.
    drop((issuer, signer));
    token.destroy(verified.kid())?;
    println!(
        "Destroyed the key; the token holds {}.",
        token.keys()?.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn open_token() -> Result<Token, Box<dyn Error>> {
    let token = Token::builder(module()).label(TOKEN);
    // An operator's PIN comes from a file or the environment: Pin::file, Pin::environment.
    Ok(token.pin(Pin::new(PIN)).open()?)
}

fn module() -> PathBuf {
    let module = env::var_os("CHANCERY_SOFTHSM");
    module.map_or_else(|| "/usr/lib/softhsm/libsofthsm2.so".into(), PathBuf::from)
}

/// Makes a token in a temporary folder and starts this program again with it: SoftHSM finds its
/// tokens through the environment.
fn with_soft_hsm() -> Result<ExitCode, Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("chancery-pkcs11-{}", std::process::id()));
    let status = make_token(&folder).and_then(|configuration| {
        let mut again = Command::new(env::current_exe()?);
        again.arg(TOKEN_IS_MADE).env("SOFTHSM2_CONF", configuration);
        Ok(again.status()?)
    });
    fs::remove_dir_all(&folder)?;
    Ok(if status?.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn make_token(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let tokens = folder.join("tokens");
    fs::create_dir_all(&tokens)?;
    let configuration = folder.join("softhsm2.conf");
    fs::write(
        &configuration,
        format!("directories.tokendir = {}\n", tokens.display()),
    )?;
    let output = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", &configuration)
        .args(["--init-token", "--free", "--label", TOKEN])
        .args(["--so-pin", "12345678", "--pin", PIN])
        .output()
        .map_err(|error| format!("softhsm2-util (Debian: apt-get install softhsm2): {error}"))?;
    if output.status.success() {
        Ok(configuration)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}
