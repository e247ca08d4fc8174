//! Serves the two documents over HTTP with axum, and mints tokens on request.
//!
//! ```sh
//! cargo run --example serve
//! curl http://127.0.0.1:8080/.well-known/openid-configuration
//! curl -X POST 'http://127.0.0.1:8080/token?job=42'
//! ```
//!
//! A real service answers at its https URL, and mints tokens only for jobs it knows.

use std::env;
use std::error::Error;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, body};
use chancery::software::{Engine, SoftwareSigner};
use chancery::{Algorithm, Claims, Issuer, IssuerUrl, KeySet, Schedule, ScheduledKey};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
    let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
    // Relying parties insist on https; http on a loopback address is for trying things out.
    let issuer = Issuer::new(IssuerUrl::parse_allowing_loopback_http(&url)?, keys);

    println!("Serving {url}{}", issuer.discovery()?.path());
    let app = Router::new()
        .route("/token", post(token))
        .fallback(document)
        .with_state(Arc::new(issuer));
    Ok(axum::serve(listener, app).await?)
}

/// Answers every path that is a document of the issuer.
async fn document(
    State(issuer): State<Arc<Issuer>>,
    uri: Uri,
    request: HeaderMap,
) -> Result<Response, Failure> {
    let Some(document) = issuer.document(uri.path())? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let headers = document
        .headers()
        .map(|(name, value)| (name, value.to_owned()));
    let if_none_match = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    Ok(if document.is_not_modified(if_none_match) {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, body::Bytes::from_owner(document)).into_response()
    }
    .into_response())
}

#[derive(serde::Deserialize)]
struct Job {
    job: u64,
}

/// Mints a token for a job.
async fn token(
    State(issuer): State<Arc<Issuer>>,
    Query(Job { job }): Query<Job>,
) -> Result<String, Failure> {
    let claims = Claims::new(format!("job:{job}")).with_audience("sts.amazonaws.com");
    Ok(issuer.issue_async(&claims).await?.into_string())
}

/// Answers 503 and tells the operator, not the caller, why.
struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0);
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}
