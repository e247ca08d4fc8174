//! `cargo xtask bench`.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::Result;
use crate::needs::{self, OPENSSL_HEADERS, SOFTHSM};
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{command, modules};

/// A harness of our own: `overhead`, the raw signature and the whole token, interleaved;
/// `federation`, what is done beside them; or `rotation`, what it costs to follow a manifest.
pub(crate) fn binary(workspace: &Workspace, name: &str, arguments: &[OsString]) -> Result {
    command::run(program(workspace, name).args(arguments))
}

/// A thousand signatures from start to end: of the backends that need nothing to be set up, and of
/// each PKCS#11 module.
pub(crate) fn fixed_work(workspace: &Workspace) -> Result<ExitCode> {
    let program = || program(workspace, "fixed-work");
    let mut tally = Tally::default();
    tally.test("fixed-work", command::run(&mut program()));
    modules::run_program(workspace, &mut tally, program);
    println!("\n{tally}");
    Ok(tally.exit_code())
}

/// The same claims through other libraries, of which one links OpenSSL.
pub(crate) fn peers(workspace: &Workspace, arguments: &[OsString]) -> Result {
    needs::provide(&[OPENSSL_HEADERS])?;
    let mut cargo = workspace.cargo(&["run", "--release", "--manifest-path"]);
    cargo.args(["benches/peers/Cargo.toml", "--", "--svg", "docs/peers.svg"]);
    command::run(cargo.args(arguments))
}

/// A signer over PKCS#11 modules, beside the same modules driven without it.
pub(crate) fn hsm(workspace: &Workspace, arguments: &[OsString]) -> Result {
    needs::provide(&[SOFTHSM])?;
    let mut cargo = workspace.cargo(&["run", "--release", "--package", "chancery-benches"]);
    // The comparison is with code that does not verify. The switch is for this program alone, so
    // what it builds is kept apart.
    cargo
        .env("RUSTFLAGS", "--cfg chancery_unverified")
        .arg("--target-dir")
        .arg(workspace.target().join("unverified"))
        .args(["--bin", "hsm", "--"]);
    command::run(cargo.args(arguments))
}

/// The Criterion benches.
pub(crate) fn criterion(workspace: &Workspace, arguments: &[OsString]) -> Result {
    let mut cargo = workspace.cargo(&["bench", "--package", "chancery-benches"]);
    cargo.args(["--all-features", "--"]);
    command::run(cargo.args(arguments))
}

fn program(workspace: &Workspace, name: &str) -> Command {
    let mut cargo = workspace.cargo(&["run", "--release", "--package", "chancery-benches"]);
    cargo.args(["--bin", name, "--all-features", "--"]);
    cargo
}
