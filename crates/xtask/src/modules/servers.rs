//! Servers that a module needs while it is tested.

use std::fmt;
use std::fs::{self, File};
use std::mem;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

const START_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// How long killed servers stay away: long enough that callers meet their absence.
const OUTAGE: Duration = Duration::from_millis(500);

/// A server, and how to tell that it answers.
pub(crate) struct Server {
    command: Command,
    answers: Box<dyn Fn() -> bool + Send>,
    /// A socket that a killed server leaves behind.
    socket: Option<PathBuf>,
}

impl Server {
    /// A server that dies with us, even when we get killed. What it says goes to a log in the
    /// folder.
    pub(crate) fn new(
        program: &str,
        folder: &Path,
        answers: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self> {
        let log = folder.join(format!("{program}.log"));
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", program])
            // Some fork a process for each connection, which has to end with them.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Self {
            command,
            answers: Box::new(answers),
            socket: None,
        })
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    pub(crate) fn with_socket(mut self, socket: &Path) -> Self {
        self.socket = Some(socket.to_owned());
        self
    }

    /// Starts it, and returns when it answers.
    pub(crate) fn start(&mut self) -> Result<Running> {
        if let Some(socket) = &self.socket {
            let _ = fs::remove_file(socket);
        }
        let child = self
            .command
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", self.command))?;
        let mut running = Running(child);
        let deadline = Instant::now() + START_DEADLINE;
        while !(self.answers)() {
            if let Some(status) = running.0.try_wait()? {
                // Its number may be somebody else's from here on.
                mem::forget(running);
                return Err(format!("{:?} ended: {status}", self.command).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{:?} does not answer", self.command).into());
            }
            thread::sleep(POLL);
        }
        Ok(running)
    }
}

/// A started server; dropping it kills it and whatever it forked.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its group has its own number, which nobody else gets before it is waited for.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Servers that build on one another, ended when this is dropped.
///
/// A file stands for them while they run, with the number of each one's process group in a line of
/// its own, so that a test can stop and continue them. When a test removes it, all of them are killed,
/// started again after a while, and the file comes back.
pub(crate) struct Servers {
    file: PathBuf,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// Starts them in their order, and returns when all of them answer.
    pub(crate) fn start(mut servers: Vec<Server>, file: PathBuf) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (started, start) = mpsc::channel();
        // One thread starts and watches them all: to the kernel, a server dies with the thread
        // that started it.
        let thread = thread::spawn({
            let file = file.clone();
            move || {
                let mut running = match start_all(&mut servers, &file) {
                    Ok(running) => running,
                    Err(error) => return drop(started.send(Err(error.to_string()))),
                };
                let _ = started.send(Ok(()));
                while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                    if file.exists() {
                        continue;
                    }
                    running.clear();
                    thread::sleep(OUTAGE);
                    match start_all(&mut servers, &file) {
                        Ok(again) => running = again,
                        Err(error) => return println!("{error}"),
                    }
                }
            }
        });
        let servers = Self {
            file,
            stop,
            thread: Some(thread),
        };
        start.recv()??;
        Ok(servers)
    }

    /// The file that stands for them.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

fn start_all(servers: &mut [Server], file: &Path) -> Result<Vec<Running>> {
    let running = servers
        .iter_mut()
        .map(Server::start)
        .collect::<Result<Vec<_>>>()?;
    // Each leads the group that it was started in.
    let groups: String = running
        .iter()
        .map(|Running(child)| format!("{}\n", child.id()))
        .collect();
    fs::write(file, groups).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(running)
}
