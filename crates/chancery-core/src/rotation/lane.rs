//! The keys of one algorithm, one after the other: who follows whom, and when each is done.

use std::time::Duration;

use super::bounds::too_late;
use super::error::ManifestError;
use super::key::ManagedKey;
use super::manifest::Manifest;
use super::policy::Role;
use crate::algorithm::Algorithm;
use crate::time::UnixTime;

impl Manifest {
    /// The key of a lane that waits for its turn in this role.
    pub(super) fn waiting(&self, algorithm: Algorithm, role: Role) -> Option<&ManagedKey> {
        self.lane_keys(algorithm)
            .find(|key| key.role == role && key.is_waiting())
    }

    /// The last key of a lane that signs or will, and has no successor yet.
    pub(super) fn tail(&self, algorithm: Algorithm) -> Option<&ManagedKey> {
        self.lane_keys(algorithm)
            .filter(|key| key.moments.stop.is_none() && key.moments.revoked_at.is_none())
            .max_by_key(|key| key.moments.activate)
            .filter(|key| key.moments.activate.is_some())
    }

    /// The key of a lane that may be the first to sign, of those that do not, and from when on.
    pub(super) fn soonest(
        &self,
        algorithm: Algorithm,
    ) -> Result<Option<(String, UnixTime)>, ManifestError> {
        let mut soonest: Option<(String, UnixTime)> = None;
        for key in self
            .lane_keys(algorithm)
            .filter(|key| key.may_take_over(self.changed_at))
        {
            if let Some(from) = self.may_sign_from(key)?
                && soonest.as_ref().is_none_or(|(_, other)| from < *other)
            {
                soonest = Some((key.kid().to_owned(), from));
            }
        }
        Ok(soonest)
    }

    /// When a key can take over at the earliest, for the sake of the others of its lane. Where one
    /// of them signs, every replica must have a chance to learn of its end before it comes.
    pub(super) fn earliest_takeover(&self, index: usize) -> Result<UnixTime, ManifestError> {
        let now = self.changed_at;
        let key = &self.keys[index];
        let is_lit = self.lane_keys(key.jwk.algorithm()).any(|other| {
            other.kid() != key.kid()
                && other.moments.activate.is_some()
                && other.moments.end().is_none_or(|end| now < end)
        });
        if !is_lit {
            return Ok(now);
        }
        self.in_the_store(key, "activate")
    }

    /// ε from now: what is planned for then counts on the change being in the store by then, by any
    /// clock that is no further behind than the one it was dated by.
    pub(super) fn in_the_store(
        &self,
        key: &ManagedKey,
        moment: &'static str,
    ) -> Result<UnixTime, ManifestError> {
        self.changed_at
            .checked_add(self.times().clock_error)
            .ok_or_else(|| too_late(key, moment))
    }

    /// Lets a key sign from this moment on, or from the next second that no other key of its lane
    /// begins with, and plans the lane anew.
    pub(super) fn activate_at(
        &mut self,
        index: usize,
        mut activate: UnixTime,
    ) -> Result<(), ManifestError> {
        let algorithm = self.keys[index].jwk.algorithm();
        let late = || too_late(&self.keys[index], "activate");
        while self.keys.iter().enumerate().any(|(other, key)| {
            other != index
                && key.jwk.algorithm() == algorithm
                && key.moments.activate == Some(activate)
        }) {
            activate = activate
                .checked_add(Duration::from_secs(1))
                .ok_or_else(late)?;
        }
        let longest = self
            .policy
            .lane(algorithm)
            .map_or(Duration::ZERO, |lane| lane.longest_active);
        let sign_not_after = activate.checked_add(longest).ok_or_else(late)?;
        let moments = &mut self.keys[index].moments;
        moments.activate = Some(activate);
        moments.sign_not_after = Some(sign_not_after);
        self.replan(algorithm)
    }

    /// Plans anew what has not come yet: activations wait by the times in force, each key stops
    /// when the next one begins, and leaves when its tokens have expired.
    pub(super) fn replan(&mut self, algorithm: Algorithm) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let mut signing: Vec<usize> = (0..self.keys.len())
            .filter(|&index| {
                let key = &self.keys[index];
                key.jwk.algorithm() == algorithm && key.moments.activate.is_some()
            })
            .collect();
        signing.sort_by_key(|&index| self.keys[index].moments.activate);
        self.postpone(algorithm, &signing)?;
        for (place, &index) in signing.iter().enumerate() {
            let next = signing
                .get(place + 1)
                .and_then(|&next| self.keys[next].moments.activate);
            let moments = &mut self.keys[index].moments;
            let has_ended = moments.end().is_some_and(|end| end <= now);
            if moments.revoked_at.is_some() || moments.withdrawn_at.is_some() {
                continue;
            }
            if !has_ended {
                moments.stop = next;
                moments.retire = None;
                moments.destroy = None;
            } else if moments.stop.is_none() {
                moments.stop = next;
            }
        }
        for index in 0..self.keys.len() {
            if self.keys[index].jwk.algorithm() == algorithm {
                self.settle(index)?;
            }
        }
        Ok(())
    }

    /// Moves planned activations as far back as the times in force want it.
    fn postpone(&mut self, algorithm: Algorithm, signing: &[usize]) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let longest = self.policy.lane(algorithm).map(|lane| lane.longest_active);
        let mut after = UnixTime::EPOCH;
        for &index in signing {
            let key = &self.keys[index];
            let Some(planned) = key.moments.activate else {
                continue;
            };
            let mut activate = planned;
            if now < planned {
                let from = self.may_sign_from(key)?.unwrap_or(planned);
                activate = planned.max(from).max(after);
                let sign_not_after = match longest {
                    Some(longest) => activate.checked_add(longest),
                    None => key.moments.sign_not_after,
                };
                let sign_not_after = sign_not_after.ok_or_else(|| too_late(key, "activate"))?;
                let moments = &mut self.keys[index].moments;
                moments.activate = Some(activate);
                moments.sign_not_after = Some(sign_not_after);
            }
            after = activate
                .checked_add(Duration::from_secs(1))
                .ok_or_else(|| too_late(&self.keys[index], "activate"))?;
        }
        Ok(())
    }

    /// Takes a key out of service in an orderly way: it signs no longer than every replica needs to
    /// learn of it, and stays in the JWKS until its tokens have expired, if it ever had any.
    pub(super) fn withdraw(&mut self, index: usize, by: &str) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let key = &self.keys[index];
        let moments = key.moments();
        if moments.revoked_at.is_some()
            || moments.withdrawn_at.is_some()
            || moments.end().is_some_and(|end| end <= now)
        {
            return self.settle(index);
        }
        let stop = self.in_the_store(key, "stop")?;
        let kid = key.kid().to_owned();
        let moments = &mut self.keys[index].moments;
        moments.withdrawn_at = Some(now);
        moments.announce = moments.announce.filter(|&announce| announce <= now);
        // It never signs here, though a replica that does not know yet may sign with it.
        if moments.activate.is_some_and(|activate| now < activate) {
            moments.activate = None;
            moments.sign_not_after = None;
            moments.stop = None;
        }
        let stop = moments.stop.map_or(stop, |planned| planned.min(stop));
        // An announcement that has not come yet comes first: clocks may have become better.
        moments.stop = Some(stop.max(moments.announce.unwrap_or(stop)));
        moments.retire = None;
        moments.destroy = None;
        self.record(by, "withdraw", Some(&kid));
        self.settle(index)
    }

    /// Plans when a key that stops leaves the JWKS and when its private half may go. What has
    /// passed stays.
    fn settle(&mut self, index: usize) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let key = &self.keys[index];
        let moments = key.moments();
        if moments.revoked_at.is_none()
            && moments.announce.is_some()
            && moments.stop.is_some()
            && moments.retire.is_none_or(|retire| now < retire)
            && let Some(end) = moments.end()
        {
            let bound = self.retirement_bound(key, end, None)?.at;
            let planned = moments.retire.unwrap_or(now);
            self.keys[index].moments.retire = Some(planned.max(bound).max(now));
        }
        let moments = &self.keys[index].moments;
        if moments.stop.or(moments.revoked_at).is_some() {
            self.settle_destruction(index)?;
        }
        Ok(())
    }

    /// Plans when the private half of a key that stops may go, unless that has passed.
    pub(super) fn settle_destruction(&mut self, index: usize) -> Result<(), ManifestError> {
        let now = self.changed_at;
        let key = &self.keys[index];
        let moments = key.moments();
        if moments.destroy.is_none_or(|destroy| now < destroy)
            && let Some(end) = self.last_use(key)?
        {
            let bound = self.destruction_bound(key, end, None)?.at;
            let planned = moments.destroy.unwrap_or(now);
            self.keys[index].moments.destroy = Some(planned.max(bound));
        }
        Ok(())
    }

    /// The end of signing that the private half has to wait for. A key that was just revoked signs
    /// no longer from now on, but that is in the store only ε later.
    pub(super) fn last_use(&self, key: &ManagedKey) -> Result<Option<UnixTime>, ManifestError> {
        let now = self.changed_at;
        let moments = key.moments();
        match moments.end() {
            Some(end) if end == now && moments.revoked_at == Some(now) => {
                self.in_the_store(key, "destroy").map(Some)
            }
            end => Ok(end),
        }
    }
}
