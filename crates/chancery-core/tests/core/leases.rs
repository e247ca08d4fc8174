//! Key sets that follow a manifest: leases, and what they hold issuers to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chancery_core::{
    Algorithm, DocumentError, IssueError, Issuer, JwkSet, KeySet, KeySetError, Lease, Limits,
    PolicyError, Schedule, ScheduledKey, Signer, TokenPolicy, TokenRequest, TokenTerms,
};

use crate::support::{
    FakeSigner, ISSUER, NOW, Parts, TurnableClock, always, claims, jwk, payload, seconds, time, url,
};

const LEASE: u64 = 600;
const CLOCK_ERROR: u64 = 5;
const JWKS: &str = "/.well-known/jwks.json";

/// The limits of a manifest that was read at this moment.
fn limits(as_of: u64) -> Limits {
    Limits {
        as_of: time(as_of),
        lease: seconds(LEASE),
        longest_lifetime: seconds(1800),
        max_age: seconds(120),
        clock_error: seconds(CLOCK_ERROR),
    }
}

fn es256(kid: &str) -> Vec<ScheduledKey> {
    vec![always(Algorithm::Es256, kid)]
}

/// An issuer whose key `es256` follows a manifest that was read at [`NOW`].
struct Following {
    keys: KeySet,
    lease: Lease,
    issuer: Issuer,
    clock: Arc<TurnableClock>,
}

impl Following {
    fn new() -> Self {
        Self::with(limits(NOW))
    }

    fn with(limits: Limits) -> Self {
        let keys = KeySet::following();
        let lease = keys.follow(es256("es256"), limits).unwrap();
        let clock = TurnableClock::at(NOW);
        let issuer = Issuer::builder(url(ISSUER), keys.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            keys,
            lease,
            issuer,
            clock,
        }
    }

    /// The `kid` of a token that is issued now.
    fn signs(&self) -> Result<String, IssueError> {
        let token = self.issuer.issue(&claims())?;
        Ok(Parts::of(token.as_str()).header.text("kid").to_owned())
    }

    /// The kids of the JWKS that is served now.
    fn serves(&self) -> Result<Vec<String>, DocumentError> {
        let jwks = JwkSet::from_json(self.issuer.jwks()?.bytes()).unwrap();
        Ok(jwks.keys().iter().map(|jwk| jwk.kid().into()).collect())
    }

    #[track_caller]
    fn works_at(&self, now: u64) {
        self.clock.turn(now);
        assert_eq!(self.signs().unwrap(), "es256", "{now}");
        assert_eq!(self.serves().unwrap(), ["es256"], "{now}");
    }

    #[track_caller]
    fn has_expired_at(&self, now: u64, valid_until: u64) {
        self.clock.turn(now);
        let (now, valid_until) = (time(now), time(valid_until));
        for error in [
            self.signs().unwrap_err(),
            self.issuer.prepare(&claims()).unwrap_err(),
            self.issuer
                .issue_into(&claims(), &mut String::new())
                .unwrap_err(),
        ] {
            match error {
                IssueError::LeaseExpired {
                    now: at,
                    valid_until: until,
                } => assert_eq!((at, until), (now, valid_until)),
                other => panic!("{other:?}"),
            }
        }
        let expired = DocumentError::LeaseExpired { now, valid_until };
        assert_eq!(self.issuer.jwks().unwrap_err(), expired);
        assert_eq!(self.issuer.discovery().unwrap_err(), expired);
        assert_eq!(self.issuer.document(JWKS).unwrap_err(), expired);
    }

    #[track_caller]
    fn finds_the_clock_back_at(&self, now: u64, latest: u64) {
        self.clock.turn(now);
        let (now, latest) = (time(now), time(latest));
        match self.signs().unwrap_err() {
            IssueError::ClockWentBack {
                now: at,
                latest: before,
            } => assert_eq!((at, before), (now, latest)),
            other => panic!("{other:?}"),
        }
        let went_back = DocumentError::ClockWentBack { now, latest };
        assert_eq!(self.issuer.jwks().unwrap_err(), went_back);
        assert_eq!(self.issuer.document(JWKS).unwrap_err(), went_back);
    }
}

#[test]
fn nothing_signs_before_the_manifest_was_read() {
    let keys = KeySet::following();
    let issuer = Issuer::new(url(ISSUER), keys.clone());
    let error = issuer.issue(&claims()).unwrap_err();
    assert!(matches!(error, IssueError::LeaseExpired { .. }));
    assert!(error.to_string().contains("not been read yet"), "{error}");
    let error = issuer.jwks().unwrap_err();
    assert!(error.to_string().contains("not been read yet"), "{error}");
    assert!(keys.published(time(NOW)).is_empty());
}

#[test]
fn the_lease_runs_out_between_two_tokens() {
    let following = Following::new();
    following.works_at(NOW + LEASE - 1);
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
    following.has_expired_at(NOW + 10 * LEASE, NOW + LEASE);
    let error = following.signs().unwrap_err().to_string();
    for word in ["lease", "manifest", "store"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_renewed_lease_signs_on_to_the_second() {
    let following = Following::new();
    following.clock.turn(NOW + LEASE - 1);
    following.lease.renew(time(NOW + LEASE - 2));
    assert_eq!(following.lease.valid_until(), time(NOW + 2 * LEASE - 2));
    following.works_at(NOW + LEASE);
    following.works_at(NOW + 2 * LEASE - 3);
    following.has_expired_at(NOW + 2 * LEASE - 2, NOW + 2 * LEASE - 2);
    following.lease.renew(time(NOW + 2 * LEASE));
    following.works_at(NOW + 2 * LEASE);
}

#[test]
fn the_lease_tells_whether_it_is_valid() {
    let lease = Following::new().lease;
    for (now, valid) in [
        (NOW - 2 * CLOCK_ERROR - 1, false),
        (NOW - 2 * CLOCK_ERROR, true),
        (NOW, true),
        (NOW + LEASE - 1, true),
        (NOW + LEASE, false),
    ] {
        assert_eq!(lease.is_valid(time(now)), valid, "{now}");
    }
}

#[test]
fn documents_are_served_again_after_a_renewal_and_not_rendered_anew() {
    let following = Following::new();
    let before = following.issuer.jwks().unwrap();
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
    following.lease.renew(time(NOW + LEASE));
    let after = following.issuer.jwks().unwrap();
    assert!(std::ptr::eq(before.bytes(), after.bytes()));
}

/// A service asks the issuer about every path; its other pages must not go down with the lease.
#[test]
fn without_a_lease_foreign_paths_are_still_foreign() {
    let following = Following::new();
    following.serves().unwrap();
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
    assert_eq!(following.issuer.document("/login"), Ok(None));
}

#[test]
fn a_clock_that_jumps_forward_ends_the_lease_and_one_set_right_at_once_resumes_it() {
    let following = Following::new();
    following.works_at(NOW);
    following.clock.turn(NOW + 100_000);
    // Whether or not somebody asks for a token, nothing is signed.
    assert!(!following.lease.is_valid(time(NOW + 100_000)));
    following.works_at(NOW + 1);
}

/// After a token was asked for, the time that the clock jumped to is the latest there was.
#[test]
fn a_clock_that_jumps_forward_and_back_signs_nothing_until_it_caught_up() {
    let following = Following::new();
    following.has_expired_at(NOW + 100_000, NOW + LEASE);
    following.finds_the_clock_back_at(NOW, NOW + 100_000);
}

#[test]
fn the_clock_may_go_back_by_twice_its_error() {
    let following = Following::new();
    following.works_at(NOW + 300);
    following.works_at(NOW + 300 - 2 * CLOCK_ERROR);
    let back = NOW + 300 - 2 * CLOCK_ERROR - 1;
    following.finds_the_clock_back_at(back, NOW + 300);
    following.works_at(NOW + 300);

    // Also where that is more than the minute of sets without a lease.
    let lenient = Following::with(Limits {
        clock_error: seconds(100),
        ..limits(NOW)
    });
    lenient.works_at(NOW + 300);
    lenient.works_at(NOW + 100);
    lenient.finds_the_clock_back_at(NOW + 99, NOW + 300);
}

/// A replica that read the manifest while its clock was hours ahead must not rely on it for hours.
#[test]
fn a_clock_set_right_ends_the_lease_that_it_granted_while_it_was_wrong() {
    let following = Following::new();
    following.lease.renew(time(NOW + 100_000));
    following.finds_the_clock_back_at(NOW + 60, NOW + 100_000);
    // The next renewal, by the right clock, heals it.
    following.lease.renew(time(NOW + 60));
    following.works_at(NOW + 60);
    following.has_expired_at(NOW + 60 + LEASE, NOW + 60 + LEASE);
}

#[test]
fn a_renewal_that_comes_after_a_replacement_does_not_prolong_it() {
    let following = Following::new();
    let stale = following.lease.clone();
    following.clock.turn(NOW + 100);
    let current = following
        .keys
        .follow(es256("next"), limits(NOW + 100))
        .unwrap();
    stale.renew(time(NOW + 5_000));
    assert_eq!(current.valid_until(), time(NOW + 100 + LEASE));
    assert_eq!(following.signs().unwrap(), "next");
    following.has_expired_at(NOW + 100 + LEASE, NOW + 100 + LEASE);
    current.renew(time(NOW + 100 + LEASE));
    assert_eq!(following.signs().unwrap(), "next");
    assert_eq!(following.serves().unwrap(), ["next"]);
}

#[test]
fn keys_replaced_before_their_lease_was_renewed_are_not_renewed_by_it() {
    let following = Following::new();
    let shorter = Limits {
        lease: seconds(10),
        ..limits(NOW)
    };
    following.keys.follow(es256("es256"), shorter).unwrap();
    following.works_at(NOW + 9);
    following.lease.renew(time(NOW + 9));
    following.has_expired_at(NOW + 10, NOW + 10);
}

#[test]
fn keys_that_are_refused_leave_the_old_ones_and_their_lease() {
    let following = Following::new();
    let twice = vec![
        always(Algorithm::Es256, "twice"),
        always(Algorithm::Es256, "twice"),
    ];
    let error = following.keys.follow(twice, limits(NOW + 300)).unwrap_err();
    assert!(matches!(error, KeySetError::DuplicateKid { .. }));
    following.works_at(NOW + LEASE - 1);
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
}

#[test]
fn replaced_without_a_lease_keys_have_none() {
    let following = Following::new();
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
    following.keys.replace(es256("free")).unwrap();
    assert_eq!(following.signs().unwrap(), "free");
    following.clock.turn(NOW + 1_000_000);
    assert_eq!(following.serves().unwrap(), ["free"]);
    assert_eq!(
        following.keys.replace(Vec::new()).unwrap_err(),
        KeySetError::Empty
    );
}

#[test]
fn a_manifest_may_have_announced_no_key_yet() {
    let following = Following::new();
    let lease = following.keys.follow(Vec::new(), limits(NOW)).unwrap();
    let error = following.signs().unwrap_err();
    assert!(matches!(error, IssueError::NoKey { now } if now == time(NOW)));
    assert!(error.to_string().contains("announced no key"), "{error}");
    assert_eq!(
        following.serves().unwrap_err(),
        DocumentError::NoPublishedKey { now: time(NOW) }
    );
    assert!(lease.is_valid(time(NOW)));
}

#[test]
fn a_key_that_is_announced_and_not_scheduled_is_published_and_does_not_sign() {
    let following = Following::new();
    let announced = Schedule {
        announce: time(NOW),
        activate: None,
        stop: None,
        retire: None,
    };
    let key = ScheduledKey::new(FakeSigner::new(Algorithm::Es256, "next"), announced);
    following.keys.follow(vec![key], limits(NOW)).unwrap();
    assert_eq!(following.serves().unwrap(), ["next"]);
    let error = following.signs().unwrap_err();
    assert!(matches!(error, IssueError::NoActiveKey { .. }), "{error:?}");
    assert!(!announced.is_active(time(NOW)));
    // Beside one that signs, it comes second.
    let key = ScheduledKey::new(FakeSigner::new(Algorithm::Es256, "next"), announced);
    let keys = vec![key, always(Algorithm::Es256, "es256")];
    following.keys.follow(keys, limits(NOW)).unwrap();
    assert_eq!(following.signs().unwrap(), "es256");
    assert_eq!(following.serves().unwrap(), ["es256", "next"]);
    // Its other times must still be in order.
    let retired_before = Schedule {
        retire: Some(time(NOW - 1)),
        ..announced
    };
    let key = ScheduledKey::without_signer(jwk(Algorithm::Es256, "next"), retired_before);
    assert_eq!(
        KeySet::new(vec![key]).unwrap_err(),
        KeySetError::Order {
            kid: "next".to_owned(),
            earlier: ("announce", time(NOW)),
            later: ("retire", time(NOW - 1)),
        }
    );
}

#[test]
fn a_token_lives_no_longer_than_the_manifest_allows() {
    let following = Following::new();
    let at_the_limit = payload(&following.issuer, &claims().with_lifetime(seconds(1800)));
    assert_eq!(at_the_limit.number("exp"), NOW + 1800);
    let error = following
        .issuer
        .issue(&claims().with_lifetime(seconds(1801)))
        .unwrap_err();
    assert!(matches!(
        error,
        IssueError::OutlivesKeys { lifetime, longest }
            if lifetime == seconds(1801) && longest == seconds(1800)
    ));
    assert!(error.to_string().contains("1801 s"), "{error}");
}

/// The default is not cut: a service that relies on fifteen minutes is told.
#[test]
fn the_default_lifetime_is_held_to_the_limit_too() {
    for (longest, is_issued) in [(900, true), (899, false)] {
        let following = Following::with(Limits {
            longest_lifetime: seconds(longest),
            ..limits(NOW)
        });
        match following.signs() {
            Ok(_) => assert!(is_issued),
            Err(IssueError::OutlivesKeys { lifetime, .. }) => {
                assert_eq!((lifetime, is_issued), (seconds(900), false));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn documents_are_cached_no_longer_than_the_manifest_was_planned_for() {
    for (own, limit, served) in [(300, 120, 120), (60, 120, 60), (120, 120, 120)] {
        let keys = KeySet::following();
        let limits = Limits {
            max_age: seconds(limit),
            ..limits(NOW)
        };
        keys.follow(es256("es256"), limits).unwrap();
        let issuer = Issuer::builder(url(ISSUER), keys.clone())
            .max_age(seconds(own))
            .clock(TurnableClock::at(NOW))
            .build()
            .unwrap();
        let expected = format!("public, max-age={served}");
        assert_eq!(issuer.jwks().unwrap().cache_control(), expected);
        assert_eq!(issuer.discovery().unwrap().cache_control(), expected);
        // A manifest that changes its mind is followed.
        let shorter = Limits {
            max_age: seconds(7),
            ..limits
        };
        keys.follow(es256("es256"), shorter).unwrap();
        let jwks = issuer.jwks().unwrap();
        assert_eq!(jwks.cache_control(), "public, max-age=7");
    }
}

#[test]
fn tenants_follow_the_same_manifest() {
    let following = Following::new();
    let tenant = following.issuer.tenant(url("https://tenant.example.com"));
    tenant.jwks().unwrap();
    following.has_expired_at(NOW + LEASE, NOW + LEASE);
    assert!(tenant.issue(&claims()).is_err());
    assert!(tenant.jwks().is_err());
    following.lease.renew(time(NOW + LEASE));
    assert!(tenant.issue(&claims()).is_ok());
    assert!(tenant.jwks().is_ok());
}

#[test]
fn a_token_in_the_making_keeps_its_key_when_the_lease_runs_out() {
    let following = Following::new();
    let unsigned = following.issuer.prepare(&claims()).unwrap();
    following
        .keys
        .follow(es256("next"), limits(NOW - LEASE))
        .unwrap();
    following.has_expired_at(NOW, NOW);
    assert_eq!(unsigned.jwk().kid(), "es256");
    let signature = FakeSigner::new(Algorithm::Es256, "es256")
        .sign(&unsigned.signing_input())
        .unwrap();
    assert!(unsigned.assemble(&signature).is_ok());
}

/// Replaces the keys in the middle of each token, which is when a policy is asked.
#[derive(Debug)]
struct Replaces(KeySet);

impl TokenPolicy for Replaces {
    fn terms(&self, _: &TokenRequest<'_>) -> Result<TokenTerms, PolicyError> {
        let short = Limits {
            longest_lifetime: seconds(60),
            ..limits(NOW)
        };
        self.0.follow(es256("short"), short).unwrap();
        Ok(TokenTerms::default())
    }
}

#[test]
fn keys_that_are_replaced_in_the_middle_of_a_token_do_not_sign_it() {
    let keys = KeySet::following();
    keys.follow(es256("es256"), limits(NOW)).unwrap();
    let issuer = Issuer::builder(url(ISSUER), keys.clone())
        .token_policy(Arc::new(Replaces(keys)))
        .clock(TurnableClock::at(NOW))
        .build()
        .unwrap();
    let token = issuer.issue(&claims()).unwrap();
    assert_eq!(Parts::of(token.as_str()).header.text("kid"), "es256");
    let error = issuer.issue(&claims()).unwrap_err();
    assert!(matches!(error, IssueError::OutlivesKeys { .. }));
}

/// Limits and keys are of one read: with the short limit comes a key that must never sign these
/// tokens, and with the lease that has run out another one.
#[test]
fn keys_and_limits_never_come_apart_while_they_are_replaced() {
    const SIGNERS: usize = 4;
    const ROUNDS: usize = 2_000;

    let following = Following::new();
    following.keys.follow(es256("good"), limits(NOW)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..SIGNERS {
            scope.spawn(|| {
                let mut out = String::new();
                while !done.load(Ordering::Relaxed) {
                    match following.issuer.issue_into(&claims(), &mut out) {
                        Ok(()) => {
                            let parts = Parts::of(&out);
                            assert!(parts.is_signed_by(&jwk(Algorithm::Es256, "good")), "{out}");
                        }
                        Err(IssueError::OutlivesKeys { longest, .. }) => {
                            assert_eq!(longest, seconds(60));
                        }
                        Err(IssueError::LeaseExpired { valid_until, .. }) => {
                            assert_eq!(valid_until, time(NOW));
                        }
                        Err(error) => panic!("{error}"),
                    }
                    if let Ok(kids) = following.serves() {
                        assert_ne!(kids, ["expired"]);
                    }
                }
            });
        }
        for round in 0..ROUNDS {
            let (kid, limits) = match round % 3 {
                0 => ("good", limits(NOW)),
                1 => {
                    let longest_lifetime = seconds(60);
                    let short = Limits {
                        longest_lifetime,
                        ..limits(NOW)
                    };
                    ("short", short)
                }
                _ => ("expired", limits(NOW - LEASE)),
            };
            following.keys.follow(es256(kid), limits).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}
