//! What all sessions with a device share: the way to it, the password, and how many there may be.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yubihsm::authentication::Key;

use crate::Password;
use crate::connector::Route;
use crate::error::YubiHsmError;
use crate::link::Spare;

/// The most sessions that one [`YubiHsm`](crate::YubiHsm) takes of the 16 that a device has, so
/// that others find some left.
pub const MOST_SESSIONS: usize = 12;

/// How often in a row a device that has proved that it knows the password may fail to, before the
/// password counts as wrong. The recovery ladder spreads these tries over about a second.
const MOST_UNPROVEN: usize = 8;

/// What is needed to open sessions, shared by all that use a device.
pub(crate) struct Access {
    pub(crate) route: Route,
    pub(crate) authentication_key: u16,
    key: Key,
    slots: Arc<AtomicUsize>,
    trust: Trust,
    /// For each session identifier: how often the device gave it to this process.
    given: [AtomicU32; 256],
    spares: Mutex<Vec<Spare>>,
}

impl Access {
    pub(crate) fn new(
        route: Route,
        authentication_key: u16,
        password: &Password,
    ) -> Result<Self, YubiHsmError> {
        let password = password.read()?;
        Ok(Self {
            route,
            authentication_key,
            key: Key::derive_from_password(password.as_bytes()),
            slots: Arc::default(),
            trust: Trust::default(),
            given: [const { AtomicU32::new(0) }; 256],
            spares: Mutex::default(),
        })
    }

    /// Counts a session that the device has created.
    pub(crate) fn give(&self, session: u8) -> u32 {
        self.given[usize::from(session)].fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether the device has given the session's identifier to this process again, and so has
    /// forgotten the session.
    pub(crate) fn is_given_again(&self, session: u8, given: u32) -> bool {
        self.given[usize::from(session)].load(Ordering::Acquire) != given
    }

    /// Keeps a session that could not be closed.
    pub(crate) fn keep(&self, spare: Spare) {
        self.spares().push(spare);
    }

    /// A session that was kept.
    pub(crate) fn spare(&self) -> Option<Spare> {
        let mut spares = self.spares();
        spares.retain(Spare::is_fresh);
        spares.pop()
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the right to one session.
    pub(crate) fn slot(&self) -> Result<Slot, YubiHsmError> {
        Slot::take(&self.slots)
    }

    /// Whether the password counts as wrong.
    pub(crate) fn is_latched(&self) -> bool {
        self.trust.is_latched()
    }

    /// The device has proved that it knows the password.
    pub(crate) fn proved(&self) {
        self.trust.proved();
    }

    /// The device has not; whether the password counts as wrong from now on.
    pub(crate) fn failed(&self) -> bool {
        self.trust.failed()
    }

    pub(crate) fn long_lived(&self) -> &[u8; 32] {
        // The library's key has this length; a slice of it always is as long.
        self.key.as_secret_slice().first_chunk().unwrap_or(&[0; 32])
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("route", &format_args!("{}", self.route))
            .field("authentication_key", &self.authentication_key)
            .finish_non_exhaustive()
    }
}

/// Whether the password is known to be right, or wrong.
///
/// A wrong password shows as a device that does not prove that it knows it. So does a damaged
/// answer, which must not stop a signer for good; hence, once the password has been right, it
/// takes several such answers in a row.
#[derive(Default)]
struct Trust {
    /// 0 before the first proof, 1 after one, and 1 more for each failure since.
    state: AtomicUsize,
}

impl Trust {
    const LATCHED: usize = usize::MAX;

    fn is_latched(&self) -> bool {
        self.state.load(Ordering::Acquire) == Self::LATCHED
    }

    fn proved(&self) {
        self.state.store(1, Ordering::Release);
    }

    /// Whether the password counts as wrong from now on.
    fn failed(&self) -> bool {
        let next = |state| match state {
            0 | Self::LATCHED => Self::LATCHED,
            failures if failures >= MOST_UNPROVEN => Self::LATCHED,
            failures => failures + 1,
        };
        // The closure always gives a value, so this does not fail.
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                Some(next(state))
            });
        self.is_latched()
    }
}

/// One of the sessions that this process may have.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(slots: &Arc<AtomicUsize>) -> Result<Self, YubiHsmError> {
        slots
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < MOST_SESSIONS).then_some(taken + 1)
            })
            .map(|_| Self(Arc::clone(slots)))
            .map_err(|_| YubiHsmError::SessionLimit {
                most: MOST_SESSIONS,
            })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_was_never_right_is_wrong_at_once() {
        let trust = Trust::default();
        assert!(trust.failed());
        assert!(trust.is_latched());
        assert!(trust.failed());
    }

    #[test]
    fn a_password_that_was_right_outlives_damaged_answers() {
        let trust = Trust::default();
        trust.proved();
        for _ in 1..MOST_UNPROVEN {
            assert!(!trust.failed());
        }
        trust.proved();
        for _ in 1..MOST_UNPROVEN {
            assert!(!trust.failed());
        }
        assert!(trust.failed());
        assert!(trust.is_latched());
    }

    #[test]
    fn slots_are_given_back() {
        let slots = Arc::default();
        let taken: Vec<_> = (0..MOST_SESSIONS)
            .map(|_| Slot::take(&slots).ok().unwrap())
            .collect();
        assert!(matches!(
            Slot::take(&slots),
            Err(YubiHsmError::SessionLimit { .. })
        ));
        drop(taken);
        assert!(Slot::take(&slots).is_ok());
    }
}
