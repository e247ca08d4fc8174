//! What befalls a token, while signers are at work.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::{Event, HsmOptions, HsmSigner};
use chancery_pkcs11::KeyPair;

use crate::sharing::signs;
use crate::support::{LABEL, PIN, SoftHsm, isolated};

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn logged_out_by_someone_else() {
    isolated(|hsm| {
        let signer = signer(hsm);
        let session = hsm.bare().session();
        under_load(&signer, || {
            for _ in 0..5 {
                session.logout().ok();
                thread::sleep(Duration::from_millis(50));
            }
        });
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn sessions_closed_by_someone_else() {
    isolated(|hsm| {
        let signer = signer(hsm);
        for _ in 0..5 {
            // Not under load: SoftHSM does not survive that.
            at_rest(&signer);
            hsm.bare().close_all_sessions();
            signs(&signer);
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn finalized_by_someone_else() {
    isolated(|hsm| {
        let signer = signer(hsm);
        for _ in 0..5 {
            at_rest(&signer);
            hsm.bare().pkcs11.finalize().unwrap();
            signs(&signer);
        }
        at_rest(&signer);
        // Somebody else's initialisation is as good as ours.
        let theirs = hsm.bare().pkcs11;
        theirs.clone().finalize().unwrap();
        let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
        theirs
            .initialize(cryptoki::context::CInitializeArgs::new(flags))
            .unwrap();
        signs(&signer);
        assert!(theirs.get_library_info().is_ok());
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_token_that_is_gone_and_back() {
    isolated(|hsm| {
        let signer = signer(hsm);
        let away = hsm.folder().join("away");
        for _ in 0..3 {
            under_load(&signer, || {
                fs::rename(hsm.tokens(), &away).unwrap();
                thread::sleep(Duration::from_millis(700));
                fs::rename(&away, hsm.tokens()).unwrap();
                let back = Instant::now();
                signs(&signer);
                let took = back.elapsed();
                println!("signing again after {took:?}");
                assert!(took < Duration::from_secs(2), "{took:?}");
            });
        }
    });
}

/// Another key under the old label is refused, and never signed with.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_token_that_was_initialized_anew() {
    isolated(|hsm| {
        let signer = signer(hsm);
        signs(&signer);
        hsm.initialize_anew(LABEL);
        // By another process, as an operator would.
        let output = std::process::Command::new("pkcs11-tool")
            .args(["--module", hsm.module.to_str().unwrap()])
            .args(["--token-label", LABEL, "--login", "--pin", PIN])
            .args(["--keypairgen", "--key-type", "EC:prime256v1"])
            .args(["--label", "key", "--id", "01"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        let began = Instant::now();
        let error = loop {
            // SoftHSM keeps what it has loaded for as long as a session lasts.
            match signer.sign(&input) {
                Ok(signature) => {
                    let key = chancery_software::VerifyingKey::new(signer.jwk()).unwrap();
                    key.verify(b"header.payload", &signature).unwrap();
                    hsm.bare().session().logout().ok();
                }
                Err(error) => break error,
            }
            assert!(
                began.elapsed() < Duration::from_secs(8),
                "the old key goes on"
            );
        };
        assert_eq!(error.kind(), SignErrorKind::KeyChanged, "{error}");
        println!("{error}");
        for _ in 0..3 {
            let error = signer.sign(&input).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::KeyChanged, "{error}");
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_key_that_was_destroyed() {
    isolated(|hsm| {
        let token = hsm.token();
        let key = token.generate(KeyPair::P256, "key", None).unwrap();
        let options = HsmOptions::new().with_deadline(Duration::from_secs(1));
        let signer = token.signer().label("key").options(options).open().unwrap();
        signs(&signer);
        token.destroy(key.kid()).unwrap();
        says_that_the_key_is_missing(&signer);
    });
}

fn signer(hsm: &SoftHsm) -> HsmSigner {
    let token = hsm.token();
    token.generate(KeyPair::P256, "key", Some(&[1])).unwrap();
    let options = HsmOptions::new().on_event(|event| {
        if !matches!(event, Event::Signed { .. }) {
            println!("event: {event}");
        }
    });
    token.signer().label("key").options(options).open().unwrap()
}

/// A module that works is not started afresh time and again for a key that is not there.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_key_that_was_destroyed_costs_the_others_few_restarts() {
    isolated(|hsm| {
        let token = hsm.token();
        let tries = Arc::new(AtomicUsize::new(0));
        let open = |label: &str| {
            let key = token.generate(KeyPair::P256, label, None).unwrap();
            let tries = Arc::clone(&tries);
            let options = HsmOptions::new().with_deadline(Duration::from_secs(2));
            let options = options.on_event(move |event| {
                if matches!(event, Event::SessionLost { .. }) {
                    tries.fetch_add(1, Ordering::Relaxed);
                }
            });
            let signer = token.signer().label(label).options(options).open().unwrap();
            (key, signer)
        };
        let (doomed, without) = open("doomed");
        let (_, other) = open("other");
        token.destroy(doomed.kid()).unwrap();
        let began = Instant::now();
        for _ in 0..4 {
            says_that_the_key_is_missing(&without);
            signs(&other);
        }
        assert!(
            tries.load(Ordering::Relaxed) > 8,
            "it is looked for all the time"
        );
        // One a second: a key that is put back has to be found within two.
        let most = 1 + began.elapsed().as_secs();
        let resets = without.health().resets;
        assert!((1..=most).contains(&resets), "{resets} of {most}");
    });
}

/// A call that waits for the key tells at its deadline why it waited, unless the machine is too
/// busy to tell it in time.
fn says_that_the_key_is_missing(signer: &HsmSigner) {
    let input = SigningInput::new(Algorithm::Es256, b"header.payload");
    for _ in 0..5 {
        let error = signer.sign(&input).unwrap_err();
        println!("{error}");
        match error.kind() {
            SignErrorKind::KeyMissing => return,
            SignErrorKind::Timeout => {}
            _ => panic!("{error}"),
        }
    }
    panic!("five calls were told nothing");
}

/// Waits until every worker has a session, and none is at work on one.
fn at_rest(signer: &HsmSigner) {
    let began = Instant::now();
    while signer.health().sessions < signer.health().workers {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            signer.health()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// Does something to the token while four callers sign, none of whom may notice.
fn under_load(signer: &HsmSigner, act: impl FnOnce()) {
    /// A check that fails must end the callers too.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = Done(&is_done);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    signs(signer);
                }
            });
        }
        thread::sleep(Duration::from_millis(50));
        act();
        thread::sleep(Duration::from_millis(50));
    });
    signs(signer);
}

/// A token that is gone for good is no reason to disturb the others of its module all the time.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_token_that_stays_away_leaves_the_others_in_peace() {
    isolated(|hsm| {
        let (well, gone, folder) = two_tokens(hsm, Duration::from_millis(300));
        let away = hsm.folder().join("away");
        fs::rename(&folder, &away).unwrap();
        let began = Instant::now();
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        // Kept, since a call that is given up at once may never reach a worker, and a worker
        // without work does not learn that its session is gone.
        let mut waiting = VecDeque::new();
        while began.elapsed() < Duration::from_secs(3) {
            signs(&well);
            waiting.push_back(gone.begin_sign(&input));
            if waiting.len() > 64 {
                waiting.pop_front();
            }
            thread::sleep(Duration::from_millis(5));
        }
        let lasted = began.elapsed();
        drop(waiting);
        assert_eq!(gone.health().sessions, 0);
        // One for the key that is missing, one for the token that is gone, and then one a second:
        // who is to be found within two seconds of its return has to be looked for that often. Each
        // holds up the others for some milliseconds.
        let resets = gone.health().resets;
        let most = 2 + lasted.as_secs();
        assert!((1..=most).contains(&resets), "{resets} of {most} restarts");
        // It is found when it is back.
        fs::rename(&away, &folder).unwrap();
        let back = Instant::now();
        while gone.health().sessions == 0 {
            assert!(back.elapsed() < Duration::from_secs(20));
            signs(&well);
            thread::sleep(Duration::from_millis(5));
        }
        signs(&gone);
    });
}

/// Whoever waits for a token that is back has it within two seconds, however much the module signs
/// with others meanwhile.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_token_that_is_back_is_found_while_others_sign() {
    isolated(|hsm| {
        let (well, gone, folder) = two_tokens(hsm, Duration::from_secs(10));
        let away = hsm.folder().join("away");
        // Different moments between two restarts.
        for lasts in [2700, 3000, 3300] {
            under_load(&well, || {
                under_load(&gone, || {
                    fs::rename(&folder, &away).unwrap();
                    thread::sleep(Duration::from_millis(lasts));
                    assert_eq!(gone.health().sessions, 0);
                    fs::rename(&away, &folder).unwrap();
                    let back = Instant::now();
                    signs(&gone);
                    let took = back.elapsed();
                    println!("signing again after {took:?}");
                    assert!(took < Duration::from_secs(2), "{took:?}");
                });
            });
        }
    });
}

/// SoftHSM does not notice that the files of a key are back until it is restarted.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_key_that_is_back_is_found_while_others_sign() {
    isolated(|hsm| {
        let (well, without, folder) = two_tokens(hsm, Duration::from_secs(10));
        let away = hsm.folder().join("away");
        fs::create_dir(&away).unwrap();
        let move_keys = |from: &Path, to: &Path| {
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                if name != "token.object" && name.to_string_lossy().ends_with(".object") {
                    fs::rename(from.join(&name), to.join(&name)).unwrap();
                }
            }
        };
        under_load(&well, || {
            under_load(&without, || {
                move_keys(&folder, &away);
                thread::sleep(Duration::from_secs(3));
                assert_eq!(without.health().sessions, 0);
                move_keys(&away, &folder);
                let back = Instant::now();
                signs(&without);
                let took = back.elapsed();
                println!("signing again after {took:?}");
                assert!(took < Duration::from_secs(2), "{took:?}");
            });
        });
    });
}

/// A signer on each of two tokens, the second with this deadline, and the folder of the second token.
fn two_tokens(hsm: &SoftHsm, deadline: Duration) -> (HsmSigner, HsmSigner, PathBuf) {
    let folders = || {
        let entries = fs::read_dir(hsm.tokens()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.collect::<BTreeSet<_>>()
    };
    let before = folders();
    hsm.add_token("second");
    let folder = folders().difference(&before).next().unwrap().clone();
    let first = hsm.token();
    first.generate(KeyPair::P256, "key", None).unwrap();
    let second = hsm.builder().label("second").open().unwrap();
    second.generate(KeyPair::P256, "key", None).unwrap();
    let options = HsmOptions::new().with_deadline(deadline);
    let signers = [first.signer(), second.signer().options(options)];
    let [first, second] = signers.map(|signer| signer.label("key").open().unwrap());
    signs(&second);
    (first, second, folder)
}
