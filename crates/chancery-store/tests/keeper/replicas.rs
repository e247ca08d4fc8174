//! Several replicas on one store.

use std::collections::HashSet;
use std::time::Duration;

use chancery_core::rotation::KeyState;
use chancery_core::{Claims, Clock, IssuerUrl};
use chancery_store::Store;

use crate::support::{Hands, Memory, Replica, policy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_step_at_once_make_each_key_once() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replicas = [0, 1, 2].map(|_| Replica::new(&store, &memory, policy(), &clock));
    let [a, b, c] = &replicas;
    let now = clock.now();
    let (x, y, z) = tokio::join!(
        a.keeper.initialize(now),
        b.keeper.initialize(now),
        c.keeper.initialize(now)
    );
    for outcome in [x, y, z] {
        outcome.unwrap();
    }
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    let mut signed_by = HashSet::new();
    for _ in 0..3 * 3600 / 10 {
        let now = clock.now();
        // A conflict is no trouble: the one that lost follows the one that won.
        let (x, y, z) = tokio::join!(a.keeper.step(now), b.keeper.step(now), c.keeper.step(now));
        for report in [x, y, z] {
            let report = report.unwrap();
            assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        }
        for replica in &replicas {
            if let Ok(token) = replica.issuer.prepare(&claims) {
                let kid = token.jwk().kid().to_owned();
                // Each of them publishes what any of them signs with.
                for other in &replicas {
                    let published = other.keeper.keys().published(clock.now());
                    assert!(published.iter().any(|jwk| jwk.kid() == kid));
                }
                signed_by.insert(kid);
            }
        }
        clock.turn(10);
    }
    assert!(signed_by.len() >= 3, "{signed_by:?}");
    let manifest = a.keeper.manifest().unwrap();
    assert_eq!(manifest.revision(), revisions(&manifest));
    let alive = manifest.keys().iter().filter(|key| {
        let state = key.state(clock.now());
        state != KeyState::Destroyed && key.moments().destroyed_at.is_none()
    });
    let alive: HashSet<_> = alive.map(|key| key.kid().to_owned()).collect();
    let there: HashSet<_> = memory.kids().into_iter().collect();
    assert_eq!(there, alive, "what no manifest has is destroyed");
    assert!(memory.made() >= manifest.keys().len() as u64);
}

fn revisions(manifest: &chancery_core::rotation::Manifest) -> u64 {
    let history = manifest.history().iter();
    history
        .map(|entry| entry.revision())
        .collect::<HashSet<_>>()
        .len() as u64
}

#[tokio::test]
async fn a_replica_without_the_backend_follows_and_is_not_ready() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let able = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    let unable = Replica::with(&store, policy().nobody_has_fetched(), &clock, |builder| {
        builder
    });
    able.keeper.initialize(clock.now()).await.unwrap();
    able.keeper.step(clock.now()).await.unwrap();
    let report = unable.keeper.step(clock.now()).await.unwrap();
    let [trouble] = report.troubles.as_slice() else {
        panic!("{:?}", report.troubles);
    };
    assert!(
        trouble.to_string().contains("no backend is registered"),
        "{trouble}"
    );
    assert!(able.keeper.is_ready(clock.now()) && !unable.keeper.is_ready(clock.now()));
    assert_eq!(able.issuer.jwks().unwrap(), unable.issuer.jwks().unwrap());
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    able.issuer.issue(&claims).unwrap();
    let error = unable.issuer.issue(&claims).unwrap_err().to_string();
    assert!(error.contains("no signer in this process"), "{error}");
}

/// A policy is rolled out replica by replica.
#[tokio::test]
async fn the_newer_policy_wins_whoever_steps_first() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let newer = {
        let mut newer = policy();
        newer.version = 2;
        newer.lanes[0].active_for = Duration::from_secs(5400);
        newer
    };
    let old = Replica::new(&store, &memory, policy(), &clock);
    let new = Replica::new(&store, &memory, newer.clone(), &clock);
    old.keeper.initialize(clock.now()).await.unwrap();
    for _ in 0..20 {
        old.keeper.step(clock.now()).await.unwrap();
        new.keeper.step(clock.now()).await.unwrap();
        clock.turn(5);
    }
    assert_eq!(*old.keeper.manifest().unwrap().policy(), newer);
    let set = old.keeper.manifest().unwrap();
    let set = set
        .history()
        .iter()
        .filter(|entry| entry.what() == "policy");
    assert_eq!(set.count(), 1);
    // The same version with another content is a mistake that is told, and the rest goes on.
    let mut other = newer.clone();
    other.lanes[0].active_for = Duration::from_secs(5000);
    let confused = Replica::new(&store, &memory, other, &clock);
    let report = confused.keeper.step(clock.now()).await.unwrap();
    let trouble = report.troubles.first().unwrap().to_string();
    assert!(trouble.contains("raise the version"), "{trouble}");
    assert_eq!(confused.issuer.jwks().unwrap(), new.issuer.jwks().unwrap());
}

/// Tenants share the key set, so that one step is a step of them all.
#[tokio::test]
async fn ten_thousand_tenants_follow_with_one_step() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    let tenants: Vec<_> = (0..10_000)
        .map(|tenant| format!("https://id.example.com/tenant/{tenant}"))
        .map(|url| replica.issuer.tenant(IssuerUrl::parse(&url).unwrap()))
        .collect();
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    assert!(
        tenants
            .iter()
            .all(|tenant| tenant.prepare(&claims).is_err())
    );
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let kid = replica
        .issuer
        .prepare(&claims)
        .unwrap()
        .jwk()
        .kid()
        .to_owned();
    for tenant in &tenants {
        assert_eq!(tenant.prepare(&claims).unwrap().jwk().kid(), kid);
    }
    assert_eq!(memory.made(), 1);
    replica
        .keeper
        .revoke(&kid, true, clock.now())
        .await
        .unwrap();
    assert!(
        tenants
            .iter()
            .all(|tenant| tenant.prepare(&claims).is_err())
    );
}
