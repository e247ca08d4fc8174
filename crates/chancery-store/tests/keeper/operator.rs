//! What operators do in an emergency.

use std::time::Duration;

use chancery_core::rotation::{KeyState, ManifestError};
use chancery_core::{Algorithm, Claims, Clock};
use chancery_store::{KeeperError, Store};

use crate::support::{Hands, Memory, Replica, policy};

fn signer_of(replica: &Replica) -> Option<String> {
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    let token = replica.issuer.prepare(&claims).ok()?;
    Some(token.jwk().kid().to_owned())
}

/// Two replicas with a key that signs and, in another backend, one that stands by.
async fn with_standby(clock: &Hands) -> (Memory, Memory, [Replica; 2]) {
    let (store, memory, other) = (Store::memory(), Memory::default(), Memory::default());
    let mut policy = policy().nobody_has_fetched();
    policy.lanes[0].standby = Some("other".to_owned());
    let replicas = [0, 1].map(|_| {
        Replica::with(&store, policy.clone(), clock, |builder| {
            builder
                .backend("memory", memory.clone())
                .backend("other", other.clone())
        })
    });
    replicas[0].keeper.initialize(clock.now()).await.unwrap();
    // Long enough for the standby to be past inequality 1.
    for _ in 0..60 {
        for replica in &replicas {
            let report = replica.keeper.step(clock.now()).await.unwrap();
            assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        }
        clock.turn(10);
    }
    (memory, other, replicas)
}

#[tokio::test]
async fn a_standby_in_another_backend_takes_over() {
    let clock = Hands::at_start();
    let (memory, other, [a, b]) = with_standby(&clock).await;
    let before = signer_of(&a).unwrap();
    assert!(memory.kids().contains(&before));
    memory.fail(Some("the device is on fire"));
    a.keeper
        .switch(Algorithm::Es256, clock.now())
        .await
        .unwrap();
    // The other replica learns of it with its next step, here and there within the lease.
    b.keeper.step(clock.now()).await.unwrap();
    clock.turn(5);
    for replica in [&a, &b] {
        let after = signer_of(replica).unwrap();
        assert!(after != before && other.kids().contains(&after));
        assert!(replica.keeper.is_ready(clock.now()));
    }
    let manifest = a.keeper.manifest().unwrap();
    assert_eq!(
        manifest.state(&before, clock.now()),
        Some(KeyState::Draining)
    );
    // There is no second one to switch to.
    let error = a
        .keeper
        .switch(Algorithm::Es256, clock.now())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            KeeperError::Manifest(ManifestError::NoSuccessor { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_revoked_key_is_out_at_once_and_its_successor_signs() {
    let clock = Hands::at_start();
    let (_, other, [a, b]) = with_standby(&clock).await;
    let revoked = signer_of(&a).unwrap();
    a.keeper.revoke(&revoked, false, clock.now()).await.unwrap();
    b.keeper.step(clock.now()).await.unwrap();
    for replica in [&a, &b] {
        let after = signer_of(replica).unwrap();
        assert!(other.kids().contains(&after));
        let jwks = replica.issuer.jwks().unwrap();
        let jwks = String::from_utf8_lossy(jwks.bytes()).into_owned();
        assert!(jwks.contains(&after) && !jwks.contains(&revoked));
    }
    // Once more is a mistake that is told.
    let error = a.keeper.revoke(&revoked, false, clock.now()).await;
    assert!(matches!(
        error.unwrap_err(),
        KeeperError::Manifest(ManifestError::State {
            state: KeyState::Revoked,
            ..
        })
    ));
}

#[tokio::test]
async fn the_only_key_is_revoked_only_on_demand() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let only = signer_of(&replica).unwrap();
    let refused = replica.keeper.revoke(&only, false, clock.now()).await;
    assert!(matches!(
        refused.unwrap_err(),
        KeeperError::Manifest(ManifestError::NoSuccessor { earliest: None, .. })
    ));
    assert_eq!(signer_of(&replica), Some(only.clone()));
    replica
        .keeper
        .revoke(&only, true, clock.now())
        .await
        .unwrap();
    assert_eq!(signer_of(&replica), None);
    assert!(!replica.keeper.is_ready(clock.now()));
    // The next one is made at once, and signs when relying parties have forgotten the old JWKS.
    let began = clock.now();
    while signer_of(&replica).is_none() {
        replica.keeper.step(clock.now()).await.unwrap();
        clock.turn(1);
    }
    let dark = clock.now().as_secs() - began.as_secs();
    assert!((190..=200).contains(&dark), "{dark} s");
    assert!(Duration::from_secs(dark) > Duration::from_secs(0));
}
