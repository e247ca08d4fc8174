//! A key's life, from the first start to its end, by one replica.

use chancery_core::rotation::KeyState;
use chancery_core::{Claims, Clock};
use chancery_store::Store;

use crate::support::{Hands, Memory, Replica, policy};

#[tokio::test]
async fn keys_come_and_go_by_the_clock_alone() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    let mut signed_by = Vec::new();
    let end = clock.now().as_secs() + 4 * 3600;
    let mut first_token = None;
    while clock.now().as_secs() < end {
        let report = replica.keeper.step(clock.now()).await.unwrap();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        if let Ok(token) = replica.issuer.prepare(&claims) {
            first_token.get_or_insert(clock.now());
            let kid = token.jwk().kid().to_owned();
            replica.issuer.issue(&claims).unwrap();
            let published = replica.issuer.jwks().unwrap();
            assert!(String::from_utf8_lossy(published.bytes()).contains(&kid));
            if signed_by.last() != Some(&kid) {
                signed_by.push(kid);
            }
        } else {
            assert_eq!(first_token, None, "the lane went dark");
        }
        clock.turn(15);
    }
    assert!((4..=5).contains(&signed_by.len()), "{signed_by:?}");
    let status = replica.keeper.manifest().unwrap();
    let first = status.key(&signed_by[0]).unwrap();
    assert_eq!(first.state(clock.now()), KeyState::Destroyed);
    assert!(!memory.kids().contains(&signed_by[0]));
}

/// A load balancer sends nobody to a replica that is not ready, and so no probe either.
#[tokio::test]
async fn a_replica_is_ready_while_its_first_key_waits_to_be_seen() {
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy(), &clock);
    replica.keeper.initialize(clock.now()).await.unwrap();
    assert!(!replica.keeper.is_ready(clock.now()));
    *replica.eye.is_blind.lock().unwrap() = true;
    replica.keeper.step(clock.now()).await.unwrap();
    replica.issuer.jwks().unwrap();
    assert!(replica.keeper.is_ready(clock.now()));
    let claims = Claims::new("job:1").with_audience("sts.amazonaws.com");
    replica.issuer.prepare(&claims).unwrap_err();
}
