//! Paired measurement: in each round every task runs once, in random order, so that whatever the
//! machine does meanwhile meets them all alike.

use rand::seq::SliceRandom as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::candidate::{Failure, Task};
use crate::engines::Engine;

/// Rounds that are run and thrown away first.
const WARM_UP: usize = 5;

/// Nanoseconds for each run of each task: `times[task][round]`.
///
/// The tasks of an engine follow one another within a round, because they are held against its
/// raw signature; the engines, and the tasks of each, come in random order.
pub(crate) fn measure(
    tasks: &mut [(Engine, &mut Task)],
    batch: u32,
    rounds: usize,
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut times = vec![Vec::with_capacity(rounds); tasks.len()];
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    let mut engines = Engine::ALL;
    let mut random = rand::rng();
    let mut token = String::new();
    for round in 0..WARM_UP + rounds {
        order.shuffle(&mut random);
        engines.shuffle(&mut random);
        order.sort_by_key(|&task| engines.iter().position(|&engine| engine == tasks[task].0));
        for &task in &order {
            let start = thread_time();
            for _ in 0..batch {
                (tasks[task].1)(&mut token)?;
            }
            let time = (thread_time() - start) / f64::from(batch);
            if round >= WARM_UP {
                times[task].push(time);
            }
        }
    }
    Ok(times)
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
