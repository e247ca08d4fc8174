//! Compares what chancery and its peers add to a raw signature.
//!
//! `cargo run --release -- [--rounds N] [--svg FILE]` prints a line for each candidate and case,
//! then whether chancery is ahead of every peer that signs on the same engine; the exit code is 1
//! where it is not.

mod allocations;
mod arguments;
mod candidate;
mod check;
mod claims;
mod comparison;
mod engines;
mod keys;
mod measure;
mod peers;
mod statistics;

use std::process::ExitCode;

use arguments::Arguments;
use candidate::{Algorithm, Case, Failure};
use claims::{Payload, Request};
use comparison::{Comparison, Standing};
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
            let candidates = peers::candidates(case)?;
            let comparison = Comparison::run(case, payload, candidates, arguments.rounds)?;
            for (engine, time) in comparison.raw_signatures() {
                println!(
                    "{algorithm} {} B  raw {engine:<38}{time:.0} ns",
                    payload.len()
                );
            }
            for line in comparison.figures() {
                println!("{line}");
                figures.push(line);
            }
            standings.extend(comparison.standings());
        }
    }
    Ok(conclude(&standings))
}

/// Prints the closing statements and tells whether chancery is ahead wherever a peer signs on the
/// same engine.
fn conclude(standings: &[Standing]) -> bool {
    let (same, other): (Vec<_>, Vec<_>) = standings.iter().partition(|s| s.same_engine);
    println!();
    let ahead = statement("on the same engine", &same);
    statement("on an engine that chancery has not", &other);
    ahead
}

fn statement(peers: &str, standings: &[&Standing]) -> bool {
    let behind: Vec<_> = standings.iter().filter(|s| !s.is_ahead()).collect();
    let (ahead, all) = (standings.len() - behind.len(), standings.len());
    println!("chancery is ahead of the peers {peers} in {ahead} of {all} comparisons.");
    for standing in &behind {
        println!("  not in: {standing}");
    }
    behind.is_empty() && !standings.is_empty()
}
