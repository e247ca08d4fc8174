//! Keys over time: schedules, the key that signs, the order of the JWKS, replacement.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use chancery_core::{
    Algorithm, IssueError, Issuer, JwkSet, KeySet, KeySetError, Schedule, ScheduledKey,
    SignErrorKind, Signer,
};

use crate::support::{
    FakeSigner, ISSUER, Parts, TurnableClock, always, builder, claims, jwk, key_set, time, url,
};

fn schedule(announce: u64, activate: u64, stop: Option<u64>, retire: Option<u64>) -> Schedule {
    Schedule {
        announce: time(announce),
        activate: Some(time(activate)),
        stop: stop.map(time),
        retire: retire.map(time),
    }
}

fn scheduled(algorithm: Algorithm, kid: &str, schedule: Schedule) -> ScheduledKey {
    ScheduledKey::new(FakeSigner::new(algorithm, kid), schedule)
}

/// An issuer and the clock that it reads.
fn issuer_with_clock(keys: Vec<ScheduledKey>) -> (Issuer, Arc<TurnableClock>) {
    let clock = TurnableClock::at(0);
    let issuer = Issuer::builder(url(ISSUER), key_set(keys))
        .clock(clock.clone())
        .build()
        .unwrap();
    (issuer, clock)
}

/// The kids of the JWKS document, in its order.
fn published(issuer: &Issuer) -> Vec<String> {
    let Ok(document) = issuer.jwks() else {
        return Vec::new();
    };
    let set = JwkSet::from_json(document.bytes()).unwrap();
    assert!(set.ignored().is_empty());
    set.keys().iter().map(|jwk| jwk.kid().to_owned()).collect()
}

/// The kid of a new token of this algorithm, if there is one.
fn signs(issuer: &Issuer, algorithm: Algorithm) -> Option<String> {
    let token = issuer.issue(&claims().with_signing_algorithm(algorithm));
    match token {
        Ok(token) => Some(Parts::of(token.as_str()).header.text("kid").to_owned()),
        Err(IssueError::NoActiveKey { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_empty_set_is_refused() {
    assert_eq!(KeySet::new(Vec::new()).unwrap_err(), KeySetError::Empty);
}

#[test]
fn a_hundred_keys_are_taken_and_one_more_is_refused() {
    let keys = |count: u32| {
        (0..count)
            .map(|index| always(Algorithm::EdDsa, &format!("key-{index}")))
            .collect()
    };
    assert!(KeySet::new(keys(100)).is_ok());
    assert_eq!(
        KeySet::new(keys(101)).unwrap_err(),
        KeySetError::TooMany { found: 101 }
    );
}

#[test]
fn two_keys_of_one_kid_are_refused() {
    let error = KeySet::new(vec![
        always(Algorithm::Es256, "a"),
        always(Algorithm::Rs256, "b"),
        always(Algorithm::Es384, "a"),
    ])
    .unwrap_err();
    assert_eq!(
        error,
        KeySetError::DuplicateKid {
            kid: "a".to_owned()
        }
    );
}

#[test]
fn times_out_of_order_are_refused_by_name() {
    for (schedule, earlier, later) in [
        (
            schedule(20, 10, None, None),
            ("announce", 20),
            ("activate", 10),
        ),
        (
            schedule(10, 20, Some(19), None),
            ("activate", 20),
            ("stop", 19),
        ),
        (
            schedule(10, 20, Some(30), Some(29)),
            ("stop", 30),
            ("retire", 29),
        ),
        (
            schedule(10, 20, None, Some(19)),
            ("activate", 20),
            ("retire", 19),
        ),
        (
            schedule(10, 20, None, Some(9)),
            ("activate", 20),
            ("retire", 9),
        ),
        (
            schedule(10, 20, Some(5), Some(40)),
            ("activate", 20),
            ("stop", 5),
        ),
    ] {
        let error = KeySet::new(vec![scheduled(Algorithm::Es256, "key", schedule)]).unwrap_err();
        assert_eq!(
            error,
            KeySetError::Order {
                kid: "key".to_owned(),
                earlier: (earlier.0, time(earlier.1)),
                later: (later.0, time(later.1)),
            }
        );
        let message = error.to_string();
        for word in ["key", earlier.0, later.0] {
            assert!(message.contains(word), "{message}");
        }
    }
    let at_once = schedule(10, 10, Some(10), Some(10));
    assert!(KeySet::new(vec![scheduled(Algorithm::Es256, "key", at_once)]).is_ok());
}

#[test]
fn a_key_is_announced_activated_stopped_and_retired_to_the_second() {
    let (issuer, clock) = issuer_with_clock(vec![scheduled(
        Algorithm::Es256,
        "key",
        schedule(100, 200, Some(300), Some(400)),
    )]);
    for (now, is_published, is_active) in [
        (0, false, false),
        (99, false, false),
        (100, true, false),
        (199, true, false),
        (200, true, true),
        (299, true, true),
        (300, true, false),
        (399, true, false),
        (400, false, false),
        (401, false, false),
    ] {
        clock.turn(now);
        assert_eq!(!published(&issuer).is_empty(), is_published, "{now}");
        assert_eq!(
            signs(&issuer, Algorithm::Es256).is_some(),
            is_active,
            "{now}"
        );
    }
}

#[test]
fn a_rotation_hands_over_to_the_second_in_each_lane() {
    let (issuer, clock) = issuer_with_clock(vec![
        scheduled(
            Algorithm::Rs256,
            "rs-old",
            schedule(0, 0, Some(100), Some(200)),
        ),
        scheduled(Algorithm::Rs256, "rs-new", schedule(50, 90, None, None)),
        scheduled(
            Algorithm::Es256,
            "es-old",
            schedule(0, 0, Some(150), Some(250)),
        ),
        scheduled(Algorithm::Es256, "es-new", schedule(60, 150, None, None)),
    ]);
    for (now, rs, es, kids) in [
        (0, "rs-old", "es-old", &["rs-old", "es-old"][..]),
        (50, "rs-old", "es-old", &["rs-old", "es-old", "rs-new"]),
        (
            60,
            "rs-old",
            "es-old",
            &["rs-old", "es-old", "rs-new", "es-new"],
        ),
        (
            89,
            "rs-old",
            "es-old",
            &["rs-old", "es-old", "rs-new", "es-new"],
        ),
        // Both are active for ten seconds; the one activated last signs.
        (
            90,
            "rs-new",
            "es-old",
            &["rs-new", "es-old", "rs-old", "es-new"],
        ),
        (
            100,
            "rs-new",
            "es-old",
            &["rs-new", "es-old", "rs-old", "es-new"],
        ),
        (
            149,
            "rs-new",
            "es-old",
            &["rs-new", "es-old", "rs-old", "es-new"],
        ),
        (
            150,
            "rs-new",
            "es-new",
            &["rs-new", "es-new", "rs-old", "es-old"],
        ),
        (200, "rs-new", "es-new", &["rs-new", "es-new", "es-old"]),
        (250, "rs-new", "es-new", &["rs-new", "es-new"]),
    ] {
        clock.turn(now);
        assert_eq!(
            signs(&issuer, Algorithm::Rs256).as_deref(),
            Some(rs),
            "{now}"
        );
        assert_eq!(
            signs(&issuer, Algorithm::Es256).as_deref(),
            Some(es),
            "{now}"
        );
        assert_eq!(published(&issuer), kids, "{now}");
    }
    // A clock that is set back brings the earlier documents back.
    clock.turn(60);
    assert_eq!(published(&issuer), ["rs-old", "es-old", "rs-new", "es-new"]);
    clock.turn(0);
    assert_eq!(published(&issuer), ["rs-old", "es-old"]);
}

#[test]
fn of_keys_activated_together_the_first_of_the_list_signs() {
    let (issuer, _) = issuer_with_clock(vec![
        always(Algorithm::Es256, "a"),
        always(Algorithm::Es256, "b"),
    ]);
    assert_eq!(signs(&issuer, Algorithm::Es256).as_deref(), Some("a"));
}

#[test]
fn the_active_key_of_the_default_algorithm_comes_first() {
    let keys = || {
        vec![
            scheduled(Algorithm::Es256, "es-next", schedule(0, 100, None, None)),
            always(Algorithm::Rs256, "rs"),
            always(Algorithm::EdDsa, "ed"),
            always(Algorithm::Es256, "es"),
        ]
    };
    let (issuer, _) = issuer_with_clock(keys());
    assert_eq!(published(&issuer), ["es", "rs", "ed", "es-next"]);
    let issuer = builder(keys())
        .algorithms([Algorithm::EdDsa, Algorithm::Es256])
        .clock(TurnableClock::at(0))
        .build()
        .unwrap();
    assert_eq!(published(&issuer), ["ed", "es", "es-next"]);
}

#[test]
fn issuers_of_one_set_may_publish_different_algorithms() {
    let keys = key_set(vec![
        always(Algorithm::Rs256, "rs"),
        always(Algorithm::Es256, "es"),
        always(Algorithm::Ps256, "ps"),
    ]);
    for (algorithms, expected) in [
        (&[Algorithm::Rs256][..], &["rs"][..]),
        (&[Algorithm::Es256], &["es"]),
        (&[Algorithm::Ps256, Algorithm::Rs256], &["ps", "rs"]),
    ] {
        let issuer = Issuer::builder(url(ISSUER), keys.clone())
            .algorithms(algorithms.iter().copied())
            .build()
            .unwrap();
        assert_eq!(published(&issuer), expected);
        let token = issuer.issue(&claims()).unwrap();
        assert_eq!(Parts::of(token.as_str()).header.text("kid"), expected[0]);
    }
}

#[test]
fn the_set_tells_what_it_publishes() {
    let keys = key_set(vec![
        scheduled(Algorithm::Es256, "late", schedule(50, 50, None, None)),
        always(Algorithm::Rs256, "rs"),
    ]);
    let kids = |now| -> Vec<String> {
        let published = keys.published(time(now));
        published.iter().map(|jwk| jwk.kid().to_owned()).collect()
    };
    assert_eq!(kids(49), ["rs"]);
    assert_eq!(kids(50), ["late", "rs"]);
}

#[test]
fn a_key_without_a_signer_is_published_and_says_how_it_signs() {
    let (issuer, _) = issuer_with_clock(vec![ScheduledKey::without_signer(
        jwk(Algorithm::Es256, "remote"),
        Schedule::ALWAYS,
    )]);
    assert_eq!(published(&issuer), ["remote"]);
    let IssueError::Sign(error) = issuer.issue(&claims()).unwrap_err() else {
        panic!("not a signing error");
    };
    assert_eq!(error.kind(), SignErrorKind::Unsupported);
    assert!(error.to_string().contains("prepare"));
    assert_eq!(issuer.prepare(&claims()).unwrap().jwk().kid(), "remote");
}

#[test]
fn replacing_changes_all_handles_and_all_issuers_at_once() {
    let keys = key_set(vec![always(Algorithm::Es256, "old")]);
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    let tenant = issuer.tenant(url("https://tenant.example.com"));
    assert_eq!(published(&issuer), ["old"]);
    assert_eq!(published(&tenant), ["old"]);
    let before = issuer.jwks().unwrap();

    keys.replace(vec![
        always(Algorithm::Es256, "new"),
        always(Algorithm::Rs256, "rs"),
    ])
    .unwrap();
    for issuer in [&issuer, &tenant] {
        assert_eq!(published(issuer), ["new", "rs"]);
        assert_eq!(signs(issuer, Algorithm::Es256).as_deref(), Some("new"));
    }
    let after = issuer.jwks().unwrap();
    assert_ne!(before.etag(), after.etag());
    assert!(!after.is_not_modified(Some(before.etag())));
    // What was handed out stays as it was.
    assert!(String::from_utf8_lossy(before.bytes()).contains("old"));
}

#[test]
fn a_refused_replacement_leaves_the_old_keys() {
    let keys = key_set(vec![always(Algorithm::Es256, "old")]);
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    assert!(keys.replace(Vec::new()).is_err());
    assert!(
        keys.replace(vec![
            always(Algorithm::Es256, "a"),
            always(Algorithm::Es256, "a")
        ])
        .is_err()
    );
    assert_eq!(published(&issuer), ["old"]);
    assert_eq!(signs(&issuer, Algorithm::Es256).as_deref(), Some("old"));
}

#[test]
fn a_token_in_the_making_keeps_its_key() {
    let keys = key_set(vec![always(Algorithm::Es256, "old")]);
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    let unsigned = issuer.prepare(&claims()).unwrap();
    keys.replace(vec![always(Algorithm::Es256, "new")]).unwrap();
    assert_eq!(unsigned.jwk().kid(), "old");
    let signature = FakeSigner::new(Algorithm::Es256, "old")
        .sign(&unsigned.signing_input())
        .unwrap();
    let token = unsigned.assemble(&signature).unwrap();
    assert!(Parts::of(token.as_str()).is_signed_by(&jwk(Algorithm::Es256, "old")));
}

/// A key that was replaced may have been replaced because it leaked.
#[test]
fn a_replaced_signer_is_let_go_of_even_where_documents_were_asked_for() {
    let signer = FakeSigner::new(Algorithm::Es256, "old");
    let weak = Arc::downgrade(&signer);
    let keys = key_set(vec![ScheduledKey::new(signer, Schedule::ALWAYS)]);
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    issuer.jwks().unwrap();
    issuer.issue(&claims()).unwrap();
    keys.replace(vec![always(Algorithm::Es256, "new")]).unwrap();
    assert!(weak.upgrade().is_none());
}

#[test]
fn kid_and_signature_never_come_apart_while_keys_are_replaced() {
    const MINTERS: usize = 6;
    const ROUNDS: usize = 300;

    let keys = key_set(vec![always(Algorithm::Es256, "key-0")]);
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    let tenant = issuer.tenant(url("https://tenant.example.com"));
    let done = AtomicBool::new(false);
    let started = Barrier::new(MINTERS + 1);
    let seen: usize = thread::scope(|scope| {
        let stop = StopOnDrop(&done);
        let minters: Vec<_> = (0..MINTERS)
            .map(|index| {
                let issuer = if index % 2 == 0 { &issuer } else { &tenant };
                let (done, started) = (&done, &started);
                scope.spawn(move || {
                    let mut kids = std::collections::HashSet::new();
                    let mut buffer = String::new();
                    started.wait();
                    while !done.load(Ordering::Relaxed) {
                        if index % 3 == 0 {
                            buffer = issuer.issue(&claims()).unwrap().into_string();
                        } else {
                            issuer.issue_into(&claims(), &mut buffer).unwrap();
                        }
                        let parts = Parts::of(&buffer);
                        let kid = parts.header.text("kid").to_owned();
                        assert!(parts.is_signed_by(&jwk(Algorithm::Es256, &kid)), "{buffer}");
                        kids.insert(kid);
                        // What is published is always one whole generation.
                        let published = published(issuer);
                        let generation = published[0].trim_start_matches("key-");
                        if generation != "0" {
                            assert_eq!(
                                published[1..],
                                [format!("rs-{generation}"), format!("next-{generation}")]
                            );
                        }
                    }
                    kids.len()
                })
            })
            .collect();
        started.wait();
        for round in 1..=ROUNDS {
            keys.replace(vec![
                always(Algorithm::Es256, &format!("key-{round}")),
                always(Algorithm::Es256, &format!("next-{round}")),
                always(Algorithm::Rs256, &format!("rs-{round}")),
            ])
            .unwrap();
            // Who has replaced the keys sees the new ones at once.
            let kid = format!("key-{round}");
            assert_eq!(published(&issuer)[0], kid);
            assert_eq!(signs(&tenant, Algorithm::Es256), Some(kid));
        }
        drop(stop);
        minters
            .into_iter()
            .map(|minter| minter.join().unwrap())
            .sum()
    });
    assert!(seen > MINTERS, "the keys were not replaced under load");
}

/// More threads than processors, so that they are put to sleep at the worst of moments.
#[test]
fn keys_that_were_replaced_do_not_come_back() {
    const READERS: usize = 8;
    const ROUNDS: u64 = 5_000;

    let numbered = |number: u64| {
        let schedule = schedule(number, number, None, None);
        let key = ScheduledKey::without_signer(jwk(Algorithm::Es256, "key"), schedule);
        vec![key]
    };
    let keys = key_set(numbered(0));
    // A key of number N is published from N on, so that the set tells how far it has come.
    let has_come_to = |number: u64| keys.published(time(number - 1)).is_empty();
    let done = AtomicBool::new(false);
    let reached = AtomicU64::new(0);
    thread::scope(|scope| {
        let stop = StopOnDrop(&done);
        for _ in 0..READERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // What the set was seen with is not unseen, by any thread.
                    let next = reached.load(Ordering::SeqCst) + 1;
                    if next > 1 {
                        assert!(has_come_to(next - 1), "{} is gone again", next - 1);
                    }
                    if has_come_to(next) {
                        reached.fetch_max(next, Ordering::SeqCst);
                    }
                }
            });
        }
        for round in 1..=ROUNDS {
            keys.replace(numbered(round)).unwrap();
        }
        drop(stop);
    });
    assert!(reached.into_inner() > 0, "nothing was replaced under load");
}

/// Ends the minters also where the thread that replaces the keys fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_key_with_two_algorithms_is_refused() {
    let rs256 = jwk(Algorithm::Rs256, "rs256");
    let ps256 = rs256
        .clone()
        .with_algorithm(Algorithm::Ps256)
        .and_then(|jwk| jwk.with_kid("ps256"))
        .unwrap();
    let keys = [rs256, ps256].map(|jwk| ScheduledKey::without_signer(jwk, Schedule::ALWAYS));
    assert_eq!(
        KeySet::new(keys.into()).unwrap_err(),
        KeySetError::SeveralAlgorithms {
            kids: ["rs256".to_owned(), "ps256".to_owned()]
        }
    );
}

#[test]
fn the_default_is_an_algorithm_that_has_an_active_key() {
    let (issuer, clock) = issuer_with_clock(vec![
        scheduled(Algorithm::Rs256, "rs", schedule(0, 0, Some(100), Some(200))),
        always(Algorithm::Es256, "es"),
        scheduled(Algorithm::Rs256, "rs-2", schedule(0, 150, None, None)),
    ]);
    for (now, kid) in [
        (0, "rs"),
        (99, "rs"),
        (100, "es"),
        (149, "es"),
        (150, "rs-2"),
    ] {
        clock.turn(now);
        assert_eq!(published(&issuer)[0], kid, "at {now}");
        let token = issuer.issue(&claims()).unwrap();
        let parts = Parts::of(token.as_str());
        assert_eq!(parts.header.text("kid"), kid, "at {now}");
    }
}

#[test]
fn nothing_signs_when_the_clock_went_back_by_more_than_a_minute() {
    let stopped = schedule(0, 0, Some(1000), Some(2000));
    let (issuer, clock) = issuer_with_clock(vec![
        scheduled(Algorithm::Es256, "stopped", stopped),
        scheduled(Algorithm::Es256, "es", schedule(0, 1000, None, None)),
    ]);
    clock.turn(1060);
    issuer.issue(&claims()).unwrap();
    clock.turn(1000);
    issuer.issue(&claims()).unwrap();
    for back in [999, 500, 0] {
        clock.turn(back);
        match issuer.issue(&claims()) {
            Err(IssueError::ClockWentBack { now, latest }) => {
                assert_eq!((now, latest), (time(back), time(1060)));
            }
            other => panic!("{other:?}"),
        }
    }
    clock.turn(1060);
    issuer.issue(&claims()).unwrap();
}
