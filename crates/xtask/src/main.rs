//! The project's own commands: `cargo xtask --help`.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::workspace::Workspace;

mod bench;
mod ci;
mod command;
mod faults;
mod foreign;
mod fuzz;
mod modules;
mod needs;
mod rehearse;
mod tally;
mod test;
mod tools;
mod tree;
mod workspace;
mod yubihsm;

const HELP: &str = "\
The project's own commands.

cargo xtask test                         Set up what the tests need, then run all of them.
cargo xtask test yubihsm --connector URL --auth-key-id N
                                         Only a real YubiHSM 2; it uses and removes objects of
                                         its own.
cargo xtask modules [NAME]               Only the tests of real PKCS#11 modules, or of one.
cargo xtask faults                       Only the signers over a PKCS#11 module and a YubiHSM
                                         with faults.
cargo xtask rehearse --minutes N [--seed N] [--weaken lease|activate|retire]
                                         Issuers on one store that rotate every few seconds,
                                         relying parties in PyJWT and npm jose, and faults; with
                                         a weakness, to see that it is noticed.
cargo xtask ci                           What CI runs after `test`: fmt, clippy, docs, deny,
                                         feature powerset, fuzz smoke.
cargo xtask tree                         Check which crates the published ones pull in.
cargo xtask fuzz --seconds N [TARGET]    Run each fuzz target, or one, for N seconds.
cargo xtask bench overhead [ARGS]        What a token costs beyond its raw signature.
cargo xtask bench federation [ARGS]      Subjects, the checks of a token, the local STS.
cargo xtask bench rotation [ARGS]        What following a key manifest costs, and the pauses when
                                         keys are replaced.
cargo xtask bench peers [ARGS]           The same claims through other libraries; draws
                                         docs/peers.svg.
cargo xtask bench hsm [PART…]            PKCS#11 modules through chancery and without it.
cargo xtask bench fixed-work             A thousand signatures, opening included, of every
                                         backend: in memory, PKCS#11 modules, a YubiHSM's mock.
cargo xtask bench criterion [ARGS]       The Criterion benches.

Environment:
  CHANCERY_VECTORS    Folder of published test vectors; their tests are skipped without it.
  CHANCERY_YUBIHSM_PASSWORD
                      Password of the authentication key for `test yubihsm`.
  CI                  When set, packaging refuses uncommitted changes, and every module has to
                      be there.

Tools and verifiers are installed under target/. Missing system packages are installed with
apt-get on Debian as root, and named elsewhere.
";

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match arguments.next()? {
        Some(Value(command)) => match command.string()?.as_str() {
            "test" => test(&workspace, arguments),
            "modules" => modules(&workspace, arguments),
            "faults" => no_more(arguments).and_then(|()| faults::run(&workspace)),
            "rehearse" => rehearse::run(&workspace, &arguments.raw_args()?.collect::<Vec<_>>())
                .map(|()| ExitCode::SUCCESS),
            "ci" => no_more(arguments).and_then(|()| ci::run(&workspace)),
            "tree" => no_more(arguments)
                .and_then(|()| tree::check(&workspace))
                .map(|()| ExitCode::SUCCESS),
            "fuzz" => fuzz(&workspace, arguments).map(|()| ExitCode::SUCCESS),
            "bench" => bench(&workspace, arguments),
            other => Err(format!("no command `{other}`; see cargo xtask --help").into()),
        },
        Some(Short('h') | Long("help")) | None => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(other.unexpected().into()),
    }
}

fn no_more(mut arguments: lexopt::Parser) -> Result {
    match arguments.next()? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

fn test(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    match arguments.next()? {
        None => return test::run(workspace),
        Some(Value(suite)) if suite == "yubihsm" => {}
        Some(other) => return Err(other.unexpected().into()),
    }
    let mut connector = None;
    let mut authentication_key = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("connector") => connector = Some(arguments.value()?.string()?),
            Long("auth-key-id") => authentication_key = Some(arguments.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let connector = connector.ok_or("test yubihsm needs --connector URL")?;
    let authentication_key = authentication_key.ok_or("test yubihsm needs --auth-key-id N")?;
    yubihsm::test(workspace, &connector, authentication_key)
}

fn modules(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let name = match arguments.next()? {
        Some(Value(name)) => Some(name.string()?),
        Some(other) => return Err(other.unexpected().into()),
        None => None,
    };
    no_more(arguments)?;
    modules::run(workspace, name.as_deref())
}

fn fuzz(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    let mut seconds = None;
    let mut target = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => seconds = Some(arguments.value()?.parse()?),
            Value(name) if target.is_none() => target = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let seconds = seconds.ok_or("fuzz needs --seconds N, the time for each target")?;
    fuzz::run(workspace, seconds, target.as_deref())
}

fn bench(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let kind = match arguments.next()? {
        Some(Value(kind)) => kind.string()?,
        _ => {
            return Err(
                "bench needs one of overhead, federation, rotation, peers, hsm, fixed-work, \
                 criterion"
                    .into(),
            );
        }
    };
    if kind == "fixed-work" {
        return no_more(arguments).and_then(|()| bench::fixed_work(workspace));
    }
    let rest: Vec<OsString> = arguments.raw_args()?.collect();
    match kind.as_str() {
        "overhead" => bench::binary(workspace, "overhead", &rest),
        "federation" => bench::binary(workspace, "federation", &rest),
        "rotation" => bench::binary(workspace, "rotation", &rest),
        "peers" => bench::peers(workspace, &rest),
        "hsm" => bench::hsm(workspace, &rest),
        "criterion" => bench::criterion(workspace, &rest),
        other => Err(format!(
            "no bench `{other}`; there are overhead, federation, rotation, peers, hsm, fixed-work, \
             criterion"
        )
        .into()),
    }
    .map(|()| ExitCode::SUCCESS)
}
