//! Issues tokens, forks, issues more in the parent and in the child, and prints every `jti`: one to
//! a line, behind the name of the process that made it.
//!
//! The clock stands still, so that nothing but the fork itself tells the two apart. Their one
//! thread has random bytes in store when it forks.

use std::error::Error;
use std::sync::Arc;

use chancery::software::{Engine, SoftwareSigner, Verifier};
use chancery::{
    Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey, UnixTime,
};
use fork::Fork;

/// Not a multiple of any number of identifiers that could be in store.
const BEFORE: usize = 7;
const AFTER: usize = 100;

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::EdDsa, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    let issuer = Issuer::builder(IssuerUrl::parse("https://id.example.com")?, keys)
        .clock(Arc::new(StoppedClock))
        .build()?;
    let verifier = Verifier::new(
        "https://id.example.com",
        "me",
        JwkSet::from_json(issuer.jwks()?.bytes())?,
    )
    .with_clock(Arc::new(StoppedClock));

    print(&issuer, &verifier, "before", BEFORE)?;
    match fork::fork()? {
        Fork::Child => {
            // A child of the child inherits what the child had in store, in its turn.
            print(&issuer, &verifier, "child", AFTER)?;
            match fork::fork()? {
                Fork::Child => print(&issuer, &verifier, "grandchild", AFTER),
                Fork::Parent(grandchild) => wait(grandchild),
            }
        }
        Fork::Parent(child) => {
            // One writes after the other, so that no line is torn.
            wait(child)?;
            print(&issuer, &verifier, "parent", AFTER)
        }
    }
}

fn print(
    issuer: &Issuer,
    verifier: &Verifier,
    process: &str,
    tokens: usize,
) -> Result<(), Box<dyn Error>> {
    let claims = Claims::new("job:42").with_audience("me");
    for _ in 0..tokens {
        let verified = verifier.verify(issuer.issue(&claims)?.as_str())?;
        println!("{process} {}", verified.token_id().ok_or("no jti")?);
    }
    Ok(())
}

fn wait(process: i32) -> Result<(), Box<dyn Error>> {
    match fork::waitpid(process)? {
        0 => Ok(()),
        status => Err(format!("a child ended with status {status}").into()),
    }
}
