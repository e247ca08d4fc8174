//! The intervals that the search reckons with are those of a real issuer: one whose key set follows
//! the manifest signs, answers and stops in the very seconds that they name.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chancery_core::rotation::{Change, Manifest};
use chancery_core::{
    Claims, Clock, Issuer, IssuerUrl, Jwk, JwkSet, KeySet, Limits, ScheduledKey, SignError,
    Signature, Signer, SigningInput, UnixTime,
};

use crate::explore::{Node, ORIGIN};
use crate::setting::{FIRST, policy_with_standby, running};
use crate::version::Version;
use crate::world::{NEVER, Tick, moment, ticks, tiny};

/// Signs with zeros.
struct Zeros(Jwk);

impl Signer for Zeros {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        let zeros = vec![0; self.0.signature_len()];
        Ok(Signature::new(self.0.algorithm(), &zeros).unwrap())
    }
}

impl fmt::Debug for Zeros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zeros({})", self.0.kid())
    }
}

#[derive(Debug)]
struct Turned(Arc<AtomicU64>);

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// What an issuer does at a clock that read the manifest at another.
fn does(manifest: &Manifest, read_at: Tick, now: Tick) -> (Option<String>, Option<Vec<String>>) {
    let times = manifest.times();
    let as_of = moment(read_at);
    let keys = KeySet::following();
    let schedules = manifest.schedules(as_of).into_iter();
    let scheduled = schedules
        .map(|(key, schedule)| ScheduledKey::new(Arc::new(Zeros(key.jwk().clone())), schedule));
    let limits = Limits {
        as_of,
        lease: times.lease.saturating_sub(times.clock_errors()),
        longest_lifetime: manifest.longest_lifetime(as_of),
        max_age: manifest.max_age(as_of),
        clock_error: times.clock_error,
    };
    keys.follow(scheduled.collect(), limits).unwrap();
    let clock = Arc::new(AtomicU64::new(now.try_into().unwrap()));
    let issuer = Issuer::builder(IssuerUrl::parse("https://id.example.com").unwrap(), keys)
        .clock(Arc::new(Turned(clock)))
        .default_lifetime(Duration::from_secs(1))
        .backdating(Duration::ZERO)
        .build()
        .unwrap();
    let claims = Claims::new("job").with_audience("somebody");
    let signed = issuer
        .prepare(&claims)
        .ok()
        .map(|token| token.jwk().kid().to_owned());
    let answer = issuer.jwks().ok().map(|document| {
        let jwks = JwkSet::from_json(document.bytes()).unwrap();
        jwks.keys().iter().map(|key| key.kid().to_owned()).collect()
    });
    (signed, answer)
}

/// A lane in the middle of a turn, one that was switched, and one whose key was revoked.
fn nodes() -> Vec<Node> {
    let times = tiny();
    let turning = running(policy_with_standby(times), &times).nominal(ORIGIN + 11);
    let mut switched = turning.clone();
    let kid = switched
        .manifest
        .successors(FIRST, moment(ORIGIN + 11))
        .unwrap()[0]
        .kid()
        .to_owned();
    switched
        .change(&Change::Switch { kid }, ORIGIN + 11, 0, 0)
        .unwrap();
    let mut revoked = turning.clone();
    let kid = revoked
        .manifest
        .active(FIRST, moment(ORIGIN + 11))
        .unwrap()
        .kid()
        .to_owned();
    let change = Change::Revoke {
        kid,
        without_successor: false,
    };
    revoked.change(&change, ORIGIN + 11, 0, 0).unwrap();
    vec![turning, switched, revoked]
}

#[test]
fn an_issuer_does_what_the_search_reckons_with() {
    let mut compared = 0;
    for node in nodes() {
        let manifest = &node.manifest;
        let world = &node.world;
        // Read by an exact clock, in the tick in which the version was replaced.
        let version = Version::new(manifest, ORIGIN + 11, String::new());
        let mut exact = world.clone();
        exact.clock_error = 0;
        let lease = ticks(manifest.times().lease) - 2 * ticks(manifest.times().clock_error);
        for read_at in ORIGIN + 11..ORIGIN + 40 {
            let window = version.window(read_at, 0, &exact).unwrap();
            assert_eq!(window, (ORIGIN + 11, read_at + lease - 1));
            for now in read_at..read_at + lease + 3 {
                let (signed, answer) = does(manifest, read_at, now);
                let within = |window: &(Tick, Tick)| window.0 <= now && now <= window.1;
                for (id, key) in manifest.keys().iter().enumerate() {
                    let signs = version.signs(id, 0, window, &exact);
                    assert_eq!(
                        signs.as_ref().is_some_and(within),
                        signed.as_deref() == Some(key.kid()),
                        "key {id} read at {read_at} at {now}"
                    );
                    if let Some(answer) = &answer
                        && key.moments().revoked_at.is_none()
                    {
                        let lacks = version.lacks(id, 0, window);
                        assert_eq!(
                            lacks.iter().any(within),
                            !answer.iter().any(|kid| kid == key.kid()),
                            "key {id} read at {read_at} at {now}"
                        );
                    }
                    compared += 1;
                }
                assert_eq!(
                    answer.is_some(),
                    within(&window),
                    "read at {read_at} at {now}"
                );
            }
        }
        assert!(window_is_open(&version, &exact));
    }
    assert!(compared > 500, "{compared}");
}

fn window_is_open(version: &Version, world: &crate::world::World) -> bool {
    version.window(NEVER, 0, world).is_some()
}
