//! Times in words, and keys by the beginning of their `kid`.

use std::time::Duration;

use chancery_core::UnixTime;

/// How many characters of a `kid` tell keys apart: 48 bits.
const SHORT: usize = 8;

/// The beginning of a `kid`, for tables and drawings.
pub(crate) fn short(kid: &str) -> &str {
    kid.get(..SHORT).unwrap_or(kid)
}

/// How long, in its two largest units, such as `3 d 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units
        .iter()
        .position(|(unit, _)| *unit <= seconds)
        .unwrap_or(units.len() - 1);
    let (unit, name) = units[largest];
    let first = format!("{} {name}", seconds / unit);
    match units.get(largest + 1) {
        Some((next, name)) if seconds % unit >= *next => {
            format!("{first} {} {name}", seconds % unit / next)
        }
        _ => first,
    }
}

/// How long from one moment to a later one; nothing where it is not later.
pub(crate) fn between(from: UnixTime, until: UnixTime) -> Duration {
    Duration::from_secs(until.as_secs().saturating_sub(from.as_secs()))
}

/// When, as seen from now: `in 3 d 4 h`, `now` or `5 min ago`.
pub(crate) fn relative(moment: UnixTime, now: UnixTime) -> String {
    if moment == now {
        "now".to_owned()
    } else if now < moment {
        format!("in {}", duration(between(now, moment)))
    } else {
        format!("{} ago", duration(between(moment, now)))
    }
}
