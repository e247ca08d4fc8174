//! A rehearsal of rotation over real parts: `cargo xtask rehearse`.
//!
//! Three issuers, each a process, share one store and stand behind a load balancer. They rotate their
//! keys every few seconds. Tokens are minted all the time, and relying parties in other languages
//! verify each of them until it has expired. Meanwhile processes are killed and stopped, clocks are
//! set wrong, the store goes away and refuses changes, and operators meet emergencies.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use crate::weakness::Weakness;

mod balancer;
mod clock;
mod faults;
mod issuer;
mod mint;
mod random;
mod record;
mod rehearsal;
mod relying_party;
mod replica;
mod stage;
mod times;
mod verdict;
mod weakness;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;
type Outcome = Result<()>;

const USAGE: &str =
    "rehearsal --minutes N --folder FOLDER [--seed N] [--weaken lease|activate|retire]";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rehearsal: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command, and tells whether all was well.
async fn run() -> Result<bool> {
    let mut arguments = lexopt::Parser::from_env();
    let (mut is_issuer, mut minutes, mut seed, mut folder) = (false, None, 1, None);
    let (mut name, mut url, mut shared, mut ahead_by) = (None, None, None, 0);
    let (mut weakness, mut is_first) = (None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(command) if command == "issuer" => is_issuer = true,
            Long("minutes") => minutes = Some(arguments.value()?.parse::<f64>()?),
            Long("seed") => seed = arguments.value()?.parse()?,
            Long("folder") => folder = Some(PathBuf::from(arguments.value()?)),
            Long("weaken") => weakness = Some(Weakness::parse(&arguments.value()?.string()?)?),
            Long("name") => name = Some(arguments.value()?.string()?),
            Long("url") => url = Some(arguments.value()?.string()?),
            Long("shared") => shared = Some(PathBuf::from(arguments.value()?)),
            Long("initialize") => is_first = true,
            Long("ahead-by") => ahead_by = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if is_issuer {
        let settings = issuer::Settings {
            name: name.ok_or("an issuer needs --name")?,
            url: url.ok_or("an issuer needs --url")?,
            shared: shared.ok_or("an issuer needs --shared")?,
            ahead_by,
            is_first,
            weakness,
        };
        issuer::run(settings).await?;
        return Ok(true);
    }
    let time = Duration::try_from_secs_f64(minutes.ok_or(USAGE)? * 60.0)?;
    rehearsal::run(time, seed, &folder.ok_or(USAGE)?, weakness).await
}
