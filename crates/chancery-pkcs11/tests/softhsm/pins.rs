//! The PIN: where it comes from, and that a wrong one is tried once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        assert!(open(Pin::file("/nowhere/pin")).starts_with("the PIN file /nowhere/pin cannot"));
        assert!(open(Pin::environment("CHANCERY_UNSET")).ends_with("is not set"));
        let said = open(Pin::callback(|| Err("the vault is sealed".into())));
        assert_eq!(said, "the callback gave no PIN: the vault is sealed");
        assert!(open(Pin::new("")).ends_with("is empty"));
        hsm.builder()
            .pin(Pin::callback(|| Ok(PIN.into())))
            .open()
            .unwrap();
    });
}
