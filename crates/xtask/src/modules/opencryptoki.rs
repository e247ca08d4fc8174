//! opencryptoki with its software token.

use std::path::Path;

use super::{PIN, Setup};
use crate::Result;
use crate::workspace::Workspace;

pub(crate) const LIBRARY: &str = "opencryptoki/libopencryptoki.so.0";

/// Namespaces of which it gets its own.
pub(crate) const NAMESPACES: &[&str] = &["--mount", "--ipc", "--pid", "--fork"];

pub(super) fn set_up(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let script = workspace.path("crates/xtask/src/modules/opencryptoki.sh");
    let mut within = vec!["unshare".into()];
    within.extend(NAMESPACES.iter().map(Into::into));
    within.extend(["--mount-proc", "--kill-child", "sh"].map(Into::into));
    within.extend([script.into(), folder.into(), PIN.into()]);
    Ok(Setup::new(super::debian_library(LIBRARY))
        // cryptoki cannot read this token's information, in which its label is.
        .env("CHANCERY_MODULE_SLOT", "3")
        .env("CHANCERY_MODULE_SERVERS", folder.join("running"))
        .within(within))
}
