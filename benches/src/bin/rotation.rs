//! What it costs to follow a manifest: for a token, for a document, for threads that sign while keys
//! are replaced, and for thousands of tenants.

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery::{
    Algorithm, Clock, Issuer, IssuerUrl, Jwk, KeySet, Lease, Limits, Schedule, ScheduledKey,
    Signature, SystemClock,
};
use chancery_benches::timing::{Outcome, batch, batch_size, median};
use chancery_benches::{FreeSigner, Payload};

const ROUNDS: usize = 301;

const SIGNERS: usize = 8;

const SWAPS: usize = 10_000;

const TURNS: usize = 20;

const TENANTS: usize = 10_000;

/// The longest that replacing keys may hold up a token.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

fn main() -> Outcome {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse()?,
        None => ROUNDS,
    };
    measure_token_and_document(rounds)?;
    measure_pauses()?;
    measure_tenants()
}

fn measure_token_and_document(rounds: usize) -> Outcome {
    let (free, following) = (KeySet::new(vec![key("key")?])?, KeySet::following());
    follow(&following, "key")?;
    let (free, following) = (issuer(free)?, issuer(following)?);
    let claims = Payload::Plain
        .claims()?
        .with_token_id("kPrK_qmxVWaYVA9wwBF6Iu");
    let token = |issuer: &Issuer, out: &mut String| -> Outcome {
        issuer.issue_into(black_box(&claims), out)?;
        black_box(out);
        Ok(())
    };
    let (mut out, mut other_out) = (String::new(), String::new());
    let (without, added) = compared(
        &mut || token(&free, &mut out),
        &mut || token(&following, &mut other_out),
        rounds,
    )?;
    println!("following a manifest adds {added:.0} ns to the {without:.0} ns of a token");

    let path = free.jwks()?.path().to_owned();
    let document = |issuer: &Issuer| -> Outcome {
        black_box(issuer.document(black_box(&path))?);
        Ok(())
    };
    let (without, added) = compared(
        &mut || document(&free),
        &mut || document(&following),
        rounds,
    )?;
    println!("following a manifest adds {added:.0} ns to the {without:.0} ns of a cached document");
    Ok(())
}

/// Nanoseconds an iteration of the first takes, and how much longer the second does: medians over
/// rounds in which one runs after the other, in an order that changes.
fn compared(
    first: &mut dyn FnMut() -> Outcome,
    second: &mut dyn FnMut() -> Outcome,
    rounds: usize,
) -> Outcome<(f64, f64)> {
    let iterations = batch_size(first)?;
    let pairs: Vec<(f64, f64)> = (0..rounds)
        .map(|round| {
            Ok(if round % 2 == 0 {
                let first = batch(first, iterations)?;
                (first, batch(second, iterations)?)
            } else {
                let second = batch(second, iterations)?;
                (batch(first, iterations)?, second)
            })
        })
        .collect::<Outcome<_>>()?;
    Ok((
        median(pairs.iter().map(|(first, _)| *first)),
        median(pairs.iter().map(|(first, second)| second - first)),
    ))
}

/// What a thread waited for a processor is no pause of its token, and is taken off. The same threads
/// sign while the keys of another set are replaced, in turns, which shows what the machine adds.
fn measure_pauses() -> Outcome {
    let keys = KeySet::following();
    let other_keys = KeySet::following();
    follow(&keys, "key")?;
    follow(&other_keys, "key")?;
    let issuer = issuer(keys.clone())?;
    let (mut own, mut others) = (Pauses::default(), Pauses::default());
    for _ in 0..TURNS {
        own.add(&pauses(&issuer, &keys, SWAPS / TURNS)?);
        others.add(&pauses(&issuer, &other_keys, SWAPS / TURNS)?);
    }
    println!("longest pause of {SIGNERS} signing threads over {SWAPS} swaps: {own}");
    println!("  over as many swaps of keys that they do not use: {others}");
    Ok(())
}

/// What became of tokens.
#[derive(Default)]
struct Pauses {
    tokens: usize,
    too_long: usize,
    longest: Duration,
}

impl Pauses {
    fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.too_long += other.too_long;
        self.longest = self.longest.max(other.longest);
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} µs; {} of {} tokens took over {} ms",
            self.longest.as_micros(),
            self.too_long,
            self.tokens,
            LONGEST_PAUSE.as_millis()
        )
    }
}

/// Has threads sign while these keys are replaced so many times.
fn pauses(issuer: &Issuer, keys: &KeySet, swaps: usize) -> Outcome<Pauses> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let signers: Vec<_> = (0..SIGNERS)
            .map(|_| scope.spawn(|| signing(issuer, &done).map_err(|error| error.to_string())))
            .collect();
        let replaced = replacing(keys, swaps);
        done.store(true, Ordering::Relaxed);
        let mut all = Pauses::default();
        for signer in signers {
            let pauses = signer.join().map_err(|_| "a thread that signs failed")?;
            all.add(&pauses?);
        }
        replaced.map(|()| all)
    })
}

/// Replaces the keys again and again.
fn replacing(keys: &KeySet, swaps: usize) -> Outcome {
    for swap in 0..swaps {
        follow(keys, if swap % 2 == 0 { "even" } else { "odd" })?;
        thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// Signs without a rest, so that threads are put to sleep in the middle of everything.
fn signing(issuer: &Issuer, done: &AtomicBool) -> Outcome<Pauses> {
    let claims = Payload::Plain.claims()?;
    let scheduler = Scheduler::of_this_thread()?;
    let mut out = String::new();
    let mut pauses = Pauses::default();
    let mut waited = scheduler.waited()?;
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        issuer.issue_into(&claims, &mut out)?;
        let mut pause = begun.elapsed();
        // To ask costs as much as many tokens, so only those that took long are looked into.
        if pause > LONGEST_PAUSE / 10 {
            let waited_before = std::mem::replace(&mut waited, scheduler.waited()?);
            pause = pause.saturating_sub(waited - waited_before);
        }
        pauses.add(&Pauses {
            tokens: 1,
            too_long: usize::from(pause > LONGEST_PAUSE),
            longest: pause,
        });
    }
    Ok(pauses)
}

/// What Linux tells of a thread's turns on a processor.
struct Scheduler(File);

impl Scheduler {
    fn of_this_thread() -> Outcome<Self> {
        Ok(Self(File::open("/proc/thread-self/schedstat")?))
    }

    /// How long the thread has waited for a processor since it began.
    fn waited(&self) -> Outcome<Duration> {
        let mut text = [0; 64];
        let len = self.0.read_at(&mut text, 0)?;
        let nanoseconds = std::str::from_utf8(&text[..len])?
            .split_whitespace()
            .nth(1)
            .ok_or("schedstat has no second number")?;
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }
}

/// One call replaces the keys of all tenants, and one renews their lease.
fn measure_tenants() -> Outcome {
    let keys = KeySet::following();
    let lease = follow(&keys, "old")?;
    let base = issuer(keys.clone())?;
    let replacement = |kid: &str| -> Outcome<Duration> {
        let begun = Instant::now();
        follow(&keys, kid)?;
        Ok(begun.elapsed())
    };
    let alone = replacement("alone")?;
    let tenants: Vec<Issuer> = (0..TENANTS)
        .map(|index| {
            let url = IssuerUrl::parse(&format!("https://id.example.com/tenant-{index}"))?;
            Ok(base.tenant(url))
        })
        .collect::<Outcome<_>>()?;
    for tenant in &tenants {
        tenant.jwks()?;
    }
    let together = replacement("new")?;
    let begun = Instant::now();
    lease.renew(SystemClock.now());
    let renewal = begun.elapsed();
    let claims = Payload::Plain.claims()?;
    for tenant in &tenants {
        let kid = tenant.prepare(&claims)?.jwk().kid().to_owned();
        if kid != "new" || !String::from_utf8_lossy(tenant.jwks()?.bytes()).contains("\"new\"") {
            return Err(format!("{} uses the key {kid}", tenant.url()).into());
        }
    }
    println!(
        "{TENANTS} tenant issuers on one key set: replacing the keys of all takes {:.1} µs, of one issuer {:.1} µs; renewing the lease {} ns; all sign with and publish the new key",
        together.as_secs_f64() * 1e6,
        alone.as_secs_f64() * 1e6,
        renewal.as_nanos(),
    );
    Ok(())
}

fn issuer(keys: KeySet) -> Outcome<Issuer> {
    let url = IssuerUrl::parse("https://acme.app.example.com")?;
    Ok(Issuer::new(url, keys))
}

/// Has the set follow a manifest with one key of this name, which was read right now.
fn follow(keys: &KeySet, kid: &str) -> Outcome<Lease> {
    let limits = Limits {
        as_of: SystemClock.now(),
        lease: Duration::from_secs(3600),
        longest_lifetime: Duration::from_secs(3600),
        max_age: Duration::from_secs(300),
        clock_error: Duration::from_secs(30),
    };
    Ok(keys.follow(vec![key(kid)?], limits)?)
}

/// A key of this name that signs at no cost.
fn key(kid: &str) -> Outcome<ScheduledKey> {
    let jwk = Jwk::from_json(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )?
    .with_kid(kid)?;
    let signature = Signature::new(Algorithm::Es256, &[7; 64])?;
    let signer = Arc::new(FreeSigner(jwk, signature));
    Ok(ScheduledKey::new(signer, Schedule::ALWAYS))
}
