//! Compares what chancery and its peers add to a raw signature.
//!
//! `cargo run --release -- [--rounds N] [--svg FILE]` prints a line for each candidate and case,
//! then whether chancery is ahead of every peer that signs on the same engine; the exit code is 1
//! where it is not.

mod allocations;
mod arguments;
mod candidate;
mod chancery;
mod chart;
mod check;
mod claims;
mod comparison;
mod engines;
mod keys;
mod measure;
mod peers;
mod statistics;

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use arguments::Arguments;
use candidate::{Algorithm, Case, Failure};
use claims::{Payload, Request};
use comparison::{Comparison, Standing, Verdict};
use keys::Key;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether chancery is ahead.
fn run() -> Result<bool, Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    peers::install_provider();
    measure::pin();
    let mut standings = Vec::new();
    let mut figures = Vec::new();
    for algorithm in Algorithm::ALL {
        let key = Key::generate(algorithm)?;
        for payload in [Payload::Plain, Payload::SessionTags] {
            let case = Case {
                algorithm,
                key: &key,
                request: Request::new(payload),
            };
            let mut candidates = chancery::candidates(case)?;
            candidates.extend(peers::candidates(case)?);
            let comparison = Comparison::run(case, payload, candidates, arguments.rounds)?;
            for line in comparison.raw_signatures() {
                println!("{line}");
            }
            for line in comparison.figures() {
                println!("{line}");
                figures.push(line);
            }
            standings.extend(comparison.standings());
        }
    }
    if let Some(file) = arguments.chart {
        let svg = chart::draw(&figures, arguments.rounds)?;
        write(&file, &svg).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(conclude(&standings))
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

/// Prints the closing statements and tells whether chancery is ahead wherever a peer signs on the
/// same engine.
fn conclude(standings: &[Standing]) -> bool {
    let (same, other): (Vec<_>, Vec<_>) = standings.iter().partition(|s| s.same_engine);
    let not_ahead = |s: &Standing| s.verdict() != Verdict::Ahead;
    println!();
    state("peers on the same engine", &same, not_ahead);
    state("peers on engines that chancery has not", &other, |s| {
        s.verdict() == Verdict::Behind
    });
    !same.is_empty() && !same.into_iter().any(not_ahead)
}

/// Sums up, and names the comparisons that are worth a look.
fn state(peers: &str, standings: &[&Standing], worth_a_look: impl Fn(&Standing) -> bool) {
    let count = |verdict| standings.iter().filter(|s| s.verdict() == verdict).count();
    println!(
        "Against the {peers} chancery adds less in {} of {} comparisons, the same in {}, more in {}.",
        count(Verdict::Ahead),
        standings.len(),
        count(Verdict::Level),
        count(Verdict::Behind),
    );
    for standing in standings.iter().filter(|standing| worth_a_look(standing)) {
        println!("  {standing}");
    }
}
