//! A thousand signatures from start to end, opening included, of every backend.
//!
//! One line a key, with medians of several runs. A key is made by this process, and each run is a
//! process of its own, since a PKCS#11 module is loaded and initialised once a process. `cargo xtask
//! bench fixed-work` runs it for what needs nothing to be set up, and once for each PKCS#11 module
//! with an environment that describes that.

mod backends;
mod key_files;
mod module;

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use chancery::rotation::CreatedKey;
use chancery::{Jwk, Signer, SigningInput};
use chancery_benches::MESSAGE;
use chancery_benches::timing::median;

use crate::backends::{BACKENDS, Backend, MODULE};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const SIGNATURES: usize = 1000;
const CALLERS: usize = 8;
const RUNS: usize = 5;

fn main() -> Outcome {
    // The keys of a store are reached on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let backends = match module::name() {
        Some(_) => &[MODULE],
        None => BACKENDS,
    };
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => backends.iter().try_for_each(measure),
        [name, place, reference, jwk] => {
            let backend = backends.iter().find(|backend| backend.name == name);
            let backend = backend.ok_or("no such backend")?;
            run(backend, place, reference, &Jwk::from_json(jwk.as_bytes())?)
        }
        _ => Err("run it with `cargo xtask bench fixed-work`".into()),
    }
}

/// Makes keys, and has them used.
fn measure(backend: &Backend) -> Outcome {
    let name = module::name().unwrap_or_else(|| backend.name.to_owned());
    let folder = tempfile::tempdir()?;
    let place = (backend.set_up)(folder.path())?;
    for &algorithm in backend.algorithms {
        let created = (backend.open)(&place)?.create(algorithm, algorithm.name());
        let CreatedKey { signer, reference } = match created {
            Ok(key) => key,
            Err(error) => {
                println!("{algorithm} {name}: not measured: {}", chain(&error));
                continue;
            }
        };
        let jwk = serde_json::to_string(signer.jwk())?;
        // The runs have the key for themselves.
        drop(signer);
        let mut opened = Vec::new();
        let mut done = Vec::new();
        for _ in 0..RUNS {
            let mut command = Command::new(env::current_exe()?);
            command.args([backend.name, &place, &reference, &jwk]);
            let output = command.stderr(Stdio::inherit()).output()?;
            let said = String::from_utf8(output.stdout)?;
            // A module may have said something before.
            let times = said.lines().last().and_then(|line| line.split_once(' '));
            let (Some(times), true) = (times, output.status.success()) else {
                return Err(format!("{algorithm} {name}: {}: {said}", output.status).into());
            };
            opened.push(times.0.parse()?);
            done.push(times.1.parse()?);
        }
        println!(
            "{algorithm} {name}: opened in {:.1} ms, {SIGNATURES} signatures of {CALLERS} callers \
             after {:.0} ms",
            median(opened),
            median(done),
        );
    }
    Ok(())
}

/// Opens a key and signs with it; prints after how many milliseconds it was open, and all was done.
fn run(backend: &Backend, place: &str, reference: &str, jwk: &Jwk) -> Outcome {
    let start = Instant::now();
    let signer = (backend.open)(place)?.open(reference, jwk)?;
    let opened = start.elapsed();
    sign(&*signer)?;
    let done = start.elapsed();
    let [opened, done] = [opened, done].map(|time| time.as_secs_f64() * 1e3);
    println!("{opened} {done}");
    Ok(())
}

fn sign(signer: &dyn Signer) -> Outcome {
    let algorithm = signer.jwk().algorithm();
    let left = AtomicUsize::new(SIGNATURES);
    let next = || {
        let take = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    };
    let call = || -> Outcome {
        while next() {
            signer.sign(&SigningInput::new(algorithm, MESSAGE))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers
            .into_iter()
            .try_for_each(|caller| caller.join().map_err(|_| "a caller panicked")?)
    })
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
