//! Injects faults between a signer and its YubiHSM while 16 callers sign, prints a line for each,
//! and closes with their sum.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a rig that breaks has nobody to tell"
)]

mod bed;
mod scenarios;
mod traffic;

use std::process::ExitCode;

use crate::scenarios::Scenario;

fn main() -> ExitCode {
    let mut failed = 0;
    let scenarios = scenarios::all();
    for scenario in &scenarios {
        let Scenario { name, .. } = scenario;
        match bed::run(scenario) {
            Ok(summary) => println!("ok    {name}: {summary}"),
            Err(error) => {
                failed += 1;
                println!("FAIL  {name}: {error}");
            }
        }
    }
    println!("{} passed, {failed} failed", scenarios.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
