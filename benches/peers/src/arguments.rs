//! The command line.

use std::path::PathBuf;

use crate::candidate::Failure;

/// Rounds in which every candidate runs once, unless the command line says otherwise.
const ROUNDS: usize = 301;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) rounds: usize,
    pub(crate) chart: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self {
            rounds: ROUNDS,
            chart: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match (word.as_str(), words.next()) {
                ("--rounds", Some(rounds)) => {
                    arguments.rounds = rounds
                        .parse()
                        .ok()
                        .filter(|&rounds| rounds > 0)
                        .ok_or_else(|| format!("--rounds {rounds}: not a number above 0"))?;
                }
                ("--svg", Some(file)) => arguments.chart = Some(file.into()),
                _ => {
                    return Err(
                        format!("cannot read `{word}`; known: --rounds N, --svg FILE").into(),
                    );
                }
            }
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Arguments> {
        Arguments::parse(line.split_whitespace().map(str::to_owned)).ok()
    }

    #[test]
    fn reads_both_arguments() {
        let expected = Arguments {
            rounds: 9,
            chart: Some("docs/peers.svg".into()),
        };
        assert_eq!(parse("--svg docs/peers.svg --rounds 9"), Some(expected));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--rounds", "--rounds 0", "--rounds many", "--fast", "--svg"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
