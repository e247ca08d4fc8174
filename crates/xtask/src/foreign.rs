//! Verifiers, evaluators and servers in other languages, installed under the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::command::{probe, run};
use crate::needs::{self, NODE, NPM, OPENSSL, PYTHON};
use crate::workspace::Workspace;

/// What the tests are told through the environment.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// `CHANCERY_FOREIGN_PYTHON`: a Python that has PyJWT, boto3, moto with its server, and cfn-lint.
    pub(crate) python: PathBuf,
    /// `CHANCERY_FOREIGN_NODE`: a folder with the scripts of `tests/foreign`, what they import, and azurite.
    pub(crate) node: PathBuf,
}

/// Installs the versions that `tests/foreign` pins, unless they are there already.
pub(crate) fn set_up(workspace: &Workspace) -> Result<Foreign> {
    needs::provide(&[OPENSSL, PYTHON, NODE, NPM])?;
    Ok(Foreign {
        python: python(workspace)?,
        node: node(workspace)?,
    })
}

fn python(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("foreign/python");
    let python = folder.join("bin/python");
    let pins = workspace.path("tests/foreign/requirements.txt");
    // An upgrade of the system's Python leaves an environment that no longer starts.
    if probe(
        &python,
        &["-c", "import cfnlint, cryptography, flask, jwt, moto"],
    )
    .is_none()
    {
        remove(&folder)?;
    }
    once(&folder, &pins, || {
        run(workspace
            .command("python3")
            .args(["-m", "venv"])
            .arg(&folder))?;
        run(workspace
            .command(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-cache-dir", "--requirement"])
            .arg(&pins))
    })?;
    Ok(python)
}

fn node(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("foreign/node");
    let source = workspace.path("tests/foreign");
    once(&folder, &source.join("package-lock.json"), || {
        copy("package.json", &source, &folder)?;
        copy("package-lock.json", &source, &folder)?;
        run(workspace
            .command("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--cache")
            .arg(folder.join("cache"))
            .current_dir(&folder))
    })?;
    // An import looks for its package in the folders above the script.
    for script in ["evaluate.mjs", "relying_party.mjs", "verify.mjs"] {
        copy(script, &source, &folder)?;
    }
    Ok(folder)
}

/// Runs `install` on an empty folder, unless it has come to its end there with the same pins.
fn once(folder: &Path, pins: &Path, install: impl FnOnce() -> Result) -> Result {
    let pins = fs::read(pins).map_err(|error| format!("{}: {error}", pins.display()))?;
    let done = folder.join("installed-from");
    if fs::read(&done).is_ok_and(|installed| installed == pins) {
        return Ok(());
    }
    remove(folder)?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    install()?;
    fs::write(&done, pins).map_err(|error| format!("{}: {error}", done.display()).into())
}

fn remove(folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

fn copy(name: &str, from: &Path, to: &Path) -> Result {
    fs::copy(from.join(name), to.join(name))
        .map_err(|error| format!("{name} to {}: {error}", to.display()))?;
    Ok(())
}
