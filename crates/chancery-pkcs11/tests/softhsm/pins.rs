//! The PIN: where it comes from, and that a wrong one is tried once.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use chancery_core::{Algorithm, SignErrorKind, Signer as _, SigningInput};
use chancery_hsm::{HsmOptions, State};
use chancery_pkcs11::{KeyPair, Pin, Pkcs11Error, Token};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use crate::support::{LABEL, PIN, SO_PIN, isolated, said};

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_refused_pin_is_never_tried_again() {
    isolated(|hsm| {
        let open = |pin: &str| hsm.builder().pin(Pin::new(pin)).open();
        let first = open("9999");
        let was_tried = |opened: &Result<Token, Pkcs11Error>| match opened {
            Err(Pkcs11Error::WrongPin { was_tried, .. }) => Some(*was_tried),
            _ => None,
        };
        assert_eq!(was_tried(&first), Some(true));
        assert!(said(first).contains("refused the PIN (C_Login returned CKR_PIN_INCORRECT)"));
        // From here on it is the right one. Only who tries it would notice.
        let bare = hsm.bare();
        let session = bare.pkcs11.open_rw_session(bare.slot(LABEL)).unwrap();
        let so_pin = AuthPin::new(SO_PIN.into());
        session.login(UserType::So, Some(&so_pin)).unwrap();
        session.init_pin(&AuthPin::new("9999".into())).unwrap();
        session.logout().unwrap();
        drop(session);
        for _ in 0..3 {
            assert_eq!(was_tried(&open("9999")), Some(false));
        }
        let by_slot = Token::builder(&hsm.module).slot(bare.slot(LABEL).id());
        assert_eq!(
            was_tried(&by_slot.pin(Pin::new("9999")).open()),
            Some(false)
        );
        // Another one is tried, once.
        assert_eq!(was_tried(&open(PIN)), Some(true));
        assert_eq!(was_tried(&open(PIN)), Some(false));
        // The token itself has nothing against the PIN.
        let session = bare.pkcs11.open_rw_session(bare.slot(LABEL)).unwrap();
        session
            .login(UserType::User, Some(&AuthPin::new("9999".into())))
            .unwrap();
    });
}

/// Two hard links lead to one library, which has one state.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_pin_refused_by_one_path_is_not_tried_by_another() {
    isolated(|hsm| {
        let [path, link] = ["module.so", "link.so"].map(|name| hsm.folder().join(name));
        fs::copy(&hsm.module, &path).unwrap();
        fs::hard_link(&path, &link).unwrap();
        let mut tried = Vec::new();
        for path in [path, link] {
            let opened = Token::builder(path).label(LABEL).pin(Pin::new("9999"));
            match opened.open() {
                Err(Pkcs11Error::WrongPin { was_tried, .. }) => tried.push(was_tried),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tried, [true, false]);
    });
}

/// Who has a PIN does not wait for somebody else's.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_pin_that_does_not_come_holds_up_nobody_else() {
    isolated(|hsm| {
        let (asked, is_asked) = mpsc::channel();
        let (give, given) = mpsc::channel();
        let given = Mutex::new(given);
        let slow = hsm.builder().pin(Pin::callback(move || {
            asked.send(())?;
            Ok(given.lock().unwrap().recv()?)
        }));
        thread::scope(|scope| {
            let slow = scope.spawn(|| slow.open());
            is_asked.recv().unwrap();
            let (opened, is_opened) = mpsc::channel();
            scope.spawn(move || opened.send(hsm.builder().open().is_ok()));
            let in_time = is_opened.recv_timeout(Duration::from_secs(5));
            give.send(PIN.to_owned()).unwrap();
            assert_eq!(in_time, Ok(true));
            slow.join().unwrap().unwrap();
        });
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_callback_may_open_the_token_itself() {
    isolated(|hsm| {
        let inner = hsm.builder();
        let pin = Pin::callback(move || {
            inner.clone().open()?;
            Ok(PIN.to_owned())
        });
        let (opened, is_opened) = mpsc::channel();
        let outer = hsm.builder().pin(pin);
        thread::spawn(move || opened.send(outer.open().is_ok()));
        assert_eq!(is_opened.recv_timeout(Duration::from_secs(5)), Ok(true));
    });
}

/// The PIN is changed under two signers that are then logged out.
#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_pin_that_turns_wrong_latches_all_signers() {
    isolated(|hsm| {
        let reads = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&reads);
        let pin = Pin::callback(move || {
            counting.fetch_add(1, Ordering::Relaxed);
            Ok(PIN.to_owned())
        });
        let token = hsm.builder().pin(pin).open().unwrap();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let open = || {
            token
                .signer()
                .label("key")
                .options(HsmOptions::new())
                .open()
                .unwrap()
        };
        let signers = [open(), open()];
        assert_eq!(reads.load(Ordering::Relaxed), 1, "one login serves all");

        let session = hsm.bare().session();
        session
            .set_pin(&AuthPin::new(PIN.into()), &AuthPin::new("9999".into()))
            .unwrap();
        session.logout().unwrap();
        let input = SigningInput::new(Algorithm::Es256, b"header.payload");
        for signer in &signers {
            let error = signer.sign(&input).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::WrongPin, "{error}");
            assert_eq!(signer.health().state, State::Latched);
        }
        // Right again: nobody tries it.
        session
            .login(UserType::User, Some(&AuthPin::new("9999".into())))
            .unwrap();
        session
            .set_pin(&AuthPin::new("9999".into()), &AuthPin::new(PIN.into()))
            .unwrap();
        session.logout().unwrap();
        for signer in &signers {
            let error = signer.sign(&input).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::WrongPin, "{error}");
        }
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn a_pin_that_cannot_be_read_is_told() {
    isolated(|hsm| {
        let open = |pin: Pin| said(hsm.builder().pin(pin).open());
        assert!(
            open(Pin::file("/nowhere/pin")).starts_with("the secret's file /nowhere/pin cannot")
        );
        assert!(open(Pin::environment("CHANCERY_UNSET")).ends_with("is not set"));
        let said = open(Pin::callback(|| Err("the vault is sealed".into())));
        assert_eq!(said, "the callback gave no secret: the vault is sealed");
        assert!(open(Pin::new("")).ends_with("is empty"));
        hsm.builder()
            .pin(Pin::callback(|| Ok(PIN.into())))
            .open()
            .unwrap();
    });
}
