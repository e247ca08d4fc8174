//! Counting what passed, failed and was skipped.

use std::env;
use std::fmt;
use std::process::{Command, ExitCode};

use crate::Result;
use crate::command;

/// The sum of cargo's `test result:` lines, and of checks that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Runs a `cargo test` and adds its results; hands back how many tests it skipped.
    pub(crate) fn cargo_test(&mut self, cargo: &mut Command) -> u64 {
        let before = *self;
        let outcome = command::run_lines(cargo, |line| {
            if let Some(result) = Self::of_result_line(line) {
                self.passed += result.passed;
                self.failed += result.failed;
                self.skipped += result.skipped;
            }
        });
        // What did not build, or died, has no result line.
        if self.failed == before.failed {
            self.check("cargo test", outcome);
        }
        self.skipped - before.skipped
    }

    /// Counts a test that is a program of its own.
    pub(crate) fn test(&mut self, name: &str, outcome: Result) {
        self.passed += u64::from(outcome.is_ok());
        self.check(name, outcome);
    }

    /// Counts a check that is not a test only when it failed.
    pub(crate) fn check(&mut self, name: &str, outcome: Result) {
        if let Err(error) = outcome {
            println!("FAILED: {name}: {error}");
            self.failed += 1;
        }
    }

    /// Counts tests that have not run for lack of something: as skipped, but as failed in CI, which
    /// has to have everything.
    pub(crate) fn missing(&mut self, name: &str, error: &str) {
        if env::var_os("CI").is_some() {
            println!("FAILED: {name}: {error}");
            self.failed += 1;
        } else {
            println!("SKIPPED: {name}: {error}");
            self.skipped += 1;
        }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …`.
    fn of_result_line(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut tally = Self::default();
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let sum = match what {
                "passed" => &mut tally.passed,
                "failed" => &mut tally.failed,
                "ignored" | "filtered out" => &mut tally.skipped,
                _ => continue,
            };
            *sum += number.parse::<u64>().ok()?;
        }
        Some(tally)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn reads_result_lines() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";
        let tally = Tally::of_result_line(line).unwrap();
        assert_eq!(tally.to_string(), "3 passed, 2 failed, 5 skipped");
    }

    #[test]
    fn passes_over_other_lines() {
        for line in ["test a::b ... ok", "running 3 tests", "", "test result"] {
            assert_eq!(Tally::of_result_line(line), None, "{line}");
        }
    }
}
