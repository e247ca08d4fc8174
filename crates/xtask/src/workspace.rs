//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::command;

/// The checkout that this program was built in.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .ok_or("xtask lies in crates/xtask")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder that takes whatever is built or installed.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A command that starts in the checkout's root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that started us, so that every step has one toolchain.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.command(cargo);
        command.args(arguments);
        command
    }

    /// The packages of the workspace that are meant for crates.io.
    pub(crate) fn published(&self) -> Result<Vec<String>> {
        let metadata = self.metadata("Cargo.toml")?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        Ok(packages
            // `publish = false` shows as an empty list of registries.
            .filter(|package| {
                package["publish"]
                    .as_array()
                    .is_none_or(|to| !to.is_empty())
            })
            .filter_map(|package| Some(package["name"].as_str()?.to_owned()))
            .collect())
    }

    /// The programs of the workspace whose manifest this is.
    pub(crate) fn binaries(&self, manifest: &str) -> Result<Vec<String>> {
        let metadata = self.metadata(manifest)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        Ok(packages
            .flat_map(|package| package["targets"].as_array().into_iter().flatten())
            .filter(|target| target["kind"][0] == "bin")
            .filter_map(|target| Some(target["name"].as_str()?.to_owned()))
            .collect())
    }

    fn metadata(&self, manifest: &str) -> Result<Value> {
        let mut cargo = self.cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        cargo.arg("--manifest-path").arg(manifest);
        Ok(serde_json::from_str(&command::output(&mut cargo)?)?)
    }
}
