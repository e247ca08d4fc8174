//! Times on the thread's own CPU clock, and allocations.

use std::error::Error;
use std::time::Duration;

use cpu_time::ThreadTime;

/// What a measurement comes to.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long one batch of a round takes, about: far above the clock's grain.
const BATCH: Duration = Duration::from_millis(2);

/// Nanoseconds an iteration of some work takes, the median of so many rounds.
///
/// # Errors
/// That of the work.
pub fn alone(work: &mut dyn FnMut() -> Outcome, rounds: usize) -> Outcome<f64> {
    let iterations = batch_size(work)?;
    let times: Vec<f64> = (0..rounds)
        .map(|_| batch(work, iterations))
        .collect::<Outcome<_>>()?;
    Ok(median(times))
}

/// How many iterations fill a batch.
///
/// # Errors
/// That of the work.
pub fn batch_size(work: &mut dyn FnMut() -> Outcome) -> Outcome<u32> {
    let mut iterations = 1;
    loop {
        let nanoseconds = batch(work, iterations)? * f64::from(iterations);
        if nanoseconds > BATCH.as_secs_f64() * 1e9 {
            return Ok(iterations);
        }
        iterations *= 2;
    }
}

/// Nanoseconds an iteration of one batch takes.
///
/// # Errors
/// That of the work.
pub fn batch(work: &mut dyn FnMut() -> Outcome, iterations: u32) -> Outcome<f64> {
    let start = ThreadTime::now();
    for _ in 0..iterations {
        work()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(iterations))
}

/// Allocations of one iteration, the median of several.
///
/// # Errors
/// That of the work.
pub fn allocations(work: &mut dyn FnMut() -> Outcome) -> Outcome<f64> {
    let counts: Vec<f64> = (0..9)
        .map(|_| {
            let mut outcome = Ok(());
            let counted = allocation_counter::measure(|| outcome = work());
            // Far below the 2⁵³ that a float counts exactly.
            outcome.map(|()| counted.count_total as f64)
        })
        .collect::<Outcome<_>>()?;
    Ok(median(counts))
}

/// The median.
///
/// # Panics
/// When there is no value.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
