//! Cargo's helpers that come from crates.io, installed under the target folder.

use std::path::PathBuf;

use crate::Result;
use crate::command;
use crate::workspace::Workspace;

/// A cargo subcommand and the version that we use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

pub(crate) const HACK: Tool = Tool {
    name: "cargo-hack",
    version: "0.6.46",
};

impl Tool {
    /// Installs the tool if it is missing; hands back its program, which expects the subcommand's
    /// name as its first argument.
    pub(crate) fn install(self, workspace: &Workspace) -> Result<PathBuf> {
        let folder = workspace.target().join("tools");
        // Cargo does nothing when this version is there, and asks no registry.
        let mut install = workspace.cargo(&["install", "--quiet", "--locked"]);
        install
            .arg("--root")
            .arg(&folder)
            .arg(format!("{}@{}", self.name, self.version))
            // Builds in a temporary folder instead, which is gone afterwards.
            .env_remove("CARGO_TARGET_DIR");
        command::run(&mut install)?;
        Ok(folder.join("bin").join(self.name))
    }
}
