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
    raw: Vec<(Engine, Vec<f64>)>,
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
        let mut tasks: Vec<&mut Task> = raw.iter_mut().map(|(_, task)| task).collect();
        tasks.extend(candidates.iter_mut().map(|candidate| &mut candidate.task));
        let mut times = measure(&mut tasks, case.algorithm.batch(), rounds)?.into_iter();
        let raw: Vec<_> = raw
            .iter()
            .map(|&(engine, _)| engine)
            .zip(&mut times)
            .collect();
        let mut measured = Vec::new();
        for ((candidate, allocations), times) in candidates.iter().zip(allocated).zip(times) {
            let engine = candidate.engine;
            let Some((_, raw)) = raw.iter().find(|&&(found, _)| found == engine) else {
                return Err(format!("{engine} has no raw {} here", case.algorithm).into());
            };
            measured.push(Measured {
                name: candidate.name,
                role: candidate.role,
                engine,
                allocations,
                times,
                raw: raw.clone(),
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

    /// The raw signatures in nanoseconds, the fastest first.
    pub(crate) fn raw_signatures(&self) -> Vec<(Engine, f64)> {
        let mut raw: Vec<_> = self
            .raw
            .iter()
            .map(|(engine, times)| (*engine, median(times.clone())))
            .collect();
        raw.sort_by(|a, b| a.1.total_cmp(&b.1));
        raw
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
    /// Whether chancery adds less, beyond what chance explains.
    pub(crate) fn is_ahead(&self) -> bool {
        self.lead.0 > 0.0
    }
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
