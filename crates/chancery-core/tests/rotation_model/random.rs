//! Long random runs: three replicas that do what a keeper does, and are stopped, killed, slow and
//! wrong about the time, for weeks; operators who switch, revoke and change their minds.
//!
//! Here replicas are real: each has a snapshot, a lease and a clock that wanders, and what it signs
//! and answers by its own `Schedule`s is checked as it comes. The histories that come of it are
//! then checked for all other replicas there could have been.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use chancery_core::UnixTime;
use chancery_core::rotation::{Action, Change, Manifest, RotationTimes, plan};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::property::Happened;
use crate::setting::{FIRST, SECOND, TIMES, lane, policy, policy_with_standby};
use crate::version::Version;
use crate::world::{Parties, Tick, World, jwk, moment, seconds, tick, ticks, tiny};

const REPLICAS: usize = 3;
const BEGIN: Tick = 1_000;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Wait(Tick),
    /// A replica does all that is due, as it should.
    Keep(usize),
    /// A replica reads the manifest, and plans.
    Read(usize),
    /// A replica goes on where it is: it reads, or makes the change that it planned, or its write
    /// reaches the store.
    Continue(usize),
    /// A replica is killed, and starts again without a memory.
    Kill(usize),
    /// A replica's clock is set to this error.
    Clock(usize, Tick),
    /// The store takes no writes from now on, or takes them again.
    Store(bool),
    Switch(usize),
    Revoke(usize),
    /// A new policy: with this time short or long, this many lanes, and a standby or none.
    Policy(usize, bool, bool, bool),
}

fn any_event() -> impl Strategy<Value = Event> {
    let replica = 0..REPLICAS;
    prop_oneof![
        24 => (0..4_i64).prop_map(Event::Wait),
        1 => (0..40_i64).prop_map(Event::Wait),
        24 => replica.clone().prop_map(Event::Keep),
        12 => replica.clone().prop_map(Event::Read),
        24 => replica.clone().prop_map(Event::Continue),
        1 => replica.clone().prop_map(Event::Kill),
        4 => (replica.clone(), -1..=1_i64).prop_map(|(replica, error)| Event::Clock(replica, error)),
        1 => prop_oneof![1 => Just(false), 5 => Just(true)].prop_map(Event::Store),
        1 => replica.clone().prop_map(Event::Switch),
        1 => replica.prop_map(Event::Revoke),
        1 => (0..TIMES.len(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(time, long, lanes, standby)| Event::Policy(time, long, lanes, standby)),
    ]
}

/// What a replica is at, between two of its steps. It may be stopped for any time there.
#[derive(Clone, Debug)]
enum Doing {
    Nothing,
    /// It has read, and planned this.
    Planned(Action),
    /// It has seen the key through the public URL.
    Probed(String),
    /// Its write is on the way since this tick.
    Writing(Arc<Manifest>, Tick, String),
}

#[derive(Clone, Debug)]
struct Replica {
    error: Tick,
    /// The manifest, and the clock before it was read.
    snapshot: Option<(Arc<Manifest>, Tick)>,
    doing: Doing,
}

/// The times of a run.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// What is true of the world, and what policies begin with.
    real: RotationTimes,
    believed: RotationTimes,
    /// How long one unit of an event or of a policy's time is, in seconds, and one of a clock.
    unit: Tick,
    error: Tick,
    /// Whether new policies come with other times.
    turns: bool,
}

impl Scale {
    /// Where a second is long.
    fn tiny() -> Self {
        Self {
            real: tiny(),
            believed: tiny(),
            unit: 1,
            error: 1,
            turns: true,
        }
    }

    /// Those of the worked example.
    fn clouds() -> Self {
        Self {
            real: RotationTimes::default(),
            believed: RotationTimes::default(),
            unit: 600,
            error: 30,
            turns: true,
        }
    }
}

struct Run {
    scale: Scale,
    now: Tick,
    world: World,
    store: Arc<Manifest>,
    versions: Vec<Arc<Version>>,
    destroyed: Vec<(usize, Tick)>,
    replicas: Vec<Replica>,
    takes_writes: bool,
    made: usize,
    changes: usize,
    conflicts: usize,
    signed: usize,
}

impl Run {
    fn new(scale: Scale) -> Self {
        let policy = policy_with_standby(scale.believed);
        let manifest = Manifest::create(policy, "replica", moment(BEGIN)).unwrap();
        let note = format!("t={BEGIN}: revision 1 is made");
        Self {
            scale,
            now: BEGIN,
            world: World::of(&scale.real),
            versions: vec![Arc::new(Version::new(&manifest, BEGIN, note))],
            store: Arc::new(manifest),
            destroyed: Vec::new(),
            replicas: vec![
                Replica {
                    error: 0,
                    snapshot: None,
                    doing: Doing::Nothing,
                };
                REPLICAS
            ],
            takes_writes: true,
            made: 0,
            changes: 0,
            conflicts: 0,
            signed: 0,
        }
    }

    fn clock(&self, replica: usize) -> UnixTime {
        moment(self.now + self.replicas[replica].error)
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Wait(wait) => {
                for _ in 0..*wait {
                    self.now += self.scale.unit;
                    self.serve();
                }
            }
            Event::Keep(replica) => {
                for _ in 0..64 {
                    self.go_on(*replica);
                    if !self.takes_writes {
                        break;
                    }
                    if matches!(self.replicas[*replica].doing, Doing::Nothing) {
                        self.read(*replica);
                        if matches!(self.replicas[*replica].doing, Doing::Nothing) {
                            break;
                        }
                    }
                }
            }
            Event::Read(replica) => self.read(*replica),
            Event::Continue(replica) => self.go_on(*replica),
            Event::Kill(replica) => {
                let killed = &mut self.replicas[*replica];
                killed.snapshot = None;
                // What is on the way may still arrive.
                if !matches!(killed.doing, Doing::Writing(..)) {
                    killed.doing = Doing::Nothing;
                }
            }
            Event::Clock(replica, error) => {
                self.replicas[*replica].error = *error * self.scale.error;
            }
            Event::Store(takes_writes) => self.takes_writes = *takes_writes,
            Event::Switch(replica) => {
                let now = self.clock(*replica).max(self.store.changed_at());
                let successors = self.store.successors(FIRST, now).unwrap();
                if let Some(kid) = successors.first().map(|key| key.kid().to_owned()) {
                    self.operate(*replica, &Change::Switch { kid });
                }
            }
            Event::Revoke(replica) => {
                let now = self.clock(*replica).max(self.store.changed_at());
                if let Some(kid) = self
                    .store
                    .active(FIRST, now)
                    .map(|key| key.kid().to_owned())
                {
                    let without_successor = false;
                    let change = Change::Revoke {
                        kid,
                        without_successor,
                    };
                    self.operate(*replica, &change);
                }
            }
            Event::Policy(time, long, two_lanes, standby) => {
                let (name, with, low, high) = TIMES[*time];
                let value = if *long { high } else { low };
                let unit = if name == "clock_error" {
                    self.scale.error
                } else {
                    self.scale.unit
                };
                let times = if self.scale.turns {
                    with(
                        self.scale.believed,
                        seconds(value * u64::try_from(unit).unwrap()),
                    )
                } else {
                    self.scale.believed
                };
                let mut next = if *standby {
                    policy_with_standby(times)
                } else {
                    policy(times)
                };
                if *two_lanes {
                    next = next.with_lane(lane(SECOND, &times));
                }
                next.version = self.store.policy().version + 1;
                // The world gets better at once, and worse once every replica knows.
                let old = ticks(self.store.times().lease);
                let becomes = Parties::of(&times);
                let better = self.world.parties(self.now).min(&becomes);
                let worse_from = self.now + 2 * old.max(ticks(times.lease));
                if self.operate(0, &Change::SetPolicy(next)) && self.scale.turns {
                    self.world.change_parties_for_good(self.now, better);
                    self.world.change_parties(worse_from, becomes);
                }
            }
        }
    }

    /// An operator makes a change, which is in the store at once.
    fn operate(&mut self, replica: usize, change: &Change) -> bool {
        let Ok(next) = self.store.apply(change, "operator", self.clock(replica)) else {
            return false;
        };
        let change = match change {
            Change::SetPolicy(policy) => format!("{:?}, lanes {:?}", policy.times, policy.lanes),
            _ => next.history().last().unwrap().what().to_owned(),
        };
        let note = format!(
            "t={}: an operator makes revision {} ({change})",
            self.now,
            next.revision()
        );
        self.take(Arc::new(next), note);
        true
    }

    /// The store takes a manifest, if it was made from the one that is there.
    fn take(&mut self, next: Arc<Manifest>, note: String) -> bool {
        if next.revision() != self.store.revision() + 1 {
            self.conflicts += 1;
            return false;
        }
        self.store.check_change(&next).unwrap();
        self.versions
            .push(Arc::new(Version::new(&next, self.now, note)));
        self.store = next;
        self.changes += 1;
        true
    }

    fn read(&mut self, replica: usize) {
        let clock = self.clock(replica);
        let store = Arc::clone(&self.store);
        let reader = &mut self.replicas[replica];
        if matches!(reader.doing, Doing::Writing(..)) {
            return;
        }
        reader.snapshot = Some((Arc::clone(&store), tick(clock)));
        let plan = plan(&store, store.policy(), clock).unwrap();
        reader.doing = match plan.due(clock).next() {
            Some(step) => Doing::Planned(step.action.clone()),
            None => Doing::Nothing,
        };
    }

    fn go_on(&mut self, replica: usize) {
        let clock = self.clock(replica);
        let doing = std::mem::replace(&mut self.replicas[replica].doing, Doing::Nothing);
        match doing {
            Doing::Nothing => self.read(replica),
            Doing::Planned(Action::Probe { kid }) => {
                // It may reach any replica whose lease is valid.
                let seen = (0..REPLICAS).any(|other| {
                    self.valid(other).is_some_and(|manifest| {
                        let key = manifest.key(&kid);
                        let schedule = key.and_then(|key| manifest.schedule(key));
                        schedule.is_some_and(|schedule| schedule.is_published(self.clock(other)))
                    })
                });
                if seen {
                    self.replicas[replica].doing = Doing::Probed(kid);
                }
            }
            Doing::Probed(kid) => self.write(replica, &Change::Observe { kid }),
            Doing::Planned(Action::Destroy { kid }) => {
                let id = self.id(&kid);
                self.destroyed.push((id, self.now));
                self.write(replica, &Change::Destroy { kid });
            }
            Doing::Planned(Action::Provision {
                algorithm,
                backend,
                role,
            }) => {
                self.made += 1;
                let change = Change::Provision {
                    jwk: jwk(algorithm, self.made),
                    backend,
                    reference: format!("key-{}", self.made),
                    role,
                };
                self.write(replica, &change);
            }
            Doing::Planned(action) => self.write(replica, &action.change().unwrap()),
            Doing::Writing(next, since, note) => {
                // It comes in time, or never.
                let in_time = self.now <= since + self.world.write_delay;
                if in_time && self.takes_writes && self.take(Arc::clone(&next), note) {
                    // By the clock at which the write began, which was the same to within its error.
                    let read_at = tick(clock) - (self.now - since);
                    self.replicas[replica].snapshot = Some((next, read_at));
                }
            }
        }
    }

    /// A replica dates a change, and sends it.
    fn write(&mut self, replica: usize, change: &Change) {
        let clock = self.clock(replica);
        let Some((manifest, _)) = &self.replicas[replica].snapshot else {
            return;
        };
        // It may be out of date meanwhile.
        let Ok(next) = manifest.apply(change, "replica", clock) else {
            return;
        };
        let note = format!(
            "t={}: replica {replica} with its clock at {:+} makes revision {} ({})",
            self.now,
            self.replicas[replica].error,
            next.revision(),
            next.history().last().unwrap().what()
        );
        self.replicas[replica].doing = Doing::Writing(Arc::new(next), self.now, note);
    }

    /// The manifest by which a replica may sign and answer now.
    fn valid(&self, replica: usize) -> Option<&Manifest> {
        let (manifest, read_at) = self.replicas[replica].snapshot.as_ref()?;
        let times = manifest.times();
        let lease = ticks(times.lease) - 2 * ticks(times.clock_error);
        (tick(self.clock(replica)) < read_at + lease).then_some(manifest)
    }

    /// What every replica does in a tick: a key signs only if it is in the JWKS, one in each lane.
    fn serve(&mut self) {
        for replica in 0..REPLICAS {
            let now = self.clock(replica);
            let Some(manifest) = self.valid(replica) else {
                continue;
            };
            let mut signs = 0;
            let mut published = 0;
            for (key, schedule) in manifest.schedules(now) {
                published += usize::from(schedule.is_published(now));
                if schedule.is_active(now) {
                    assert!(schedule.is_published(now), "{}", key.kid());
                    signs += 1;
                }
            }
            assert!(published <= 100);
            let lanes = manifest.policy().lanes.len();
            // A lane that was taken out signs on for a moment.
            assert!(signs <= lanes + 1, "{signs} keys sign in {lanes} lanes");
            self.signed += signs;
        }
    }

    fn id(&self, kid: &str) -> usize {
        let mut keys = self.store.keys().iter();
        keys.position(|key| key.kid() == kid).unwrap()
    }
}

/// A run of these events, checked.
fn run(scale: Scale, events: &[Event]) -> Result<Run, TestCaseError> {
    let mut run = Run::new(scale);
    for event in events {
        run.happens(event);
    }
    let happened = Happened {
        versions: &run.versions,
        destroyed: &run.destroyed,
        hosted: &[],
        longest_kept: 10 * ticks(scale.real.cache()),
    };
    match happened.check(&run.world) {
        Ok(()) => Ok(run),
        Err(example) => Err(TestCaseError::fail(example.to_string())),
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 150,
        ..ProptestConfig::default()
    }
}

fn long_runs(what: &str, scale: Scale, cases: u32, events: usize) {
    let began = Instant::now();
    let total = RefCell::new([0; 6]);
    let outcome =
        TestRunner::new(config(cases)).run(&vec(any_event(), events / 2..events), |events| {
            let run = run(scale, &events)?;
            let days = usize::try_from((run.now - BEGIN) / 86_400).unwrap();
            let counted = [
                events.len(),
                run.changes,
                run.conflicts,
                run.made,
                run.signed,
                days,
            ];
            for (sum, count) in total.borrow_mut().iter_mut().zip(counted) {
                *sum += count;
            }
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("{what}: {error}");
    }
    let [events, changes, conflicts, made, signed, days] = total.into_inner();
    println!(
        "{what}: {cases} runs, {events} events, {changes} changes, {conflicts} conflicts, \
         {made} keys, {signed} signatures, {days} days, {:.1} s",
        began.elapsed().as_secs_f32()
    );
    assert!(
        changes > made && conflicts > 0 && signed > changes,
        "little happens"
    );
}

#[test]
fn long_runs_of_short_times() {
    long_runs("short times", Scale::tiny(), 12, 1_500);
}

#[test]
fn months_by_the_times_of_the_clouds() {
    long_runs("months", Scale::clouds(), 12, 2_500);
}

/// A relying party that keeps a JWKS for a few seconds longer is found by chance as well, and what is
/// left of the run is what it takes. A single second is for the exhaustive search to find.
#[test]
fn a_run_can_fail() {
    let scale = Scale {
        real: tiny().with_refresh(seconds(6)),
        turns: false,
        ..Scale::tiny()
    };
    let mut runner = TestRunner::new_with_rng(
        config(200),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let outcome = runner.run(&vec(any_event(), 1..800), |events| {
        run(scale, &events).map(drop)
    });
    match outcome {
        Err(TestError::Fail(reason, events)) => {
            println!("{} events: {reason}", events.len());
            assert!(reason.message().contains("NotYetKnown"), "{reason}");
        }
        other => panic!("nothing was found: {other:?}"),
    }
}
