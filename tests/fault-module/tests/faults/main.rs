//! What a signer makes of faults: each named case switches some on, or does something to the token
//! behind the signer's back, while 32 callers sign.
//!
//! Each case runs in a process of its own, because PKCS#11 modules are one to a process and the
//! configuration of SoftHSM comes from the environment. Like a test that is marked as ignored, the
//! cases run only when asked for: `cargo xtask faults` sets up what they need.

// This whole program is a test.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::env;
use std::process::ExitCode;

mod arguments;
mod bench;
mod case;
mod catalogue;
mod codes;
mod course;
mod incident;
mod judge;
mod load;
mod process;
mod report;
mod singles;

use arguments::Arguments;

fn main() -> ExitCode {
    let cases = catalogue::cases();
    if let Some(name) = process::case_of_this_process() {
        let case = cases.iter().find(|case| case.name == name);
        return process::run_here(case.expect("the case that this process was started for"));
    }
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("faults: {error}");
            return ExitCode::FAILURE;
        }
    };
    let chosen: Vec<_> = cases
        .iter()
        .filter(|case| arguments.choose(&case.name))
        .collect();
    let filtered = cases.len() - chosen.len();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    if arguments.run_ignored {
        println!("\nrunning {} faults", chosen.len());
        for case in chosen {
            if process::run(case) {
                passed += 1;
            } else {
                failed += 1;
            }
        }
    } else {
        ignored = chosen.len();
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
         {filtered} filtered out"
    );
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
