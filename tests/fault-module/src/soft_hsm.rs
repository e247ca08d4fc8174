//! A SoftHSM token of a test's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder with an initialised SoftHSM token and the configuration that names it; gone when
/// dropped. SoftHSM finds the configuration through the environment of the process that uses it.
#[derive(Debug)]
pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// The environment variable that has to name [`SoftHsm::configuration`].
    pub const VARIABLE: &str = "SOFTHSM2_CONF";
    /// Where Debian installs the module.
    pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    /// The token's label.
    pub const LABEL: &str = "chancery";
    /// The user's PIN.
    pub const PIN: &str = "1234";
    /// The security officer's PIN.
    pub const SO_PIN: &str = "12345678";

    /// Makes a token without keys in a new folder under the system's temporary one.
    ///
    /// # Errors
    /// When the folder cannot be written, or `softhsm2-util` is missing or fails.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chancery-softhsm-{}-{number}", process::id());
        let this = Self {
            folder: std::env::temp_dir().join(name),
        };
        fs::create_dir(&this.folder)?;
        fs::create_dir(this.tokens())?;
        let tokens = this.tokens();
        fs::write(
            this.configuration(),
            format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                tokens.display()
            ),
        )?;
        this.add_token()?;
        Ok(this)
    }

    /// Makes another token beside those that are there, with the same label and PINs.
    ///
    /// # Errors
    /// When `softhsm2-util` is missing or fails.
    pub fn add_token(&self) -> io::Result<()> {
        let output = Command::new("softhsm2-util")
            .env(Self::VARIABLE, self.configuration())
            .args(["--init-token", "--free", "--label", Self::LABEL])
            .args(["--so-pin", Self::SO_PIN, "--pin", Self::PIN])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| io::Error::new(error.kind(), format!("softhsm2-util: {error}")))?;
        if output.status.success() {
            Ok(())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("softhsm2-util failed: {said}")))
        }
    }

    /// The configuration, whose path belongs into the environment.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder of tokens, which a test may take away and put back.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SoftHsm {
    fn drop(&mut self) {
        // A folder that stays behind under the temporary one harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
