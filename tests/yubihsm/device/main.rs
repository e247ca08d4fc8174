//! A real device, behind the connector that `CHANCERY_YUBIHSM_CONNECTOR` names, opened with the
//! authentication key of `CHANCERY_YUBIHSM_AUTH_KEY_ID` and the password of
//! `CHANCERY_YUBIHSM_PASSWORD`: `cargo xtask test yubihsm` sets them.
//!
//! It uses only objects that it makes, and removes them. Without a device all is skipped.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::env;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use chancery_core::{Algorithm, Signer as _, SigningInput};
use chancery_software::{Engine, PrivateKey};
use chancery_yubihsm::{NewKey, Password, YubiHsm, YubiHsmError, YubiHsmKey};
use libtest_mimic::{Arguments, Failed, Trial};

const LABEL: &str = "chancery test, may be deleted";

type Test = fn(&Bench) -> Result<(), Failed>;

const TESTS: &[(&str, Test)] = &[
    ("es256_conforms", |bench| bench.conforms(Algorithm::Es256)),
    ("es384_conforms", |bench| bench.conforms(Algorithm::Es384)),
    ("eddsa_conforms", |bench| bench.conforms(Algorithm::EdDsa)),
    ("rs256_conforms", |bench| bench.conforms(Algorithm::Rs256)),
    ("keys_are_imported", imports),
    ("keys_are_attested", attests),
    ("wrong_passwords_leave_no_sessions", wrong_passwords),
    ("sessions_are_closed", closes),
    ("idle_sessions_are_replaced", idles),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The sessions of the device are counted.
    arguments.test_threads = Some(1);
    let bench = Bench::from_environment();
    if bench.is_none() {
        println!("SKIPPED: no device; see cargo xtask --help");
        arguments.include_ignored = false;
        arguments.ignored = false;
    }
    let trials = TESTS.iter().map(|(name, test)| {
        let bench = bench.clone();
        let is_skipped = bench.is_none();
        let trial = Trial::test(*name, move || test(&bench.ok_or("no device")?));
        trial.with_ignored_flag(is_skipped)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

#[derive(Clone)]
struct Bench {
    connector: String,
    authentication_key: u16,
}

impl Bench {
    fn from_environment() -> Option<Self> {
        let connector = env::var("CHANCERY_YUBIHSM_CONNECTOR").ok()?;
        let id = env::var("CHANCERY_YUBIHSM_AUTH_KEY_ID").expect("the authentication key");
        Some(Self {
            connector,
            authentication_key: id.parse().expect("a number"),
        })
    }

    fn open(&self) -> Result<YubiHsm, YubiHsmError> {
        let password = Password::environment("CHANCERY_YUBIHSM_PASSWORD");
        YubiHsm::http(&self.connector, self.authentication_key, &password)
    }

    fn conforms(&self, algorithm: Algorithm) -> Result<(), Failed> {
        let device = self.open()?;
        let key = Temporary::new(&device, device.generate(algorithm, &NewKey::new(LABEL))?);
        if !key.key.is_generated() || key.key.is_exportable() {
            return Err("the key is not one of the device alone".into());
        }
        let signer = device.signer().id(key.key.id()).open()?;
        println!("{}", chancery_conformance::check_up_to(&signer, 1024)?);
        drop(signer);
        key.destroy()
    }
}

/// A key that is destroyed in the end, whatever happens.
struct Temporary<'a> {
    device: &'a YubiHsm,
    key: YubiHsmKey,
}

impl<'a> Temporary<'a> {
    const fn new(device: &'a YubiHsm, key: YubiHsmKey) -> Self {
        Self { device, key }
    }

    /// Destroys it, and looks whether it is gone.
    fn destroy(self) -> Result<(), Failed> {
        let kid = self.key.kid().to_owned();
        let device = self.device;
        drop(self);
        if device.keys()?.iter().any(|key| key.kid() == kid) {
            return Err("the key is still there".into());
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.device.destroy(self.key.kid()) {
            eprintln!("key {} was left in the device: {error}", self.key.id());
        }
    }
}

fn imports(bench: &Bench) -> Result<(), Failed> {
    let device = bench.open()?;
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let private = PrivateKey::generate(algorithm, Engine::AwsLcRs)?;
        let key = Temporary::new(&device, device.import(&private, &NewKey::new(LABEL))?);
        let signer = device.signer().id(key.key.id()).open()?;
        signer.sign(&SigningInput::new(algorithm, b"header.payload"))?;
        drop(signer);
        key.destroy()?;
    }
    Ok(())
}

fn attests(bench: &Bench) -> Result<(), Failed> {
    let device = bench.open()?;
    let key = Temporary::new(
        &device,
        device.generate(Algorithm::Es256, &NewKey::new(LABEL))?,
    );
    let certificate = device.attestation_certificate(key.key.kid(), 0)?;
    let chancery_core::PublicKey::Ec { point, .. } = key.key.jwk().public_key() else {
        return Err("not an EC key".into());
    };
    let holds_key = certificate
        .windows(point.len() - 1)
        .any(|window| window == &point[1..]);
    if !holds_key {
        return Err("the certificate is of another key".into());
    }
    key.destroy()
}

fn wrong_passwords(bench: &Bench) -> Result<(), Failed> {
    for _ in 0..20 {
        let password = Password::new("chancery: a wrong password");
        match YubiHsm::http(&bench.connector, bench.authentication_key, &password) {
            Err(YubiHsmError::WrongPassword { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err("a wrong password was accepted".into()),
        }
    }
    // There is a session left.
    bench.open()?;
    Ok(())
}

fn closes(bench: &Bench) -> Result<(), Failed> {
    let device = bench.open()?;
    for _ in 0..40 {
        device.keys()?;
    }
    Ok(())
}

fn idles(bench: &Bench) -> Result<(), Failed> {
    let device = bench.open()?;
    let key = Temporary::new(
        &device,
        device.generate(Algorithm::Es256, &NewKey::new(LABEL))?,
    );
    let signer = device.signer().id(key.key.id()).open()?;
    sleep(Duration::from_secs(31));
    signer.sign(&SigningInput::new(Algorithm::Es256, b"header.payload"))?;
    drop(signer);
    key.destroy()
}
