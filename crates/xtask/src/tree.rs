//! `cargo xtask tree`: which crates the published ones pull in.

use std::collections::BTreeSet;

use crate::Result;
use crate::command;
use crate::workspace::Workspace;

/// What the core must do without: crypto engines, async runtimes, HSM bindings.
const NOT_IN_CORE: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "cryptoki",
    "futures-executor",
    "openssl",
    "openssl-sys",
    "ring",
    "rsa",
    "smol",
    "tokio",
    "yubihsm",
];

/// The most crates that the facade may build with default features, our own included.
const MOST_CRATES: usize = 45;
const COUNTED_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Fails when one of the published crates pulls in what it must not, and prints what was counted.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut wrong = core(workspace)?;
    wrong.extend(facade(workspace)?);
    wrong.extend(rsa(workspace)?);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("; ").into())
    }
}

fn core(workspace: &Workspace) -> Result<Vec<String>> {
    let crates = crates(
        workspace,
        "chancery-core",
        &["--all-features", "--target", "all"],
    )?;
    println!(
        "chancery-core: {} crates with all features on all targets; looked for {}",
        crates.len(),
        NOT_IN_CORE.join(", "),
    );
    Ok(crates
        .iter()
        .filter(|found| NOT_IN_CORE.contains(&found.name.as_str()))
        .map(|found| format!("chancery-core pulls in {}", found.name))
        .collect())
}

fn facade(workspace: &Workspace) -> Result<Option<String>> {
    let count = crates(workspace, "chancery", &["--target", COUNTED_TARGET])?.len();
    println!(
        "chancery: {count} crates with default features on {COUNTED_TARGET}; {MOST_CRATES} allowed"
    );
    Ok((count > MOST_CRATES)
        .then(|| format!("chancery builds {count} crates, more than {MOST_CRATES}")))
}

/// RUSTSEC-2023-0071: the `rsa` crate leaks its key through timing.
fn rsa(workspace: &Workspace) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for package in workspace.published()? {
        let crates = crates(workspace, &package, &["--all-features", "--target", "all"])?;
        println!(
            "{package}: {} crates with all features on all targets; looked for rsa",
            crates.len()
        );
        if crates.iter().any(|found| found.name == "rsa") {
            wrong.push(format!("{package} pulls in rsa"));
        }
    }
    Ok(wrong)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

/// What is built for a package, itself included; crates that only its tests use are not.
fn crates(workspace: &Workspace, package: &str, arguments: &[&str]) -> Result<BTreeSet<Crate>> {
    let mut cargo = workspace.cargo(&["tree", "--edges", "normal,build", "--prefix", "none"]);
    cargo.args(["--format", "{p}", "--package", package]);
    let tree = command::output(cargo.args(arguments))?;
    // A line is `name v1.2.3`, then perhaps a path, `(proc-macro)`, and `(*)` when it came before.
    Ok(tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Crate {
                name: words.next()?.to_owned(),
                version: words.next()?.to_owned(),
            })
        })
        .collect())
}
