//! Issues tokens, forks, and issues more in the parent, in the child and in the child's child.
//! Prints a line for each token: the process, the `jti`, and the beginning of the signature.
//!
//! The clock stands still, so that nothing but the fork itself tells the processes apart. Their one
//! thread has random bytes in store when it forks, and so has the engine.

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

/// Characters of a signature that are of its first number alone.
const LEN_OF_R: usize = 42;
const ISSUER: &str = "https://id.example.com";

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let issuers = Engine::ALL
        .iter()
        .map(|&engine| issuer(engine))
        .collect::<Result<Vec<_>, _>>()?;
    print(&issuers, "before", BEFORE)?;
    match fork::fork()? {
        Fork::Child => {
            // The child's child inherits what the child had in store, in its turn.
            print(&issuers, "child", AFTER)?;
            match fork::fork()? {
                Fork::Child => print(&issuers, "grandchild", AFTER),
                Fork::Parent(grandchild) => wait(grandchild),
            }
        }
        Fork::Parent(child) => {
            // One writes after the other, so that no line is torn.
            wait(child)?;
            print(&issuers, "parent", AFTER)
        }
    }
}

fn issuer(engine: Engine) -> Result<Issuer, Box<dyn Error>> {
    let signer = SoftwareSigner::generate(Algorithm::Es256, engine)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    Ok(Issuer::builder(IssuerUrl::parse(ISSUER)?, keys)
        .clock(Arc::new(StoppedClock))
        .build()?)
}

fn print(issuers: &[Issuer], process: &str, tokens: usize) -> Result<(), Box<dyn Error>> {
    let claims = Claims::new("job:42").with_audience("me");
    for issuer in issuers {
        let keys = JwkSet::from_json(issuer.jwks()?.bytes())?;
        let verifier = Verifier::new(ISSUER, "me", keys).with_clock(Arc::new(StoppedClock));
        for _ in 0..tokens {
            let token = issuer.issue(&claims)?;
            let verified = verifier.verify(token.as_str())?;
            let identifier = verified.token_id().ok_or("no jti")?;
            let (_, signature) = token.as_str().rsplit_once('.').ok_or("no signature")?;
            println!("{process} {identifier} {}", &signature[..LEN_OF_R]);
        }
    }
    Ok(())
}

fn wait(process: i32) -> Result<(), Box<dyn Error>> {
    match fork::waitpid(process)? {
        0 => Ok(()),
        status => Err(format!("a child ended with status {status}").into()),
    }
}
