//! A probe over HTTP.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chancery_core::IssuerUrl;
use reqwest::{Client, StatusCode, redirect};
use serde_json::Value;

use crate::keeper::probe::{Probe, ProbeError};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest document that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// How many characters of an answer stand in an error.
const LONGEST_SHOWN: usize = 200;

/// Fetches the JWKS over HTTP: the discovery document first, then what its `jwks_uri` names, as
/// OpenID Connect Discovery 1.0 §4 has relying parties do.
///
/// The document's `issuer` must be the issuer's URL to the byte. Redirects are not followed, since
/// AWS and Azure do not follow them. Certificates are checked against the system's roots.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    client: Client,
    issuer: IssuerUrl,
}

impl HttpProbe {
    /// A probe of the keys that an issuer publishes. Where many issuers share their keys, one of
    /// them stands for all.
    ///
    /// # Errors
    /// [`ProbeError`] when the system's root certificates cannot be used.
    pub fn new(issuer: &IssuerUrl) -> Result<Self, ProbeError> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| ProbeError::new("no HTTP client can be made").with_source(error))?;
        Ok(Self {
            client,
            issuer: issuer.clone(),
        })
    }

    async fn discover(&self) -> Result<Vec<u8>, ProbeError> {
        let discovery = format!("{}{}", self.issuer.origin(), self.issuer.discovery_path());
        let document = self.fetch(&discovery).await?;
        let document: Value = serde_json::from_slice(&document)
            .map_err(|error| ProbeError::new(format!("{discovery}: no JSON")).with_source(error))?;
        let member = |name: &str| document.get(name).and_then(Value::as_str);
        if member("issuer") != Some(self.issuer.as_str()) {
            return Err(ProbeError::new(format!(
                "{discovery}: the issuer is {}, and should be {:?}",
                member("issuer").map_or_else(|| "missing".to_owned(), shown),
                self.issuer.as_str()
            )));
        }
        let Some(jwks_uri) = member("jwks_uri") else {
            return Err(ProbeError::new(format!(
                "{discovery}: there is no jwks_uri"
            )));
        };
        self.fetch(jwks_uri).await
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, ProbeError> {
        let shown = shown(url);
        let failed =
            |error| ProbeError::new(format!("{shown} cannot be fetched")).with_source(error);
        // The error would name the URL once more.
        let failed = |error: reqwest::Error| failed(error.without_url());
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            return Err(ProbeError::new(format!("{shown} answers with {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(ProbeError::new(format!(
                    "{shown} answers with more than {LONGEST} bytes"
                )));
            }
        }
        Ok(body)
    }
}

/// What somebody else wrote, as it may stand in a line of a log.
fn shown(text: &str) -> String {
    let begin: String = text.chars().take(LONGEST_SHOWN).collect();
    format!("{begin:?}")
}

impl Probe for HttpProbe {
    fn jwks(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, ProbeError>> + Send + '_>> {
        Box::pin(self.discover())
    }
}
