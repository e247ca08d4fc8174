//! Random token identifiers.

use std::cell::RefCell;
use std::process;

use crate::time::UnixTime;

/// The length in bytes of a token identifier: 128 bits.
const LEN: usize = 16;

/// How many identifiers one call to the operating system is good for.
const POOL: usize = 32;

thread_local! {
    static POOL_OF_THREAD: RefCell<Pool> = const {
        RefCell::new(Pool {
            bytes: [0; LEN * POOL],
            used: LEN * POOL,
            process: 0,
            filled_at: UnixTime::EPOCH,
        })
    };
}

/// 128 bits from the operating system, handed out once.
///
/// Asking for each token anew would cost as much as writing the whole payload, so a thread asks
/// for several at a time. A forked process has a copy of what its parent had asked for, and must
/// not use it.
pub(crate) fn random(now: UnixTime) -> Result<[u8; LEN], getrandom::Error> {
    POOL_OF_THREAD.with_borrow_mut(|pool| pool.next(now))
}

struct Pool {
    bytes: [u8; LEN * POOL],
    used: usize,
    process: u32,
    filled_at: UnixTime,
}

impl Pool {
    fn next(&mut self, now: UnixTime) -> Result<[u8; LEN], getrandom::Error> {
        // A process identifier may be given again after both forks of a chain have exited, but not
        // within a second: so that what is left of the second before is thrown away, too.
        let process = process::id();
        if self.used == self.bytes.len() || self.process != process || self.filled_at != now {
            // Until the call has succeeded there is nothing to hand out.
            self.used = self.bytes.len();
            getrandom::getrandom(&mut self.bytes)?;
            self.used = 0;
            self.process = process;
            self.filled_at = now;
        }
        let mut id = [0; LEN];
        id.copy_from_slice(&self.bytes[self.used..self.used + LEN]);
        self.used += LEN;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::EPOCH;

    fn filled() -> Pool {
        let mut pool = Pool {
            bytes: [0; LEN * POOL],
            used: LEN * POOL,
            process: 0,
            filled_at: NOW,
        };
        pool.next(NOW).unwrap();
        pool
    }

    fn copy(pool: &Pool) -> Pool {
        Pool { ..*pool }
    }

    #[test]
    fn what_a_forked_process_inherits_is_thrown_away() {
        let mut parent = filled();
        // Copied as it is, the pool does repeat itself.
        assert_eq!(
            copy(&parent).next(NOW).unwrap(),
            copy(&parent).next(NOW).unwrap()
        );
        let mut child = copy(&parent);
        child.process = child.process.wrapping_add(1);
        let ours: Vec<_> = (0..POOL).map(|_| parent.next(NOW).unwrap()).collect();
        for _ in 0..POOL {
            assert!(!ours.contains(&child.next(NOW).unwrap()));
        }
    }

    #[test]
    fn what_is_left_of_another_second_is_thrown_away() {
        let later = UnixTime::from_secs(1).unwrap();
        let mut one = filled();
        let mut other = copy(&one);
        assert_ne!(one.next(NOW).unwrap(), other.next(later).unwrap());
    }
}
