//! A token in a file, for the cloud's own tools.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chancery_core::{Claims, Clock, IssueError, Issuer, SystemClock, UnixTime};

/// How long the thread waits after a failure, where the token lives long enough.
const RETRY: Duration = Duration::from_secs(5);
/// How long the thread waits at most before it looks at the clock again: a wait does not count the
/// time in which the machine slept, and knows nothing of a clock that was set.
const LOOK: Duration = Duration::from_secs(30);
/// How long the thread waits at least: a token of a second would otherwise keep it busy.
const SHORTEST: Duration = Duration::from_millis(100);

/// A file that holds a token, as `AWS_WEB_IDENTITY_TOKEN_FILE` (or `web_identity_token_file` in
/// `~/.aws/config`), `AZURE_FEDERATED_TOKEN_FILE` and Google's `credential_source.file` name it.
///
/// The token is written beside it and renamed into its place: whoever reads it finds a whole one,
/// the old or the new. On Unix only its owner can read it (mode 0600); elsewhere the folder's own
/// access control has to see to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// Names the file, which need not be there yet. Its folder must be.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the token, in place of the one that is there.
    ///
    /// # Errors
    /// [`TokenFileError::Io`]; the old token then stays.
    pub fn write(&self, token: &str) -> Result<(), TokenFileError> {
        self.replace(token).map_err(|source| TokenFileError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Keeps a fresh token of these claims in the file, for as long as
    /// [`TokenKeeper::refresh`] is called or its thread runs.
    #[must_use]
    pub fn keep(self, issuer: Arc<Issuer>, claims: Claims) -> TokenKeeper {
        TokenKeeper {
            file: self,
            issuer,
            claims,
            clock: Arc::new(SystemClock),
            written: None,
        }
    }

    fn replace(&self, token: &str) -> io::Result<()> {
        let temporary = self.temporary_path()?;
        let written = write_new(&temporary, token.as_bytes())
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// A name in the same folder, and so on the same file system, that nobody else uses.
    fn temporary_path(&self) -> io::Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = self
            .path
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(
            ".{}.{}.tmp",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        Ok(self.path.with_file_name(temporary))
    }
}

/// Writes a new file. It is not forced to the disk: after a crash of the machine a token is worth
/// nothing.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a process of the same number left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(path)?;
    file.write_all(bytes)
}

/// Replaces the token in a [`TokenFile`] when it has lived half of its life.
///
/// ```
/// use std::sync::Arc;
/// use chancery_core::{Claims, Issuer};
/// use chancery_federation::TokenFile;
///
/// fn run(issuer: Arc<Issuer>) -> Result<(), Box<dyn std::error::Error>> {
///     let claims = Claims::new("job:42").with_audience("sts.amazonaws.com");
///     let keeper = TokenFile::new("/run/job-42/token").keep(issuer, claims);
///     // The first token is there when this returns; the thread ends with the guard.
///     let _guard = keeper.spawn(|error| eprintln!("{error}"))?;
///     // … run the job with AWS_WEB_IDENTITY_TOKEN_FILE=/run/job-42/token
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct TokenKeeper {
    file: TokenFile,
    issuer: Arc<Issuer>,
    claims: Claims,
    clock: Arc<dyn Clock>,
    /// The life of the token in the file: from when, and until when.
    written: Option<(UnixTime, UnixTime)>,
}

impl TokenKeeper {
    /// Tells the time by another clock than the system's: the one that the issuer has.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Changes the claims, as when a job enters its next phase. The next refresh writes a token.
    pub fn set_claims(&mut self, claims: Claims) {
        self.claims = claims;
        self.written = None;
    }

    /// When the token in the file expires, if one was written.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.written.map(|(_, expires)| expires)
    }

    /// Writes a token if there is none, or the one in the file has lived half of its life. Returns
    /// the moment at which it is due again.
    ///
    /// # Errors
    /// [`TokenFileError`] when none could be issued or written; the old one then stays, and the
    /// next call tries again.
    pub fn refresh(&mut self) -> Result<UnixTime, TokenFileError> {
        let now = self.clock.now();
        if let Some((from, until)) = self.written {
            let due = half_way(from, until);
            // A clock that went back must not leave a token in place that nobody takes yet.
            if from <= now && now < due {
                return Ok(due);
            }
        }
        let lifetime = self
            .claims
            .lifetime()
            .unwrap_or_else(|| self.issuer.default_lifetime());
        let token = self
            .issuer
            .issue(&self.claims)
            .map_err(|source| TokenFileError::Issue {
                path: self.file.path.clone(),
                source,
            })?;
        self.file.write(token.as_str())?;
        let until = now.checked_add(lifetime).unwrap_or(now);
        self.written = Some((now, until));
        Ok(half_way(now, until))
    }

    /// Writes the first token, and starts a thread that refreshes it, until the guard is dropped.
    /// What goes wrong there is reported, and tried again after five seconds, or a tenth of the
    /// lifetime where that is less.
    ///
    /// # Errors
    /// [`TokenFileError`] when the first token could not be issued or written, or the thread not
    /// be started.
    pub fn spawn(
        self,
        on_error: impl FnMut(&TokenFileError) + Send + 'static,
    ) -> Result<TokenKeeperThread, TokenFileError> {
        self.spawn_looking_every(LOOK, on_error)
    }

    fn spawn_looking_every(
        mut self,
        look: Duration,
        mut on_error: impl FnMut(&TokenFileError) + Send + 'static,
    ) -> Result<TokenKeeperThread, TokenFileError> {
        self.refresh()?;
        let path = self.file.path.clone();
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("token-keeper".into())
            .spawn(move || {
                loop {
                    let wait = match self.refresh() {
                        Ok(due) => until(due, self.clock.now()),
                        Err(error) => {
                            on_error(&error);
                            self.retry_after()
                        }
                    };
                    let wait = wait.max(SHORTEST).min(look);
                    let (stopped, changed) = &*signal;
                    let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
                    let (guard, _) = changed
                        .wait_timeout_while(guard, wait, |stopped| !*stopped)
                        .unwrap_or_else(PoisonError::into_inner);
                    if *guard {
                        return;
                    }
                }
            })
            .map_err(|source| TokenFileError::Io { path, source })?;
        Ok(TokenKeeperThread {
            stop,
            thread: Some(thread),
        })
    }

    fn retry_after(&self) -> Duration {
        let lifetime = self
            .claims
            .lifetime()
            .unwrap_or_else(|| self.issuer.default_lifetime());
        RETRY.min(lifetime / 10)
    }
}

fn until(due: UnixTime, now: UnixTime) -> Duration {
    Duration::from_secs(due.as_secs().saturating_sub(now.as_secs()))
}

fn half_way(from: UnixTime, until: UnixTime) -> UnixTime {
    let half = until.as_secs().saturating_sub(from.as_secs()) / 2;
    from.checked_add(Duration::from_secs(half)).unwrap_or(until)
}

/// Keeps the thread of a [`TokenKeeper`] running; dropping it ends the thread and leaves the file.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct TokenKeeperThread {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for TokenKeeperThread {
    fn drop(&mut self) {
        let (stopped, changed) = &*self.stop;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the caller's `on_error` was reported by its thread already.
            let _ = thread.join();
        }
    }
}

/// Why no fresh token is in the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenFileError {
    /// The file could not be written, or the thread not be started.
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The issuer issued no token.
    Issue {
        /// The path of the file.
        path: PathBuf,
        /// Why.
        source: IssueError,
    },
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => {
                write!(f, "cannot write token file {}: {source}", path.display())
            }
            Self::Issue { path, source } => {
                write!(f, "no token for token file {}: {source}", path.display())
            }
        }
    }
}

impl Error for TokenFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Issue { source, .. } => Some(source),
        }
    }
}

#[cfg(all(test, feature = "ring"))]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    use chancery_core::{Algorithm, IssuerUrl, KeySet, Schedule, ScheduledKey};
    use chancery_software::{Engine, SoftwareSigner};

    use super::*;

    const NOW: u64 = 1_767_225_600;

    /// A clock that stands until it is turned, and counts how often it is looked at.
    #[derive(Debug)]
    struct CountingClock {
        seconds: AtomicU64,
        looks: AtomicU64,
    }

    impl Clock for CountingClock {
        fn now(&self) -> UnixTime {
            self.looks.fetch_add(1, Ordering::SeqCst);
            UnixTime::from_secs(self.seconds.load(Ordering::SeqCst)).unwrap_or(UnixTime::EPOCH)
        }
    }

    impl CountingClock {
        /// Turns the clock, and waits until it was looked at some times after that.
        fn turn(&self, seconds: u64) {
            self.seconds.store(seconds, Ordering::SeqCst);
            let seen = self.looks.load(Ordering::SeqCst);
            let started = Instant::now();
            while self.looks.load(Ordering::SeqCst) < seen + 10 {
                assert!(started.elapsed() < Duration::from_secs(20), "it looks");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// A machine that slept, or whose clock was set, finds out before the wait is over that it began
    /// with: that is half an hour here.
    #[test]
    fn a_clock_that_jumps_is_seen_at_the_next_look() {
        let folder = std::env::temp_dir().join(format!("chancery-look-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("token");
        let clock = Arc::new(CountingClock {
            seconds: AtomicU64::new(NOW),
            looks: AtomicU64::new(0),
        });
        let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
        let key = ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS);
        let url = IssuerUrl::parse("https://id.example.com").unwrap();
        let issuer = Issuer::builder(url, KeySet::new(vec![key]).unwrap())
            .clock(clock.clone())
            .build()
            .unwrap();
        let claims = Claims::new("job:42")
            .with_audience("sts.amazonaws.com")
            .with_lifetime(Duration::from_secs(3600));
        let guard = TokenFile::new(&path)
            .keep(Arc::new(issuer), claims)
            .with_clock(clock.clone())
            .spawn_looking_every(Duration::from_millis(5), |error| panic!("{error}"))
            .unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        let first = read();
        clock.turn(NOW + 1799);
        assert_eq!(read(), first);
        clock.turn(NOW + 1800);
        let second = read();
        assert_ne!(second, first);
        // Time that goes back makes a new one as well: nobody would take that of the future.
        clock.turn(NOW + 1750);
        assert_ne!(read(), second);
        drop(guard);
        fs::remove_dir_all(&folder).unwrap();
        assert!(LOOK <= Duration::from_secs(30));
    }
}
