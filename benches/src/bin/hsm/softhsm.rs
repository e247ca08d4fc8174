//! SoftHSM, driven by bare `cryptoki` and by a signer.

use std::time::Duration;

use chancery::{Algorithm, Signer, SigningInput};
use chancery_benches::MESSAGE;
use chancery_benches::timing::median;
use chancery_hsm::{HsmOptions, HsmSigner};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::Outcome;
use crate::callers::Load;
use crate::hand_over::HandOver;
use crate::keys::{EC, RSA, module, token_with_keys, unverified};

const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_millis(300);

pub(crate) fn run() -> Outcome {
    let token = token_with_keys(module())?;
    let bare = Bare::open()?;
    for (algorithm, label) in [(Algorithm::Es256, EC), (Algorithm::Rs256, RSA)] {
        let open = |options| token.signer().label(label).options(options).open();
        let signers = Signers {
            unverified: open(unverified(HsmOptions::new()))?,
            verified: open(HsmOptions::new())?,
        };
        for callers in [1, 2, 8] {
            compare(algorithm, label, callers, &bare, &signers)?;
        }
    }
    Ok(())
}

/// Signers with one key.
struct Signers {
    unverified: HsmSigner,
    verified: HsmSigner,
}

/// Measures them in turn, round by round, so that what else the machine does hits all alike.
fn compare(
    algorithm: Algorithm,
    label: &str,
    callers: usize,
    bare: &Bare,
    signers: &Signers,
) -> Outcome {
    let Signers {
        unverified,
        verified,
    } = signers;
    let mut ratios = Vec::new();
    let mut verified_ratios = Vec::new();
    let mut handed_over_ratios = Vec::new();
    let mut throughputs = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let by_bare = Load::measure(callers, TIME, || bare.caller(algorithm, label))?;
        let by_unverified = Load::measure(callers, TIME, || Ok(sign_with(unverified, algorithm)))?;
        let by_verified = Load::measure(callers, TIME, || Ok(sign_with(verified, algorithm)))?;
        let by_handed_over = HandOver::measure(callers, TIME, || bare.caller(algorithm, label))?;
        ratios.push(by_unverified.throughput / by_bare.throughput);
        handed_over_ratios.push(by_handed_over.throughput / by_bare.throughput);
        verified_ratios.push(by_verified.throughput / by_bare.throughput);
        for (all, one) in throughputs
            .iter_mut()
            .zip([by_bare, by_unverified, by_verified])
        {
            all.push(one.throughput);
        }
    }
    let [bare, unverified, verified] = throughputs.map(median);
    println!(
        "{algorithm} softhsm {callers} {}  ratio {:.3}  bare {bare:.0}/s  chancery {unverified:.0}/s  \
         verified {verified:.0}/s, ratio {:.3}  bare hand-over ratio {:.3}",
        if callers == 1 { "caller " } else { "callers" },
        median(ratios),
        median(verified_ratios),
        median(handed_over_ratios),
    );
    Ok(())
}

fn sign_with(signer: &HsmSigner, algorithm: Algorithm) -> impl FnMut() -> Outcome {
    move || {
        signer.sign(&SigningInput::new(algorithm, MESSAGE))?;
        Ok(())
    }
}

/// The module as one drives it without chancery, and well: each caller has a session and a handle
/// of its own for good.
struct Bare {
    pkcs11: Pkcs11,
    slot: Slot,
}

impl Bare {
    fn open() -> Outcome<Self> {
        let pkcs11 = Pkcs11::new(module())?;
        // The signer's token has initialised the module for the whole process.
        let initialized = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        match initialized {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        let slots = pkcs11.get_slots_with_initialized_token()?;
        let slot = *slots.first().ok_or("no token")?;
        Ok(Self { pkcs11, slot })
    }

    fn caller(
        &self,
        algorithm: Algorithm,
        label: &str,
    ) -> Outcome<Box<dyn FnMut() -> Outcome + '_>> {
        // The signer's token keeps the process logged in.
        let session = self.pkcs11.open_ro_session(self.slot)?;
        let key = private_key(&session, label)?;
        Ok(Box::new(move || {
            let input = SigningInput::new(algorithm, MESSAGE);
            let digest = input.digest();
            if algorithm == Algorithm::Rs256 {
                // DigestInfo of SHA-256 (RFC 8017 §9.2).
                const PREFIX: [u8; 19] = [
                    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                    0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
                ];
                let data = [&PREFIX[..], digest.as_bytes()].concat();
                session.sign(&Mechanism::RsaPkcs, key, &data)?;
            } else {
                session.sign(&Mechanism::Ecdsa, key, digest.as_bytes())?;
            }
            Ok(())
        }))
    }
}

fn private_key(session: &Session, label: &str) -> Outcome<ObjectHandle> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Label(label.into()),
    ])?;
    Ok(*found.first().ok_or("no key")?)
}
