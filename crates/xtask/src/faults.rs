//! `cargo xtask faults`.

use std::process::ExitCode;

use crate::Result;
use crate::needs::{self, SOFTHSM};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Runs signers over a PKCS#11 module and over a YubiHSM under each named fault, and closes with
/// their sum.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    needs::provide(&[SOFTHSM])?;
    let mut tally = Tally::default();
    for package in ["chancery-fault-module", "chancery-yubihsm-tests"] {
        let mut cargo = workspace.cargo(&["test", "--package", package, "--test", "faults"]);
        tally.cargo_test(cargo.args(["--", "--include-ignored"]));
    }
    println!("\n{tally}");
    Ok(tally.exit_code())
}
