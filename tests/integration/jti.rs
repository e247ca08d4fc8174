//! Token identifiers, and the random numbers of signatures, stay unique across threads and forks.

use std::collections::HashSet;
use std::process::Command;
use std::thread;

use chancery::Algorithm;
use chancery::software::Engine;

use crate::support::{claims, decode, issuer, segment};

const THREADS: usize = 8;
const TOKENS: usize = 2000;

#[test]
fn no_two_threads_give_the_same() {
    let issuer = issuer(Algorithm::EdDsa, Engine::AwsLcRs);
    let identifiers = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| mint(&issuer)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect::<Vec<String>>()
    });
    assert_eq!(identifiers.len(), THREADS * TOKENS);
    for identifier in &identifiers {
        assert_eq!(decode(identifier).len(), 16, "{identifier}");
    }
    let distinct: HashSet<&String> = identifiers.iter().collect();
    assert_eq!(distinct.len(), identifiers.len());
}

/// The program stops its clock, warms its one thread up, and forks twice.
///
/// An ECDSA signature whose first number was there before gives the key away, so these are looked
/// at too.
#[test]
fn no_process_gives_what_it_inherited() {
    let output = Command::new(env!("CARGO_BIN_EXE_fork-and-issue"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<[&str; 3]> = text
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>().try_into().unwrap())
        .collect();
    let engines = Engine::ALL.len();
    let processes = [
        ("before", 7),
        ("parent", 100),
        ("child", 100),
        ("grandchild", 100),
    ];
    for (process, tokens) in processes {
        let found = lines.iter().filter(|[name, ..]| *name == process).count();
        assert_eq!(found, tokens * engines, "{process}");
    }
    for column in [1, 2] {
        let distinct: HashSet<&str> = lines.iter().map(|line| line[column]).collect();
        assert_eq!(distinct.len(), 307 * engines, "column {column} of {text}");
    }
}

fn mint(issuer: &chancery::Issuer) -> Vec<String> {
    (0..TOKENS)
        .map(|_| {
            let token = issuer.issue(&claims()).unwrap();
            segment(token.as_str(), 1)["jti"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}
