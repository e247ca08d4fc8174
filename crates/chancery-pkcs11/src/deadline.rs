//! Operations that return by their deadline, whatever the module does.
//!
//! A call into a module that hangs cannot be taken back. So an operation runs on a thread of its own,
//! and whoever asked for it waits until the deadline and no longer. The thread stays in the module
//! then, and with it any lock that it holds there or here; whoever waits for that lock is on such a
//! thread too, or on one of a signer's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Pkcs11Error;
use crate::module_error::CallError;
use crate::sync::{Condvar, Mutex, lock, wait_until};

/// How long an operation may take when nobody said so. A TPM may take half of it to make an RSA key.
pub(crate) const DEFAULT: Duration = Duration::from_secs(60);

/// Times to come are added up from the present, which must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// So many operations at once may be in a module, those included that were given up. It bounds the
/// threads that a module which hangs can keep.
const MOST: usize = 8;

/// The operations in each module, by the path that it was named by; of each, whether it was given up.
static UNDER_WAY: LazyLock<Mutex<BTreeMap<PathBuf, Vec<Arc<AtomicBool>>>>> =
    LazyLock::new(Mutex::default);
static CHANGED: LazyLock<Condvar> = LazyLock::new(Condvar::new);

thread_local! {
    /// Whether the operation that this thread is for, if it is for one, was given up; replaced by
    /// one that never is when it is to be carried through.
    static OPERATION: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// What is done on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Loading the module, finding the token and logging in.
    OpenToken,
    /// Listing its keys, or those that cannot sign.
    ListKeys,
    /// Finding a key, to tell what an operator should know of it.
    FindKey,
    /// Opening a signer.
    OpenSigner,
    /// Generating a key.
    Generate,
    /// Destroying a key.
    Destroy,
}

/// As the subject of a sentence.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenToken => "opening the token",
            Self::ListKeys => "listing the keys",
            Self::FindKey => "finding the key",
            Self::OpenSigner => "opening the signer",
            Self::Generate => "generating the key",
            Self::Destroy => "destroying the key",
        })
    }
}

/// How long each operation on a token may take.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// The path that it was named by, since to look for another one may hang as well.
    module: PathBuf,
    deadline: Duration,
}

impl Limit {
    /// More than a year counts as a year.
    pub(crate) fn new(module: PathBuf, deadline: Duration) -> Self {
        Self {
            module,
            deadline: deadline.min(LONGEST),
        }
    }

    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    /// Does the work on a thread of its own, and waits for it until the deadline. A panic goes on in
    /// the caller's thread. What is part of another operation is done in that one's thread, and by
    /// that one's deadline.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        if OPERATION.with_borrow(Option::is_some) {
            return Ok(work());
        }
        let until = Instant::now() + self.deadline;
        let place = Place::take(&self.module, until).map_err(|given_up| Pkcs11Error::NotBegun {
            operation,
            module: self.module.clone(),
            given_up,
        })?;
        let is_given_up = Arc::clone(&place.is_given_up);
        // Without room for what nobody takes: it is dropped on the thread that made it, as this may
        // call the module.
        let (done, outcome) = mpsc::sync_channel(0);
        let run = move || {
            OPERATION.set(Some(Arc::clone(&place.is_given_up)));
            // What a panic leaves half done is not looked at again.
            let result = catch_unwind(AssertUnwindSafe(work));
            drop(done.send(result));
            drop(place);
        };
        let thread = thread::Builder::new().name("chancery-pkcs11".to_owned());
        thread.spawn(run).map_err(Pkcs11Error::Thread)?;
        match outcome.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => {
                give_up(&is_given_up);
                Err(Pkcs11Error::NotReturned {
                    operation,
                    module: self.module.clone(),
                    after: self.deadline,
                })
            }
        }
    }
}

/// Those who wait for a place look again: maybe there is none to come any more.
fn give_up(operation: &AtomicBool) {
    let under_way = lock(&UNDER_WAY);
    operation.store(true, Ordering::Relaxed);
    drop(under_way);
    CHANGED.notify_all();
}

/// Whether this thread is for an operation that was given up: whoever asked for it was told so, and
/// may have done something else since.
pub(crate) fn is_given_up() -> bool {
    OPERATION.with_borrow(|operation| {
        let is_given_up = operation.as_ref();
        is_given_up.is_some_and(|is_given_up| is_given_up.load(Ordering::Relaxed))
    })
}

/// Sees to it that the operation goes on from here even if it is given up: what it does takes several
/// calls, and half of it would be worse than all. Fails when it was given up before.
pub(crate) fn carry_through() -> Result<(), CallError> {
    if is_given_up() {
        return Err(CallError::GivenUp);
    }
    OPERATION.with_borrow_mut(|operation| {
        if let Some(is_given_up) = operation {
            *is_given_up = Arc::default();
        }
    });
    Ok(())
}

/// The place of an operation among those in a module, until it is dropped.
struct Place {
    module: PathBuf,
    is_given_up: Arc<AtomicBool>,
}

impl Place {
    /// Waits for a place where all are taken, unless it was by operations that were given up. Tells
    /// how many those are when there is none until the deadline.
    fn take(module: &Path, until: Instant) -> Result<Self, usize> {
        let mut under_way = lock(&UNDER_WAY);
        loop {
            let here = under_way.entry(module.to_owned()).or_default();
            if here.len() < MOST {
                let is_given_up = Arc::new(AtomicBool::new(false));
                here.push(Arc::clone(&is_given_up));
                return Ok(Self {
                    module: module.to_owned(),
                    is_given_up,
                });
            }
            let given_up = here.iter().filter(|it| it.load(Ordering::Relaxed)).count();
            if given_up == MOST || Instant::now() >= until {
                return Err(given_up);
            }
            under_way = wait_until(&CHANGED, under_way, until).unwrap_or_else(|| lock(&UNDER_WAY));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = lock(&UNDER_WAY);
        if let Some(here) = under_way.get_mut(&self.module) {
            here.retain(|other| !Arc::ptr_eq(other, &self.is_given_up));
            if here.is_empty() {
                under_way.remove(&self.module);
            }
        }
        drop(under_way);
        CHANGED.notify_all();
    }
}

#[cfg(all(test, not(chancery_shuttle)))]
mod tests {
    use std::sync::Barrier;
    use std::thread::ThreadId;

    use super::*;

    const GRACE: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    fn limit(module: &str, deadline: Duration) -> Limit {
        Limit::new(PathBuf::from(module), deadline)
    }

    /// Takes all places of the module with operations that hang until the barrier is reached by one
    /// more, and that are given up after the deadline.
    fn occupy(module: &str, deadline: Duration) -> Arc<Barrier> {
        let end = Arc::new(Barrier::new(MOST + 1));
        for _ in 0..MOST {
            let (limit, end) = (limit(module, deadline), Arc::clone(&end));
            thread::spawn(move || limit.run(Operation::ListKeys, move || end.wait()));
        }
        while lock(&UNDER_WAY).get(Path::new(module)).map(Vec::len) < Some(MOST) {
            thread::yield_now();
        }
        end
    }

    #[test]
    fn those_who_wait_for_a_place_are_refused_when_all_are_given_up() {
        let module = "those_who_wait";
        let deadline = Duration::from_millis(200);
        let began = Instant::now();
        let end = occupy(module, deadline);
        let refused = |given_up| {
            let outcome = limit(module, LONG).run(Operation::Generate, || ());
            let (operation, module) = (Operation::Generate, PathBuf::from(module));
            let expected = Pkcs11Error::NotBegun {
                operation,
                module,
                given_up,
            };
            assert_eq!(outcome.unwrap_err().to_string(), expected.to_string());
        };
        // First once they are given up, from then on at once.
        refused(MOST);
        let took = began.elapsed();
        assert!(took >= deadline && took < deadline + GRACE, "{took:?}");
        refused(MOST);
        assert!(began.elapsed() < took + GRACE);
        // Other modules have places of their own.
        limit("another", LONG)
            .run(Operation::ListKeys, || ())
            .unwrap();
        end.wait();
        while lock(&UNDER_WAY).contains_key(Path::new(module)) {
            thread::yield_now();
        }
        refused_no_more(module);
    }

    #[test]
    fn the_shortest_and_the_longest_deadline_are_deadlines() {
        let longest = limit("longest", Duration::MAX);
        assert!(matches!(longest.run(Operation::ListKeys, || 7), Ok(7)));
        let (end, ended) = mpsc::channel::<()>();
        let shortest = limit("shortest", Duration::ZERO);
        let outcome = shortest.run(Operation::ListKeys, move || ended.recv());
        let after = Duration::ZERO;
        assert!(matches!(outcome, Err(Pkcs11Error::NotReturned { after: it, .. }) if it == after));
        drop(end);
    }

    #[test]
    fn those_who_wait_for_a_place_get_one_that_comes_free() {
        let module = "one_that_comes_free";
        let end = occupy(module, LONG);
        let short = limit(module, GRACE).run(Operation::ListKeys, || ());
        assert!(matches!(
            short,
            Err(Pkcs11Error::NotBegun { given_up: 0, .. })
        ));
        let waiting = thread::spawn(|| refused_no_more("one_that_comes_free"));
        end.wait();
        waiting.join().unwrap();
    }

    fn refused_no_more(module: &str) {
        let done = limit(module, LONG).run(Operation::ListKeys, || 7);
        assert!(matches!(done, Ok(7)), "{done:?}");
    }

    /// Tells on which thread it is dropped.
    struct Dropped(mpsc::Sender<ThreadId>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[test]
    fn what_comes_too_late_is_dropped_where_it_was_made() {
        let (dropped, on) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let outcome = limit("too_late", GRACE).run(Operation::OpenSigner, move || {
            ended.recv().unwrap();
            assert!(is_given_up());
            Dropped(dropped)
        });
        let Err(Pkcs11Error::NotReturned { after, .. }) = outcome else {
            panic!("it returned");
        };
        assert_eq!(after, GRACE);
        end.send(()).unwrap();
        assert_ne!(on.recv().unwrap(), thread::current().id());
    }

    #[test]
    fn an_operation_within_another_has_no_thread_of_its_own() {
        let outer = limit("outer", LONG).run(Operation::OpenSigner, || {
            // Its deadline is that of the outer one.
            let inner = limit("inner", Duration::ZERO);
            let inner = inner.run(Operation::OpenToken, || thread::current().id());
            (thread::current().id(), inner.unwrap())
        });
        let (outer, inner) = outer.unwrap();
        assert_eq!(outer, inner);
        assert_ne!(outer, thread::current().id());
    }
}
