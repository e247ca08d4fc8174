//! `cargo xtask bench`.

use std::ffi::OsString;

use crate::Result;
use crate::command;
use crate::needs::{self, OPENSSL_HEADERS, SOFTHSM};
use crate::workspace::Workspace;

/// A harness of our own: `overhead`, the raw signature and the whole token, interleaved;
/// `federation`, what is done beside them; or `rotation`, what it costs to follow a manifest.
pub(crate) fn binary(workspace: &Workspace, name: &str, arguments: &[OsString]) -> Result {
    let mut cargo = workspace.cargo(&["run", "--release", "--package", "chancery-benches"]);
    cargo.args(["--bin", name, "--all-features", "--"]);
    command::run(cargo.args(arguments))
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
