//! NSS softokn, the software token of Firefox.

use std::fs;
use std::path::Path;

use super::{PIN, Setup, debian_library};
use crate::Result;
use crate::command::run;
use crate::workspace::Workspace;

pub(crate) const LIBRARY: &str = "libsoftokn3.so";

pub(super) fn set_up(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let password = folder.join("password");
    fs::write(&password, format!("{PIN}\n"))?;
    run(workspace
        .command("certutil")
        .args(["-N", "-d", &format!("sql:{}", folder.display()), "-f"])
        .arg(&password))?;
    // Its C_Initialize is told where the token lies by a string, not by the environment.
    let reserved = format!(
        "configdir='sql:{}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=''",
        folder.display()
    );
    Ok(Setup::new(debian_library(LIBRARY))
        .token("NSS Certificate DB")
        .env("CHANCERY_MODULE_RESERVED", reserved))
}
