//! The threads that sign.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chancery_core::{SignErrorKind, Signature, SigningInput};

use crate::device::{Device, DeviceError, Session};
use crate::event::Event;
use crate::queue::{Ticket, Work};
use crate::shared::Shared;
use crate::thread_time::is_at_work_during;
use crate::trouble::Trouble;

/// What every new session signs before it is used. A signing input has a dot (RFC 7515 §5.1), so
/// this is never taken for a token.
const SELF_TEST: &[u8] = b"chancery self-test";

/// Up to this latency a worker looks for the next job before it sleeps. To wake it takes up to a
/// twentieth of that.
const SOON: Duration = Duration::from_millis(1);

/// How far apart a worker measures whether the device computes on its thread, which takes two system
/// calls.
const OFTEN: Duration = Duration::from_millis(10);

/// How often a device may sign wrongly for a caller before the caller is told.
const MOST_BAD_SIGNATURES: usize = 3;

/// Opens sessions and signs with them until the signer is shut down or latched.
pub(crate) fn run<D: Device>(worker: usize, shared: &Shared, device: &D) {
    // Sessions in a row that passed their self-test and then signed nothing.
    let mut useless = 0;
    while let Some(session) = open(worker, shared, device, useless) {
        useless = if serve(worker, shared, session) {
            0
        } else {
            useless + 1
        };
    }
}

/// Opens a session, however many tries it takes. `None` when the signer is shut down or latched.
fn open<D: Device>(
    worker: usize,
    shared: &Shared,
    device: &D,
    useless: usize,
) -> Option<D::Session> {
    shared.ladder.rest(useless);
    loop {
        // Nothing is reported in there, lest a hook hold up the other workers.
        match shared.ladder.climb(|| try_open(shared, device))? {
            Try::Opened(session, down_for) => {
                shared.report(&Event::SessionOpened { worker });
                if let Some(after) = down_for {
                    shared.report(&Event::Recovered { after });
                }
                return Some(session);
            }
            Try::Failed {
                trouble,
                refused,
                reset,
            } => {
                shared.none_signed(refused, &trouble);
                report_failure(worker, shared, &trouble, reset.as_ref());
            }
        }
    }
}

enum Try<S> {
    /// A session, and how long there was none, where it is the first.
    Opened(S, Option<Duration>),
    Failed {
        trouble: Trouble,
        /// Who waited, and is to be told.
        refused: Vec<Ticket>,
        reset: Option<Result<(), Trouble>>,
    },
}

fn try_open<D: Device>(shared: &Shared, device: &D) -> Try<D::Session> {
    match open_and_test(shared, device) {
        Ok(session) => {
            let down_for = shared.ladder.opened();
            shared.queue.accept();
            Try::Opened(session, down_for)
        }
        Err(trouble) => {
            let failure = shared.ladder.failed(&trouble, shared.queue.overdue());
            // Now, since the next worker may open a session as soon as this one is out of here.
            let refused = if failure.refuse {
                shared.queue.refuse(&trouble)
            } else {
                Vec::new()
            };
            let reset = failure.reset.then(|| guarded(|| device.reset()));
            if let Some(Err(trouble)) = &reset
                && trouble.is_final()
            {
                shared.ladder.latch(trouble);
            }
            Try::Failed {
                trouble,
                refused,
                reset,
            }
        }
    }
}

fn open_and_test<D: Device>(shared: &Shared, device: &D) -> Result<D::Session, Trouble> {
    let mut session = guarded(|| device.open())?;
    let input = SigningInput::new(shared.algorithm(), SELF_TEST);
    let trouble = match sign_measured(shared, &mut session, &input) {
        Ok(signature) if shared.verifies(SELF_TEST, &signature) => return Ok(session),
        Ok(_) => Trouble::new(
            SignErrorKind::BadSignature,
            "a self-test's signature does not verify with the published key: the device signs \
             with another key, or wrongly",
        ),
        Err(trouble) => trouble,
    };
    drop_guarded(session);
    Err(trouble)
}

fn report_failure(
    worker: usize,
    shared: &Shared,
    trouble: &Trouble,
    reset: Option<&Result<(), Trouble>>,
) {
    if trouble.is_final() {
        shared.latch(trouble);
    }
    let error = trouble.text();
    shared.record.error(error);
    shared.report(&Event::SessionLost {
        worker,
        kind: trouble.kind(),
        error,
    });
    match reset {
        None => {}
        Some(Ok(())) => {
            shared.record.resets.fetch_add(1, Ordering::Relaxed);
            shared.report(&Event::Reset);
        }
        Some(Err(trouble)) => {
            if trouble.is_final() {
                shared.latch(trouble);
            }
            let error = trouble.text();
            shared.record.error(error);
            shared.report(&Event::ResetFailed { error });
        }
    }
}

/// Signs until the session fails or there is nothing more to do; tells whether it has signed
/// anything.
fn serve<S: Session>(worker: usize, shared: &Shared, mut session: S) -> bool {
    let mut has_signed = false;
    let may_look = || shared.record.last_latency() < SOON;
    let mut measured = Instant::now();
    while let Some(mut work) = shared.queue.next(worker, may_look()) {
        let is_measured = measured.elapsed() > OFTEN;
        if is_measured {
            measured = Instant::now();
        }
        let trouble = match sign(shared, &mut session, &work.message, is_measured) {
            Ok(signature) => {
                has_signed = true;
                if let Some(ticket) = shared.queue.finish(worker) {
                    shared.signed(ticket, signature);
                }
                continue;
            }
            Err(trouble) => trouble,
        };
        if trouble.kind() == SignErrorKind::BadSignature {
            work.bad_signatures += 1;
            shared.record.withheld.fetch_add(1, Ordering::Relaxed);
            shared.report(&Event::SignatureWithheld { worker });
        }
        lose(worker, shared, session, work, &trouble);
        return has_signed;
    }
    shared.ladder.lost();
    drop_guarded(session);
    has_signed
}

fn sign<S: Session>(
    shared: &Shared,
    session: &mut S,
    message: &[u8],
    is_measured: bool,
) -> Result<Signature, Trouble> {
    let input = SigningInput::new(shared.algorithm(), message);
    let signature = if is_measured {
        sign_measured(shared, session, &input)?
    } else {
        guarded(|| session.sign(&input))?
    };
    if shared.releases(message, &signature) {
        Ok(signature)
    } else {
        Err(Trouble::new(
            SignErrorKind::BadSignature,
            "the device's signature does not verify with the published key",
        ))
    }
}

/// Signs, and measures whether the device computes on this thread.
fn sign_measured<S: Session>(
    shared: &Shared,
    session: &mut S,
    input: &SigningInput<'_>,
) -> Result<Signature, Trouble> {
    let (signed, computes_here) = is_at_work_during(|| guarded(|| session.sign(input)));
    // An error says nothing: it comes at once where a device in a network is away.
    if let (Ok(_), Some(computes_here)) = (&signed, computes_here) {
        shared.queue.set_computes_here(computes_here);
    }
    signed
}

/// Gives up a session that failed, and hands its job to whichever worker comes first, or to the
/// caller where another try would not help.
fn lose<S: Session>(worker: usize, shared: &Shared, session: S, work: Work, trouble: &Trouble) {
    let error = trouble.text();
    shared.record.error(error);
    let is_hopeless = trouble.refuses() || work.bad_signatures >= MOST_BAD_SIGNATURES;
    let refused = if is_hopeless {
        let ticket = shared.queue.give_up(worker);
        ticket.map(|ticket| (ticket, trouble.error()))
    } else {
        shared.queue.put_back(worker, work)
    };
    if trouble.is_final() {
        shared.latch(trouble);
    }
    // After the hand is empty, so that a session that is gone never counts as one that hangs.
    shared.ladder.lost();
    if let Some((ticket, error)) = refused {
        shared.not_signed(ticket, error);
    }
    shared.report(&Event::SessionLost {
        worker,
        kind: trouble.kind(),
        error,
    });
    drop_guarded(session);
}

/// Calls a device, whose panic is an error like others.
fn guarded<T>(call: impl FnOnce() -> Result<T, DeviceError>) -> Result<T, Trouble> {
    // What the call has touched is dropped after an error, and not looked at again.
    let call = || call().map_err(|error| Trouble::from(&error));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        let message = "the device's code panicked";
        Err(Trouble::new(SignErrorKind::Unavailable, message))
    })
}

fn drop_guarded<S>(session: S) {
    // A session that cannot even be closed is given up all the same.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(session)));
}
