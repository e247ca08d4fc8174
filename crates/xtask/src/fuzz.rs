//! `cargo xtask fuzz`.

use std::path::Path;

use crate::Result;
use crate::command;
use crate::needs::{self, CXX_COMPILER};
use crate::tools;
use crate::workspace::Workspace;

/// Runs one fuzz target, or each of them, for so many seconds.
pub(crate) fn run(workspace: &Workspace, seconds: u32, only: Option<&str>) -> Result {
    let mut targets = workspace.binaries("fuzz/Cargo.toml")?;
    if let Some(only) = only {
        if !targets.iter().any(|target| target == only) {
            return Err(
                format!("no fuzz target `{only}`; there are {}", targets.join(", ")).into(),
            );
        }
        targets.retain(|target| target == only);
    }
    if targets.is_empty() {
        return Err("fuzz/Cargo.toml has no fuzz target".into());
    }
    needs::provide(&[CXX_COMPILER])?;
    let program = tools::FUZZ.install(workspace)?;
    let mut failed = Vec::new();
    for target in &targets {
        if let Err(error) = run_target(workspace, &program, target, seconds) {
            println!("FAILED: {error}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        println!(
            "fuzz: {} targets ran for {seconds} s each and found nothing",
            targets.len()
        );
        Ok(())
    } else {
        Err(format!("fuzz targets failed: {}", failed.join(", ")).into())
    }
}

fn run_target(workspace: &Workspace, program: &Path, target: &str, seconds: u32) -> Result {
    // What the fuzzer learns goes into the first folder; the seeds in the second stay as they are.
    let learned = workspace.target().join("fuzz-corpus").join(target);
    let seeds = workspace.path("fuzz/seeds").join(target);
    std::fs::create_dir_all(&learned).map_err(|error| format!("{}: {error}", learned.display()))?;
    let mut fuzz = workspace.command(program);
    // The sanitizer and the coverage flags are unstable options of the compiler.
    fuzz.env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", "--target-dir"])
        .arg(workspace.target().join("fuzz"))
        .arg(target)
        .args([learned, seeds])
        .arg("--")
        // A line for each input that it learns from would make thousands; the sum says that it ran.
        .args(["-verbosity=0", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"));
    command::run(&mut fuzz)
}
