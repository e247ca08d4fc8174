//! `cargo xtask rehearse`.

use std::ffi::OsString;

use crate::Result;
use crate::command;
use crate::foreign::{self, Foreign};
use crate::workspace::Workspace;

/// The rehearsal that is one of the tests: long enough for each kind of fault to come up.
const SHORT: [&str; 2] = ["--minutes", "1"];

/// Rehearses rotation with these arguments, and fails when a token was rejected.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result {
    rehearse(workspace, &foreign::set_up(workspace)?, arguments)
}

/// Rehearses for as long as a test may take.
pub(crate) fn shortly(workspace: &Workspace, foreign: &Foreign) -> Result {
    rehearse(workspace, foreign, &SHORT.map(OsString::from))
}

fn rehearse(workspace: &Workspace, foreign: &Foreign, arguments: &[OsString]) -> Result {
    let mut cargo = workspace.cargo(&["run", "--package", "chancery-rehearsal", "--"]);
    cargo
        .env("CHANCERY_FOREIGN_PYTHON", &foreign.python)
        .env("CHANCERY_FOREIGN_NODE", &foreign.node)
        .arg("--folder")
        .arg(workspace.target().join("rehearsal"))
        .args(arguments);
    command::run(&mut cargo)
}
