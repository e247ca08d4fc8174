//! A keeper that drives itself.

use std::convert::Infallible;
use std::time::Duration;

use chancery_core::{Clock, UnixTime};
use tokio::time;

use crate::keeper::Keeper;
use crate::keeper::event::Event;

/// The longest time between two looks at the manifest: what another replica has revoked stops here
/// that soon.
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// The shortest time between two steps, so that what fails is not tried all the time.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

impl Keeper {
    /// Makes one step after the other, for ever: at least each 30 seconds and four times a lease,
    /// sooner where the plan has something due. The times vary, so that replicas do not move in
    /// step. What fails again and again is tried after 1 second, 2, 4 and so on.
    ///
    /// To stop, drop the future; the lease then runs out by itself. Errors go to the hook and to
    /// `tracing`, and are met by the next step: nothing ends this.
    ///
    /// `clock` is the one that the issuers have.
    pub async fn run(&self, clock: &dyn Clock) -> Infallible {
        let mut shortest = SHORTEST_POLL;
        loop {
            let now = clock.now();
            let outcome = self.step(now).await;
            if let Err(error) = &outcome {
                self.tell(&Event::StepFailed(error));
            }
            let has_failed = outcome
                .as_ref()
                .map_or(true, |report| !report.troubles.is_empty());
            let next = outcome.ok().and_then(|report| report.next);
            time::sleep(self.pause(clock.now(), next, shortest)).await;
            shortest = if has_failed {
                (shortest * 2).min(LONGEST_POLL)
            } else {
                SHORTEST_POLL
            };
        }
    }

    /// How long until the next step: not sooner than the shortest time, as long as the manifest is
    /// read in time.
    fn pause(&self, now: UnixTime, next: Option<UnixTime>, shortest: Duration) -> Duration {
        let view = self.view();
        let lease = view.manifest.map(|manifest| manifest.times().lease);
        let poll = lease.map_or(LONGEST_POLL, |lease| (lease / 4).min(LONGEST_POLL));
        let until = |next: UnixTime| next.as_secs().saturating_sub(now.as_secs());
        let due = next.map_or(poll, |next| Duration::from_secs(until(next)));
        // Between three quarters of it and all of it. Without randomness they just don't vary.
        let mut random = [0];
        let _ = getrandom::getrandom(&mut random);
        let pause = due.min(poll);
        let pause = pause - pause / 1024 * u32::from(random[0]);
        pause.max(shortest.min(poll)).max(SHORTEST_POLL)
    }
}
