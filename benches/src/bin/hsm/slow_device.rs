//! A device of two milliseconds a signature: how well sessions are used, and how fair the queue is.

use std::num::NonZeroUsize;
use std::time::Duration;

use chancery::{Algorithm, Signer, SigningInput};
use chancery_benches::MESSAGE;
use chancery_fault_module::Faults;
use chancery_hsm::HsmOptions;

use crate::Outcome;
use crate::callers::Load;
use crate::keys::{EC, token_with_keys, unverified};

const LATENCY: Duration = Duration::from_millis(2);
const CALLERS: usize = 32;
const TIME: Duration = Duration::from_secs(4);

pub(crate) fn run() -> Outcome {
    let token = token_with_keys(Faults::path()?)?;
    let faults = Faults::load()?;
    for sessions in [1, 8, 32] {
        for is_verified in [false, true] {
            let workers = NonZeroUsize::new(sessions).ok_or("no session")?;
            let options = HsmOptions::new().with_workers(workers);
            let options = if is_verified {
                options
            } else {
                unverified(options)
            };
            let signer = token.signer().label(EC).options(options).open()?;
            faults.set_latency(LATENCY);
            let load = Load::measure(CALLERS, TIME, || {
                Ok(|| {
                    signer.sign(&SigningInput::new(Algorithm::Es256, MESSAGE))?;
                    Ok(())
                })
            })?;
            faults.set_latency(Duration::ZERO);
            // Each caller waits for as many turns as it takes until all have had theirs.
            let ideal_throughput = sessions as f64 / LATENCY.as_secs_f64();
            let turns = CALLERS.div_ceil(sessions);
            let ideal_wait = LATENCY.as_secs_f64() * turns as f64;
            let p99 = load.percentile(99);
            println!(
                "ES256 2-ms-device {CALLERS} callers {sessions} sessions{}  ratio {:.3}  {:.0}/s of \
                 {ideal_throughput:.0}/s  p99 {:.1} ms, {:.2} of the ideal FIFO wait",
                if is_verified { " verified" } else { "" },
                load.throughput / ideal_throughput,
                load.throughput,
                p99.as_secs_f64() * 1e3,
                p99.as_secs_f64() / ideal_wait,
            );
        }
    }
    Ok(())
}
