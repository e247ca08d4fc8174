//! Counting what passed, failed and was skipped.

use std::env;
use std::fmt;
use std::process::{Command, ExitCode};

use crate::Result;
use crate::command;

/// The sum of cargo's `test result:` lines, and of checks that failed. A test that runs in a process
/// of its own has to quote what that one wrote, in which such lines stand too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// What failed, to be said once more at the end, which may be all that is left of a long output.
    failures: Vec<String>,
}

impl Tally {
    /// Runs a `cargo test` and adds its results; hands back how many tests it skipped.
    pub(crate) fn cargo_test(&mut self, cargo: &mut Command) -> u64 {
        let (failed, skipped) = (self.failed, self.skipped);
        let outcome = command::run_lines(cargo, |line| {
            if let Some(result) = Self::of_result_line(line) {
                self.passed += result.passed;
                self.failed += result.failed;
                self.skipped += result.skipped;
            }
            self.failures.extend(failed_test(line).map(str::to_owned));
        });
        // What did not build, or died, has no result line.
        if self.failed == failed {
            self.check("cargo test", outcome);
        }
        self.skipped - skipped
    }

    /// Counts a test that is a program of its own.
    pub(crate) fn test(&mut self, name: &str, outcome: Result) {
        self.passed += u64::from(outcome.is_ok());
        self.check(name, outcome);
    }

    /// Counts a check that is not a test only when it failed.
    pub(crate) fn check(&mut self, name: &str, outcome: Result) {
        if let Err(error) = outcome {
            self.fail(format!("{name}: {error}"));
        }
    }

    /// Counts tests that have not run for lack of something: as skipped, but as failed in CI, which
    /// has to have everything.
    pub(crate) fn missing(&mut self, name: &str, error: &str) {
        if env::var_os("CI").is_some() {
            self.fail(format!("{name}: {error}"));
        } else {
            println!("SKIPPED: {name}: {error}");
            self.skipped += 1;
        }
    }

    fn fail(&mut self, failure: String) {
        println!("FAILED: {failure}");
        self.failed += 1;
        self.failures.push(failure);
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
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

/// The name in `test module::name ... FAILED`. What a test writes itself may come before that.
fn failed_test(line: &str) -> Option<&str> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    outcome.ends_with("FAILED").then_some(name)
}

/// A line for each failure, and the sum in the last one.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            failures,
        } = self;
        for failure in failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, failed_test};

    #[test]
    fn reads_result_lines() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";
        let tally = Tally::of_result_line(line).unwrap();
        assert_eq!(tally.to_string(), "3 passed, 2 failed, 5 skipped");
    }

    #[test]
    fn says_at_the_end_what_failed() {
        let lines = [
            "test recovery::a_token ... FAILED",
            "test recovery::a_key ... event: a session is open",
            "test recovery::a_key - should panic ... ok",
            "test result: FAILED. 1 passed; 1 failed",
            "the test ... FAILED",
            "> test recovery::a_token ... FAILED",
        ];
        let tally = Tally {
            failed: 1,
            failures: lines
                .into_iter()
                .filter_map(failed_test)
                .map(str::to_owned)
                .collect(),
            ..Tally::default()
        };
        let shown = tally.to_string();
        assert_eq!(
            shown,
            "FAILED: recovery::a_token\n0 passed, 1 failed, 0 skipped"
        );
    }

    #[test]
    fn passes_over_other_lines() {
        for line in [
            "test a::b ... ok",
            "running 3 tests",
            "",
            "test result",
            "> test result: FAILED. 0 passed; 1 failed; 25 filtered out",
        ] {
            assert_eq!(Tally::of_result_line(line), None, "{line}");
        }
    }
}
