//! Paired measurement: in each round every task runs once, in random order, so that whatever the
//! machine does meanwhile meets them all alike.

use std::hint::black_box;

use rand::RngExt as _;
use rand::rngs::ThreadRng;
use rand::seq::SliceRandom as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::candidate::{Algorithm, Failure, Task};
use crate::engines::Engine;

/// Rounds that are run and thrown away first.
const WARM_UP: usize = 5;

/// Nanoseconds for a run of each task: `times[task][round]`.
///
/// The tasks of an engine follow one another within a round, because they are held against its
/// raw signature; the engines, and the tasks of each, come in random order.
///
/// Where a task finds its memory makes a difference of half a percent to an RSA signature, which
/// is more than some libraries add to it. So heap and stack begin at another place each time.
pub(crate) fn measure(
    tasks: &mut [(Engine, &mut Task)],
    algorithm: Algorithm,
    rounds: usize,
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut times = vec![Vec::with_capacity(rounds); tasks.len()];
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    let mut engines = Engine::ALL;
    let mut random = rand::rng();
    for round in 0..WARM_UP + rounds {
        order.shuffle(&mut random);
        engines.shuffle(&mut random);
        order.sort_by_key(|&task| engines.iter().position(|&engine| engine == tasks[task].0));
        for &task in &order {
            let blocks = scattered_blocks(&mut random);
            let levels = random.random_range(0..64);
            let (engine, run) = &mut tasks[task];
            let batch = algorithm.batch(*engine);
            let time = at_depth(levels, &mut || time(run, batch))?;
            drop(blocks);
            if round >= WARM_UP {
                times[task].push(time);
            }
        }
    }
    Ok(times)
}

/// Nanoseconds for the fastest of a batch of runs: what disturbs one only ever makes it longer.
fn time(task: &mut Task, batch: u32) -> Result<f64, Failure> {
    let mut token = String::new();
    // The run before was another library's: this one brings the caches back.
    task(&mut token)?;
    let mut fastest = f64::INFINITY;
    for _ in 0..batch {
        let start = thread_time();
        task(&mut token)?;
        fastest = fastest.min(thread_time() - start);
    }
    Ok(fastest)
}

/// Occupies some memory of the sizes that tasks ask for, so that they get other pieces of it.
fn scattered_blocks(random: &mut ThreadRng) -> Vec<Vec<u8>> {
    let count = random.random_range(0..64);
    (0..count)
        .map(|_| black_box(Vec::with_capacity(random.random_range(16..2048))))
        .collect()
}

/// Calls a function this many frames of some 64 bytes further down the stack.
fn at_depth<T>(levels: u32, call: &mut dyn FnMut() -> T) -> T {
    let frame = black_box([0_u8; 48]);
    let result = match levels.checked_sub(1) {
        None => call(),
        Some(levels) => at_depth(levels, call),
    };
    black_box(frame);
    result
}

/// Keeps the process on the processor it is on, where the system allows it.
pub(crate) fn pin() {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let current = rustix::thread::sched_getcpu();
    if allowed.is_set(current) {
        let mut set = CpuSet::new();
        set.set(current);
        // Without it the scheduler moves us now and then; the pairing copes.
        let _ = sched_setaffinity(None, &set);
    }
}

/// The processor time of this thread in nanoseconds: what other processes use does not count.
#[allow(clippy::cast_precision_loss)]
fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
