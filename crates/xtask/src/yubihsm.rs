//! `cargo xtask test yubihsm`.

use std::env;
use std::process::ExitCode;

use crate::Result;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// It does not belong on a command line, where others can read it.
const PASSWORD: &str = "CHANCERY_YUBIHSM_PASSWORD";

/// Tests the device behind a connector with objects that the tests make and remove.
pub(crate) fn test(
    workspace: &Workspace,
    connector: &str,
    authentication_key: u16,
) -> Result<ExitCode> {
    if env::var_os(PASSWORD).is_none() {
        return Err(format!("{PASSWORD} has to hold the authentication key's password").into());
    }
    let mut cargo = workspace.cargo(&["test", "--package", "chancery-yubihsm-tests"]);
    cargo
        .args(["--test", "device"])
        .env("CHANCERY_YUBIHSM_CONNECTOR", connector)
        .env(
            "CHANCERY_YUBIHSM_AUTH_KEY_ID",
            authentication_key.to_string(),
        );
    let mut tally = Tally::default();
    tally.cargo_test(&mut cargo);
    println!("{tally}");
    Ok(tally.exit_code())
}
