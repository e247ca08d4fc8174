//! SoftHSM 2, in our own process and behind a p11-kit server that can be killed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::servers::{Server, Servers};
use super::{PIN, SO_PIN, Setup, TOKEN, debian_library};
use crate::Result;
use crate::command::run;
use crate::workspace::Workspace;

/// Debian's path of the library.
pub(crate) const LIBRARY: &str = "/usr/lib/softhsm/libsofthsm2.so";

pub(crate) const P11_KIT_CLIENT: &str = "pkcs11/p11-kit-client.so";

/// Keys that OpenSC's tool made before, without an id: one that we refuse, and one that p11-kit has
/// no mechanism for. The tests make all the others.
const KEYS: &[(&str, &str)] = &[("ES512", "EC:secp521r1"), ("EdDSA", "EC:edwards25519")];

pub(super) fn set_up(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let configuration = token(workspace, folder)?;
    Ok(Setup::new(LIBRARY)
        .token(TOKEN)
        .env("SOFTHSM2_CONF", configuration))
}

pub(super) fn set_up_remoted(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let configuration = token(workspace, folder)?;
    let socket = folder.join("p11-kit.sock");
    let mut server = Server::new("p11-kit", folder, {
        let socket = socket.clone();
        move || UnixStream::connect(&socket).is_ok()
    })?
    .with_socket(&socket);
    server
        .command()
        .env("SOFTHSM2_CONF", configuration)
        .args(["server", "--foreground", "--provider", LIBRARY, "--name"])
        .arg(&socket)
        .arg(format!("pkcs11:token={TOKEN}"));
    let servers = Servers::start(vec![server], folder.join("running"))?;
    let mut address = OsString::from("unix:path=");
    address.push(&socket);
    Ok(Setup::new(debian_library(P11_KIT_CLIENT))
        .token(TOKEN)
        .env("P11_KIT_SERVER_ADDRESS", address)
        .servers(servers))
}

/// Makes a token; hands back the configuration that names it.
fn token(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let tokens = folder.join("tokens");
    fs::create_dir(&tokens)?;
    let configuration = folder.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(&configuration, text)?;
    run(workspace
        .command("softhsm2-util")
        .env("SOFTHSM2_CONF", &configuration)
        .args(["--init-token", "--free", "--label", TOKEN])
        .args(["--so-pin", SO_PIN, "--pin", PIN]))?;
    for (label, curve) in KEYS {
        run(workspace
            .command("pkcs11-tool")
            .env("SOFTHSM2_CONF", &configuration)
            .args([
                "--module",
                LIBRARY,
                "--token-label",
                TOKEN,
                "--login",
                "--pin",
                PIN,
            ])
            .args(["--keypairgen", "--label", label, "--key-type", curve]))?;
    }
    Ok(configuration)
}
