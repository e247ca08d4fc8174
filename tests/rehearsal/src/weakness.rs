//! Issuers that break a rule, to see that the rehearsal notices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chancery::rotation::{KeyBackend as _, Manifest, Role};
use chancery::{Clock as _, KeySet, Limits, ScheduledKey, Signer, UnixTime};
use chancery_store::{EncryptedKeys, Keeper};
use tokio::{task, time};

use crate::Result;
use crate::clock::WrongClock;
use crate::times::times;

/// Which rule an issuer does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// It goes on without a lease (inequality 5).
    Lease,
    /// A key signs as soon as it is announced (inequality 1).
    Activate,
    /// A key leaves the JWKS as soon as it has stopped (inequality 3).
    Retire,
}

impl Weakness {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "lease" => Ok(Self::Lease),
            "activate" => Ok(Self::Activate),
            "retire" => Ok(Self::Retire),
            _ => Err(format!("no weakness `{name}`; there are lease, activate, retire").into()),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Activate => "activate",
            Self::Retire => "retire",
        }
    }
}

/// Keys that follow the keeper's manifest in all but the weakness.
pub(crate) fn keys(
    weakness: Weakness,
    keeper: &Keeper,
    private_keys: EncryptedKeys,
    clock: Arc<WrongClock>,
) -> KeySet {
    let keys = KeySet::following();
    let (followed, keeper) = (keys.clone(), keeper.clone());
    tokio::spawn(async move {
        let mut signers = HashMap::new();
        loop {
            time::sleep(Duration::from_millis(100)).await;
            let now = clock.now();
            // By the keeper's lease, unless that is the weakness.
            let lease = match weakness {
                Weakness::Lease => Duration::from_secs(3600),
                Weakness::Activate | Weakness::Retire => Duration::from_secs(1),
            };
            let Some(manifest) = keeper.manifest() else {
                continue;
            };
            if weakness == Weakness::Lease || keeper.is_ready(now) {
                let limits = Limits {
                    as_of: now,
                    lease,
                    longest_lifetime: times().longest_lifetime,
                    max_age: times().max_age,
                    clock_error: times().clock_error,
                };
                open(&manifest, &private_keys, &mut signers, now).await;
                let keys = scheduled(weakness, &manifest, &signers, now);
                if let Err(error) = followed.follow(keys, limits) {
                    eprintln!("{now} {error}");
                }
            }
        }
    });
    keys
}

/// Opens the keys that are not open yet.
async fn open(
    manifest: &Manifest,
    private_keys: &EncryptedKeys,
    signers: &mut HashMap<String, Arc<dyn Signer>>,
    now: UnixTime,
) {
    for (key, _) in manifest.schedules(now) {
        if signers.contains_key(key.kid()) {
            continue;
        }
        let (private_keys, key) = (private_keys.clone(), key.clone());
        let opened = task::spawn_blocking(move || private_keys.open(key.reference(), key.jwk()));
        // One that cannot be opened is tried again the next time.
        if let Ok(Ok(signer)) = opened.await {
            signers.insert(signer.jwk().kid().to_owned(), signer);
        }
    }
}

fn scheduled(
    weakness: Weakness,
    manifest: &Manifest,
    signers: &HashMap<String, Arc<dyn Signer>>,
    now: UnixTime,
) -> Vec<ScheduledKey> {
    let mut scheduled = Vec::new();
    for (key, mut schedule) in manifest.schedules(now) {
        match weakness {
            Weakness::Lease => {}
            Weakness::Activate if key.role() == Role::Rotating => {
                schedule.activate = Some(schedule.announce);
            }
            Weakness::Activate => {}
            Weakness::Retire => schedule.retire = schedule.stop.or(schedule.retire),
        }
        scheduled.push(match signers.get(key.kid()) {
            Some(signer) => ScheduledKey::new(Arc::clone(signer), schedule),
            None => ScheduledKey::without_signer(key.jwk().clone(), schedule),
        });
    }
    scheduled
}
