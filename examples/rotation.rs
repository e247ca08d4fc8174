//! A week of key rotation in seconds, with a clock that is turned and an emergency on Thursday.
//!
//! ```sh
//! cargo run --example rotation
//! ```
//!
//! In a service, the store is a directory or a bucket, the probe is `HttpProbe`, the keeper drives
//! itself (`Keeper::run`), and the clock turns by itself.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chancery::rotation::{Lane, RotationPolicy, RotationTimes};
use chancery::software::{Engine, Secret, Verifier};
use chancery::store::{EncryptedKeys, Keeper, Probe, ProbeError, Store};
use chancery::{Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, UnixTime};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.amazonaws.com";
/// 2027-03-01T00:00:00Z.
const MONDAY: u64 = 1_803_859_200;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // How long relying parties keep the keys, how long tokens live, and when keys change.
    let hours = |hours| Duration::from_secs(hours * HOUR);
    let times = RotationTimes::default()
        .with_refresh(hours(10))
        .with_longest_lifetime(hours(1));
    let lane = Lane::new(Algorithm::Es256, "software")
        .with_standby("spare")
        .with_active_for(hours(48), hours(96))
        .with_margin(hours(4));
    let policy = RotationPolicy::new(1)
        .with_times(times)
        .with_lane(lane)
        .nobody_has_fetched();

    // The manifest and the encrypted keys lie in the store, which is all that replicas share.
    let store = Store::memory();
    let keys = |folder| -> Result<EncryptedKeys, Box<dyn Error>> {
        let password = Secret::new("EgWbPDU2zMEWJiFcDIMCszb9xaMWDGWQWTBDqLSE2A4=");
        Ok(EncryptedKeys::new(
            store.below(folder)?,
            password,
            Engine::Ring,
        ))
    };
    let outside = Outside::default();
    let keeper = Keeper::builder(store.clone(), policy, outside.clone())
        .backend("software", keys("software")?)
        .backend("spare", keys("spare")?)
        .replica("replica-1")
        .build();
    let clock = Turned::to(MONDAY);
    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER)?, keeper.keys().clone())
        .clock(Arc::new(clock.clone()))
        .build()?;
    let issuer = Arc::new(issuer);
    let _ = outside.0.set(Arc::clone(&issuer));

    keeper.initialize(clock.now()).await?;
    let mut relying_party = RelyingParty::new(clock.clone());
    let mut verified = 0;
    while clock.now().as_secs() < MONDAY + 7 * DAY {
        for trouble in keeper.step(clock.now()).await?.troubles {
            eprintln!("{trouble}");
        }
        let claims = Claims::new("job:42").with_audience(AUDIENCE);
        let token = issuer.issue_async(&claims).await?;
        relying_party.verify(token.as_str(), &issuer)?;
        verified += 1;

        match clock.now().as_secs() - MONDAY {
            0 => println!(
                "Monday: the first key signs at once.\n\n{}",
                keeper.status(clock.now())
            ),
            at if at == DAY + 20 * HOUR => {
                println!("Tuesday: the next key is announced, and not used yet.\n");
                println!("{}", keeper.status(clock.now()));
            }
            at if at == 3 * DAY + 15 * HOUR => {
                let status = keeper.status(clock.now());
                let active = status.lanes[0].active.as_deref().ok_or("nothing signs")?;
                keeper.revoke(active, false, clock.now()).await?;
                println!("Thursday: {active} is compromised, and revoked.\n");
                println!("{}", keeper.status(clock.now()));
            }
            _ => {}
        }
        clock.turn(600);
    }

    let status = keeper.status(clock.now());
    println!("The week is over.\n\n{status}");
    println!("Verified all {verified} tokens, by keys that were fetched up to ten hours before.");
    let (from, until) = (MONDAY, MONDAY + 9 * DAY);
    let timeline = status.timeline().between(moment(from), moment(until));
    fs::create_dir_all("target")?;
    fs::write("target/rotation.svg", timeline.to_svg())?;
    println!("Drawn: target/rotation.svg");
    Ok(())
}

/// Caches the keys for as long as the policy allows for, and asks for nothing in between.
struct RelyingParty {
    clock: Turned,
    fetched_at: Option<UnixTime>,
    verifier: Option<Verifier>,
}

impl RelyingParty {
    fn new(clock: Turned) -> Self {
        Self {
            clock,
            fetched_at: None,
            verifier: None,
        }
    }

    fn verify(&mut self, token: &str, issuer: &Issuer) -> Result<(), Box<dyn Error>> {
        let now = self.clock.now();
        let is_old = |fetched: UnixTime| now.as_secs() - fetched.as_secs() >= 10 * HOUR;
        if self.fetched_at.is_none_or(is_old) {
            let jwks = JwkSet::from_json(issuer.jwks()?.bytes())?;
            let verifier = Verifier::new(ISSUER, AUDIENCE, jwks);
            self.verifier = Some(verifier.with_clock(Arc::new(self.clock.clone())));
            self.fetched_at = Some(now);
        }
        let verifier = self.verifier.as_ref().ok_or("no keys were fetched")?;
        verifier.verify(token)?;
        Ok(())
    }
}

/// Stands for the way from outside to the JWKS.
#[derive(Clone, Debug, Default)]
struct Outside(Arc<OnceLock<Arc<Issuer>>>);

impl Probe for Outside {
    fn jwks(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, ProbeError>> + Send + '_>> {
        Box::pin(async {
            let issuer = self
                .0
                .get()
                .ok_or_else(|| ProbeError::new("nothing serves"))?;
            let jwks = issuer
                .jwks()
                .map_err(|error| ProbeError::new("status 503").with_source(error))?;
            Ok(jwks.bytes().to_vec())
        })
    }
}

/// A clock that stands still until it is turned.
#[derive(Clone, Debug)]
struct Turned(Arc<AtomicU64>);

impl Turned {
    fn to(second: u64) -> Self {
        Self(Arc::new(AtomicU64::new(second)))
    }

    fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        moment(self.0.load(Ordering::Relaxed))
    }
}

fn moment(second: u64) -> UnixTime {
    UnixTime::from_secs(second).unwrap_or(UnixTime::MAX)
}
