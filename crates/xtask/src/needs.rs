//! Programs and libraries of the system that a command needs.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::command::{self, probe};

/// Something that the system has to provide.
#[derive(Debug)]
pub(crate) struct Need {
    /// What it is, as it stands in the message to whoever has to install it.
    name: &'static str,
    /// The Debian packages that provide it.
    packages: &'static [&'static str],
    is_met: fn() -> bool,
}

pub(crate) const CXX_COMPILER: Need = Need {
    name: "a C++ compiler (c++)",
    packages: &["g++"],
    is_met: || probe("c++", &["--version"]).is_some(),
};

pub(crate) const NODE: Need = Need {
    name: "Node.js 18 or newer (node)",
    packages: &["nodejs"],
    is_met: || {
        let check = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";
        probe("node", &["-e", check]).is_some()
    },
};

pub(crate) const NPM: Need = Need {
    name: "npm",
    packages: &["npm"],
    is_met: || probe("npm", &["--version"]).is_some(),
};

pub(crate) const OPENSSL: Need = Need {
    name: "OpenSSL 3 or newer (openssl)",
    packages: &["openssl"],
    is_met: || {
        // LibreSSL answers to the same name.
        let version = probe("openssl", &["version"]).unwrap_or_default();
        let major = version
            .strip_prefix("OpenSSL ")
            .and_then(|rest| rest.split('.').next());
        major
            .and_then(|major| major.parse().ok())
            .is_some_and(|major: u32| major >= 3)
    },
};

pub(crate) const OPENSSL_HEADERS: Need = Need {
    name: "the headers of OpenSSL and pkg-config",
    packages: &["libssl-dev", "pkg-config"],
    is_met: || probe("pkg-config", &["--exists", "openssl"]).is_some(),
};

pub(crate) const PYTHON: Need = Need {
    name: "Python 3.9 or newer (python3) with its venv module",
    packages: &["python3", "python3-venv"],
    is_met: || {
        let check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))";
        probe("python3", &["-c", check]).is_some()
    },
};

/// Installs what is missing, or says what to install where that is not ours to do.
pub(crate) fn provide(needs: &[Need]) -> Result {
    let missing = unmet(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    if !is_debian() || !is_root() {
        return Err(format!(
            "missing: {}.\nOn Debian or Ubuntu: sudo apt-get install --no-install-recommends {}\n\
             Elsewhere: install them so that they are found on PATH. Then run this again.",
            names(&missing),
            packages.join(" "),
        )
        .into());
    }
    if let Err(error) = command::run(apt_get().arg("update")) {
        // One broken source among others need not matter; the installation will tell.
        println!("{error}");
    }
    command::run(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )?;
    let missing = unmet(needs);
    if missing.is_empty() {
        Ok(())
    } else {
        // Such as an old release of the system, or an older program earlier on PATH.
        Err(format!("still missing after apt-get: {}", names(&missing)).into())
    }
}

fn unmet(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !(need.is_met)()).collect()
}

fn names(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|need| need.name)
        .collect::<Vec<_>>()
        .join("; ")
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    probe("id", &["-u"]).is_some_and(|user| user.trim() == "0")
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
