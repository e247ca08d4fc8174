//! The quickstart's job with a key in a YubiHSM 2: a mock of one, or yours behind its connector.
//!
//! ```sh
//! cargo run --example yubihsm
//! YUBIHSM_PASSWORD=… cargo run --example yubihsm -- http://127.0.0.1:12345 2
//! ```
//!
//! The number is that of the authentication key, which needs the capabilities
//! `generate-asymmetric-key`, `sign-ecdsa` and `delete-asymmetric-key`, and `sign-ecdsa` among its
//! delegated ones. The key that the example makes is destroyed in the end.

use std::env;
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use chancery::hsm::HsmOptions;
use chancery::software::Verifier;
use chancery::yubihsm::{NewKey, Password, YubiHsm};
use chancery::{Algorithm, Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.amazonaws.com";

fn main() -> Result<(), Box<dyn Error>> {
    let device = open_device()?;

    // The key is made in the device and cannot leave it. Do this once, not at each start.
    let key = device.generate(Algorithm::Es256, &NewKey::new("issuer-2026"))?;
    println!("Generated a key in the device, which now holds:");
    for key in device.keys()? {
        println!("  {key}");
    }

    // Two of the device's 16 sessions; what happens to them is told to the hook.
    let options = HsmOptions::new()
        .with_workers(2.try_into()?)
        .on_event(|event| {
            if event.is_trouble() {
                eprintln!("{event}");
            }
        });
    let signer = Arc::new(device.signer().id(key.id()).options(options).open()?);

    // From here on it is the quickstart.
    let scheduled = ScheduledKey::new(Arc::clone(&signer) as _, Schedule::ALWAYS);
    let issuer = Issuer::new(IssuerUrl::parse(ISSUER)?, KeySet::new(vec![scheduled])?);
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
    device.destroy(key.kid())?;
    println!("Destroyed the key.");
    Ok(())
}

fn open_device() -> Result<YubiHsm, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let connector = start_mock()?;
            println!("A mock listens at {connector}; name your connector to use a device.\n");
            Ok(YubiHsm::http(&connector, 1, &Password::new("password"))?)
        }
        [connector, authentication_key] => {
            let password = Password::environment("YUBIHSM_PASSWORD");
            Ok(YubiHsm::http(
                connector,
                authentication_key.parse()?,
                &password,
            )?)
        }
        _ => Err("give the URL of a connector and the number of an authentication key".into()),
    }
}

/// The `yubihsm` crate's mock device behind its connector, for as long as this program runs.
fn start_mock() -> Result<String, Box<dyn Error>> {
    use yubihsm::connector::{Connector, http::HttpConfig, http::Server};

    let config = HttpConfig {
        // A port that was free a moment ago.
        port: TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
        ..HttpConfig::default()
    };
    let server = Server::new(&config, Connector::mockhsm())?;
    thread::spawn(move || {
        loop {
            if let Err(error) = server.handle_request() {
                eprintln!("mock: {error}");
            }
        }
    });
    Ok(config.to_string())
}
