//! A TPM through tpm2-pkcs11: swtpm, behind the resource manager that makes it hold several keys.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::servers::{Server, Servers};
use super::{Setup, TOKEN, debian_library};
use crate::Result;
use crate::command::run;
use crate::workspace::Workspace;

pub(crate) const LIBRARY: &str = "pkcs11/libtpm2_pkcs11.so";

const MANAGER: &str = "tabrmd:bus_type=session";

pub(super) fn set_up(workspace: &Workspace, folder: &Path) -> Result<Setup> {
    let state = folder.join("state");
    fs::create_dir(&state)?;
    run(workspace
        .command("swtpm_setup")
        .args(["--tpm2", "--pcr-banks", "sha256", "--config", "/dev/null"])
        .arg("--tpmstate")
        .arg(&state))?;

    let bus = folder.join("bus.sock");
    let mut address = OsString::from("unix:path=");
    address.push(&bus);
    let (port, control) = free_ports()?;
    // It stays when the others are killed: a process that uses it cannot get another one.
    let message_bus = message_bus(folder, &bus, &address)?.start()?;
    let servers = vec![
        tpm(folder, &state, port, control)?,
        resource_manager(folder, &address, port)?,
    ];
    let servers = Servers::start(servers, folder.join("running"))?;

    let store = folder.join("store");
    fs::create_dir(&store)?;
    let setup = Setup::new(debian_library(LIBRARY))
        .token(TOKEN)
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .env("TPM2_PKCS11_STORE", store)
        .env("TPM2_PKCS11_TCTI", MANAGER)
        // It writes of every probe that fails.
        .env("TSS2_LOG", "all+NONE")
        .server(message_bus)
        .servers(servers);
    // A power cut counts as a wrong PIN, and three of those lock this TPM as it comes. Those of
    // computers take 32.
    run(workspace
        .command("tpm2_dictionarylockout")
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .args(["--tcti", MANAGER, "--setup-parameters", "--max-tries", "32"])
        .args(["--recovery-time", "600", "--lockout-recovery-time", "600"]))?;
    setup.initialize_token(workspace)?;
    Ok(setup)
}

fn tpm(folder: &Path, state: &Path, port: u16, control: u16) -> Result<Server> {
    let mut server = Server::new("swtpm", folder, move || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, control)).is_ok()
    })?;
    let channel = |port| format!("type=tcp,port={port},bindaddr=127.0.0.1");
    let mut directory = OsString::from("dir=");
    directory.push(state);
    server
        .command()
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .args(["--server", &channel(port), "--ctrl", &channel(control)])
        .arg("--tpmstate")
        .arg(directory);
    Ok(server)
}

/// A bus of our own, where the resource manager and the module meet.
fn message_bus(folder: &Path, socket: &Path, address: &OsString) -> Result<Server> {
    let mut server = Server::new("dbus-daemon", folder, {
        let socket = socket.to_owned();
        move || UnixStream::connect(&socket).is_ok()
    })?
    .with_socket(socket);
    server
        .command()
        .args(["--session", "--nofork", "--address"])
        .arg(address);
    Ok(server)
}

fn resource_manager(folder: &Path, bus: &OsString, port: u16) -> Result<Server> {
    let mut server = Server::new("tpm2-abrmd", folder, {
        let bus = bus.clone();
        move || {
            let mut asked = Command::new("tpm2_getcap");
            asked
                .env("DBUS_SESSION_BUS_ADDRESS", &bus)
                .env("TSS2_LOG", "all+NONE")
                .args(["--tcti", MANAGER, "algorithms"]);
            asked.output().is_ok_and(|output| output.status.success())
        }
    })?;
    server
        .command()
        .env("DBUS_SESSION_BUS_ADDRESS", bus)
        .args(["--session", "--allow-root"])
        .arg(format!("--tcti=swtpm:host=127.0.0.1,port={port}"));
    Ok(server)
}

/// Two ports that nobody has, one after the other: a client of swtpm looks for the second there.
fn free_ports() -> Result<(u16, u16)> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let Some(next) = port.checked_add(1) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, next)).is_ok() {
            return Ok((port, next));
        }
    }
    Err("no two ports in a row are free".into())
}
