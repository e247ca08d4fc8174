//! Each case in a process of its own.

use std::env;
use std::fs;
use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chancery_fault_module::{Faults, SoftHsm};

use crate::case::{Case, Kind};
use crate::course;
use crate::load::Canary;
use crate::report::{self, Verdict};

/// Names the case that a process is to run.
const CASE: &str = "CHANCERY_FAULT_CASE";

/// The exit status of a process that proves nothing.
const STARVED: u8 = 3;

/// Longer takes none that is sound.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The case that this process was started for, if it was.
pub(crate) fn case_of_this_process() -> Option<String> {
    env::var(CASE).ok()
}

/// Runs a case in this process.
pub(crate) fn run_here(case: &Case) -> ExitCode {
    report::count_panics();
    let canary = Canary::start();
    let mut report = match &case.kind {
        Kind::Loaded(scenario) => course::run(scenario),
        Kind::Single(run) => run(),
    };
    report.overslept = canary.stop();
    report.check_always(Faults::load().unwrap());
    println!("{}", report.figures.join(", "));
    for problem in report.problems.iter().chain(&report.delays) {
        println!("  {problem}");
    }
    if !report.delays.is_empty() {
        println!("  a bare sleep took {:?} too long", report.overslept);
    }
    ExitCode::from(match report.verdict() {
        Verdict::Passed => 0,
        Verdict::Failed => 1,
        Verdict::Starved => STARVED,
    })
}

/// Runs a case in a process with a token of its own, and says in a line what came of it.
///
/// A machine that is too busy to tell whether all is in time gets a few more tries.
pub(crate) fn run(case: &Case) -> bool {
    for tries_left in (0..5).rev() {
        let (word, said) = match start(case) {
            Ok((status, output)) if status.success() => ("ok", output),
            Ok((status, output)) if status.code() == Some(STARVED.into()) && tries_left > 0 => {
                println!("{:<58} again, the machine is too busy  {output}", case.name);
                continue;
            }
            Ok((status, output)) => ("FAILED", format!("{output}\n  {status}")),
            Err(error) => ("FAILED", error.to_string()),
        };
        println!("{:<58} {word}  {said}", case.name);
        return word == "ok";
    }
    false
}

fn start(case: &Case) -> io::Result<(ExitStatus, String)> {
    let soft_hsm = SoftHsm::new()?;
    if case.swaps_token() {
        let first = soft_hsm.folder().join("first");
        let tokens = soft_hsm.tokens();
        fs::rename(&tokens, &first)?;
        fs::create_dir(&tokens)?;
        soft_hsm.add_token()?;
        fs::rename(&tokens, soft_hsm.folder().join("tokens-other"))?;
        fs::rename(&first, &tokens)?;
    }
    let child = Command::new(env::current_exe()?)
        .env(CASE, &case.name)
        .env(SoftHsm::VARIABLE, soft_hsm.configuration())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    end(child)
}

/// Waits for the process, but not for ever. What it wrote to standard error is of interest when it
/// failed.
fn end(mut child: Child) -> io::Result<(ExitStatus, String)> {
    let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let said = thread::spawn(move || read(&mut stdout));
    let complained = thread::spawn(move || read(&mut stderr));
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("no end after {TIMEOUT:?}")));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut text = said.join().unwrap_or_default();
    if !status.success() {
        text.push_str(&complained.join().unwrap_or_default());
    }
    Ok((status, text.trim_end().to_owned()))
}

fn read(from: &mut impl io::Read) -> String {
    let mut bytes = Vec::new();
    // What was read up to an error is all there is.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
