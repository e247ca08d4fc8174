//! An issuer: a process with a keeper and an HTTP server, one of several on the same store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body};
use chancery::software::{Engine, Secret};
use chancery::{Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, UnixTime};
use chancery_store::{EncryptedKeys, Event, HttpProbe, Keeper, Store};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time;

use crate::Outcome;
use crate::clock::WrongClock;
use crate::times::{AUDIENCE, BACKEND, policy, times};
use crate::weakness::{self, Weakness};

/// What an issuer is told when it is started.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What the keeper calls itself.
    pub(crate) name: String,
    /// The issuer's URL, which is that of the balancer.
    pub(crate) url: String,
    /// The folder that holds `store`. It may come and go.
    pub(crate) shared: PathBuf,
    /// How far its clock is set ahead, in milliseconds.
    pub(crate) ahead_by: i64,
    /// Whether it makes the first manifest.
    pub(crate) is_first: bool,
    /// Which rule it does not keep.
    pub(crate) weakness: Option<Weakness>,
}

/// A token, and what its issuer knew around the moment at which it was signed.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Minted {
    pub(crate) token: String,
    pub(crate) replica: String,
    pub(crate) before: Circumstances,
    pub(crate) after: Circumstances,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Circumstances {
    /// By the issuer's clock.
    pub(crate) now: u64,
    /// The manifest's revision: the one that the keeper surely followed in `before`, and the latest
    /// that it may have followed in `after`.
    pub(crate) revision: u64,
    /// The keys of the JWKS that it served; none where it served none.
    pub(crate) kids: Option<Vec<String>>,
}

struct Replica {
    name: String,
    clock: Arc<WrongClock>,
    keeper: Keeper,
    issuer: Issuer,
    /// The latest revision that the keeper has met.
    met: Arc<AtomicU64>,
    weakness: Option<Weakness>,
}

/// Serves until the process is ended. Its first line of output is its address.
pub(crate) async fn run(settings: Settings) -> Outcome {
    // Whoever started it may be killed as well.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let url = IssuerUrl::parse_allowing_loopback_http(&settings.url)?;
    let clock = Arc::new(WrongClock::ahead_by(settings.ahead_by));
    let met = Arc::new(AtomicU64::new(0));
    let store = open(settings.shared.join("store")).await;
    // The keys live for seconds, so anybody may know this.
    let password = Secret::new("rehearsal");
    let private_keys = EncryptedKeys::new(store.clone(), password, Engine::AwsLcRs);
    let keeper = Keeper::builder(store, policy(), HttpProbe::new(&url)?)
        .replica(&settings.name)
        .backend(BACKEND, private_keys.clone())
        .on_event({
            let (met, clock) = (Arc::clone(&met), Arc::clone(&clock));
            move |event| {
                if let Event::Changed { revision, .. } | Event::Followed { revision } = event {
                    met.fetch_max(*revision, Ordering::SeqCst);
                }
                eprintln!("{} {event}", clock.now());
            }
        })
        .build();
    let keys = match settings.weakness {
        None => keeper.keys().clone(),
        Some(weakness) => weakness::keys(weakness, &keeper, private_keys, Arc::clone(&clock)),
    };
    let times = times();
    let issuer = Issuer::builder(url, keys)
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .default_lifetime(times.longest_lifetime)
        .longest_lifetime(times.longest_lifetime)
        .max_age(times.max_age)
        .build()?;
    let replica = Arc::new(Replica {
        name: settings.name,
        clock: Arc::clone(&clock),
        keeper: keeper.clone(),
        issuer,
        met,
        weakness: settings.weakness,
    });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move {
        if settings.is_first
            && let Err(error) = keeper.initialize(clock.now()).await
        {
            eprintln!("{} {error}", clock.now());
        }
        keeper.run(&*clock).await
    });
    let app = Router::new()
        .route("/ready", get(ready))
        .route("/token", post(token))
        .route("/clock", post(set_clock))
        .route("/switch", post(switch))
        .route("/revoke", post(revoke))
        .fallback(document)
        .with_state(replica);
    Ok(axum::serve(listener, app).await?)
}

/// Waits for the folder, which may be out of reach when the process starts.
async fn open(folder: PathBuf) -> Store {
    loop {
        // The store would make the folder if it were missing.
        if folder.is_dir() {
            match Store::local(&folder) {
                Ok(store) => return store,
                Err(error) => eprintln!("{error}"),
            }
        }
        time::sleep(Duration::from_millis(200)).await;
    }
}

impl Replica {
    fn circumstances(&self, revision: u64) -> Circumstances {
        let jwks = self.issuer.jwks().ok();
        let jwks = jwks.and_then(|jwks| JwkSet::from_json(jwks.bytes()).ok());
        let kids = jwks.map(|jwks| jwks.keys().iter().map(|key| key.kid().to_owned()).collect());
        Circumstances {
            now: self.clock.now().as_secs(),
            revision,
            kids,
        }
    }

    fn is_ready(&self, now: UnixTime) -> bool {
        match self.weakness {
            None => self.keeper.is_ready(now),
            // It believes in itself.
            Some(_) => self.issuer.jwks().is_ok(),
        }
    }
}

async fn ready(State(replica): State<Arc<Replica>>) -> StatusCode {
    if replica.is_ready(replica.clock.now()) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn document(State(replica): State<Arc<Replica>>, uri: Uri) -> Result<Response, Failure> {
    let Some(document) = replica.issuer.document(uri.path())? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let headers = document
        .headers()
        .map(|(name, value)| (name, value.to_owned()));
    Ok((headers, body::Bytes::from_owner(document)).into_response())
}

#[derive(Deserialize)]
struct Lane {
    algorithm: String,
}

impl Lane {
    fn parse(&self) -> Result<Algorithm, Failure> {
        Ok(self.algorithm.parse()?)
    }
}

async fn token(
    State(replica): State<Arc<Replica>>,
    Query(lane): Query<Lane>,
) -> Result<Json<Minted>, Failure> {
    let claims = Claims::new("job:1")
        .with_audience(AUDIENCE)
        .with_signing_algorithm(lane.parse()?);
    let followed = replica.keeper.manifest();
    let before = replica.circumstances(followed.map_or(0, |manifest| manifest.revision()));
    let token = replica.issuer.issue_async(&claims).await?.into_string();
    let after = replica.circumstances(replica.met.load(Ordering::SeqCst));
    Ok(Json(Minted {
        token,
        replica: replica.name.clone(),
        before,
        after,
    }))
}

#[derive(Deserialize)]
struct Wrong {
    ahead_by: i64,
}

async fn set_clock(
    State(replica): State<Arc<Replica>>,
    Query(Wrong { ahead_by }): Query<Wrong>,
) -> String {
    replica.clock.set_ahead_by(ahead_by);
    replica.clock.now().to_string()
}

/// An operator lets the next key take over now.
async fn switch(
    State(replica): State<Arc<Replica>>,
    Query(lane): Query<Lane>,
) -> Result<(), Failure> {
    let now = replica.clock.now();
    Ok(replica.keeper.switch(lane.parse()?, now).await?)
}

#[derive(Deserialize)]
struct Compromised {
    kid: String,
}

/// An operator takes a key out.
async fn revoke(
    State(replica): State<Arc<Replica>>,
    Query(Compromised { kid }): Query<Compromised>,
) -> Result<(), Failure> {
    let now = replica.clock.now();
    Ok(replica.keeper.revoke(&kid, false, now).await?)
}

/// Answers 503 and says why, as only a rehearsal does.
struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let plain = [(header::CONTENT_TYPE, "text/plain")];
        (StatusCode::SERVICE_UNAVAILABLE, plain, self.0.to_string()).into_response()
    }
}
