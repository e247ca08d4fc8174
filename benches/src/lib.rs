//! What the benchmarks measure: the claims of a workload's token, in two sizes, and an issuer.

pub mod raw;
pub mod timing;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use chancery::{
    Claims, Issuer, IssuerUrl, Jwk, KeySet, Schedule, ScheduledKey, SignError, Signature, Signer,
    SigningInput,
};
use serde::Serialize;

/// Some 650 bytes to be signed, as a token's signing input has.
pub const MESSAGE: &[u8] = &[b'a'; 654];

/// The two payloads, in bytes of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// 654 bytes: a deployment's identity.
    Plain,
    /// 915 bytes: the same with AWS session tags.
    SessionTags,
}

impl Payload {
    /// Both sizes.
    pub const ALL: [Self; 2] = [Self::Plain, Self::SessionTags];

    /// The length of the payload's JSON in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Plain => 654,
            Self::SessionTags => 915,
        }
    }

    /// The claims, built as a service builds them for each token.
    ///
    /// # Errors
    /// None that these claims can cause.
    pub fn claims(self) -> Result<Claims, Box<dyn Error>> {
        let claims = Claims::new(
            "space:production-01HZXW7Q5R:stack:payments-api:run_type:TRACKED:scope:write",
        )
        .with_audience("sts.amazonaws.com")
        .with_private_claims(&Run::EXAMPLE)?;
        Ok(match self {
            Self::Plain => claims,
            Self::SessionTags => {
                claims.with_private_claim("https://aws.amazon.com/tags", &SessionTags::example())?
            }
        })
    }
}

/// What a service knows of the run that asks for a token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    space_id: &'static str,
    caller_type: &'static str,
    caller_id: &'static str,
    run_type: &'static str,
    run_id: &'static str,
    organization_id: &'static str,
    project_id: &'static str,
    environment: &'static str,
    repository: &'static str,
    #[serde(rename = "ref")]
    reference: &'static str,
    commit: &'static str,
    trigger: &'static str,
}

impl Run {
    const EXAMPLE: Self = Self {
        space_id: "production-01HZXW7Q5R",
        caller_type: "stack",
        caller_id: "payments-api",
        run_type: "TRACKED",
        run_id: "01JD3Z8M4T6V9X2B5C7D8E9F0G",
        organization_id: "632b8219674bde0224a96141",
        project_id: "7f3c2a10-5d0e-4c1b-9a44-0d5b8f2e6c31",
        environment: "production",
        repository: "https://git.example.com/payments/payments-api",
        reference: "refs/heads/main",
        commit: "9fceb02d0ae598e95dc970b74767f19372d61af8",
        trigger: "merge-to-trunk",
    };
}

#[derive(Serialize)]
struct SessionTags {
    principal_tags: BTreeMap<&'static str, [&'static str; 1]>,
    transitive_tag_keys: [&'static str; 2],
}

impl SessionTags {
    fn example() -> Self {
        Self {
            principal_tags: BTreeMap::from([
                ("environment", ["production"]),
                ("organizationId", ["632b8219674bde0224a96141"]),
                ("projectId", ["7f3c2a10-5d0e-4c1b-9a44-0d5b8f2e6c31"]),
                ("runId", ["8M4T6V9X2B5C7D8E"]),
            ]),
            transitive_tag_keys: ["organizationId", "projectId"],
        }
    }
}

/// An issuer that signs with this key.
///
/// # Errors
/// None that a key in memory can cause.
pub fn issuer(signer: Arc<dyn Signer>) -> Result<Issuer, Box<dyn Error>> {
    let keys = KeySet::new(vec![ScheduledKey::new(signer, Schedule::ALWAYS)])?;
    let url = IssuerUrl::parse("https://acme.app.example.com")?;
    Ok(Issuer::new(url, keys))
}

/// Signs at no cost, so that what is left is the cost of the rest.
#[derive(Debug)]
pub struct FreeSigner(pub Jwk, pub Signature);

impl Signer for FreeSigner {
    fn jwk(&self) -> &Jwk {
        &self.0
    }

    fn sign(&self, _: &SigningInput<'_>) -> Result<Signature, SignError> {
        Ok(self.1.clone())
    }
}
