//! The times of the rehearsal: seconds, where an issuer has hours.

use std::time::Duration;

use chancery::Algorithm;
use chancery::rotation::{Lane, RotationPolicy, RotationTimes};

/// The name of the backend that the policy's keys lie in.
pub(crate) const BACKEND: &str = "store";

/// The lanes: the one that signs by default first.
pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::Rs256];

/// What a token is for.
pub(crate) const AUDIENCE: &str = "rehearsal";

/// How far a clock is set ahead at most. Clocks are read in whole seconds, so one that is right reads
/// up to a second behind, and one that is set a second ahead is at most a second ahead: with ε at
/// one second, that is all there is to play with.
pub(crate) const FARTHEST_AHEAD: Duration = Duration::from_secs(1);

/// C, R, L, ε, D, T, G, r and W.
pub(crate) fn times() -> RotationTimes {
    let seconds = Duration::from_secs;
    RotationTimes::default()
        .with_max_age(seconds(2))
        .with_refresh(seconds(3))
        .with_lease(seconds(6))
        .with_clock_error(seconds(1))
        .with_signing_deadline(seconds(1))
        .with_longest_lifetime(seconds(6))
        .with_leeway(seconds(1))
        .with_clock_lag(seconds(1))
        .with_negative_cache(seconds(1))
}

/// Two lanes, each with a standby, whose keys change as often as relying parties can follow.
pub(crate) fn policy() -> RotationPolicy {
    let active_for = times().activate_after_announce();
    let policy = RotationPolicy::new(1).with_times(times());
    ALGORITHMS.iter().fold(policy, |policy, &algorithm| {
        let lane = Lane::new(algorithm, BACKEND)
            .with_standby(BACKEND)
            .with_margin(Duration::ZERO)
            .with_active_for(active_for, active_for * 4);
        policy.with_lane(lane)
    })
}

/// How long after it was minted the last relying party gives up a token.
pub(crate) fn token_ends_after() -> Duration {
    let times = times();
    times.longest_lifetime + times.leeway + times.clock_lag + times.clock_error
}
