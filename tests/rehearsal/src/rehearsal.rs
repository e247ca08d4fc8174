//! The rehearsal from its beginning to its end.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use crate::Result;
use crate::balancer::Balancer;
use crate::faults;
use crate::mint::{self, Arrival, Unserved};
use crate::relying_party::RelyingParty;
use crate::replica::Replica;
use crate::stage::{self, Stage};
use crate::times::{times, token_ends_after};
use crate::verdict::Evidence;
use crate::weakness::Weakness;

const REPLICAS: usize = 3;

/// How long the issuers may take until all of them are ready.
const START: Duration = Duration::from_secs(60);

/// Rehearses for this time, and tells whether all was well. The folder takes what the processes
/// share and their logs, and is made anew.
pub(crate) async fn run(
    time: Duration,
    seed: u64,
    folder: &Path,
    weakness: Option<Weakness>,
) -> Result<bool> {
    let folder = std::path::absolute(folder)?;
    let shared = folder.join("shared");
    let store = shared.join("store");
    if folder.exists() {
        // A rehearsal that was broken off may have left it read-only.
        stage::release(&store)?;
        fs::remove_dir_all(&folder)?;
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&store)?;
    println!(
        "seed {seed}, {:.1} min; {:?}",
        time.as_secs_f64() / 60.0,
        times()
    );

    let balancer = Balancer::start(REPLICAS).await?;
    let mut replicas = Vec::new();
    for index in 0..REPLICAS {
        let mut replica = Replica::new(index, &folder, &shared, &balancer, weakness)?;
        replica.start(index == 0).await?;
        replicas.push(replica);
    }
    let until = Instant::now() + START;
    while balancer.ready() < REPLICAS {
        if Instant::now() > until {
            let logs = folder.display();
            return Err(format!("the issuers are not ready; see their logs in {logs}").into());
        }
        time::sleep(Duration::from_millis(100)).await;
    }

    let stage = Arc::new(Stage::new(replicas, &store));
    let began = Instant::now();
    let parties = RelyingParty::all(&balancer.url())?;
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let (unserved, is_over) = (Arc::<Unserved>::default(), Arc::new(AtomicBool::new(false)));
    let minting = tokio::spawn(mint::run(
        balancer.url(),
        sender,
        Arc::clone(&unserved),
        Arc::clone(&is_over),
    ));
    let plan = faults::plan(seed, time, REPLICAS);
    let planned = plan.iter().map(|fault| fault.kind).collect();
    let playing = tokio::spawn({
        let (stage, is_over) = (Arc::clone(&stage), Arc::clone(&is_over));
        async move {
            let faults: JoinSet<()> = plan
                .into_iter()
                .map(|fault| Arc::clone(&stage).play(fault))
                .collect();
            faults.join_all().await;
            time::sleep_until((began + time).into()).await;
            is_over.store(true, Ordering::SeqCst);
        }
    });

    let mut tokens: Vec<Arrival> = Vec::new();
    while let Some(arrival) = arrivals.recv().await {
        for party in &parties {
            party.give(tokens.len() as u64, &arrival.minted.token)?;
        }
        tokens.push(arrival);
    }
    minting.await??;
    playing.await?;
    let lasted = began.elapsed();
    stage.tell(&format!(
        "the last tokens live on for {} s",
        token_ends_after().as_secs()
    ));
    let mut judgements = Vec::new();
    for party in parties {
        judgements.push((party.name(), party.end().await?));
    }

    let stage = Arc::into_inner(stage).ok_or("somebody is still on the stage")?;
    let happened = stage.happened();
    for replica in stage.replicas {
        replica.into_inner().kill().await?;
    }
    let evidence = Evidence {
        lasted,
        tokens,
        unserved,
        judgements,
        revisions: stage.record.end()?,
        happened,
        planned,
        refused_changes: refused_changes(&folder)?,
    };
    evidence.verdict()
}

/// How often the issuers' logs say that the manifest could not be changed.
fn refused_changes(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for index in 0..REPLICAS {
        let log = fs::read_to_string(folder.join(format!("replica-{}/log", index + 1)))?;
        count += log.matches("the manifest stays as it is").count();
    }
    Ok(count)
}
