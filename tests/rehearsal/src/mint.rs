//! A client of the issuer that has tokens minted, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::{Client, StatusCode};
use tokio::sync::mpsc;
use tokio::time;

use crate::balancer;
use crate::issuer::Minted;
use crate::times::ALGORITHMS;
use crate::{Outcome, Result};

/// The time between two tokens.
const PACE: Duration = Duration::from_millis(50);

/// How long the client waits for a token: also for a process that was stopped for longer than its
/// lease, and answers afterwards.
const PATIENCE: Duration = Duration::from_secs(12);

/// A token that came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) asked_at: SystemTime,
    pub(crate) minted: Minted,
}

/// Requests that brought no token.
#[derive(Debug, Default)]
pub(crate) struct Unserved {
    /// Answered by status 503.
    pub(crate) refused: AtomicU64,
    /// Hung up on, or not answered in time.
    pub(crate) unanswered: AtomicU64,
    /// Answered in any other way, which is a fault.
    pub(crate) odd: AtomicU64,
}

/// Asks for tokens of each lane in turn until it is told to end.
pub(crate) async fn run(
    url: String,
    arrivals: mpsc::UnboundedSender<Arrival>,
    unserved: Arc<Unserved>,
    is_over: Arc<AtomicBool>,
) -> Outcome {
    let client = balancer::client(PATIENCE)?;
    let mut ticks = time::interval(PACE);
    // A machine that was held up need not make up for it.
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    for algorithm in ALGORITHMS.iter().cycle() {
        ticks.tick().await;
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let url = format!("{url}/token?algorithm={}", algorithm.name());
        let (client, arrivals) = (client.clone(), arrivals.clone());
        let unserved = Arc::clone(&unserved);
        tokio::spawn(async move {
            let asked_at = SystemTime::now();
            let count = match ask(&client, &url).await {
                Ok(Some(minted)) => {
                    // Nobody waits for it any more when the rehearsal was broken off.
                    let _ = arrivals.send(Arrival { asked_at, minted });
                    return;
                }
                Ok(None) => &unserved.refused,
                Err(error) if error.is::<reqwest::Error>() => &unserved.unanswered,
                Err(_) => &unserved.odd,
            };
            count.fetch_add(1, Ordering::SeqCst);
        });
    }
    Ok(())
}

async fn ask(client: &Client, url: &str) -> Result<Option<Minted>> {
    let answer = client.post(url).send().await?;
    match answer.status() {
        StatusCode::OK => Ok(Some(serde_json::from_slice(&answer.bytes().await?)?)),
        StatusCode::SERVICE_UNAVAILABLE => Ok(None),
        status => Err(format!("a token was asked for, and {status} came").into()),
    }
}
