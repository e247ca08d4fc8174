//! A clock that can be set wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chancery::{Clock, UnixTime};

/// The system's clock, and by how much it is set wrong.
#[derive(Debug)]
pub(crate) struct WrongClock {
    milliseconds: AtomicI64,
}

impl WrongClock {
    pub(crate) const fn ahead_by(milliseconds: i64) -> Self {
        Self {
            milliseconds: AtomicI64::new(milliseconds),
        }
    }

    pub(crate) fn set_ahead_by(&self, milliseconds: i64) {
        self.milliseconds.store(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for WrongClock {
    fn now(&self) -> UnixTime {
        let wrong = self.milliseconds.load(Ordering::SeqCst);
        let by = Duration::from_millis(wrong.unsigned_abs());
        let now = SystemTime::now();
        let now = if wrong < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        };
        now.and_then(|now| UnixTime::try_from(now).ok())
            .unwrap_or(UnixTime::MAX)
    }
}
