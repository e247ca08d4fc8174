//! Time in whole seconds, and the clock that tells it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in whole seconds since 1970-01-01T00:00:00Z, ignoring leap seconds: the NumericDate of
/// RFC 7519 §2, of integers only.
///
/// It lies between 1970 and the end of the year 9999, so no sum of it and a lifetime overflows and
/// every JSON parser reads it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The first moment of 1970.
    pub const EPOCH: Self = Self(0);
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// The moment this many seconds after the epoch; `None` after the year 9999.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        if seconds <= Self::MAX.0 {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// The seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The moment `duration` later, its fraction of a second dropped; `None` after the year 9999.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        self.0
            .checked_add(duration.as_secs())
            .and_then(Self::from_secs)
    }

    /// The moment `duration` earlier, its fraction of a second dropped, and not before the epoch.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// The moment for people, in UTC: `2026-01-31T23:59:59Z` (RFC 3339 §5.6).
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Years that begin in March, counted from the year 0, have their leap day at their end, and
        // repeat every 400 years, which are 146,097 days.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // From March on, five months have 153 days, over and over.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next_year) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = 400 * era + year + next_year;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Takes a system time, its fraction of a second dropped.
impl TryFrom<SystemTime> for UnixTime {
    type Error = UnixTimeError;

    fn try_from(time: SystemTime) -> Result<Self, UnixTimeError> {
        time.duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| Self::from_secs(since.as_secs()))
            .ok_or(UnixTimeError)
    }
}

/// Shows the seconds.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The moment lies before 1970 or after the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixTimeError;

impl fmt::Display for UnixTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time lies before 1970 or after 9999; is the clock right?")
    }
}

impl std::error::Error for UnixTimeError {}

/// Tells the time. Tests turn it; services use [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixTime;
}

/// The operating system's clock.
///
/// A clock set before 1970 or after 9999 reads as the end of 9999, which fails closed: a token
/// that is issued then would expire too late and is refused, and one that is verified has expired.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime::try_from(SystemTime::now()).unwrap_or(UnixTime::MAX)
    }
}
