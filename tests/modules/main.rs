//! Keys in a PKCS#11 module of somebody else, from their generation to the verifiers of their
//! tokens.
//!
//! `cargo xtask modules` runs this program once for each module, which it describes in the
//! environment. Without that there is nothing to test here.

// The lints let tests panic, but these are built without `cfg(test)`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod keys;
mod module;
mod pin;
mod restart;
mod stopped;
mod tokens;

use std::process::ExitCode;
use std::sync::Arc;

use chancery_tests::verifiers;
use libtest_mimic::{Arguments, Trial};

use crate::module::Module;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match Module::from_environment() {
        Some(module) => trials(Arc::new(module)),
        None => {
            println!("CHANCERY_MODULE is not set: cargo xtask modules sets modules up");
            Vec::new()
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a module has to stand, in the order in which it does.
fn trials(module: Arc<Module>) -> Vec<Trial> {
    let mut trials = Trials {
        module: Arc::clone(&module),
        trials: Vec::new(),
    };
    // First of all: once somebody has logged in, the whole process is.
    trials.add("a_wrong_pin_is_tried_once", pin::wrong_pin_is_tried_once);
    for algorithm in module.expected.algorithms() {
        trials.add(&format!("{algorithm}_conforms"), move |module| {
            keys::conforms(module, algorithm);
        });
    }
    for algorithm in module.expected.refused() {
        trials.add(&format!("{algorithm}_is_refused"), move |module| {
            keys::is_refused(module, algorithm);
        });
    }
    trials.add("keys_are_listed", keys::are_listed);
    if module.is_opened_by_uri() {
        trials.add("a_uri_opens_a_key", keys::open_by_uri);
    }
    for verifier in verifiers::ALL {
        trials.add(&format!("{}_judges_the_tokens", verifier.name), |module| {
            tokens::are_judged(module, verifier);
        });
    }
    if module.expected.at_work().next().is_some() {
        trials.add(
            "stopped_servers_outlive_no_deadline",
            stopped::no_call_outlives_its_deadline,
        );
        if !module.expected.signs_alone {
            trials.add("killed_servers_go_unnoticed", restart::goes_unnoticed);
            trials.add(
                "killed_servers_are_slept_through",
                restart::is_slept_through,
            );
        }
    }
    trials.add("one_key_is_destroyed", keys::one_is_destroyed);
    trials.trials
}

struct Trials {
    module: Arc<Module>,
    trials: Vec<Trial>,
}

impl Trials {
    fn add(&mut self, name: &str, test: impl FnOnce(&Module) + Send + 'static) {
        let module = Arc::clone(&self.module);
        let trial = Trial::test(name, move || {
            test(&module);
            Ok(())
        });
        self.trials.push(trial);
    }
}
