//! The Rust in `docs/rotation.md`, compiled: what stands between two marks here is what stands there,
//! line by line. What it promises is tried, too.

#![allow(
    dead_code,
    clippy::redundant_clone,
    reason = "it is compiled, as it stands in the guide"
)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chancery_core::rotation::{
    BackendError, CreatedKey, KeyBackend, KeyState, Lane, Manifest, RotationPolicy, RotationTimes,
};
use chancery_core::{Algorithm, Clock, Issuer, Jwk, Signer, SystemClock, UnixTime};
use chancery_software::{Engine, SoftwareSigner};
use chancery_store::{EncryptedKeys, Keeper, Probe, Publication, Status, Store};

use crate::support::{Hands, Memory, Replica, policy};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[cfg(feature = "probe")]
fn start(url: chancery_core::IssuerUrl) -> Outcome<Issuer> {
    use chancery_software::Secret;
    use chancery_store::HttpProbe;
    #[rustfmt::skip]
    // rotation.md
    let policy = RotationPolicy::new(1)
        .with_lane(Lane::new(Algorithm::Es256, "software").with_standby("spare"));
    let store = Store::local("/var/lib/issuer")?;
    let password = Secret::file("/run/credentials/issuer/password");
    let keys = EncryptedKeys::new(store.below("software")?, password.clone(), Engine::Ring);
    let spare = EncryptedKeys::new(store.below("spare")?, password, Engine::Ring);
    let keeper = Keeper::builder(store, policy, HttpProbe::new(&url)?)
        .backend("software", keys)
        .backend("spare", spare)
        .replica("host-17")
        .build();
    let issuer = Issuer::builder(url, keeper.keys().clone()).build()?;
    let running = keeper.clone();
    tokio::spawn(async move { running.run(&SystemClock).await });
    // end
    Ok(issuer)
}

async fn first_start(keeper: &Keeper) -> Outcome {
    // rotation.md
    keeper.initialize(SystemClock.now()).await?;
    // end
    Ok(())
}

fn see(keeper: &Keeper, now: UnixTime) -> Outcome {
    // rotation.md
    println!("{}", keeper.status(now)); // In a replica.
    let manifest = Manifest::from_json(&fs::read("manifest.json")?)?; // Or by the file alone.
    println!("{:#}", Status::new(&manifest, manifest.policy(), now));
    fs::write("rotation.svg", keeper.status(now).timeline().to_svg())?;
    // end
    Ok(())
}

async fn many(options: Vec<(String, String)>) -> Outcome<Store> {
    // rotation.md
    let store = Store::open("s3://issuer-manifests/production", options)?;
    store.check_conditional_writes().await?;
    // end
    Ok(store)
}

async fn publish(keeper: &Keeper, issuer: Issuer, options: Vec<(String, String)>) -> Outcome {
    // rotation.md
    let site = Store::open("gs://id-example-com", options)?;
    let publication = Publication::new(site, [Arc::new(issuer)]);
    keeper.publish(publication).await;
    // end
    Ok(())
}

fn hsm(
    store: Store,
    probe: impl Probe + 'static,
    keys: EncryptedKeys,
    hsm: impl KeyBackend + 'static,
) -> Keeper {
    #[rustfmt::skip]
    // rotation.md
    let policy = RotationPolicy::new(2)
        .with_lane(Lane::new(Algorithm::Es256, "hsm").with_standby("software"));
    let keeper = Keeper::builder(store, policy, probe)
        .backend("software", keys)
        .backend("hsm", hsm)
        .build();
    // end
    keeper
}

async fn emergency(keeper: &Keeper, kid: &str, now: UnixTime) -> Outcome {
    // rotation.md
    keeper.switch(Algorithm::Es256, now).await?; // The device is gone: another key signs.
    keeper.revoke(kid, false, now).await?; // The key is known to others: out with it.
    // end
    Ok(())
}

// rotation.md
/// The key that the issuer has had so far.
#[derive(Debug)]
struct Existing(Arc<dyn Signer>);

impl KeyBackend for Existing {
    fn create(&self, _: Algorithm, _: &str) -> Result<CreatedKey, BackendError> {
        let (signer, reference) = (Arc::clone(&self.0), "existing".to_owned());
        Ok(CreatedKey { signer, reference })
    }

    fn open(&self, _: &str, _: &Jwk) -> Result<Arc<dyn Signer>, BackendError> {
        Ok(Arc::clone(&self.0))
    }

    /// Whoever keeps the key deletes it, once the status says that it is destroyed.
    fn destroy(&self, _: &str, _: &Jwk) -> Result<(), BackendError> {
        Ok(())
    }
}
// end

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rotation.md")
}

fn guide() -> String {
    fs::read_to_string(path()).unwrap()
}

/// What stands between two marks, each line without its indentation.
fn blocks(text: &str, begin: &str, end: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.any(|line| line.trim() == begin) {
        let block = lines.by_ref().take_while(|line| line.trim() != end);
        blocks.push(block.map(|line| line.trim().to_owned()).collect());
    }
    blocks
}

#[test]
fn what_the_guide_shows_compiles() {
    let shown = blocks(&guide(), "```rust", "```");
    let compiled = blocks(include_str!("guide.rs"), "// rotation.md", "// end");
    assert_eq!(shown, compiled);
    assert_eq!(shown.len(), 8);
}

/// With `CHANCERY_WRITE_GOLDENS` set, the table is written; look at it then.
#[test]
fn the_guide_has_the_table_of_its_week() {
    let table = crate::status::week().to_string();
    let text = guide();
    let (before, rest) = text.split_once("```text\n").unwrap();
    let (shown, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("CHANCERY_WRITE_GOLDENS").is_some() {
        fs::write(path(), format!("{before}```text\n{table}```\n{after}")).unwrap();
    } else {
        assert!(
            shown == table,
            "docs/rotation.md is out of date: run the test with CHANCERY_WRITE_GOLDENS=1, and look \
             at it; now it is\n{table}"
        );
    }
}

#[test]
fn the_worked_example_is_right_to_the_second() {
    let times = RotationTimes::default();
    let text = guide();
    for (time, words) in [
        (times.activate_after_announce(), "25 h 1 min"),
        (times.activate_after_observation(), "24 h 1 min"),
        (times.destroy_after_stop(), "1 h 1 min 10 s"),
        (times.retire_after_stop(), "2 h 11 min 10 s"),
        (times.bootstrap_after_observation(), "6 min"),
        (times.lease - times.clock_errors(), "59 min"),
    ] {
        let mut seconds = 0;
        let mut number = 0;
        for word in words.split(' ') {
            match word {
                "h" => seconds += number * 3600,
                "min" => seconds += number * 60,
                "s" => seconds += number,
                digits => number = digits.parse().unwrap(),
            }
        }
        assert_eq!(time, Duration::from_secs(seconds), "{words}");
        assert!(
            text.contains(&format!("| {words} |\n")) || text.contains(&format!("({words}")),
            "{words}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_has_a_key_is_taken_over_without_a_gap() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    let signer: Arc<dyn Signer> = Arc::new(signer);
    let old = signer.jwk().kid().to_owned();
    let lanes = |version, backend: &str| {
        let mut policy = policy();
        policy.version = version;
        policy.lanes[0].backend = backend.to_owned();
        policy
    };
    // Several replicas at once, each with the key.
    let first = lanes(1, "existing").nobody_has_fetched();
    let replicas = [0, 1].map(|_| {
        Replica::with(&store, first.clone(), &clock, |builder| {
            builder.backend("existing", Existing(Arc::clone(&signer)))
        })
    });
    replicas[0].keeper.initialize(clock.now()).await.unwrap();
    for replica in &replicas {
        replica.keeper.step(clock.now()).await.unwrap();
        let status = replica.keeper.status(clock.now());
        assert_eq!(status.lanes[0].active.as_ref(), Some(&old), "{status}");
    }
    let replica = Replica::with(&store, lanes(2, "memory"), &clock, |builder| {
        builder
            .backend("existing", Existing(Arc::clone(&signer)))
            .backend("memory", memory.clone())
    });
    for _ in 0..240 {
        let report = replica.keeper.step(clock.now()).await.unwrap();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        assert!(replica.keeper.is_ready(clock.now()));
        clock.turn(15);
    }
    let status = replica.keeper.status(clock.now());
    let key = status.keys.iter().find(|key| key.kid == old).unwrap();
    assert_eq!(key.state, KeyState::Destroyed, "{status}");
    let active = status.lanes[0].active.as_ref().unwrap();
    assert!(memory.kids().contains(active));

    // In an emergency a tool without backends is enough.
    let tool = Replica::with(&store, lanes(2, "memory"), &clock, |builder| builder);
    let now = clock.now();
    tool.keeper.revoke(active, true, now).await.unwrap();
    let state = tool.keeper.manifest().unwrap().state(active, now);
    assert_eq!(state, Some(KeyState::Revoked));
}
