//! `cargo xtask faults`.

use std::process::ExitCode;

use crate::Result;
use crate::command;
use crate::needs::{self, SOFTHSM};
use crate::workspace::Workspace;

/// Runs the signer under each named fault. The program's closing line, `N passed, N failed`, is
/// the last one.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    needs::provide(&[SOFTHSM])?;
    let mut cargo = workspace.cargo(&["test", "--package", "chancery-fault-module"]);
    cargo.args(["--test", "faults", "--", "--include-ignored"]);
    Ok(match command::run(&mut cargo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    })
}
