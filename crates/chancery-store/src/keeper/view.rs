//! What a keeper tells about itself.

use std::error::Error;
use std::sync::{Arc, PoisonError};

use chancery_core::rotation::{Manifest, plan};
use chancery_core::{Lease, UnixTime};

use crate::keeper::Keeper;
use crate::keeper::event::Event;
use crate::keeper::following::Following;
use crate::keeper::step::Present;
use crate::keeper::trouble::{KeeperError, Trouble};
use crate::status::{ReplicaStatus, Status};

/// What is told to those who ask while a step is on its way.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) manifest: Option<Arc<Manifest>>,
    pub(super) lease: Option<Lease>,
    /// The keys that sign here.
    pub(super) signers: Vec<String>,
    /// What did not succeed in the last step.
    pub(super) troubles: Vec<String>,
    has_told_expiry: bool,
}

/// What a step came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The revision of the manifest that is followed now.
    pub revision: u64,
    /// When the plan has something to be done next; that may be now. None when nothing is planned.
    pub next: Option<UnixTime>,
    /// What did not succeed, and is tried again in the next step.
    pub troubles: Vec<Trouble>,
}

impl Keeper {
    /// Whether this replica can do its work: the lease has not run out, keys are published, and
    /// those that sign can be used here. A load balancer's readiness check wants to know.
    ///
    /// A lane in which no key signs yet keeps no replica back: no other one could do better, and
    /// the probe that its first key waits for goes through the load balancer.
    #[must_use]
    pub fn is_ready(&self, now: UnixTime) -> bool {
        let view = self.view();
        let Some(manifest) = &view.manifest else {
            return false;
        };
        let mut schedules = manifest.schedules(now).into_iter();
        self.0.keys.is_valid(now)
            && schedules.any(|(_, schedule)| schedule.is_published(now))
            && manifest.policy().lanes.iter().all(|lane| {
                manifest
                    .active(lane.algorithm, now)
                    .is_none_or(|key| view.signers.iter().any(|kid| kid == key.kid()))
            })
    }

    /// The manifest that is followed; none before the first step.
    #[must_use]
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        self.view().manifest
    }

    /// How this replica and the keys are, what comes next and why: for people, as a table or drawn.
    #[must_use]
    pub fn status(&self, now: UnixTime) -> Status {
        let view = self.view();
        let status = match &view.manifest {
            Some(manifest) => Status::new(manifest, &self.0.policy, now),
            None => Status::without_manifest(now),
        };
        let replica = ReplicaStatus {
            name: self.0.replica.clone(),
            is_ready: self.is_ready(now),
            lease_until: view.lease.as_ref().map(Lease::valid_until),
            has_lease: self.0.keys.is_valid(now),
            troubles: view.troubles,
        };
        status.with_replica(replica, &view.signers)
    }

    pub(super) fn view(&self) -> View {
        // Nothing that writes to a view can panic half way.
        let view = self.0.view.read().unwrap_or_else(PoisonError::into_inner);
        view.clone()
    }

    /// Takes down what a step came to.
    pub(super) fn look(
        &self,
        following: &Following,
        now: UnixTime,
        outcome: Result<&[Trouble], &KeeperError>,
    ) {
        let before = self.view();
        let lease = following.lease().cloned();
        let expired = lease.as_ref().filter(|lease| !lease.is_valid(now));
        if let Some(lease) = expired
            && !before.has_told_expiry
        {
            let valid_until = lease.valid_until();
            self.tell(&Event::LeaseExpired { valid_until });
        }
        self.show(following);
        let mut view = self.0.view.write().unwrap_or_else(PoisonError::into_inner);
        view.has_told_expiry = expired.is_some();
        view.troubles = match outcome {
            Ok(troubles) => troubles
                .iter()
                .map(|trouble| with_causes(trouble))
                .collect(),
            Err(error) => vec![with_causes(error)],
        };
    }

    /// Takes down what is followed now: in the middle of a step too, which may be cut off.
    pub(super) fn show(&self, following: &Following) {
        let mut signers: Vec<String> = following.signers.keys().cloned().collect();
        signers.sort_unstable();
        let manifest = following.current.as_ref();
        let manifest = manifest.map(|current| Arc::clone(&current.manifest));
        let mut view = self.0.view.write().unwrap_or_else(PoisonError::into_inner);
        view.manifest = manifest;
        view.lease = following.lease().cloned();
        view.signers = signers;
    }

    pub(super) fn report(
        &self,
        following: &Following,
        present: Present,
        troubles: Vec<Trouble>,
    ) -> Result<Report, KeeperError> {
        let Some(current) = &following.current else {
            return Err(self.no_manifest());
        };
        let next = plan(&current.manifest, &self.0.policy, present.now())
            .ok()
            .and_then(|plan| plan.next());
        Ok(Report {
            revision: current.manifest.revision(),
            next,
            troubles,
        })
    }
}

/// The error and what caused it, in a line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
