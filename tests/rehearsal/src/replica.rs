//! An issuer's process, and what is done to it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time;

use crate::balancer::{self, Balancer};
use crate::weakness::Weakness;
use crate::{Outcome, Result};

/// How long a process may take to start.
const START: Duration = Duration::from_secs(30);

/// A replica of the issuer: a process that comes and goes under one name.
#[derive(Debug)]
pub(crate) struct Replica {
    index: usize,
    name: String,
    /// Its folder, in which `shared` is a link to what all share.
    folder: PathBuf,
    shared: PathBuf,
    balancer: Balancer,
    weakness: Option<Weakness>,
    client: Client,
    process: Option<(Child, SocketAddr)>,
    ahead_by: i64,
}

impl Replica {
    /// A replica that is not started yet, with a folder of its own.
    pub(crate) fn new(
        index: usize,
        folder: &Path,
        shared: &Path,
        balancer: &Balancer,
        weakness: Option<Weakness>,
    ) -> Result<Self> {
        let name = format!("replica-{}", index + 1);
        let folder = folder.join(&name);
        fs::create_dir(&folder)?;
        let replica = Self {
            index,
            name,
            folder,
            shared: shared.to_owned(),
            balancer: balancer.clone(),
            weakness,
            client: balancer::client(Duration::from_secs(5))?,
            process: None,
            ahead_by: 0,
        };
        replica.join()?;
        Ok(replica)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn ahead_by(&self) -> i64 {
        self.ahead_by
    }

    /// Starts the process, and tells the balancer where it listens. The first process of all makes
    /// the manifest; one that did so each time would begin anew where the store is gone.
    pub(crate) async fn start(&mut self, is_first: bool) -> Outcome {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("issuer")
            .args(["--name", &self.name, "--url", &self.balancer.url()])
            .arg("--shared")
            .arg(self.link())
            .args(["--ahead-by", &self.ahead_by.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if is_first {
            command.arg("--initialize");
        }
        if let Some(weakness) = self.weakness {
            command.args(["--weaken", weakness.name()]);
        }
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("an issuer has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = time::timeout(START, lines.next_line()).await??;
        let address = line.ok_or("an issuer died at once; see its log")?.parse()?;
        self.balancer.set(self.index, Some(address));
        self.process = Some((child, address));
        Ok(())
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Outcome {
        let (mut child, _) = self.process.take().ok_or("there is no process to kill")?;
        child.start_kill()?;
        let status = child.wait().await?;
        self.balancer.set(self.index, None);
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
            Ok(())
        } else {
            Err(format!("{} was to be killed, and ended with {status}", self.name).into())
        }
    }

    /// SIGSTOP.
    pub(crate) async fn stop(&self) -> Outcome {
        self.signal(Signal::STOP)?;
        let until = Instant::now() + START;
        while Instant::now() < until {
            if self.is_stopped()? {
                return Ok(());
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{} does not stop", self.name).into())
    }

    /// SIGSTOP if the process has this file open, and tells whether it has, now that it is stopped.
    pub(crate) async fn stop_with_open(&self, path: &Path) -> Result<bool> {
        if !self.has_open(path)? {
            return Ok(false);
        }
        self.stop().await?;
        if self.has_open(path)? {
            return Ok(true);
        }
        self.resume()?;
        Ok(false)
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> Outcome {
        if !self.is_stopped()? {
            return Err(format!("{} was not stopped any more", self.name).into());
        }
        self.signal(Signal::CONT)
    }

    /// Puts what it shares with the others out of its reach.
    pub(crate) fn cut_off(&self) -> Outcome {
        Ok(fs::remove_file(self.link())?)
    }

    /// Puts what it shares with the others within its reach.
    pub(crate) fn join(&self) -> Outcome {
        Ok(symlink(&self.shared, self.link())?)
    }

    /// Sets its clock so many milliseconds ahead.
    pub(crate) async fn set_clock(&mut self, ahead_by: i64) -> Outcome {
        self.ahead_by = ahead_by;
        self.post(&format!("clock?ahead_by={ahead_by}")).await
    }

    /// Asks it, past the balancer, for its JWKS, a token and whether it is ready, and hands back
    /// how many of the three it refuses.
    pub(crate) async fn refusals(&self) -> Result<usize> {
        let refuses = |status| status == StatusCode::SERVICE_UNAVAILABLE;
        let jwks = self.client.get(self.at(".well-known/jwks.json")?).send();
        let ready = self.client.get(self.at("ready")?).send();
        let token = self.client.post(self.at("token?algorithm=ES256")?).send();
        let statuses = [
            jwks.await?.status(),
            ready.await?.status(),
            token.await?.status(),
        ];
        Ok(statuses
            .into_iter()
            .filter(|&status| refuses(status))
            .count())
    }

    /// Has an operator's command carried out.
    pub(crate) async fn post(&self, command: &str) -> Outcome {
        let answer = self.client.post(self.at(command)?).send().await?;
        if answer.status() == StatusCode::OK {
            return Ok(());
        }
        let (status, why) = (answer.status(), answer.text().await?);
        Err(format!("{}: {command}: {status}: {why}", self.name).into())
    }

    fn link(&self) -> PathBuf {
        self.folder.join("shared")
    }

    fn at(&self, path: &str) -> Result<String> {
        let (_, address) = self.process.as_ref().ok_or("there is no process to ask")?;
        Ok(format!("http://{address}/{path}"))
    }

    fn pid(&self) -> Result<u32> {
        let process = self.process.as_ref();
        let id = process.and_then(|(child, _)| child.id());
        Ok(id.ok_or("there is no process")?)
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let pid = Pid::from_raw(self.pid()?.cast_signed()).ok_or("there is no process")?;
        Ok(kill_process(pid, signal)?)
    }

    fn has_open(&self, path: &Path) -> Result<bool> {
        for descriptor in fs::read_dir(format!("/proc/{}/fd", self.pid()?))? {
            // One that was closed meanwhile is none.
            if fs::read_link(descriptor?.path()).is_ok_and(|target| target == path) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_stopped(&self) -> Result<bool> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        Ok(status.lines().any(|line| line.starts_with("State:\tT")))
    }
}
