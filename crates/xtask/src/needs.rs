//! Programs and libraries of the system that a command needs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::{self, probe};
use crate::modules::{debian_library, nss, opencryptoki, softhsm, tpm};

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

pub(crate) const LIBCLANG: Need = Need {
    name: "libclang with its headers",
    packages: &["libclang1-14", "libclang-common-14-dev"],
    is_met: || {
        let installed = |folder: PathBuf| {
            folder.join("lib/libclang.so.1").exists() && folder.join("lib/clang").exists()
        };
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        folders.map(|folder| folder.path()).any(installed)
    },
};

pub(crate) const MOUNTS: Need = Need {
    name: "the right to mount in a namespace (root, or anybody where the kernel lets them)",
    packages: &["mount", "util-linux"],
    is_met: || {
        let as_root = ["--mount", "true"];
        let as_anybody = ["--user", "--map-root-user", "--mount", "true"];
        probe("unshare", &as_root).is_some() || probe("unshare", &as_anybody).is_some()
    },
};

pub(crate) const NAMESPACES: Need = Need {
    name: "the right to make namespaces (root, not in a confined container)",
    packages: &["util-linux"],
    is_met: || {
        let inside = [opencryptoki::NAMESPACES, &["true"]].concat();
        probe("unshare", &inside).is_some()
    },
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

pub(crate) const NSS: Need = Need {
    name: "NSS softokn and its certutil",
    packages: &["libnss3", "libnss3-tools"],
    is_met: || debian_library(nss::LIBRARY).exists() && on_path("certutil"),
};

pub(crate) const OPENCRYPTOKI: Need = Need {
    name: "opencryptoki",
    packages: &["opencryptoki"],
    is_met: || debian_library(opencryptoki::LIBRARY).exists() && on_path("pkcsslotd"),
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

pub(crate) const P11_KIT: Need = Need {
    name: "p11-kit's server and client",
    packages: &["p11-kit", "p11-kit-modules"],
    is_met: || debian_library(softhsm::P11_KIT_CLIENT).exists() && on_path("p11-kit"),
};

/// What OpenSSL's sources are built with besides a C compiler.
pub(crate) const PERL_AND_MAKE: Need = Need {
    name: "Perl with its standard modules, and make",
    packages: &["make", "perl"],
    is_met: || {
        // Some systems have the interpreter without them.
        probe("perl", &["-MFindBin", "-MIPC::Cmd", "-e", "1"]).is_some()
            && probe("make", &["--version"]).is_some()
    },
};

pub(crate) const PKCS11_TOOL: Need = Need {
    name: "OpenSC's pkcs11-tool",
    packages: &["opensc"],
    is_met: || on_path("pkcs11-tool"),
};

pub(crate) const PYTHON: Need = Need {
    name: "Python 3.9 or newer (python3) with its venv module",
    packages: &["python3", "python3-venv"],
    is_met: || {
        let check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))";
        probe("python3", &["-c", check]).is_some()
    },
};

pub(crate) const SETPRIV: Need = Need {
    name: "setpriv",
    packages: &["util-linux"],
    is_met: || on_path("setpriv"),
};

pub(crate) const SOFTHSM: Need = Need {
    name: "SoftHSM 2",
    packages: &["softhsm2"],
    is_met: || Path::new(softhsm::LIBRARY).exists() && on_path("softhsm2-util"),
};

pub(crate) const SQLITE_HEADERS: Need = Need {
    name: "the headers of SQLite and pkg-config",
    packages: &["libsqlite3-dev", "pkg-config"],
    is_met: || probe("pkg-config", &["--exists", "sqlite3"]).is_some(),
};

pub(crate) const SWTPM: Need = Need {
    name: "swtpm, a TPM in software",
    packages: &["swtpm", "swtpm-tools"],
    is_met: || on_path("swtpm") && on_path("swtpm_setup"),
};

pub(crate) const TPM2_ABRMD: Need = Need {
    name: "tpm2-abrmd, the TPM's resource manager, and a message bus for it",
    packages: &[
        "dbus-daemon",
        "libtss2-tcti-swtpm0",
        "libtss2-tcti-tabrmd0",
        "tpm2-abrmd",
        "tpm2-tools",
    ],
    is_met: || {
        ["dbus-daemon", "tpm2-abrmd", "tpm2_getcap"].map(on_path) == [true; 3]
            && ["libtss2-tcti-swtpm.so.0", "libtss2-tcti-tabrmd.so.0"]
                .iter()
                .all(|library| debian_library(library).exists())
    },
};

pub(crate) const TPM2_PKCS11: Need = Need {
    name: "tpm2-pkcs11",
    packages: &["libtpm2-pkcs11-1"],
    is_met: || debian_library(tpm::LIBRARY).exists(),
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

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
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
