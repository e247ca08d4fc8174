//! What came of a case, and whether that is what had to.

use std::fmt;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chancery_fault_module::Faults;

use crate::load::{self, Call};

/// How late a call may return.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(50);

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Words and figures for whoever reads.
    pub(crate) figures: Vec<String>,
    /// What is not as it has to be.
    pub(crate) problems: Vec<String>,
    /// What is not as it has to be either, but may be so because the machine kept threads waiting.
    pub(crate) delays: Vec<String>,
    /// How long a thread overslept that does nothing but sleep.
    pub(crate) overslept: Duration,
}

impl Report {
    pub(crate) fn figure(&mut self, figure: impl Into<String>) {
        self.figures.push(figure.into());
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.problems.is_empty() && self.delays.is_empty() {
            Verdict::Passed
        } else if self.problems.is_empty() && self.overslept >= TOLERANCE / 2 {
            Verdict::Starved
        } else {
            Verdict::Failed
        }
    }

    pub(crate) fn check(&mut self, holds: bool, problem: impl fmt::Display) {
        if !holds {
            self.problems.push(problem.to_string());
        }
    }

    /// As [`Report::check`], for what may be due to the machine, should it have kept threads
    /// waiting.
    pub(crate) fn check_time(&mut self, holds: bool, problem: impl fmt::Display) {
        if !holds {
            self.delays.push(problem.to_string());
        }
    }

    /// Every call returns by its deadline.
    pub(crate) fn check_deadlines<'a>(
        &mut self,
        calls: impl Iterator<Item = &'a Call> + Clone,
        deadline: Duration,
    ) {
        let longest = calls.clone().map(|call| call.took).max();
        let overrun = longest.unwrap_or_default().saturating_sub(deadline);
        self.figure(format!("overrun {} ms", overrun.as_millis()));
        let late: Vec<_> = calls
            .filter(|call| call.took > deadline + TOLERANCE)
            .collect();
        let polled = late.iter().filter(|call| call.is_async).count();
        self.check_time(
            late.is_empty(),
            format_args!(
                "{} calls, of which {polled} async, returned more than {TOLERANCE:?} after their \
                 deadline",
                late.len()
            ),
        );
    }

    /// What holds whatever happens.
    pub(crate) fn check_always(&mut self, faults: Faults) {
        let panics = PANICS.load(Ordering::SeqCst);
        self.check(panics == 0, format_args!("{panics} panics"));
        let overlaps = faults.overlaps();
        self.check(
            overlaps == 0,
            format_args!("{overlaps} calls ran beside C_Finalize"),
        );
        let wrong = load::wrong_tokens();
        self.check(
            wrong == 0,
            format_args!("{wrong} tokens released that do not verify"),
        );
        let logins = faults.logins_after_refusal();
        self.check(
            logins == 0,
            format_args!("{logins} logins after a refused PIN"),
        );
    }
}

/// Whether a case passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// What is not as it has to be may be due to the machine, so that it proves nothing.
    Starved,
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics of all threads from now on, those that are caught included.
pub(crate) fn count_panics() {
    let show = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        show(panic);
    }));
}
