//! One case measured: every candidate's figures, and chancery held against each peer.

use std::fmt;

use crate::allocations;
use crate::candidate::{Algorithm, Candidate, Case, Failure, Role, Task};
use crate::check::check;
use crate::claims::Payload;
use crate::engines::{Engine, raw_signatures};
use crate::measure::measure;
use crate::statistics::{median, median_interval, paired};

/// All candidates of one algorithm and payload.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) algorithm: Algorithm,
    pub(crate) payload: Payload,
    candidates: Vec<Measured>,
    raw: Vec<Raw>,
}

#[derive(Debug)]
struct Raw {
    engine: Engine,
    allocations: u64,
    times: Vec<f64>,
}

#[derive(Debug)]
struct Measured {
    name: &'static str,
    role: Role,
    engine: Engine,
    allocations: u64,
    /// Nanoseconds for a token, round by round; beside them those of the engine's raw signature.
    times: Vec<f64>,
    raw: Vec<f64>,
}

impl Comparison {
    /// Checks every candidate, then measures all of them and the raw signatures together.
    pub(crate) fn run(
        case: Case<'_>,
        payload: Payload,
        mut candidates: Vec<Candidate>,
        rounds: usize,
    ) -> Result<Self, Failure> {
        let mut token = String::new();
        let mut allocated = Vec::new();
        let mut input = Vec::new();
        for candidate in &mut candidates {
            check(candidate, case, payload)?;
            allocated.push(allocations::count(&mut candidate.task, &mut token)?);
            input = signing_input(&token).to_vec();
        }
        let mut raw = raw_signatures(case.algorithm, case.key, &input)?;
        let mut raw_allocated = Vec::new();
        for (_, task) in &mut raw {
            raw_allocated.push(allocations::count(task, &mut token)?);
        }
        let mut tasks: Vec<(Engine, &mut Task)> = raw
            .iter_mut()
            .map(|(engine, task)| (*engine, task))
            .collect();
        tasks.extend(candidates.iter_mut().map(|c| (c.engine, &mut c.task)));
        let mut times = measure(&mut tasks, case.algorithm, rounds)?.into_iter();
        let raw: Vec<Raw> = raw
            .iter()
            .zip(raw_allocated)
            .zip(&mut times)
            .map(|((&(engine, _), allocations), times)| Raw {
                engine,
                allocations,
                times,
            })
            .collect();
        let mut measured = Vec::new();
        for ((candidate, allocations), times) in candidates.iter().zip(allocated).zip(times) {
            let engine = candidate.engine;
            let Some(raw) = raw.iter().find(|raw| raw.engine == engine) else {
                return Err(format!("{engine} has no raw {} here", case.algorithm).into());
            };
            measured.push(Measured {
                name: candidate.name,
                role: candidate.role,
                engine,
                allocations,
                times,
                raw: raw.times.clone(),
            });
        }
        Ok(Self {
            algorithm: case.algorithm,
            payload,
            candidates: measured,
            raw,
        })
    }

    /// The figures of each candidate, the least overhead first.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        let mut figures: Vec<_> = self
            .candidates
            .iter()
            .map(|candidate| Figures {
                algorithm: self.algorithm,
                payload: self.payload,
                name: candidate.name,
                role: candidate.role,
                ratio: median(paired(&candidate.times, &candidate.raw, |a, b| a / b)),
                overhead: median(candidate.overhead()),
                allocations: candidate.allocations,
            })
            .collect();
        figures.sort_by(|a, b| a.overhead.total_cmp(&b.overhead));
        figures
    }

    /// A line for each raw signature, the fastest first.
    pub(crate) fn raw_signatures(&self) -> Vec<String> {
        let mut raw: Vec<_> = self
            .raw
            .iter()
            .map(|raw| (median(raw.times.clone()), raw))
            .collect();
        raw.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (algorithm, bytes) = (self.algorithm, self.payload.len());
        raw.iter()
            .map(|(time, raw)| {
                let (engine, allocations) = (raw.engine, raw.allocations);
                format!(
                    "{algorithm} {bytes} B  raw {engine:<34}  time {time:.0} ns  allocations {allocations}"
                )
            })
            .collect()
    }

    /// chancery against each peer: on the same engine where it has that engine, else each of
    /// chancery's against the peer by what they add to their own engine's signature.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let of_role = |role| self.candidates.iter().filter(move |c| c.role == role);
        let mut standings = Vec::new();
        for peer in of_role(Role::Peer) {
            let same_engine = of_role(Role::Chancery).any(|ours| ours.engine == peer.engine);
            for ours in of_role(Role::Chancery) {
                if same_engine && ours.engine != peer.engine {
                    continue;
                }
                let lead = paired(&peer.overhead(), &ours.overhead(), |a, b| a - b);
                standings.push(Standing {
                    algorithm: self.algorithm,
                    payload: self.payload,
                    ours: ours.name,
                    peer: peer.name,
                    same_engine,
                    lead: median_interval(lead),
                });
            }
        }
        standings
    }
}

impl Measured {
    fn overhead(&self) -> Vec<f64> {
        paired(&self.times, &self.raw, |time, raw| time - raw)
    }
}

/// What one candidate costs; the medians over all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) algorithm: Algorithm,
    pub(crate) payload: Payload,
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The whole token to the raw signature of the same engine.
    pub(crate) ratio: f64,
    /// The whole token less the raw signature of the same engine, in nanoseconds.
    pub(crate) overhead: f64,
    /// For one token.
    pub(crate) allocations: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            algorithm,
            name,
            ratio,
            overhead,
            allocations,
            ..
        } = self;
        let bytes = self.payload.len();
        write!(
            f,
            "{algorithm} {bytes} B  {name:<38}  ratio {ratio:.3}  overhead {overhead:.0} ns  allocations {allocations}"
        )
    }
}

/// How chancery stands to one peer in one case.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    algorithm: Algorithm,
    payload: Payload,
    ours: &'static str,
    peer: &'static str,
    pub(crate) same_engine: bool,
    /// By how many nanoseconds a token the peer's overhead exceeds ours: the 95% interval of the
    /// median.
    lead: (f64, f64),
}

impl Standing {
    /// Who adds less, beyond what chance explains.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.lead {
            (low, _) if low > 0.0 => Verdict::Ahead,
            (_, high) if high < 0.0 => Verdict::Behind,
            _ => Verdict::Level,
        }
    }
}

/// Whether chancery adds less than a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ahead,
    Level,
    Behind,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            algorithm,
            ours,
            peer,
            lead: (low, high),
            ..
        } = self;
        let bytes = self.payload.len();
        write!(
            f,
            "{algorithm} {bytes} B  {ours} against {peer}: the peer adds {low:.0} to {high:.0} ns more"
        )
    }
}

/// A token without its signature.
fn signing_input(token: &str) -> &[u8] {
    token
        .rsplit_once('.')
        .map_or(token, |(input, _)| input)
        .as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &'static str, role: Role, engine: Engine, overhead: f64) -> Measured {
        let raw: Vec<f64> = (0..99).map(|round| 1000.0 + f64::from(round)).collect();
        Measured {
            name,
            role,
            engine,
            allocations: 0,
            times: raw.iter().map(|raw| raw + overhead).collect(),
            raw,
        }
    }

    fn verdicts(candidates: Vec<Measured>) -> Vec<(&'static str, bool, Verdict)> {
        let comparison = Comparison {
            algorithm: Algorithm::Es256,
            payload: Payload::Plain,
            candidates,
            raw: Vec::new(),
        };
        let standings = comparison.standings();
        standings
            .iter()
            .map(|s| (s.ours, s.same_engine, s.verdict()))
            .collect()
    }

    #[test]
    fn a_peer_is_held_against_chancery_on_its_own_engine() {
        let found = verdicts(vec![
            measured("ring", Role::Chancery, Engine::Ring, 10.0),
            measured("aws-lc", Role::Chancery, Engine::AwsLcRs, 90.0),
            measured("kept", Role::Aside, Engine::AwsLcRs, 1.0),
            measured("faster", Role::Peer, Engine::AwsLcRs, 50.0),
            measured("slower", Role::Peer, Engine::Ring, 50.0),
        ]);
        let expected = [
            ("aws-lc", true, Verdict::Behind),
            ("ring", true, Verdict::Ahead),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_peer_on_another_engine_is_held_against_both() {
        let found = verdicts(vec![
            measured("ring", Role::Chancery, Engine::Ring, 10.0),
            measured("aws-lc", Role::Chancery, Engine::AwsLcRs, 50.0),
            measured("peer", Role::Peer, Engine::OpenSsl, 50.0),
        ]);
        let expected = [
            ("ring", false, Verdict::Ahead),
            ("aws-lc", false, Verdict::Level),
        ];
        assert_eq!(found, expected);
    }
}
