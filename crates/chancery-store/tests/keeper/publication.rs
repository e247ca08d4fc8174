//! Documents for static hosting.

use std::sync::Arc;

use chancery_core::{Algorithm, Clock, Document, Issuer, IssuerUrl, Jwk, JwkSet};
use chancery_software::{Engine, SoftwareSigner};
use chancery_store::{Content, Publication, Store, Trouble};

use crate::support::{Hands, Memory, Replica, policy};

const JWKS: &str = ".well-known/jwks.json";
const DISCOVERY: &str = ".well-known/openid-configuration";

async fn replica(store: &Store, memory: &Memory, clock: &Hands, site: &Store) -> Replica {
    let replica = Replica::new(store, memory, policy().nobody_has_fetched(), clock);
    let publication = Publication::new(site.clone(), [Arc::clone(&replica.issuer)]);
    replica.keeper.publish(publication).await;
    replica
}

async fn kids(site: &Store) -> Vec<String> {
    let jwks = site.read(JWKS).await.unwrap().unwrap();
    let jwks = JwkSet::from_json(jwks.bytes()).unwrap();
    jwks.keys().iter().map(|jwk| jwk.kid().to_owned()).collect()
}

fn is(object: &chancery_store::Object, document: &Document) -> bool {
    object.bytes() == document.bytes()
        && object.content_type() == Some(document.content_type())
        && object.cache_control() == Some(document.cache_control())
}

#[tokio::test]
async fn what_is_served_is_published_with_its_headers() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let replica = replica(&store, &memory, &clock, &site).await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    for _ in 0..2 * 3600 / 15 {
        let report = replica.keeper.step(clock.now()).await.unwrap();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        let jwks = site.read(JWKS).await.unwrap().unwrap();
        assert!(is(&jwks, &replica.issuer.jwks().unwrap()));
        let discovery = site.read(DISCOVERY).await.unwrap().unwrap();
        assert!(is(&discovery, &replica.issuer.discovery().unwrap()));
        clock.turn(15);
    }
    assert!(memory.made() >= 2);
    assert_eq!(site.list().await.unwrap(), [JWKS, DISCOVERY]);
}

/// What was published stays where it has not changed.
#[tokio::test]
async fn nothing_is_written_twice() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let one = replica(&store, &memory, &clock, &site).await;
    one.keeper.initialize(clock.now()).await.unwrap();
    one.keeper.step(clock.now()).await.unwrap();
    let before = site.read(JWKS).await.unwrap().unwrap();
    let two = replica(&store, &memory, &clock, &site).await;
    for replica in [&one, &two] {
        replica.keeper.step(clock.now()).await.unwrap();
    }
    let after = site.read(JWKS).await.unwrap().unwrap();
    assert_eq!(before.version(), after.version());
}

#[tokio::test]
async fn a_key_that_the_manifest_does_not_know_is_not_dropped() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let foreign = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    let foreign: Jwk = chancery_core::Signer::jwk(&foreign).clone();
    let foreign = JwkSet::new(vec![foreign]).unwrap();
    let foreign = serde_json::to_vec(&foreign).unwrap();
    let content = Content::new(&foreign, "application/json");
    site.create(JWKS, &content).await.unwrap();
    let replica = replica(&store, &memory, &clock, &site).await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    let report = replica.keeper.step(clock.now()).await.unwrap();
    let [trouble @ Trouble::Publish(_)] = report.troubles.as_slice() else {
        panic!("{:?}", report.troubles);
    };
    assert!(trouble.to_string().contains("does not know"), "{trouble}");
    let found = site.read(JWKS).await.unwrap().unwrap();
    assert_eq!(found.bytes(), foreign);
    assert!(
        site.read(DISCOVERY).await.unwrap().is_none(),
        "keys go first"
    );
}

#[tokio::test]
async fn what_is_no_jwks_stays() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let content = Content::new(b"<html>", "text/html");
    site.create(JWKS, &content).await.unwrap();
    let replica = replica(&store, &memory, &clock, &site).await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    let report = replica.keeper.step(clock.now()).await.unwrap();
    assert!(matches!(report.troubles.as_slice(), [Trouble::Publish(_)]));
    assert_eq!(site.read(JWKS).await.unwrap().unwrap().bytes(), b"<html>");
}

/// An issuer that publishes fewer algorithms than before would drop keys whose tokens live.
#[tokio::test]
async fn a_kid_is_never_dropped_early() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let one = replica(&store, &memory, &clock, &site).await;
    one.keeper.initialize(clock.now()).await.unwrap();
    one.keeper.step(clock.now()).await.unwrap();
    let before = kids(&site).await;
    let lane = chancery_core::rotation::Lane::new(Algorithm::EdDsa, "memory")
        .with_active_for(
            std::time::Duration::from_secs(3600),
            std::time::Duration::from_secs(7200),
        )
        .with_margin(std::time::Duration::from_secs(300));
    let mut wider = policy().nobody_has_fetched().with_lane(lane);
    wider.version = 2;
    let two = Replica::new(&store, &memory, wider, &clock);
    for _ in 0..60 {
        two.keeper.step(clock.now()).await.unwrap();
        clock.turn(10);
    }
    let url = IssuerUrl::parse("https://id.example.com").unwrap();
    let narrow = Issuer::builder(url, two.keeper.keys().clone())
        .clock(Arc::new(clock.clone()))
        .algorithms([Algorithm::EdDsa])
        .build();
    let publication = Publication::new(site.clone(), [Arc::new(narrow.unwrap())]);
    two.keeper.publish(publication).await;
    let report = two.keeper.step(clock.now()).await.unwrap();
    let [trouble] = report.troubles.as_slice() else {
        panic!("{:?}", report.troubles);
    };
    assert!(trouble.to_string().contains("must stay"), "{trouble}");
    assert_eq!(kids(&site).await, before);
}

/// A replica that was asleep for long reads the manifest before it publishes anything.
#[tokio::test]
async fn a_replica_that_was_asleep_publishes_nothing_old() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let awake = replica(&store, &memory, &clock, &site).await;
    let asleep = replica(&store, &memory, &clock, &site).await;
    awake.keeper.initialize(clock.now()).await.unwrap();
    awake.keeper.step(clock.now()).await.unwrap();
    asleep.keeper.step(clock.now()).await.unwrap();
    // Far enough that a second key is announced and published, with no step of the other one.
    for _ in 0..3600 / 15 {
        clock.turn(15);
        awake.keeper.step(clock.now()).await.unwrap();
    }
    let newer = kids(&site).await;
    assert_eq!(newer.len(), 2);
    asleep.keeper.step(clock.now()).await.unwrap();
    assert_eq!(kids(&site).await, newer);
    assert_eq!(asleep.issuer.jwks().unwrap(), awake.issuer.jwks().unwrap());
}

/// A site that answers nothing must not cost the lease, however many issuers it is to serve.
#[cfg(feature = "aws")]
#[tokio::test]
async fn a_site_that_hangs_holds_up_a_step_by_a_quarter_of_the_lease() {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let options = [
        ("aws_access_key_id", "anybody"),
        ("aws_secret_access_key", "anything"),
        ("aws_endpoint", &*endpoint),
        ("aws_allow_http", "true"),
        ("timeout", "1 second"),
    ];
    let site = Store::open("s3://site", options).unwrap();
    let mut policy = policy().nobody_has_fetched();
    policy.times = policy.times.with_lease(Duration::from_secs(16));
    let replica = Replica::new(&store, &memory, policy, &clock);
    let tenants = (0..8).map(|tenant| {
        let url = format!("https://id.example.com/{tenant}");
        Arc::new(replica.issuer.tenant(IssuerUrl::parse(&url).unwrap()))
    });
    replica
        .keeper
        .publish(Publication::new(site, tenants))
        .await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    let start = Instant::now();
    let report = replica.keeper.step(clock.now()).await.unwrap();
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(6), "{taken:?}");
    assert!(matches!(
        report.troubles.as_slice(),
        [.., Trouble::Publish(_)]
    ));
    let next = report.next.unwrap().as_secs() - clock.now().as_secs();
    assert!(next <= taken.as_secs(), "there is more to publish");
}

/// The probe looks at one issuer, and the key signs for all of them.
#[tokio::test]
async fn a_key_that_one_issuer_could_not_publish_is_not_put_to_use() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let replica = replica(&store, &memory, &clock, &site).await;
    let tenant = IssuerUrl::parse("https://id.example.com/tenant").unwrap();
    let tenant = Arc::new(replica.issuer.tenant(tenant));
    let publication = Publication::new(site.clone(), [Arc::clone(&tenant)]);
    replica.keeper.publish(publication).await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    // Somebody else's file lies there now.
    let path = tenant
        .jwks()
        .unwrap()
        .path()
        .trim_start_matches('/')
        .to_owned();
    let published = site.read(&path).await.unwrap().unwrap();
    let page = Content::new(b"<html>", "text/html");
    let page = site
        .replace(&path, &page, published.version())
        .await
        .unwrap();
    let mut troubles = Vec::new();
    for _ in 0..6000 / 20 {
        clock.turn(20);
        let report = replica.keeper.step(clock.now()).await.unwrap();
        troubles.extend(report.troubles.iter().map(ToString::to_string));
    }
    let manifest = replica.keeper.manifest().unwrap();
    let [_, next] = manifest.keys() else {
        panic!("{:?}", manifest.keys());
    };
    assert_eq!(next.moments().observed_at, None);
    assert!(
        troubles.iter().any(|trouble| trouble.contains(&path)),
        "{troubles:?}"
    );
    // It takes its turn once it can be fetched everywhere.
    let content = Content::new(published.bytes(), "application/json");
    site.replace(&path, &content, &page).await.unwrap();
    for _ in 0..600 / 20 {
        clock.turn(20);
        replica.keeper.step(clock.now()).await.unwrap();
    }
    let manifest = replica.keeper.manifest().unwrap();
    let active = manifest.active(Algorithm::Es256, clock.now()).unwrap();
    assert_eq!(active.kid(), next.kid());
}

/// Somebody empties the site, or overwrites what is there, while no key changes.
#[tokio::test]
async fn what_others_remove_or_overwrite_is_put_right_within_a_lease() {
    let (store, site) = (Store::memory(), Store::memory());
    let (memory, clock) = (Memory::default(), Hands::at_start());
    let replica = replica(&store, &memory, &clock, &site).await;
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let published = site.read(DISCOVERY).await.unwrap().unwrap();
    site.delete(JWKS).await.unwrap();
    let content = Content::new(b"{}", "application/json");
    site.replace(DISCOVERY, &content, published.version())
        .await
        .unwrap();
    clock.turn(59);
    replica.keeper.step(clock.now()).await.unwrap();
    assert!(site.read(JWKS).await.unwrap().is_none());
    clock.turn(1);
    replica.keeper.step(clock.now()).await.unwrap();
    let jwks = site.read(JWKS).await.unwrap().unwrap();
    assert!(is(&jwks, &replica.issuer.jwks().unwrap()));
    let discovery = site.read(DISCOVERY).await.unwrap().unwrap();
    assert!(is(&discovery, &replica.issuer.discovery().unwrap()));
}
