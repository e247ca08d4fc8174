//! One step of a keeper: read, follow, change what is due, publish.

use std::sync::Arc;
use std::time::Duration;

use chancery_core::UnixTime;
use chancery_core::rotation::{Change, Manifest, ManifestError};
use tokio::time::{self, Instant};

use crate::content::{Content, Version};
use crate::error::StoreError;
use crate::keeper::event::Event;
use crate::keeper::following::{Current, Following};
use crate::keeper::round::GivenUp;
use crate::keeper::trouble::{KeeperError, Trouble};
use crate::keeper::view::Report;
use crate::keeper::{Keeper, MANIFEST};
use crate::publication::{Publication, PublishError};

/// How often a step looks for something to do before it leaves the rest to the next one.
const MOST_ROUNDS: usize = 16;

/// How often a change is made anew because others were faster.
pub(super) const MOST_TRIES: usize = 8;

/// How long a step publishes, and no longer than a quarter of the lease.
const PUBLISHING: Duration = Duration::from_secs(10);

/// The time, while a step takes some.
#[derive(Clone, Copy)]
pub(super) struct Present {
    began_at: UnixTime,
    since: Instant,
}

impl Present {
    pub(super) fn beginning_at(now: UnixTime) -> Self {
        Self {
            began_at: now,
            since: Instant::now(),
        }
    }

    /// The moment the step began at, by the caller's clock, and what has passed since.
    pub(super) fn now(self) -> UnixTime {
        self.began_at
            .checked_add(self.since.elapsed())
            .unwrap_or(UnixTime::MAX)
    }
}

impl Keeper {
    /// Does what there is to do now: reads the manifest if it has changed, renews the lease, opens
    /// signers, makes, announces, observes, schedules and destroys keys where the plan says so, and
    /// publishes.
    ///
    /// `now` is the present by the clock that the issuers have. Steps of one keeper come one after
    /// the other. What does not succeed is in the report, while the rest is done. Backends that hang
    /// hold up a step by 5 seconds, a probe by 12 and what is published by 10, and by no more than a
    /// quarter, a half and a quarter of the lease. It may be dropped at any point: the next step goes
    /// on from there.
    ///
    /// # Errors
    /// [`KeeperError`] when the manifest cannot be read or followed: then the lease is not renewed.
    pub async fn step(&self, now: UnixTime) -> Result<Report, KeeperError> {
        let present = Present::beginning_at(now);
        let mut following = self.0.following.lock().await;
        let outcome = self.try_step(&mut following, present).await;
        let troubles = outcome.as_ref().map(|report| report.troubles.as_slice());
        self.look(&following, present.now(), troubles);
        outcome
    }

    async fn try_step(
        &self,
        following: &mut Following,
        present: Present,
    ) -> Result<Report, KeeperError> {
        self.read(following, present).await?;
        // At once, so that a backend or a probe that takes its time does not cost the lease.
        self.follow(following)?;
        let mut given_up = GivenUp::nothing_yet(following.lease_len());
        self.settle(following, present, &mut given_up);
        for _ in 0..MOST_ROUNDS {
            let has_changed = self.round(following, present, &mut given_up).await;
            self.follow(following)?;
            if !has_changed {
                break;
            }
        }
        let mut troubles = given_up.troubles;
        let has_published = self
            .publish_documents(following, present, &mut troubles)
            .await?;
        for trouble in &troubles {
            self.tell(&Event::Failed(trouble));
        }
        let mut report = self.report(following, present, troubles)?;
        if !has_published {
            report.next = Some(present.now());
        }
        Ok(report)
    }

    /// Makes a change that somebody asked for, on the manifest as it is in the store now.
    pub(super) async fn change(
        &self,
        now: UnixTime,
        change: impl Fn(&Manifest, UnixTime) -> Result<Change, ManifestError>,
    ) -> Result<(), KeeperError> {
        let present = Present::beginning_at(now);
        let mut following = self.0.following.lock().await;
        for _ in 0..MOST_TRIES {
            self.read(&mut following, present).await?;
            let Some(current) = &following.current else {
                return Err(self.no_manifest());
            };
            let change = change(&current.manifest, present.now())?;
            let written = self.write(&mut following, &change, present).await?;
            self.follow(&mut following)?;
            if written {
                return Ok(());
            }
        }
        Err(KeeperError::Contended)
    }

    /// Reads the manifest, if it has changed.
    async fn read(&self, following: &mut Following, present: Present) -> Result<(), KeeperError> {
        let store = &self.0.store;
        let read_at = present.now();
        if let Some(current) = &following.current {
            // Neither the lease nor a change may go by such a clock.
            let (now, seen) = (read_at, current.read_at);
            if now < seen.saturating_sub(current.manifest.times().clock_errors()) {
                return Err(KeeperError::ClockWentBack { now, seen });
            }
        }
        let object = match &following.current {
            Some(current) => store.read_if_changed(MANIFEST, &current.version).await?,
            None => match store.read(MANIFEST).await? {
                Some(object) => Some(object),
                None => return Err(self.no_manifest()),
            },
        };
        if let Some(object) = object {
            let manifest = Manifest::from_json(object.bytes())?;
            if let Some(current) = &following.current {
                let (found, seen) = (manifest.revision(), current.manifest.revision());
                if found < seen || (found == seen && manifest != *current.manifest) {
                    return Err(KeeperError::WentBack { found, seen });
                }
            }
            let revision = manifest.revision();
            following.current = Some(Current {
                manifest: Arc::new(manifest),
                version: object.version().clone(),
                read_at,
            });
            self.tell(&Event::Followed { revision });
        } else if let Some(current) = &mut following.current {
            current.read_at = read_at;
        }
        if let Some(Current { manifest, .. }) = &following.current {
            let changed_at = manifest.changed_at();
            if read_at < changed_at.saturating_sub(manifest.times().clock_errors()) {
                let now = read_at;
                return Err(ManifestError::ClockWentBack { now, changed_at }.into());
            }
        }
        Ok(())
    }

    /// Changes the manifest, unless somebody else was faster: then theirs is read.
    pub(super) async fn write(
        &self,
        following: &mut Following,
        change: &Change,
        present: Present,
    ) -> Result<bool, KeeperError> {
        let Some(current) = &following.current else {
            return Err(self.no_manifest());
        };
        // All moments of the change count on it being in force this soon. The process may be stopped
        // at any point from here on.
        let patience = current.manifest.times().clock_error;
        let until = Instant::now() + patience.max(Duration::from_secs(1));
        let read_at = present.now();
        let manifest = current.manifest.apply(change, &self.0.replica, read_at)?;
        let bytes = manifest.to_json()?;
        let content = Content::new(&bytes, "application/json");
        let version = &current.version;
        let write = self
            .0
            .store
            .replace_until(MANIFEST, &content, version, until);
        match write.await {
            Ok(version) => {
                self.take(following, manifest, version, read_at);
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => {
                self.read(following, present).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a manifest that this replica has just written for the current one.
    fn take(&self, following: &mut Following, manifest: Manifest, version: Version, at: UnixTime) {
        for entry in manifest.history().iter().rev() {
            if entry.revision() != manifest.revision() {
                break;
            }
            self.tell(&Event::Changed {
                revision: entry.revision(),
                change: entry.what(),
                kid: entry.kid(),
            });
        }
        following.current = Some(Current {
            manifest: Arc::new(manifest),
            version,
            read_at: at,
        });
    }

    /// Makes the first manifest, unless there is one.
    pub(super) async fn create(&self, now: UnixTime) -> Result<(), KeeperError> {
        let present = Present::beginning_at(now);
        let mut following = self.0.following.lock().await;
        match self.read(&mut following, present).await {
            Err(KeeperError::NoManifest { .. }) => {}
            outcome => return outcome,
        }
        let manifest = Manifest::create(self.0.policy.clone(), &self.0.replica, now)?;
        let bytes = manifest.to_json()?;
        let content = Content::new(&bytes, "application/json");
        match self.0.store.create(MANIFEST, &content).await {
            Ok(version) => self.take(&mut following, manifest, version, now),
            Err(StoreError::Conflict { .. }) => self.read(&mut following, present).await?,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Publishes what has changed, for as long as there is time, and tells whether that was all.
    async fn publish_documents(
        &self,
        following: &mut Following,
        present: Present,
        troubles: &mut Vec<Trouble>,
    ) -> Result<bool, KeeperError> {
        let until = Instant::now() + PUBLISHING.min(following.lease_len() / 4);
        let mut publications = self.0.publications.lock().await;
        let mut has_progressed = false;
        for publication in publications.iter_mut() {
            for _ in 0..publication.issuers() {
                let index = publication.turn();
                let publishing = self.publish_issuer(following, present, publication, index);
                match time::timeout_at(until, publishing).await {
                    Ok(Ok(Ok(paths))) => {
                        has_progressed |= !paths.is_empty();
                        for path in &paths {
                            self.tell(&Event::Published { path });
                        }
                    }
                    Ok(Ok(Err(error))) => troubles.push(Trouble::Publish(error)),
                    Ok(Err(error)) => return Err(error),
                    Err(elapsed) => {
                        if !has_progressed {
                            troubles.push(Trouble::Publish(publication.timed_out(elapsed)));
                        }
                        // The others go first next time.
                        publications.rotate_left(1);
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Publishes the documents of an issuer, where they have changed. Hands back the paths that were
    /// written.
    async fn publish_issuer(
        &self,
        following: &mut Following,
        present: Present,
        publication: &mut Publication,
        index: usize,
    ) -> Result<Result<Vec<String>, PublishError>, KeeperError> {
        let recently = present.now().saturating_sub(following.lease_len());
        let draft = match publication.draft(index, recently).await {
            Ok(Some(draft)) => draft,
            Ok(None) => return Ok(Ok(Vec::new())),
            Err(error) => return Ok(Err(error)),
        };
        // What lies in the store may be of a newer manifest than the one followed so far. If so,
        // the next step publishes. It also keeps the lease while there is much to publish.
        let before = following.revision();
        self.read(following, present).await?;
        self.follow(following)?;
        match &following.current {
            Some(Current { manifest, .. }) if manifest.revision() == before => {
                let published = publication.publish(draft, manifest, present.now());
                Ok(published.await)
            }
            _ => Ok(Ok(Vec::new())),
        }
    }

    pub(super) fn no_manifest(&self) -> KeeperError {
        KeeperError::NoManifest {
            object: format!("{}{MANIFEST}", self.0.store),
        }
    }
}
