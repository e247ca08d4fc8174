//! SoftHSM in a folder of its own, and each test in a process of its own: a module is initialised
//! once for a process, and takes its configuration from the environment.

// The tests outside of the crate and those inside use different parts of it.
#![allow(dead_code)]

use std::any::type_name;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_pkcs11::{Pin, Pkcs11Error, Token, TokenBuilder};
use cryptoki::context::Pkcs11;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

pub(crate) const PIN: &str = "1234";
pub(crate) const SO_PIN: &str = "12345678";
pub(crate) const LABEL: &str = "chancery";

/// Names the folder in the process that runs the test.
const FOLDER: &str = "CHANCERY_SOFTHSM_FOLDER";

pub(crate) struct SoftHsm {
    pub(crate) module: PathBuf,
    folder: PathBuf,
}

/// Runs the test in a process of its own, with a SoftHSM that has one token.
pub(crate) fn isolated<F: FnOnce(&SoftHsm)>(test: F) {
    let module = env::var_os("CHANCERY_SOFTHSM")
        .expect("CHANCERY_SOFTHSM must name SoftHSM's module, libsofthsm2.so");
    let module = PathBuf::from(module);
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        return test(&SoftHsm { module, folder });
    }
    // The type of a closure is named after the function that it stands in.
    let name = type_name::<F>()
        .split_once("::")
        .and_then(|(_, path)| path.strip_suffix("::{{closure}}"))
        .expect("the path of a closure in a test");
    let folder = env::temp_dir().join(format!(
        "chancery-pkcs11-{}-{}",
        std::process::id(),
        name.replace("::", "-")
    ));
    let hsm = SoftHsm { module, folder };
    fs::create_dir_all(hsm.tokens()).unwrap();
    let configuration = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        hsm.tokens().display()
    );
    fs::write(hsm.configuration(), configuration).unwrap();
    hsm.add_token(LABEL);
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--include-ignored", "--nocapture"])
        .env(FOLDER, &hsm.folder)
        .env("SOFTHSM2_CONF", hsm.configuration())
        .output()
        .unwrap();
    fs::remove_dir_all(&hsm.folder).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // Quoted, so that nobody counts the test twice.
    assert!(
        output.status.success() && text.contains("test result: ok. 1 passed"),
        "{}\n> {}\n{}",
        output.status,
        text.replace('\n', "\n> "),
        String::from_utf8_lossy(&output.stderr)
    );
}

impl SoftHsm {
    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// Adds a token, from another process.
    pub(crate) fn add_token(&self, label: &str) {
        self.util(&[
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            SO_PIN,
            "--pin",
            PIN,
        ]);
    }

    /// Wipes the token and initialises it under the same label, from another process.
    pub(crate) fn initialize_anew(&self, label: &str) {
        self.util(&["--delete-token", "--token", label]);
        self.add_token(label);
    }

    fn util(&self, arguments: &[&str]) {
        let output = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", self.configuration())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    pub(crate) fn builder(&self) -> TokenBuilder {
        Token::builder(&self.module).label(LABEL).pin(Pin::new(PIN))
    }

    pub(crate) fn token(&self) -> Token {
        self.builder().open().unwrap()
    }

    /// The module as somebody else in the same process would use it. It has to be initialised
    /// already.
    pub(crate) fn bare(&self) -> Bare {
        Bare {
            pkcs11: Pkcs11::new(&self.module).unwrap(),
            module: self.module.clone(),
        }
    }
}

pub(crate) struct Bare {
    pub(crate) pkcs11: Pkcs11,
    module: PathBuf,
}

impl Bare {
    pub(crate) fn slot(&self, label: &str) -> Slot {
        let slots = self.pkcs11.get_slots_with_initialized_token().unwrap();
        slots
            .into_iter()
            .find(|&slot| self.pkcs11.get_token_info(slot).unwrap().label() == label)
            .unwrap()
    }

    /// A session that may write, logged in.
    pub(crate) fn session(&self) -> Session {
        let session = self.pkcs11.open_rw_session(self.slot(LABEL)).unwrap();
        // Whoever came first has logged in the process.
        let _ = session.login(UserType::User, Some(&AuthPin::new(PIN.into())));
        session
    }

    /// Calls `C_CloseAllSessions`, which the binding lacks.
    #[allow(unsafe_code)]
    pub(crate) fn close_all_sessions(&self) {
        let close = self.functions().C_CloseAllSessions.unwrap();
        // SAFETY: the function takes the number of a slot, and any number is allowed.
        assert_eq!(unsafe { close(self.slot(LABEL).into()) }, 0);
    }

    /// Whether there is a session of that number.
    #[allow(unsafe_code)]
    pub(crate) fn has_session(&self, handle: cryptoki_sys::CK_SESSION_HANDLE) -> bool {
        let session_info = self.functions().C_GetSessionInfo.unwrap();
        let mut info = cryptoki_sys::CK_SESSION_INFO::default();
        // SAFETY: the function takes any number, and a pointer to the structure that it fills.
        unsafe { session_info(handle, &mut info) == 0 }
    }

    /// The module's functions, without the binding's order over them.
    #[allow(unsafe_code)]
    fn functions(&self) -> cryptoki_sys::CK_FUNCTION_LIST {
        // SAFETY: the file is a PKCS#11 module that is loaded already, so no code of it runs for
        // being loaded once more.
        let module = unsafe { cryptoki_sys::Pkcs11::new(&self.module) }.unwrap();
        let mut list = std::ptr::null_mut();
        // SAFETY: the function takes a pointer to a place for a pointer, and this is one.
        assert_eq!(unsafe { module.C_GetFunctionList(&mut list) }, 0);
        // SAFETY: the module has set the pointer to its list, which lives as long as the module is
        // loaded; `self.pkcs11` keeps it loaded.
        unsafe { *list }
    }
}

/// The text of the error, with all of its causes.
pub(crate) fn said<T>(result: Result<T, Pkcs11Error>) -> String {
    let error = result.err().expect("an error");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    println!("said: {text}");
    text
}
