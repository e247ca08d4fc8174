//! How a process ends that has used a token.

use std::env;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

use chancery_pkcs11::KeyPair;

use crate::sharing::signs;
use crate::support::isolated;

/// Set for a process that signs and exits.
const EXITS: &str = "CHANCERY_EXITS";

/// What is linked into the process is cleaned up when it exits, while its threads go on. A module
/// that is called then crashes.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_process_may_exit_while_it_signs() {
    isolated(|hsm| {
        let token = hsm.token();
        if let Some(millis) = env::var_os(EXITS) {
            let millis = millis.to_str().unwrap().parse().unwrap();
            let signer = token.signer().label("key").open().unwrap();
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        loop {
                            signs(&signer);
                        }
                    });
                }
                thread::sleep(Duration::from_millis(millis));
                exit(0);
            });
        }
        token.generate(KeyPair::P256, "key", None).unwrap();
        let name = "exit::a_process_may_exit_while_it_signs";
        for round in 0..40 {
            let output = Command::new(env::current_exe().unwrap())
                .args([name, "--exact", "--include-ignored", "--nocapture"])
                .env(EXITS, (20 + round).to_string())
                .output()
                .unwrap();
            assert!(output.status.success(), "round {round}: {output:?}");
        }
    });
}
