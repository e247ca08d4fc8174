//! kryoptic, a software token in Rust, with an OpenSSL of its own.

use std::fs;
use std::path::Path;

use super::{Setup, TOKEN};
use crate::Result;
use crate::command::run;
use crate::workspace::Workspace;

/// Builds the module, and the first time its OpenSSL, which takes a minute or two.
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
    let configuration = folder.join("kryoptic.conf");
    let text = format!(
        "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
        folder.join("token.sql").display()
    );
    fs::write(&configuration, text)?;
    let setup = Setup::new(target.join("debug/libchancery_kryoptic.so"))
        .token(TOKEN)
        .env("KRYOPTIC_CONF", configuration);
    setup.initialize_token(workspace)?;
    Ok(setup)
}
