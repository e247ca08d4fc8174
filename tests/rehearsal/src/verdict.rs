//! What became of the tokens, and whether the rehearsal was one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery::UnixTime;
use serde_json::Value;

use crate::faults::Kind;
use crate::mint::{Arrival, Unserved};
use crate::record::Revision;
use crate::relying_party::Judgement;
use crate::stage::Happened;
use crate::times::{ALGORITHMS, times};
use crate::{Outcome, Result};

/// The longest list of complaints that is shown.
const MOST_SHOWN: usize = 20;

/// How long a keeper waits for a change to be written, where ε is no longer than that.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much later the watch on the manifest may notice it.
const SLOWNESS: Duration = Duration::from_secs(1);

/// All that was seen.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) lasted: Duration,
    pub(crate) tokens: Vec<Arrival>,
    pub(crate) unserved: std::sync::Arc<Unserved>,
    /// What each relying party made of each token, by the token's place.
    pub(crate) judgements: Vec<(&'static str, HashMap<u64, Judgement>)>,
    pub(crate) revisions: BTreeMap<u64, Revision>,
    pub(crate) happened: Happened,
    /// The kinds that the plan has.
    pub(crate) planned: BTreeSet<Kind>,
    /// How often an issuer said that it could not change the manifest.
    pub(crate) refused_changes: usize,
}

impl Evidence {
    /// Tells all, in figures, and whether all is well. The last line is the sum.
    pub(crate) fn verdict(&self) -> Result<bool> {
        let mut complaints = Vec::new();
        let rejected = self.rejected(&mut complaints)?;
        self.signatures(&mut complaints)?;
        let judged = self.judged();
        let verified = judged.difference(&rejected).count();
        let rotations = self.rotations(&mut complaints);
        self.faults(&mut complaints);
        // A machine may be slow; but a check of next to nothing is none.
        let least = self.lasted.as_secs() * 2;
        if (verified as u64) < least {
            complaints.push(format!("fewer than {least} tokens were verified"));
        }
        if verified < self.tokens.len() / 2 {
            complaints.push("fewer than half of the tokens were verified".to_owned());
        }

        println!("\n{rotations}");
        for complaint in complaints.iter().take(MOST_SHOWN) {
            println!("FAILED: {complaint}");
        }
        if complaints.len() > MOST_SHOWN {
            println!("FAILED: and {} more", complaints.len() - MOST_SHOWN);
        }
        println!("{verified} tokens verified, {} rejected", rejected.len());
        Ok(complaints.is_empty())
    }

    /// The tokens that every relying party has accepted at least once.
    fn judged(&self) -> BTreeSet<u64> {
        let everybody_did = |id: &u64| {
            self.judgements.iter().all(|(_, judgements)| {
                let judgement = judgements.get(id);
                judgement.is_some_and(|judgement| judgement.checks > 0)
            })
        };
        (0..self.tokens.len() as u64)
            .filter(everybody_did)
            .collect()
    }

    /// The tokens that a relying party has rejected, without a good reason.
    fn rejected(&self, complaints: &mut Vec<String>) -> Result<BTreeSet<u64>> {
        let mut rejected = BTreeSet::new();
        let mut revoked = BTreeMap::<String, u64>::new();
        println!();
        for (name, judgements) in &self.judgements {
            let (mut checks, mut late, mut to_the_end, mut refused) = (0, 0, 0, 0_u64);
            for (&id, judgement) in judgements {
                checks += judgement.checks;
                late += u64::from(judgement.late);
                to_the_end += u64::from(judgement.left.is_some_and(|left| left < 0.5));
                let Some(rejection) = &judgement.rejected else {
                    continue;
                };
                refused += 1;
                let arrival = self.arrival(id)?;
                let kid = kid(&arrival.minted.token)?;
                let is_revoked = self.happened.revoked.get(&kid).is_some_and(|&since| {
                    UNIX_EPOCH + Duration::from_secs_f64(rejection.at) >= since
                });
                if is_revoked {
                    *revoked.entry(kid).or_default() += 1;
                } else {
                    rejected.insert(id);
                    complaints.push(format!(
                        "{name} at {:.3}: {}; signed by {} at {}",
                        rejection.at,
                        rejection.why,
                        arrival.minted.replica,
                        arrival.minted.after.now,
                    ));
                }
            }
            println!(
                "{name}: {} tokens, accepted {checks} times, {to_the_end} in their last half second; \
                 {refused} rejected; {late} expired before a last look",
                judgements.len()
            );
        }
        for (kid, count) in &revoked {
            println!("revoked key {kid}: {count} rejections, as it should be");
        }
        if self.happened.counts.contains_key(&Kind::Revoke) && revoked.is_empty() {
            complaints.push("keys were revoked, and no token was rejected for it".to_owned());
        }
        Ok(rejected)
    }

    /// Looks whether every token was signed by a key that was published, was to sign by a manifest,
    /// and by one that was not too old.
    fn signatures(&self, complaints: &mut Vec<String>) -> Outcome {
        let (mut unpublished, mut inactive, mut stale) = (0, 0, 0);
        for arrival in &self.tokens {
            let minted = &arrival.minted;
            let kid = kid(&minted.token)?;
            let (before, after) = (&minted.before, &minted.after);
            let is_published = [&before.kids, &after.kids]
                .into_iter()
                .flatten()
                .any(|kids| kids.contains(&kid));
            if !is_published {
                unpublished += 1;
                complaints.push(format!(
                    "{} signed by {kid} at {}, which was not in its JWKS",
                    minted.replica, before.now
                ));
            }
            // One that came and went between two looks at the store is not in the record.
            let followed: Vec<&Revision> = self
                .revisions
                .range(before.revision..=after.revision.max(before.revision))
                .map(|(_, revision)| revision)
                .collect();
            let is_active = (before.now..=after.now).any(|now| {
                let now = UnixTime::from_secs(now).unwrap_or(UnixTime::EPOCH);
                followed
                    .iter()
                    .any(|revision| revision.is_active(&kid, now))
            });
            if !is_active && !followed.is_empty() {
                inactive += 1;
                complaints.push(format!(
                    "{} signed by {kid} at {}, which was not active by manifests {} to {}",
                    minted.replica, before.now, before.revision, after.revision
                ));
            }
            let next = self.revisions.range(after.revision + 1..).next();
            let overdue =
                next.and_then(|(_, next)| arrival.asked_at.duration_since(next.seen_at).ok());
            if overdue.is_some_and(|overdue| overdue > times().lease) {
                stale += 1;
                complaints.push(format!(
                    "{} signed at {} by manifest {}, which had been replaced for {:.1} s",
                    minted.replica,
                    before.now,
                    after.revision,
                    overdue.unwrap_or_default().as_secs_f64()
                ));
            }
        }
        println!(
            "signed by a key that was not published: {unpublished}; that was not active by the \
             manifest: {inactive}; by a manifest older than the lease: {stale}"
        );
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::SeqCst);
        let odd = count(&self.unserved.odd);
        println!(
            "tokens asked for in vain: {} refused by 503, {} unanswered",
            count(&self.unserved.refused),
            count(&self.unserved.unanswered)
        );
        if odd > 0 {
            complaints.push(format!("{odd} requests for a token were answered oddly"));
        }
        Ok(())
    }

    /// What the manifest went through.
    fn rotations(&self, complaints: &mut Vec<String>) -> String {
        let Some((number, last)) = self.revisions.iter().next_back() else {
            complaints.push("there never was a manifest".to_owned());
            return String::new();
        };
        // The very first keys have replaced none.
        let rotations = last.activated.saturating_sub(ALGORITHMS.len());
        // At half the speed that is possible.
        let lead = times().activate_after_announce();
        let least = usize::try_from(self.lasted.as_secs() / lead.as_secs()).unwrap_or(usize::MAX);
        if rotations < least {
            complaints.push(format!("fewer than {least} rotations took place"));
        }
        let lateness = |revision: &Revision| {
            let changed_at = UNIX_EPOCH + Duration::from_secs(revision.changed_at.as_secs());
            revision
                .seen_at
                .duration_since(changed_at)
                .unwrap_or_default()
        };
        // Its maker gives up after so long, and its clock may be behind.
        let times = times();
        let longest = PATIENCE + times.clock_error + SLOWNESS;
        for (number, revision) in &self.revisions {
            let lateness = lateness(revision);
            if lateness > longest {
                complaints.push(format!(
                    "manifest {number} came into force {:.2} s after its moment, and keys may not \
                     be known in time",
                    lateness.as_secs_f64()
                ));
            }
        }
        let latest = self.revisions.values().map(lateness).max();
        format!(
            "{rotations} rotations, {} keys retired, {} destroyed, {number} changes of the manifest; \
             the latest was in force {:.2} s after its moment",
            last.retired,
            last.destroyed,
            latest.unwrap_or_default().as_secs_f64()
        )
    }

    /// Looks whether all that was to go wrong has gone wrong.
    fn faults(&self, complaints: &mut Vec<String>) {
        let counts = &self.happened.counts;
        let told: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{} {}", counts.get(kind).unwrap_or(&0), kind.name()))
            .collect();
        println!(
            "{}; {} changes refused",
            told.join(", "),
            self.refused_changes
        );
        complaints.extend(self.happened.flaws.iter().cloned());
        for kind in &self.planned {
            if !counts.contains_key(kind) {
                complaints.push(format!(
                    "there were to be {}, and there were none",
                    kind.name()
                ));
            }
        }
        if self.planned.contains(&Kind::ReadOnly) && self.refused_changes == 0 {
            complaints.push("no issuer noticed that the store refused changes".to_owned());
        }
    }

    fn arrival(&self, id: u64) -> Result<&Arrival> {
        let arrival = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
        Ok(arrival.ok_or("a relying party made up a token")?)
    }
}

fn kid(token: &str) -> Result<String> {
    let header = token.split('.').next().unwrap_or_default();
    let header: Value = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(header)?)?;
    let kid = header.get("kid").and_then(Value::as_str);
    Ok(kid.ok_or("a token has no kid")?.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::SystemTime;

    use serde_json::json;

    use super::*;
    use crate::issuer::{Circumstances, Minted};
    use crate::relying_party::Rejection;

    /// A token of the key `k`, by an issuer that serves these keys, and what a relying party made
    /// of it.
    fn evidence(served: &[&str], rejected: Option<Rejection>) -> Evidence {
        let header = Base64UrlUnpadded::encode_string(json!({ "kid": "k" }).to_string().as_bytes());
        let circumstances = || Circumstances {
            now: 1_800_000_000,
            revision: 1,
            kids: Some(served.iter().map(|&kid| kid.to_owned()).collect()),
        };
        let minted = Minted {
            token: format!("{header}.e30.AA"),
            replica: "replica-1".to_owned(),
            before: circumstances(),
            after: circumstances(),
        };
        let judgement = Judgement {
            id: 0,
            checks: 1,
            left: Some(0.1),
            late: false,
            rejected,
        };
        Evidence {
            lasted: Duration::ZERO,
            tokens: vec![Arrival {
                asked_at: SystemTime::now(),
                minted,
            }],
            unserved: std::sync::Arc::default(),
            judgements: vec![("somebody", HashMap::from([(0, judgement)]))],
            revisions: BTreeMap::new(),
            happened: Happened::default(),
            planned: BTreeSet::new(),
            refused_changes: 0,
        }
    }

    fn rejection() -> Option<Rejection> {
        Some(Rejection {
            why: "no key".to_owned(),
            at: 1_800_000_000.0,
        })
    }

    #[test]
    fn a_key_that_was_not_served_is_noticed() {
        for (served, found) in [(&["a", "k"][..], 0), (&["a"], 1)] {
            let mut complaints = Vec::new();
            evidence(served, None).signatures(&mut complaints).unwrap();
            assert_eq!(complaints.len(), found, "{complaints:?}");
        }
    }

    #[test]
    fn a_rejection_is_excused_by_a_revocation_before_it_and_by_nothing_else() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (kid, revoked_at, excused) in [
            ("k", at(1_799_999_999), true),
            ("k", at(1_800_000_001), false),
            ("other", at(1_799_999_999), false),
        ] {
            let mut evidence = evidence(&["k"], rejection());
            evidence.happened.revoked.insert(kid.to_owned(), revoked_at);
            let mut complaints = Vec::new();
            let rejected = evidence.rejected(&mut complaints).unwrap();
            assert_eq!(rejected.is_empty(), excused, "{complaints:?}");
            assert_eq!(complaints.is_empty(), excused, "{complaints:?}");
        }
    }

    #[test]
    fn a_fault_that_did_not_happen_is_noticed() {
        let mut evidence = evidence(&["k"], None);
        evidence.planned.insert(Kind::Kill);
        let mut complaints = Vec::new();
        evidence.faults(&mut complaints);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        evidence.happened.counts.insert(Kind::Kill, 1);
        complaints.clear();
        evidence.faults(&mut complaints);
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}
