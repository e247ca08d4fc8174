//! What a keeper knows between two steps, and how its key set follows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chancery_core::rotation::{CreatedKey, KeyState, ManagedKey, Manifest, Role};
use chancery_core::{Lease, Limits, ScheduledKey, Signer, UnixTime};

use crate::content::Version;
use crate::keeper::Keeper;
use crate::keeper::event::Event;
use crate::keeper::jobs::Jobs;
use crate::keeper::round::GivenUp;
use crate::keeper::step::Present;
use crate::keeper::trouble::KeeperError;

/// What only a step touches.
#[derive(Default)]
pub(super) struct Following {
    pub(super) current: Option<Current>,
    /// The signers that are open, by `kid`.
    pub(super) signers: HashMap<String, Arc<dyn Signer>>,
    pub(super) jobs: Jobs,
    /// Keys that this replica made, and of which it does not know whether the manifest took them.
    pub(super) unsettled: Vec<Made>,
    lease: Option<Lease>,
    /// What the key set is made of.
    followed: Option<Followed>,
    states: HashMap<String, KeyState>,
}

pub(super) struct Current {
    pub(super) manifest: Arc<Manifest>,
    pub(super) version: Version,
    /// Before the read began that found the manifest to be this one.
    pub(super) read_at: UnixTime,
}

/// A key that this replica made.
pub(super) struct Made {
    pub(super) backend: String,
    pub(super) role: Role,
    pub(super) key: CreatedKey,
    /// When it was offered to the manifest last; none once that has refused it.
    pub(super) offered_at: Option<UnixTime>,
}

#[derive(PartialEq, Eq)]
struct Followed {
    revision: u64,
    limits: Limits,
    /// The keys that sign here.
    kids: Vec<String>,
}

impl Following {
    pub(super) fn revision(&self) -> u64 {
        let current = self.current.as_ref();
        current.map_or(0, |current| current.manifest.revision())
    }

    /// Notes when a key that was made was offered to the manifest, or that it was refused.
    pub(super) fn offer(&mut self, kid: &str, at: Option<UnixTime>) {
        for made in &mut self.unsettled {
            if made.key.signer.jwk().kid() == kid {
                made.offered_at = at;
            }
        }
    }

    pub(super) fn lease_len(&self) -> Duration {
        let current = self.current.as_ref();
        current.map_or(Duration::ZERO, |current| current.manifest.times().lease)
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether a signer of the key is needed: it signs now, or may do so without another change
    /// of the manifest or in an emergency.
    pub(super) fn needs_signer(key: &ManagedKey, now: UnixTime) -> bool {
        matches!(
            key.state(now),
            KeyState::Provisioned | KeyState::Announced | KeyState::Observed | KeyState::Active
        )
    }
}

impl Keeper {
    /// Brings the key set in step with the manifest and the signers, and renews the lease.
    pub(super) fn follow(&self, following: &mut Following) -> Result<(), KeeperError> {
        let Some(current) = &following.current else {
            return Ok(());
        };
        let (manifest, as_of) = (&current.manifest, current.read_at);
        let keys = manifest.schedules(as_of);
        let kid_signs = |kid: &str| following.signers.contains_key(kid);
        let kids = keys.iter().map(|(key, _)| key.kid().to_owned());
        let followed = Followed {
            revision: manifest.revision(),
            limits: Limits {
                as_of: UnixTime::EPOCH,
                ..limits(manifest, as_of)
            },
            kids: kids.filter(|kid| kid_signs(kid)).collect(),
        };
        match &following.lease {
            Some(lease) if following.followed.as_ref() == Some(&followed) => lease.renew(as_of),
            _ => {
                let keys = keys.into_iter().map(|(key, schedule)| {
                    match following.signers.get(key.kid()) {
                        Some(signer) => ScheduledKey::new(Arc::clone(signer), schedule),
                        None => ScheduledKey::without_signer(key.jwk().clone(), schedule),
                    }
                });
                let limits = limits(manifest, as_of);
                let lease = self.0.keys.follow(keys.collect(), limits);
                following.lease = Some(lease.map_err(KeeperError::Keys)?);
                following.followed = Some(followed);
            }
        }
        self.show(following);
        self.tell_states(following);
        Ok(())
    }

    /// Finds out what became of keys that were made: those that are in the manifest are used, and
    /// those that do not come there any more are destroyed.
    pub(super) fn settle(
        &self,
        following: &mut Following,
        present: Present,
        given_up: &mut GivenUp,
    ) {
        let Some(current) = &following.current else {
            return;
        };
        // Later than this, a write that was given up is not carried out any more.
        let patience = current.manifest.times().clock_error.saturating_mul(2);
        let manifest = Arc::clone(&current.manifest);
        for made in std::mem::take(&mut following.unsettled) {
            let kid = made.key.signer.jwk().kid().to_owned();
            if manifest.key(&kid).is_some() {
                following.signers.insert(kid, made.key.signer);
                continue;
            }
            let is_refused = made.offered_at.is_none_or(|offered_at| {
                let until = offered_at.checked_add(patience);
                until.is_some_and(|until| until < present.now())
            });
            if is_refused {
                self.discard(following, given_up, &made);
            }
            // Until it is destroyed.
            following.unsettled.push(made);
        }
    }

    fn tell_states(&self, following: &mut Following) {
        let Some(current) = &following.current else {
            return;
        };
        for key in current.manifest.keys() {
            let state = key.state(current.read_at);
            let before = following.states.insert(key.kid().to_owned(), state);
            if before != Some(state) {
                let kid = key.kid();
                self.tell(&Event::Reached { kid, state });
            }
        }
    }
}

/// A replica's clock may wander from one end of its error to the other while the lease lasts, so
/// that is taken off.
fn limits(manifest: &Manifest, as_of: UnixTime) -> Limits {
    let times = manifest.times();
    Limits {
        as_of,
        lease: times.lease.saturating_sub(times.clock_errors()),
        longest_lifetime: manifest.longest_lifetime(as_of),
        max_age: manifest.max_age(as_of),
        clock_error: times.clock_error,
    }
}
