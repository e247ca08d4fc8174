//! A device that follows a script, and watches how it is used.
//!
//! Each test program uses a part of what is here.
#![allow(dead_code)]

pub(crate) mod calls;
mod watch;

use std::fmt;
use std::panic;
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, ThreadId};
use std::time::Duration;

use chancery_core::{Algorithm, Jwk, KeyType, Signature, Signer as _, SigningInput};
use chancery_hsm::{Device, DeviceError, DeviceErrorKind, HsmOptions, HsmSigner, Session};
use chancery_software::{Engine, PrivateKey, SoftwareSigner};

use self::watch::Watch;

/// An RSA key of 2048 bits, since ring cannot generate one.
const RSA_KEY: &[u8] = include_bytes!("../../../chancery-software/tests/data/rsa2048.pem");

/// What every session signs when it is opened: it has no dot.
const SELF_TEST: &[u8] = b"chancery self-test";

/// What the device is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open,
    SelfTest,
    Sign,
    Reset,
    Drop,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Work,
    Fail(DeviceErrorKind),
    /// Takes its time, and works.
    Take(Duration),
    /// Hangs until it is released, and works.
    Hang,
    /// Hangs until it is released, and fails.
    HangAndFail(DeviceErrorKind),
    Panic,
    /// Signs, and one bit of the signature is wrong.
    Flip,
    /// Signs with another key.
    AnotherKey,
    /// Signs, and says that another algorithm did.
    AnotherAlgorithm,
    /// Signs, and loses the last byte.
    Short,
}

/// Which of the calls of its step this is, and of which session; both from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) session: usize,
}

type Script = Arc<dyn Fn(Call) -> Act + Send + Sync>;

/// The device as a test sees it. Its drop releases what hangs, and fails the test when a rule was
/// broken that holds in every case.
pub(crate) struct Scripted {
    parts: Arc<Parts>,
}

impl Scripted {
    /// A device with a new key for ES256 that works.
    pub(crate) fn new() -> Self {
        Self::with_algorithm(Algorithm::Es256, Engine::ALL[0])
    }

    pub(crate) fn with_algorithm(algorithm: Algorithm, engine: Engine) -> Self {
        mute_scripted_panics();
        let key = || {
            if algorithm.key_type() == KeyType::Rsa {
                let key = PrivateKey::from_pem(RSA_KEY).unwrap();
                SoftwareSigner::new(&key, algorithm, engine).unwrap()
            } else {
                SoftwareSigner::generate(algorithm, engine).unwrap()
            }
        };
        let works = || -> Script { Arc::new(|_| Act::Work) };
        let parts = Parts {
            key: key(),
            another_key: key(),
            scripts: Mutex::new([works(), works(), works(), works(), works()]),
            watch: Watch::default(),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Sets what the device does at a step from now on.
    pub(crate) fn on(&self, step: Step, script: impl Fn(Call) -> Act + Send + Sync + 'static) {
        self.parts.scripts.lock().unwrap()[step as usize] = Arc::new(script);
    }

    /// Lets the device do the same at each call of a step from now on.
    pub(crate) fn always(&self, step: Step, act: Act) {
        self.on(step, move |_| act);
    }

    /// Opens a signer over the device.
    pub(crate) fn signer(&self, options: HsmOptions) -> HsmSigner {
        self.try_signer(options).unwrap()
    }

    pub(crate) fn try_signer(
        &self,
        options: HsmOptions,
    ) -> Result<HsmSigner, chancery_core::SignError> {
        let device = ScriptedDevice(Arc::clone(&self.parts));
        HsmSigner::open(device, self.jwk(), options)
    }

    pub(crate) fn jwk(&self) -> Jwk {
        self.parts.key.jwk().clone()
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.parts.watch
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.parts.watch.release_for_good();
        if !thread::panicking() {
            let broken = self.parts.watch.broken_rules();
            assert!(broken.is_empty(), "{broken:#?}");
        }
    }
}

struct Parts {
    key: SoftwareSigner,
    another_key: SoftwareSigner,
    scripts: Mutex<[Script; 5]>,
    watch: Watch,
}

impl Parts {
    /// What the script says for this call, which is counted.
    fn act(&self, step: Step, session: usize) -> Act {
        let number = self.watch.count_call(step);
        let script = Arc::clone(&self.scripts.lock().unwrap()[step as usize]);
        script(Call { number, session })
    }

    /// Does what every step can do; what is left is to work, or to sign wrongly.
    fn perform(&self, act: Act) -> Result<(), DeviceError> {
        match act {
            Act::Fail(kind) => return Err(failure(kind)),
            Act::Take(time) => thread::sleep(time),
            Act::Hang => self.watch.hang(),
            Act::HangAndFail(kind) => {
                self.watch.hang();
                return Err(failure(kind));
            }
            Act::Panic => panic!("scripted"),
            Act::Work | Act::Flip | Act::AnotherKey | Act::AnotherAlgorithm | Act::Short => {}
        }
        Ok(())
    }
}

fn failure(kind: DeviceErrorKind) -> DeviceError {
    DeviceError::new(kind, "the script said no").with_source("code 48")
}

struct ScriptedDevice(Arc<Parts>);

impl Device for ScriptedDevice {
    type Session = ScriptedSession;

    fn open(&self) -> Result<ScriptedSession, DeviceError> {
        let parts = &self.0;
        let watch = &parts.watch;
        let _opening = watch.enter_open();
        let act = parts.act(Step::Open, watch.opened());
        parts.perform(act).inspect_err(|error| {
            if error.kind() == DeviceErrorKind::WrongPin {
                watch.pin_was_refused();
            }
        })?;
        Ok(ScriptedSession {
            number: watch.session_opened(),
            parts: Arc::clone(parts),
            thread: thread::current().id(),
            is_spoilt: false,
        })
    }

    fn reset(&self) -> Result<(), DeviceError> {
        self.0.watch.reset_started();
        let act = self.0.act(Step::Reset, 0);
        self.0.perform(act)
    }
}

impl fmt::Debug for ScriptedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedDevice")
    }
}

struct ScriptedSession {
    number: usize,
    parts: Arc<Parts>,
    thread: ThreadId,
    /// It has failed or signed wrongly, and must not be used again.
    is_spoilt: bool,
}

impl Session for ScriptedSession {
    fn sign(&mut self, input: &SigningInput<'_>) -> Result<Signature, DeviceError> {
        let parts = Arc::clone(&self.parts);
        self.check_thread("signs");
        if self.is_spoilt {
            let number = self.number;
            parts
                .watch
                .rule_broken(format!("session {number} used after it failed"));
        }
        let is_self_test = input.as_bytes() == SELF_TEST;
        let step = if is_self_test {
            Step::SelfTest
        } else {
            Step::Sign
        };
        if !is_self_test {
            parts.watch.asked_to_sign(input.as_bytes());
        }
        let act = parts.act(step, self.number);
        let hangs = matches!(act, Act::Hang | Act::HangAndFail(_));
        if hangs || !matches!(act, Act::Work | Act::Take(_)) {
            // One that hangs is not well either: the device may be reset.
            self.spoil();
        }
        parts.perform(act)?;
        let key = match act {
            Act::AnotherKey => &parts.another_key,
            _ => &parts.key,
        };
        let signature = key.sign(input).unwrap();
        match act {
            Act::Flip => Ok(flipped(&signature, self.number)),
            Act::AnotherAlgorithm => Ok(mislabelled(&signature)),
            Act::Short => Err(short(&signature)),
            _ => {
                if hangs {
                    self.recover();
                }
                Ok(signature)
            }
        }
    }
}

impl ScriptedSession {
    fn spoil(&mut self) {
        if !std::mem::replace(&mut self.is_spoilt, true) {
            self.parts.watch.session_spoilt();
        }
    }

    fn recover(&mut self) {
        self.is_spoilt = false;
        self.parts.watch.session_recovered();
    }

    fn check_thread(&self, does: &str) {
        if thread::current().id() != self.thread {
            let number = self.number;
            let rule = format!("session {number} {does} on another thread");
            self.parts.watch.rule_broken(rule);
        }
    }
}

impl Drop for ScriptedSession {
    fn drop(&mut self) {
        self.check_thread("is dropped");
        self.spoil();
        let act = self.parts.act(Step::Drop, self.number);
        // A drop cannot fail.
        let _ = self.parts.perform(act);
        self.parts.watch.session_dropped();
    }
}

/// Another bit for each number.
fn flipped(signature: &Signature, number: usize) -> Signature {
    let mut bytes = signature.as_bytes().to_vec();
    let bit = number % (8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    Signature::new(signature.algorithm(), &bytes).unwrap()
}

/// The right bytes, said to be of Ed25519, whose signatures are as long as those of ES256.
fn mislabelled(signature: &Signature) -> Signature {
    Signature::new(Algorithm::EdDsa, signature.as_bytes()).unwrap()
}

fn short(signature: &Signature) -> DeviceError {
    let bytes = signature.as_bytes();
    let error = Signature::new(signature.algorithm(), &bytes[1..]).unwrap_err();
    DeviceError::new(DeviceErrorKind::Failed, "no signature").with_source(error)
}

/// Leaves panics that a script asked for out of the tests' output.
fn mute_scripted_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some("scripted") {
                hook(info);
            }
        }));
    });
}
