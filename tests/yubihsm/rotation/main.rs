//! Keys of one manifest in three backends: encrypted files in the store, a SoftHSM token and the
//! `yubihsm` crate's mock.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chancery_core::rotation::{Lane, RotationPolicy, RotationTimes};
use chancery_core::{Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, UnixTime};
use chancery_fault_module::SoftHsm;
use chancery_pkcs11::{Pin, Token, TokenBackend};
use chancery_software::{Engine, Secret, verify_jws};
use chancery_store::{EncryptedKeys, Keeper, Probe, ProbeError, Store};
use chancery_yubihsm::{YubiHsm, YubiHsmBackend};
use chancery_yubihsm_tests::{AUTHENTICATION_KEY, MockDevice, PASSWORD};

const STEP: u64 = 20;

#[derive(Clone, Debug)]
struct Hands(Arc<AtomicU64>);

impl Clock for Hands {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

#[derive(Clone, Debug, Default)]
struct Eye(Arc<OnceLock<Arc<Issuer>>>);

impl Probe for Eye {
    fn jwks(
        &self,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, ProbeError>> + Send + '_>> {
        let jwks = self.0.get().unwrap().jwks();
        let jwks = jwks.map(|jwks| jwks.bytes().to_vec());
        Box::pin(async { jwks.map_err(|error| ProbeError::new("no JWKS").with_source(error)) })
    }
}

/// Keeps what it has fetched for as long as the policy says that relying parties do, and then
/// verifies all tokens that are alive with what it has.
struct RelyingParty {
    jwks: JwkSet,
    fetched_at: u64,
    alive: Vec<(u64, String)>,
    verified: usize,
}

impl RelyingParty {
    fn look(&mut self, issuer: &Issuer, now: u64, times: &RotationTimes) {
        if self.fetched_at + times.cache().as_secs() <= now {
            self.jwks = JwkSet::from_json(issuer.jwks().unwrap().bytes()).unwrap();
            self.fetched_at = now;
        }
        let late = times.leeway + times.clock_lag;
        self.alive.retain(|(exp, _)| now <= exp + late.as_secs());
        for (_, token) in &self.alive {
            verify_jws(token, &self.jwks).unwrap();
            self.verified += 1;
        }
    }
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn keys_move_from_one_backend_to_another() {
    const CHILD: &str = "CHANCERY_ROTATION_TEST";
    if env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.unwrap().block_on(moves());
    }
    // SoftHSM takes its configuration from the environment.
    let soft_hsm = SoftHsm::new().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--include-ignored", "--nocapture"])
        .env(SoftHsm::VARIABLE, soft_hsm.configuration())
        .env(CHILD, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    // Quoted, so that nobody counts the test twice.
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}\n> {}\n{error}",
        output.status,
        said.replace('\n', "\n> ")
    );
}

async fn moves() {
    let folder = env::temp_dir().join(format!("chancery-rotation-{}", std::process::id()));
    let store = Store::local(&folder).unwrap();
    let clock = Hands(Arc::new(AtomicU64::new(1_800_000_000)));
    let token = Token::builder(SoftHsm::MODULE)
        .label(SoftHsm::LABEL)
        .pin(Pin::new(SoftHsm::PIN))
        .open()
        .unwrap();
    let mock = MockDevice::start();
    let password = chancery_yubihsm::Password::new(PASSWORD);
    let device = YubiHsm::http(&mock.url(), AUTHENTICATION_KEY, &password).unwrap();

    let seconds = Duration::from_secs;
    let times = RotationTimes::default()
        .with_max_age(seconds(30))
        .with_refresh(seconds(120))
        .with_lease(seconds(60))
        .with_clock_error(seconds(5))
        .with_longest_lifetime(seconds(60))
        .with_leeway(seconds(30))
        .with_clock_lag(seconds(10));
    let mut relying_party = RelyingParty {
        jwks: JwkSet::new(Vec::new()).unwrap(),
        fetched_at: 0,
        alive: Vec::new(),
        verified: 0,
    };
    let route = [
        ("files", "token"),
        ("token", "yubihsm"),
        ("yubihsm", "files"),
        ("files", "yubihsm"),
    ];
    let mut kids = BTreeSet::new();
    for (version, (backend, standby)) in (1..).zip(route) {
        let lane = Lane::new(Algorithm::Es256, backend)
            .with_standby(standby)
            .with_active_for(seconds(900), seconds(1800))
            .with_margin(seconds(60));
        let policy = RotationPolicy::new(version)
            .with_times(times)
            .with_lane(lane)
            .nobody_has_fetched();
        let password = Secret::new("correct horse battery staple");
        let eye = Eye::default();
        // A service that is started anew with another policy.
        let keeper = Keeper::builder(store.clone(), policy, eye.clone())
            .backend(
                "files",
                EncryptedKeys::new(store.clone(), password, Engine::AwsLcRs),
            )
            .backend("token", TokenBackend::new(token.clone()))
            .backend("yubihsm", YubiHsmBackend::new(device.clone()))
            .build();
        let url = IssuerUrl::parse("https://id.example.com").unwrap();
        let issuer = Issuer::builder(url, keeper.keys().clone())
            .clock(Arc::new(clock.clone()))
            .default_lifetime(seconds(60))
            .longest_lifetime(seconds(60))
            .max_age(seconds(30))
            .build();
        let issuer = Arc::new(issuer.unwrap());
        eye.0.set(Arc::clone(&issuer)).unwrap();
        keeper.initialize(clock.now()).await.unwrap();
        let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
        for _ in 0..1500 / STEP {
            let report = keeper.step(clock.now()).await.unwrap();
            assert!(report.troubles.is_empty(), "{:?}", report.troubles);
            assert!(keeper.is_ready(clock.now()));
            let now = clock.now().as_secs();
            let signed = issuer.issue_async(&claims).await.unwrap();
            relying_party.alive.push((now + 60, signed.into_string()));
            relying_party.look(&issuer, now, &times);
            clock.0.fetch_add(STEP, Ordering::SeqCst);
        }
        let manifest = keeper.manifest().unwrap();
        let active = manifest.active(Algorithm::Es256, clock.now()).unwrap();
        assert_eq!(active.backend(), backend, "the key has moved");
        kids.extend(manifest.keys().iter().map(|key| key.kid().to_owned()));
        for key in manifest.keys() {
            let moments = key.moments();
            let is_there = match key.backend() {
                "files" => store
                    .list()
                    .await
                    .unwrap()
                    .iter()
                    .any(|path| path.contains(key.kid())),
                "token" => token
                    .keys()
                    .unwrap()
                    .iter()
                    .any(|found| found.kid() == key.kid()),
                _ => device
                    .keys()
                    .unwrap()
                    .iter()
                    .any(|found| found.kid() == key.kid()),
            };
            assert_eq!(is_there, moments.destroyed_at.is_none(), "{}", key.kid());
        }
        // Shut down before the next start.
        drop((issuer, keeper));
    }
    assert!(kids.len() >= 8, "{kids:?}");
    assert!(relying_party.verified > 1000, "{}", relying_party.verified);
    std::fs::remove_dir_all(folder).unwrap();
}
