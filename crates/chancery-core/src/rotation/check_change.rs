//! What must hold between a manifest and the one that replaces it.

use super::check::check_bound;
use super::error::ManifestError;
use super::key::{Bootstrap, ManagedKey, Moments};
use super::manifest::Manifest;
use crate::time::UnixTime;

/// Moments that are recorded when something is done, and never planned.
const RECORDED: [&str; 5] = [
    "provisioned_at",
    "observed_at",
    "destroyed_at",
    "withdrawn_at",
    "revoked_at",
];

impl Manifest {
    /// Checks that `next` may replace this manifest: it is the next revision, the history only
    /// grew, what has passed stayed as it was, and nothing new is dated back.
    ///
    /// What comes out of [`Manifest::apply`] has been checked.
    ///
    /// # Errors
    /// [`ManifestError`]: what was altered or dated back.
    pub fn check_change(&self, next: &Self) -> Result<(), ManifestError> {
        let problem = |problem| Err(ManifestError::NotASuccessor { problem });
        if Some(next.revision) != self.revision.checked_add(1) {
            return problem("it is not the next revision");
        }
        if next.changed_at < self.changed_at || next.created_at != self.created_at {
            return problem("its times go back");
        }
        if !next.history.starts_with(&self.history) {
            return problem("its history is another one");
        }
        self.check_policy(next)?;
        if next.keys.len() < self.keys.len() {
            return problem("a key is gone");
        }
        let (old_keys, new_keys) = next.keys.split_at(self.keys.len());
        for (old, new) in self.keys.iter().zip(old_keys) {
            check_identity(old, new)?;
            self.check_key(next, new, &old.moments)?;
            if old.bootstrap != new.bootstrap {
                self.check_bootstrap(next, old, new)?;
            }
        }
        for new in new_keys {
            let only_made = Moments {
                provisioned_at: Some(next.changed_at),
                ..Moments::default()
            };
            if new.moments != only_made || new.bootstrap.is_some() {
                return Err(altered(new, "provisioned_at"));
            }
        }
        Ok(())
    }

    fn check_policy(&self, next: &Self) -> Result<(), ManifestError> {
        let problem = |problem| Err(ManifestError::NotASuccessor { problem });
        if next.policy.version < self.policy.version {
            return problem("its policy is older");
        }
        if next.policy.version == self.policy.version && next.policy != self.policy {
            return Err(ManifestError::PolicyConflict {
                version: self.policy.version,
            });
        }
        let Some((last, earlier)) = self.records.split_last() else {
            return problem("there are no times in force");
        };
        let continued = next.records.get(earlier.len()).is_some_and(|record| {
            record.times == last.times
                && record.since == last.since
                && record.until.is_none_or(|until| until == next.changed_at)
        });
        if !next.records.starts_with(earlier) || !continued {
            return problem("its records of times are others");
        }
        Ok(())
    }

    fn check_key(&self, next: &Self, key: &ManagedKey, old: &Moments) -> Result<(), ManifestError> {
        let now = next.changed_at;
        let new = &key.moments;
        for ((name, before), (_, after)) in old.named().into_iter().zip(new.named()) {
            if before == after {
                continue;
            }
            let is_recorded = RECORDED.contains(&name);
            if before.is_some_and(|before| is_recorded || before <= now) {
                return Err(altered(key, name));
            }
            if let Some(after) = after
                && (after < now || (is_recorded && after > now))
            {
                return Err(back_dated(key, (name, after), now));
            }
        }
        let earliest = || next.in_the_store(key, "a moment soon after `changed_at`");
        // A lease after it was announced, every replica has the key: that counts from when the
        // change is written.
        if let Some(announce) = new.announce
            && old.announce != new.announce
            && key.bootstrap.is_none()
            && announce < earliest()?
        {
            return Err(back_dated(key, ("announce", announce), earliest()?));
        }
        // A replica may learn of an end only once the change is written, and its clock may say
        // less than the writer's: an end that comes too soon is one it cannot keep. A revoked key
        // ends at once, whatever becomes of its tokens.
        if let Some(end) = new.end()
            && new.revoked_at.is_none()
            && old.end().is_none_or(|before| end < before)
            && old.announce.is_some()
            && end < earliest()?
        {
            return Err(back_dated(key, ("the end of signing", end), earliest()?));
        }
        self.check_replanned(next, key, old)
    }

    /// What is planned anew has to wait by all times in force, also those that come with this very
    /// change.
    fn check_replanned(
        &self,
        next: &Self,
        key: &ManagedKey,
        old: &Moments,
    ) -> Result<(), ManifestError> {
        let new = &key.moments;
        if let Some(activate) = new.activate
            && old.activate != new.activate
            && let Some(bound) = next.activation_bound(key, None)?
        {
            check_bound(key, ("activate", activate), bound)?;
        }
        let Some(end) = new.end() else {
            return Ok(());
        };
        if let Some(retire) = new.retire
            && old.retire != new.retire
            && new.revoked_at.is_none()
        {
            let bound = next.retirement_bound(key, end, None)?;
            check_bound(key, ("retire", retire), bound)?;
        }
        if let Some(destroy) = new.destroy
            && old.destroy != new.destroy
        {
            let end = next.last_use(key)?.unwrap_or(end);
            let bound = next.destruction_bound(key, end, None)?;
            check_bound(key, ("destroy", destroy), bound)?;
        }
        Ok(())
    }

    /// Inequality 8 is for the keys that are announced when there was none before.
    fn check_bootstrap(
        &self,
        next: &Self,
        old: &ManagedKey,
        new: &ManagedKey,
    ) -> Result<(), ManifestError> {
        let is_first = self.is_bootstrapping() && new.moments.announce == Some(next.changed_at);
        let is_allowed = match new.bootstrap {
            Some(Bootstrap::AtOnce) => next.policy.nobody_has_fetched,
            Some(Bootstrap::Observed) => true,
            None => false,
        };
        if old.bootstrap.is_some() || !is_first || !is_allowed {
            return Err(altered(new, "bootstrap"));
        }
        Ok(())
    }
}

fn check_identity(old: &ManagedKey, new: &ManagedKey) -> Result<(), ManifestError> {
    for (is_same, what) in [
        (old.jwk == new.jwk, "jwk"),
        (old.backend == new.backend, "backend"),
        (old.reference == new.reference, "reference"),
        (old.role == new.role, "role"),
    ] {
        if !is_same {
            return Err(altered(new, what));
        }
    }
    Ok(())
}

fn altered(key: &ManagedKey, what: &'static str) -> ManifestError {
    ManifestError::Altered {
        kid: key.kid().to_owned(),
        what,
    }
}

fn back_dated(
    key: &ManagedKey,
    moment: (&'static str, UnixTime),
    earliest: UnixTime,
) -> ManifestError {
    ManifestError::BackDated {
        kid: key.kid().to_owned(),
        moment,
        earliest,
    }
}
