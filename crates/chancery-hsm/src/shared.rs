//! What the threads of one signer share.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{Algorithm, Jwk, SignError, SignErrorKind, Signature};
use chancery_software::VerifyingKey;

use crate::event::Event;
use crate::health::{Health, Record, State};
use crate::ladder::Ladder;
use crate::options::HsmOptions;
use crate::queue::{Queue, Ticket};
use crate::trouble::Trouble;

/// What the threads of one signer share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) ladder: Ladder,
    pub(crate) record: Record,
    pub(crate) options: HsmOptions,
    verifying_key: VerifyingKey,
}

impl Shared {
    pub(crate) fn new(verifying_key: VerifyingKey, options: HsmOptions) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            queue: Queue::new(options.workers.get(), options.queue_capacity, processors),
            ladder: Ladder::new(options.deadline),
            record: Record::default(),
            options,
            verifying_key,
        }
    }

    pub(crate) const fn jwk(&self) -> &Jwk {
        self.verifying_key.jwk()
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.jwk().algorithm()
    }

    /// Whether the published key verifies a signature.
    pub(crate) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.verifying_key.verify(message, signature).is_ok()
    }

    /// Whether a signature may leave the library.
    pub(crate) fn releases(&self, message: &[u8], signature: &Signature) -> bool {
        !self.options.is_verified || self.verifies(message, signature)
    }

    /// Hands a caller its signature.
    pub(crate) fn signed(&self, ticket: Ticket, signature: Signature) {
        let latency = ticket.submitted.elapsed();
        self.record.signed(latency);
        ticket.completer.complete(Ok(signature));
        self.report(&Event::Signed {
            latency,
            queue_depth: self.queue.depth(),
        });
    }

    /// Tells a caller that there will be no signature.
    pub(crate) fn not_signed(&self, ticket: Ticket, error: SignError) {
        let kind = error.kind();
        self.answer(ticket, error);
        self.report_not_signed(kind);
    }

    /// Tells callers that there will be no signatures; all of them before anything is reported,
    /// since a hook may take its time.
    pub(crate) fn none_signed(&self, tickets: Vec<Ticket>, trouble: &Trouble) {
        let number = tickets.len();
        for ticket in tickets {
            self.answer(ticket, trouble.error());
        }
        for _ in 0..number {
            self.report_not_signed(trouble.kind());
        }
    }

    /// Refuses calls from now on, those that wait included.
    pub(crate) fn refuse(&self, trouble: &Trouble) {
        self.none_signed(self.queue.refuse(trouble), trouble);
    }

    /// Tries nothing any more, and refuses calls for good.
    pub(crate) fn latch(&self, trouble: &Trouble) {
        self.ladder.latch(trouble);
        self.refuse(trouble);
        let error = trouble.text();
        self.report(&Event::Latched { error });
    }

    /// Tells callers that their deadline has passed, until the queue is closed and empty. What is to
    /// be reported is left to another thread, since a hook may hang, and is dropped when that one
    /// falls behind.
    pub(crate) fn watch_deadlines(&self, reports: &SyncSender<SignErrorKind>) {
        while let Some(expired) = self.queue.expired() {
            let trouble = self.ladder.deadline_passed();
            for ticket in expired {
                self.record.timed_out();
                ticket.completer.complete(Err(trouble.error()));
                let _ = reports.try_send(trouble.kind());
            }
        }
    }

    /// Reports calls that reached their deadline, until nobody watches deadlines any more.
    pub(crate) fn report_deadlines(&self, reports: &Receiver<SignErrorKind>) {
        for kind in reports {
            self.report_not_signed(kind);
        }
    }

    pub(crate) fn health(&self) -> Health {
        let overdue = self.queue.overdue();
        let (sessions, overdue_tries, trouble) = self.ladder.sessions();
        let state = match trouble {
            Some(trouble) if trouble.is_final() => State::Latched,
            Some(trouble) if trouble.refuses() => State::Refusing,
            _ if sessions > overdue => State::Ready,
            _ if overdue + overdue_tries > 0 => State::Hung,
            _ => State::Recovering,
        };
        let workers = self.options.workers.get();
        let overdue = overdue + overdue_tries;
        self.record
            .health(state, self.queue.depth(), workers, sessions, overdue)
    }

    pub(crate) fn report(&self, event: &Event<'_>) {
        // A panic of others' code must not end the thread that signs or watches deadlines.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "tracing")]
            crate::event::trace(self.jwk().kid(), event);
            if let Some(hook) = &self.options.hook {
                hook(event);
            }
        }));
    }

    /// Ends everything, and waits a little for the workers to close their sessions.
    pub(crate) fn shut_down(&self, patience: Duration) {
        self.ladder.close();
        self.refuse(&Trouble::shut_down());
        self.ladder.wait_for_workers(Instant::now() + patience);
    }

    fn answer(&self, ticket: Ticket, error: SignError) {
        self.record.not_signed(error.kind());
        ticket.completer.complete(Err(error));
    }

    fn report_not_signed(&self, kind: SignErrorKind) {
        self.report(&Event::NotSigned {
            kind,
            queue_depth: self.queue.depth(),
        });
    }
}
