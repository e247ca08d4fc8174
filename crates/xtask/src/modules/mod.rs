//! PKCS#11 modules of others, each set up in a folder of its own under the target folder and
//! tested in a process of its own: a module is initialised once for a process, and most take their
//! configuration from its environment.

mod kryoptic;
pub(crate) mod nss;
pub(crate) mod opencryptoki;
pub(crate) mod servers;
pub(crate) mod softhsm;
pub(crate) mod tpm;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use self::servers::{Running, Servers};
use crate::Result;
use crate::command;
use crate::foreign::{self, Foreign};
use crate::needs::{self, Need};
use crate::tally::Tally;
use crate::workspace::Workspace;

const TOKEN: &str = "chancery";
const PIN: &str = "87651234";
const SO_PIN: &str = "12345678";

struct Module {
    /// As the tests know it, with what they expect of it.
    name: &'static str,
    needs: &'static [Need],
    set_up: fn(&Workspace, &Path) -> Result<Setup>,
}

const MODULES: &[Module] = &[
    Module {
        name: "softhsm",
        needs: &[needs::SOFTHSM, needs::PKCS11_TOOL],
        set_up: softhsm::set_up,
    },
    Module {
        name: "p11-kit",
        needs: &[
            needs::SOFTHSM,
            needs::PKCS11_TOOL,
            needs::P11_KIT,
            needs::SETPRIV,
        ],
        set_up: softhsm::set_up_remoted,
    },
    Module {
        name: "nss",
        needs: &[needs::NSS],
        set_up: nss::set_up,
    },
    Module {
        name: "tpm",
        needs: &[
            needs::TPM2_PKCS11,
            needs::SWTPM,
            needs::TPM2_ABRMD,
            needs::PKCS11_TOOL,
            needs::SETPRIV,
        ],
        set_up: tpm::set_up,
    },
    Module {
        name: "opencryptoki",
        needs: &[needs::OPENCRYPTOKI, needs::NAMESPACES],
        set_up: opencryptoki::set_up,
    },
    Module {
        name: "kryoptic",
        needs: &[
            needs::LIBCLANG,
            needs::SQLITE_HEADERS,
            needs::PERL_AND_MAKE,
            needs::PKCS11_TOOL,
        ],
        set_up: kryoptic::set_up,
    },
];

/// A module that is ready, and what its users have to be told.
pub(crate) struct Setup {
    library: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// A command that runs the module's user as its last arguments.
    within: Vec<OsString>,
    /// Dropped first, before what they need.
    servers: Option<Servers>,
    server: Option<Running>,
}

impl Setup {
    fn new(library: impl Into<PathBuf>) -> Self {
        Self {
            library: library.into(),
            environment: Vec::new(),
            within: Vec::new(),
            servers: None,
            server: None,
        }
    }

    fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn within(mut self, command: Vec<OsString>) -> Self {
        self.within = command;
        self
    }

    fn server(mut self, server: Running) -> Self {
        self.server = Some(server);
        self
    }

    fn servers(mut self, servers: Servers) -> Self {
        self.environment
            .push(("CHANCERY_MODULE_SERVERS", servers.file().into()));
        self.servers = Some(servers);
        self
    }

    fn token(self, label: &str) -> Self {
        self.env("CHANCERY_MODULE_TOKEN", label)
    }

    /// Has OpenSC's tool make a token of the module's first slot.
    fn initialize_token(&self, workspace: &Workspace) -> Result {
        let as_officer = ["--login", "--login-type", "so"];
        for arguments in [
            &["--init-token", "--label", TOKEN][..],
            &[&as_officer[..], &["--init-pin", "--pin", PIN]].concat(),
        ] {
            command::run(
                workspace
                    .command("pkcs11-tool")
                    .envs(self.environment.iter().map(|(name, value)| (name, value)))
                    .arg("--module")
                    .arg(&self.library)
                    .args(["--slot-index", "0", "--so-pin", SO_PIN])
                    .args(arguments),
            )?;
        }
        Ok(())
    }

    /// The program, where the module is ready, and with an environment that describes the module.
    fn command(&self, workspace: &Workspace, name: &str, program: Command) -> Command {
        let mut command = match self.within.split_first() {
            None => program,
            Some((first, arguments)) => {
                let mut within = workspace.command(first);
                within.args(arguments).arg(program.get_program());
                within.args(program.get_args());
                within
            }
        };
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("CHANCERY_MODULE", name)
            .env("CHANCERY_MODULE_PATH", &self.library);
        command
    }
}

/// `cargo xtask modules`: sets up and tests all modules, or the one of this name.
pub(crate) fn run(workspace: &Workspace, name: Option<&str>) -> Result<ExitCode> {
    let foreign = foreign::set_up(workspace)?;
    let mut tally = Tally::default();
    let modules: Vec<&Module> = MODULES
        .iter()
        .filter(|module| name.is_none_or(|name| name == module.name))
        .collect();
    if modules.is_empty() {
        return Err(format!("no module `{}`", name.unwrap_or_default()).into());
    }
    for module in modules {
        test(workspace, &foreign, module, &mut tally);
    }
    println!("\n{tally}");
    Ok(tally.exit_code())
}

/// Tests every module.
pub(crate) fn test_all(workspace: &Workspace, foreign: &Foreign, tally: &mut Tally) {
    for module in MODULES {
        test(workspace, foreign, module, tally);
    }
}

/// Runs a program once for each module, as the tests are run.
pub(crate) fn run_program(workspace: &Workspace, tally: &mut Tally, program: impl Fn() -> Command) {
    for module in MODULES {
        if let Some(setup) = set_up(workspace, module, tally) {
            let mut command = setup.command(workspace, module.name, program());
            tally.test(module.name, command::run(&mut command));
        }
    }
}

fn test(workspace: &Workspace, foreign: &Foreign, module: &Module, tally: &mut Tally) {
    if let Some(setup) = set_up(workspace, module, tally) {
        tally.cargo_test(&mut test_command(workspace, foreign, module.name, &setup));
    }
}

/// Makes a module ready, or counts it as missing or as failed.
fn set_up(workspace: &Workspace, module: &Module, tally: &mut Tally) -> Option<Setup> {
    println!("\n== module {}", module.name);
    if let Err(error) = needs::provide(module.needs) {
        tally.missing(module.name, &error.to_string());
        return None;
    }
    let prepared = prepare(workspace, module);
    prepared
        .map_err(|error| tally.check(module.name, Err(error)))
        .ok()
}

fn prepare(workspace: &Workspace, module: &Module) -> Result<Setup> {
    let folder = workspace.target().join("modules").join(module.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let pin = folder.join("pin");
    fs::write(&pin, PIN)?;
    let setup = (module.set_up)(workspace, &folder)?;
    Ok(setup.env("CHANCERY_MODULE_PIN", pin))
}

fn test_command(workspace: &Workspace, foreign: &Foreign, name: &str, setup: &Setup) -> Command {
    // With the features of the other tests, so that nothing is built once more.
    let test = workspace.cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--test",
        "modules",
        "--",
        "--test-threads=1",
    ]);
    let mut command = setup.command(workspace, name, test);
    command
        .env("CHANCERY_FOREIGN_PYTHON", &foreign.python)
        .env("CHANCERY_FOREIGN_NODE", &foreign.node);
    command
}

/// Debian's folder for libraries of this machine's kind.
pub(crate) fn debian_library(name: &str) -> PathBuf {
    PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH)).join(name)
}
