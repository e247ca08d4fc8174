//! Injects faults between a signer and its YubiHSM while 16 callers sign.
//!
//! Like a test that is marked as ignored, the faults run only when asked for: `cargo xtask faults`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bed;
mod scenarios;
mod traffic;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // What they measure is time.
    arguments.test_threads = Some(1);
    let trials = scenarios::all().into_iter().map(|scenario| {
        let trial = Trial::test(scenario.name, move || {
            let summary = bed::run(&scenario)?;
            println!("{}: {summary}", scenario.name);
            Ok(())
        });
        trial.with_ignored_flag(true)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    println!(
        "{} passed, {} failed",
        conclusion.num_passed, conclusion.num_failed
    );
    conclusion.exit_code()
}
