//! kryoptic, a software token in Rust on OpenSSL.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Setup, TOKEN};
use crate::Result;
use crate::command::run;
use crate::workspace::Workspace;

/// Builds the module against the system's OpenSSL, of which 3.0 has no EdDSA for it.
pub(super) fn set_up(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let target = workspace.target().join("kryoptic");
    run(workspace
        .cargo(&[
            "build",
            "--locked",
            "--manifest-path",
            "tests/kryoptic/Cargo.toml",
        ])
        .arg("--target-dir")
        .arg(&target))?;
    token(
        workspace,
        folder,
        target.join("debug/libchancery_kryoptic.so"),
    )
}

/// Takes a module that was built with EdDSA.
pub(super) fn set_up_given(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let library = env::var_os("CHANCERY_KRYOPTIC").ok_or("CHANCERY_KRYOPTIC is not set")?;
    token(workspace, folder, library.into())
}

fn token(workspace: &Workspace, folder: &Path, library: PathBuf) -> Result<Setup> {
    let configuration = folder.join("kryoptic.conf");
    let text = format!(
        "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
        folder.join("token.sql").display()
    );
    fs::write(&configuration, text)?;
    let setup = Setup::new(library)
        .token(TOKEN)
        .env("KRYOPTIC_CONF", configuration);
    setup.initialize_token(workspace)?;
    Ok(setup)
}
