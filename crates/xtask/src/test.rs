//! `cargo xtask test`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::command;
use crate::foreign;
use crate::modules::{self, softhsm};
use crate::needs;
use crate::rehearse;
use crate::tally::Tally;
use crate::tree;
use crate::workspace::Workspace;

/// The downstream service's choices of features of the facade.
const DOWNSTREAM: &[&[&str]] = &[
    &[],
    &["--features", "derive-public-key"],
    &["--no-default-features", "--features", "aws-lc-rs"],
    &["--all-features"],
];

/// Tests that mount file systems of their own.
const MOUNTING: [&str; 2] = [
    "mounts::a_full_disk_loses_nothing",
    "mounts::a_read_only_directory_loses_nothing",
];

/// Sets up what the tests need, runs all of them, and closes with their sum.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let vectors = vectors()?;
    let foreign = foreign::set_up(workspace)?;
    // Several packages test on it; what other modules need may be missing.
    needs::provide(&[needs::SOFTHSM])?;

    // Tests that need something from outside are marked as ignored, so that a plain `cargo test`
    // passes; here they run.
    let mut cargo = workspace.cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    cargo
        .env("CHANCERY_FOREIGN_PYTHON", &foreign.python)
        .env("CHANCERY_FOREIGN_NODE", &foreign.node)
        .env("CHANCERY_SOFTHSM", softhsm::LIBRARY)
        .args(["--", "--include-ignored"]);
    match &vectors {
        Some(folder) => cargo.env("CHANCERY_VECTORS", folder),
        None => cargo.args(["--skip", "vectors::"]),
    };
    let mounts = needs::provide(&[needs::MOUNTS]);
    if mounts.is_err() {
        cargo.args(MOUNTING.iter().flat_map(|test| ["--skip", test]));
    }
    let mut tally = Tally::default();
    let mut skipped = tally.cargo_test(&mut cargo);
    if let Err(error) = mounts {
        skipped -= MOUNTING.len() as u64;
        tally.missing("full and read-only file systems", &error.to_string());
    }
    modules::test_all(workspace, &foreign, &mut tally);
    tally.cargo_test(&mut models(workspace));
    tally.test("rehearsal", rehearse::shortly(workspace, &foreign));

    // The seeds, and what a fuzzer found, are replayed without the fuzzer.
    tally.cargo_test(satellite(workspace, "fuzz").arg("--no-default-features"));
    for &features in DOWNSTREAM {
        tally.cargo_test(satellite(workspace, "tests/downstream").args(features));
    }
    tally.check("tree", tree::check(workspace));
    tally.check("package", package(workspace));

    println!();
    if vectors.is_none() && skipped > 0 {
        println!(
            "SKIPPED: {skipped} tests of published vectors, because CHANCERY_VECTORS is not set"
        );
    }
    println!("{tally}");
    Ok(tally.exit_code())
}

/// Tries many interleavings of threads over what devices share. The model checker stands in for the
/// locks of the standard library, so what it builds is kept apart.
fn models(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo(&["test", "--lib", "--no-fail-fast"]);
    cargo
        .args(["--package", "chancery-hsm", "--package", "chancery-pkcs11"])
        .env("RUSTFLAGS", "--cfg chancery_shuttle")
        .arg("--target-dir")
        .arg(workspace.target().join("shuttle"));
    cargo
}

/// Tests a workspace beside the main one. It would build into a folder of its own, and what both
/// depend on once more.
fn satellite(workspace: &Workspace, folder: &str) -> Command {
    let mut cargo = workspace.cargo(&["test", "--no-fail-fast", "--manifest-path"]);
    cargo
        .arg(format!("{folder}/Cargo.toml"))
        .arg("--target-dir")
        .arg(workspace.target());
    cargo
}

/// The folder of published test vectors. Tests start in folders of their own, so the path is made
/// absolute.
fn vectors() -> Result<Option<PathBuf>> {
    let Some(folder) = env::var_os("CHANCERY_VECTORS") else {
        return Ok(None);
    };
    let folder = std::path::absolute(folder)?;
    if folder.is_dir() {
        Ok(Some(folder))
    } else {
        Err(format!(
            "CHANCERY_VECTORS names {}, which is no folder",
            folder.display()
        )
        .into())
    }
}

/// Packages every published crate and builds it from its package, as crates.io would see it.
fn package(workspace: &Workspace) -> Result {
    // Cargo keeps what it has unpacked under the name of the folder and the version, and would
    // build the packages of an earlier run with the same name.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let folder = workspace.target().join(format!("packages-{now}"));
    let mut cargo = workspace.cargo(&["package"]);
    cargo.arg("--target-dir").arg(&folder);
    for package in workspace.published()? {
        cargo.args(["--package", &package]);
    }
    if env::var_os("CI").is_none() {
        cargo.arg("--allow-dirty");
    }
    let packaged = command::run(&mut cargo);
    fs::remove_dir_all(&folder)?;
    packaged
}
