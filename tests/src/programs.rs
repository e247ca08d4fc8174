//! Verifiers in other languages, as programs of their own.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chancery::Algorithm;
use serde_json::{Value, json};

use crate::http::Server;

/// PyJWT does not know it under its newer name.
pub const UNKNOWN_TO_PYJWT: &[Algorithm] = &[Algorithm::Ed25519];

/// Python's PyJWT.
pub fn pyjwt() -> Command {
    let mut python = Command::new(from_environment("CHANCERY_FOREIGN_PYTHON"));
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/verify.py"));
    python
}

/// npm's jose.
pub fn jose() -> Command {
    let mut node = Command::new("node");
    node.arg(from_environment("CHANCERY_FOREIGN_NODE").join("verify.mjs"));
    node
}

/// Runs a program on tokens of a server's issuer, and reads its results. What it expects and what it
/// answers is told in `tests/foreign/verify.py`.
pub fn ask(program: &mut Command, server: &Server, audience: &str, tokens: &Value) -> Vec<Value> {
    let request = json!({
        "issuer": server.issuer().url().as_str(), "audience": audience,
        "discovery_url": server.discovery_url(), "tokens": tokens,
    });
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let mut input = child.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program:?}: {}", output.status);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["results"].as_array().unwrap().clone()
}

fn from_environment(name: &str) -> PathBuf {
    env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set; run cargo xtask test"))
        .into()
}
