//! Manifests that tests grow, and a service that does what its plan says.

use std::collections::HashMap;
use std::time::Duration;

use chancery_core::rotation::{
    Action, Change, Inequality, KeyState, Lane, ManagedKey, Manifest, ManifestError, Role,
    RotationPolicy, RotationTimes, plan,
};
use chancery_core::{Algorithm, Jwk, PublicKey, UnixTime};
use serde_json::Value;

use crate::support::{NOW, seconds, time};

pub(super) const HOUR: u64 = 3600;
pub(super) const DAY: u64 = 24 * HOUR;

/// A public RSA key, another one for each number. Nobody has its private half.
pub(super) fn jwk(algorithm: Algorithm, number: u64) -> Jwk {
    let mut modulus = vec![0xc5; 256];
    modulus[100..108].copy_from_slice(&number.to_be_bytes());
    Jwk::new(
        algorithm,
        PublicKey::Rsa {
            modulus,
            exponent: vec![1, 0, 1],
        },
    )
    .unwrap()
}

/// One lane of RS256 keys in the backend `hsm`, with the times of the worked example.
pub(super) fn policy() -> RotationPolicy {
    RotationPolicy::new(1).with_lane(Lane::new(Algorithm::Rs256, "hsm"))
}

pub(super) fn policy_with_standby() -> RotationPolicy {
    RotationPolicy::new(1).with_lane(Lane::new(Algorithm::Rs256, "hsm").with_standby("software"))
}

/// Each time has digits of its own, so that a sum shows which times are in it.
pub(super) fn distinct_times() -> RotationTimes {
    RotationTimes::default()
        .with_max_age(seconds(1))
        .with_refresh(seconds(100_000))
        .with_lease(seconds(20_000))
        .with_clock_error(seconds(30))
        .with_signing_deadline(seconds(4))
        .with_longest_lifetime(seconds(5_000))
        .with_leeway(seconds(600))
        .with_clock_lag(seconds(70))
        .with_negative_cache(seconds(8))
}

/// A service with a clock of its own, which makes keys out of numbers.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) manifest: Manifest,
    pub(super) policy: RotationPolicy,
    pub(super) now: u64,
    pub(super) made: u64,
}

impl Service {
    pub(super) fn new(policy: RotationPolicy) -> Self {
        Self {
            manifest: Manifest::create(policy.clone(), "first", time(NOW)).unwrap(),
            policy,
            now: NOW,
            made: 0,
        }
    }

    /// A service whose first keys are active and observed.
    pub(super) fn running(policy: RotationPolicy) -> Self {
        let mut service = Self::new(policy.nobody_has_fetched());
        service.work();
        service
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), ManifestError> {
        self.manifest = self.manifest.apply(change, "replica", time(self.now))?;
        Ok(())
    }

    /// Applies a change that must be right.
    pub(super) fn change(&mut self, change: &Change) {
        if let Err(error) = self.apply(change) {
            panic!("{change:?}: {error}");
        }
    }

    /// The steps that are due.
    pub(super) fn due(&self) -> Vec<Action> {
        let plan = plan(&self.manifest, &self.policy, time(self.now)).unwrap();
        plan.due(time(self.now))
            .map(|step| step.action.clone())
            .collect()
    }

    /// Carries out one step as a keeper does.
    pub(super) fn carry_out(&mut self, action: &Action) {
        let change = match action {
            Action::Provision {
                algorithm,
                backend,
                role,
            } => self.provision(*algorithm, backend, *role),
            Action::Probe { kid } => Change::Observe { kid: kid.clone() },
            Action::Destroy { kid } => Change::Destroy { kid: kid.clone() },
            other => other.change().unwrap(),
        };
        self.change(&change);
    }

    /// The change that takes up a new key.
    pub(super) fn provision(&mut self, algorithm: Algorithm, backend: &str, role: Role) -> Change {
        self.made += 1;
        Change::Provision {
            jwk: jwk(algorithm, self.made),
            backend: backend.to_owned(),
            reference: format!("keys/{}.pem", self.made),
            role,
        }
    }

    /// Does all that is due now.
    pub(super) fn work(&mut self) {
        for _ in 0..100 {
            let Some(action) = self.due().into_iter().next() else {
                return;
            };
            self.carry_out(&action);
        }
        panic!("there is always more to do: {:?}", self.due());
    }

    /// Lets time pass and does each step when it is due.
    pub(super) fn work_until(&mut self, until: u64) {
        loop {
            self.work();
            let plan = plan(&self.manifest, &self.policy, time(self.now)).unwrap();
            match plan.next() {
                Some(next) if next.as_secs() <= until => self.now = next.as_secs().max(self.now),
                _ => break,
            }
        }
        self.now = until;
    }

    /// The key made as the `number`th, from 1.
    pub(super) fn key(&self, number: usize) -> &ManagedKey {
        &self.manifest.keys()[number - 1]
    }

    pub(super) fn kid(&self, number: usize) -> String {
        self.key(number).kid().to_owned()
    }

    pub(super) fn state(&self, number: usize) -> KeyState {
        self.key(number).state(time(self.now))
    }

    pub(super) fn active(&self) -> Option<String> {
        self.manifest
            .active(Algorithm::Rs256, time(self.now))
            .map(|key| key.kid().to_owned())
    }

    /// The manifest as JSON, to be tampered with.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.manifest.to_json().unwrap()).unwrap()
    }
}

/// Reads a manifest from JSON.
pub(super) fn read(json: &Value) -> Result<Manifest, ManifestError> {
    Manifest::from_json(json.to_string().as_bytes())
}

/// Moves a moment of a key by some seconds.
pub(super) fn shift(json: &mut Value, key: usize, moment: &str, by: i64) {
    let member = &mut json["keys"][key - 1][moment];
    let moved = member.as_i64().unwrap_or_else(|| panic!("no {moment}")) + by;
    *member = moved.into();
}

/// The inequality that is broken, with the moment and its bound.
pub(super) fn broken(
    outcome: Result<Manifest, ManifestError>,
) -> (Inequality, (&'static str, UnixTime), UnixTime) {
    match outcome {
        Err(ManifestError::Inequality {
            inequality,
            moment,
            bound,
            ..
        }) => (inequality, moment, bound.1),
        other => panic!("{other:?}"),
    }
}

/// How many keys there are in each state.
pub(super) fn states(manifest: &Manifest, now: u64) -> HashMap<KeyState, usize> {
    let mut states = HashMap::new();
    for key in manifest.keys() {
        *states.entry(key.state(time(now))).or_default() += 1;
    }
    states
}

pub(super) const fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}
