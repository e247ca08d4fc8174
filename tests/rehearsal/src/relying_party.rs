//! Relying parties: programs in other languages, each of which verifies every token.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::times::{AUDIENCE, times};
use crate::{Outcome, Result};

/// What a relying party made of a token.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Judgement {
    pub(crate) id: u64,
    /// How often it was accepted.
    pub(crate) checks: u64,
    /// For how many seconds it was still good for the last time that it was accepted.
    pub(crate) left: Option<f64>,
    /// Whether the last look came when it had expired.
    pub(crate) late: bool,
    pub(crate) rejected: Option<Rejection>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rejection {
    pub(crate) why: String,
    /// By the machine's clock, in seconds.
    pub(crate) at: f64,
}

/// A running relying party.
#[derive(Debug)]
pub(crate) struct RelyingParty {
    name: &'static str,
    tokens: mpsc::UnboundedSender<Value>,
    judgements: Arc<Mutex<HashMap<u64, Judgement>>>,
    process: Child,
    reader: JoinHandle<Outcome>,
    writer: JoinHandle<Outcome>,
}

impl RelyingParty {
    /// Two in each language: one that keeps the JWKS for its `max-age` and one that keeps it for as
    /// long as the policy allows for those that ignore that. One of each has a clock that lags.
    pub(crate) fn all(issuer: &str) -> Result<Vec<Self>> {
        let times = times();
        let (refresh, lag) = (times.refresh.as_secs(), times.clock_lag.as_secs());
        Ok(vec![
            Self::start(
                "PyJWT, by max-age",
                pyjwt()?,
                issuer,
                &json!("max-age"),
                lag,
            )?,
            Self::start("PyJWT, by R", pyjwt()?, issuer, &json!(refresh), 0)?,
            Self::start("jose, by max-age", jose()?, issuer, &json!("max-age"), 0)?,
            Self::start("jose, by R", jose()?, issuer, &json!(refresh), lag)?,
        ])
    }

    fn start(
        name: &'static str,
        mut program: Command,
        issuer: &str,
        keep: &Value,
        lag: u64,
    ) -> Result<Self> {
        let mut process = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let (tokens, lines) = mpsc::unbounded_channel();
        let leeway = times().leeway.as_secs();
        tokens.send(json!({
            "issuer": issuer, "audience": AUDIENCE, "keep": keep, "leeway": leeway, "lag": lag,
        }))?;
        let stdin = process.stdin.take().ok_or("no standard input")?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        let judgements = Arc::<Mutex<HashMap<u64, Judgement>>>::default();
        let reader = {
            let judgements = Arc::clone(&judgements);
            async move {
                let mut lines = BufReader::new(stdout).lines();
                while let Some(line) = lines.next_line().await? {
                    let judgement: Judgement = serde_json::from_str(&line)?;
                    let mut judgements = judgements.lock().unwrap_or_else(PoisonError::into_inner);
                    judgements.insert(judgement.id, judgement);
                }
                Ok(())
            }
        };
        Ok(Self {
            name,
            tokens,
            judgements,
            process,
            reader: tokio::spawn(reader),
            writer: tokio::spawn(write(stdin, lines)),
        })
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Hands it a token.
    pub(crate) fn give(&self, id: u64, token: &str) -> Outcome {
        let line = json!({ "id": id, "token": token });
        self.tokens
            .send(line)
            .map_err(|_| format!("{} has died", self.name).into())
    }

    /// Waits until its last token has expired, and hands back what it made of them all, by `id`.
    pub(crate) async fn end(mut self) -> Result<HashMap<u64, Judgement>> {
        drop(self.tokens);
        self.writer.await??;
        self.reader.await??;
        let status = self.process.wait().await?;
        if !status.success() {
            return Err(format!("{}: {status}", self.name).into());
        }
        let mut judgements = self
            .judgements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *judgements))
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Value>) -> Outcome {
    while let Some(line) = lines.recv().await {
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}

fn pyjwt() -> Result<Command> {
    let mut python = Command::new(from_environment("CHANCERY_FOREIGN_PYTHON")?);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    python.arg(folder.join("../foreign/relying_party.py"));
    Ok(python)
}

fn jose() -> Result<Command> {
    let mut node = Command::new("node");
    node.arg(from_environment("CHANCERY_FOREIGN_NODE")?.join("relying_party.mjs"));
    Ok(node)
}

fn from_environment(name: &str) -> Result<PathBuf> {
    let value = env::var_os(name);
    let value = value.ok_or_else(|| format!("{name} is not set; run `cargo xtask rehearse`"))?;
    Ok(value.into())
}
