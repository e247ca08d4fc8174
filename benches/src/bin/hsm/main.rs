//! Compares a signer over a PKCS#11 module with the module driven by bare `cryptoki`, and one over
//! a YubiHSM with bare `yubihsm`, in one run.
//!
//! One line a case, the ratio of their throughputs first. Signatures are not verified after signing
//! in what is compared; what they come to when they are verified, as always outside of this
//! benchmark, stands beside it. Built by `cargo xtask bench hsm`, with the switch for that.

mod callers;
mod hand_over;
mod keys;
mod slow_device;
mod softhsm;
mod yubihsm_mock;

use std::env;
use std::error::Error;
use std::process::Command;

use chancery_fault_module::SoftHsm;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

type Part = fn() -> Outcome;

/// Each part is a process of its own, since a PKCS#11 module is initialised once a process.
const PARTS: &[(&str, Part)] = &[
    ("softhsm", softhsm::run),
    ("slow-device", slow_device::run),
    ("yubihsm-mock", yubihsm_mock::run),
];

fn main() -> Outcome {
    if !cfg!(chancery_unverified) {
        return Err("run it with `cargo xtask bench hsm`, which builds it as it must be".into());
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [run, part] = arguments.as_slice()
        && run == "--part"
    {
        let found = PARTS.iter().find(|(name, _)| name == part);
        let (_, part) = found.ok_or("no such part")?;
        return part();
    }
    for (part, _) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == part) {
            let token = SoftHsm::new()?;
            let mut command = Command::new(env::current_exe()?);
            command.env(SoftHsm::VARIABLE, token.configuration());
            let status = command.args(["--part", part]).status()?;
            if !status.success() {
                return Err(format!("{part}: {status}").into());
            }
        }
    }
    Ok(())
}
