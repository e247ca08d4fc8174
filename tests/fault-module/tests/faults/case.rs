//! What a case is.

use std::time::Duration;

use chancery_core::SignErrorKind;
use chancery_fault_module::Fault;

use crate::incident::Incident;
use crate::report::Report;

/// A named fault.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A fault under load.
    Loaded(Scenario),
    /// Something with a course of its own.
    Single(fn() -> Report),
}

/// What goes wrong while callers sign, and what is to come of it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// What goes wrong in the module.
    pub(crate) faults: Vec<Fault>,
    /// What somebody does to the token, once the faults are on.
    pub(crate) incident: Incident,
    pub(crate) lasts: Duration,
    /// The time that callers give each call.
    pub(crate) deadline: Duration,
    pub(crate) expected: Expected,
    /// How many signers use the module, each with callers of its own.
    pub(crate) signers: usize,
    /// The application has called `C_Initialize` itself, so nobody else may call `C_Finalize`.
    pub(crate) is_initialized: bool,
    /// Whether sessions can be closed while the fault is on; otherwise some are left behind.
    pub(crate) can_close_sessions: bool,
}

/// What is to come of a fault. Whatever it is, nobody may panic, every token must verify with the
/// published key, every call must return in time, and no login may follow a refused PIN.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// No call fails, since there is time to wait for the end, after which all callers sign again.
    Unnoticed,
    /// Callers sign while the fault is on, and at most so many calls fail.
    SignsOn { failed: usize },
    /// Calls may fail while the fault is on. After its end, all callers sign again.
    Recovers,
    /// Nothing is signed while the fault is on, and callers are told why. After its end, all
    /// callers sign again.
    Refuses(SignErrorKind),
    /// Nothing is signed ever after, and callers are told why.
    RefusesForGood(SignErrorKind),
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, scenario: Scenario) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Loaded(scenario),
        }
    }

    pub(crate) fn single(name: &str, run: fn() -> Report) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Single(run),
        }
    }

    /// Whether a second token has to be made.
    pub(crate) fn swaps_token(&self) -> bool {
        match &self.kind {
            Kind::Loaded(scenario) => scenario.incident.swaps_token(),
            Kind::Single(_) => false,
        }
    }
}

impl Scenario {
    pub(crate) fn new(expected: Expected) -> Self {
        Self {
            faults: Vec::new(),
            incident: Incident::None,
            lasts: Duration::from_millis(300),
            deadline: Duration::from_secs(3),
            expected,
            signers: 1,
            is_initialized: false,
            can_close_sessions: true,
        }
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    pub(crate) fn incident(mut self, incident: Incident) -> Self {
        self.incident = incident;
        self
    }

    /// The fault outlasts the deadline, so that calls reach it.
    pub(crate) fn outlasts(mut self, deadline: Duration, lasts: Duration) -> Self {
        self.deadline = deadline;
        self.lasts = lasts;
        self
    }

    pub(crate) fn two_signers(mut self) -> Self {
        self.signers = 2;
        self
    }

    pub(crate) fn initialized(mut self) -> Self {
        self.is_initialized = true;
        self
    }

    pub(crate) fn leaves_sessions(mut self) -> Self {
        self.can_close_sessions = false;
        self
    }
}
