//! Several users of one module in one process.

use std::thread;

use chancery_core::{Algorithm, Signer, SigningInput};
use chancery_pkcs11::{KeyPair, Pin, Token};
use chancery_software::VerifyingKey;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};

use crate::support::{PIN, isolated};

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn several_tokens_and_signers_of_one_module() {
    isolated(|hsm| {
        hsm.add_token("second");
        let first = hsm.token();
        let second = Token::builder(&hsm.module)
            .label("second")
            .pin(Pin::new(PIN));
        let second = second.open().unwrap();
        first.generate(KeyPair::P256, "one", None).unwrap();
        first.generate(KeyPair::Ed25519, "two", None).unwrap();
        second.generate(KeyPair::P256, "one", None).unwrap();
        let signers = [
            first.signer().label("one").open().unwrap(),
            first.signer().label("two").open().unwrap(),
            first.signer().label("one").open().unwrap(),
            second.signer().label("one").open().unwrap(),
        ];
        assert_eq!(signers[0].jwk(), signers[2].jwk());
        assert_ne!(signers[0].jwk(), signers[3].jwk());
        thread::scope(|scope| {
            for signer in &signers {
                for _ in 0..4 {
                    scope.spawn(move || (0..50).for_each(|_| signs(signer)));
                }
            }
        });
        // One that goes takes nothing from the others.
        let [one, two, three, four] = signers;
        drop((one, four));
        signs(&two);
        signs(&three);
        // Nor does a token.
        drop(first);
        signs(&two);
    });
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn an_application_that_initialized_the_module_itself() {
    isolated(|hsm| {
        let theirs = Pkcs11::new(&hsm.module).unwrap();
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        theirs.initialize(arguments).unwrap();
        let token = hsm.token();
        token.generate(KeyPair::P256, "key", None).unwrap();
        let signer = token.signer().label("key").open().unwrap();
        signs(&signer);
        let session = hsm.bare().session();
        drop((signer, token));
        // Theirs goes on: nothing was finalised.
        assert!(session.get_session_info().is_ok());
        assert!(theirs.get_library_info().is_ok());
    });
}

pub(crate) fn signs(signer: &impl Signer) {
    let algorithm: Algorithm = signer.jwk().algorithm();
    let signature = signer
        .sign(&SigningInput::new(algorithm, b"header.payload"))
        .unwrap_or_else(|error| panic!("{error}"));
    VerifyingKey::new(signer.jwk())
        .unwrap()
        .verify(b"header.payload", &signature)
        .unwrap();
}
