//! `cargo xtask ci`.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::Result;
use crate::command::run as run_command;
use crate::fuzz;
use crate::tools;
use crate::workspace::Workspace;

/// Workspaces beside the main one, which its commands don't reach.
const SATELLITES: &[&str] = &[
    "benches/peers",
    "fuzz",
    "tests/downstream",
    "tests/kryoptic",
];
const FUZZ_SMOKE_SECONDS: u32 = 10;

type Step = fn(&Workspace) -> Result;

const STEPS: &[(&str, Step)] = &[
    ("format", format),
    ("clippy", clippy),
    ("docs", docs),
    ("docs, default features", docs_default),
    ("deny", deny),
    ("feature powerset", powerset),
    ("fuzz smoke", fuzz_smoke),
];

/// Runs every step, also after one has failed, and closes with a table of them.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut table = String::new();
    let mut failed = 0;
    for &(name, step) in STEPS {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = step(workspace);
        let word = match &outcome {
            Ok(()) => "ok",
            Err(error) => {
                println!("FAILED: {error}");
                failed += 1;
                "FAILED"
            }
        };
        let seconds = start.elapsed().as_secs();
        table += &format!("{name:24}{word:8}{seconds:4} s\n");
    }
    println!(
        "\n{table}ci: {} steps passed, {failed} failed",
        STEPS.len() - failed
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn format(workspace: &Workspace) -> Result {
    run_command(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    for satellite in SATELLITES {
        let manifest = format!("{satellite}/Cargo.toml");
        run_command(&mut workspace.cargo(&["fmt", "--check", "--manifest-path", &manifest]))?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result {
    let mut cargo = workspace.cargo(&["clippy", "--workspace", "--all-targets", "--all-features"]);
    run_command(cargo.args(["--", "--deny", "warnings"]))
}

fn docs(workspace: &Workspace) -> Result {
    let mut cargo = workspace.cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    run_command(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// A link to what only another feature has breaks here. Packages that stay at home would turn such
/// features on, so they are left out.
fn docs_default(workspace: &Workspace) -> Result {
    let mut cargo = workspace.cargo(&["doc", "--no-deps"]);
    select_published(workspace, &mut cargo)?;
    run_command(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Advisories are left out: they come from a database that is fetched from elsewhere.
fn deny(workspace: &Workspace) -> Result {
    let mut deny = workspace.command(tools::DENY.install(workspace)?);
    // Without `--workspace` it would look at the facade alone.
    deny.args([
        "deny",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    run_command(&mut deny)
}

/// Clippy rather than check, so that a warning in one choice of features fails too. Pairs of features
/// are enough: what breaks, breaks because one is there and another is not.
fn powerset(workspace: &Workspace) -> Result {
    let mut hack = workspace.command(tools::HACK.install(workspace)?);
    hack.args(["hack", "clippy", "--feature-powerset", "--depth", "2"]);
    select_published(workspace, &mut hack)?;
    run_command(hack.args(["--", "--deny", "warnings"]))
}

fn fuzz_smoke(workspace: &Workspace) -> Result {
    fuzz::run(workspace, FUZZ_SMOKE_SECONDS, None)
}

fn select_published(workspace: &Workspace, command: &mut Command) -> Result {
    for package in workspace.published()? {
        command.args(["--package", &package]);
    }
    Ok(())
}
