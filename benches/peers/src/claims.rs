//! What every candidate signs: the claims of a workload identity token, plain or with AWS session
//! tags.

use std::hint::black_box;
use std::time::{SystemTime, SystemTimeError, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

/// How long each token is good for, in seconds.
pub(crate) const LIFETIME: u64 = 900;

/// The two payloads that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Plain,
    SessionTags,
}

impl Payload {
    /// The length of the claims as JSON, in bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Plain => 654,
            Self::SessionTags => 915,
        }
    }
}

/// What a service knows when it mints a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) issuer: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) audience: &'static str,
    pub(crate) private: PrivateClaims,
}

/// The service's own claims.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrivateClaims {
    space_id: &'static str,
    space_path: &'static str,
    caller_type: &'static str,
    caller_id: &'static str,
    run_type: &'static str,
    run_id: &'static str,
    mode: &'static str,
    repository: &'static str,
    #[serde(rename = "ref")]
    git_ref: &'static str,
    commit: &'static str,
    environment: &'static str,
    triggered_by: &'static str,
    worker_pool_id: &'static str,
    #[serde(
        rename = "https://aws.amazon.com/tags",
        skip_serializing_if = "Option::is_none"
    )]
    session_tags: Option<SessionTags>,
}

/// The tags that AWS attaches to the session.
#[derive(Clone, Copy, Debug, Serialize)]
struct SessionTags {
    principal_tags: PrincipalTags,
    transitive_tag_keys: [&'static str; 3],
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrincipalTags {
    space: [&'static str; 1],
    stack: [&'static str; 1],
    run: [&'static str; 1],
    environment: [&'static str; 1],
    repository: [&'static str; 1],
}

impl Request {
    /// The request that leads to this payload.
    pub(crate) fn new(payload: Payload) -> Self {
        let session_tags = SessionTags {
            principal_tags: PrincipalTags {
                space: ["production-01JD3ZQK7V"],
                stack: ["network-eu-west-1"],
                run: ["TRACKED"],
                environment: ["production"],
                repository: ["example/infrastructure-live"],
            },
            transitive_tag_keys: ["Space", "Stack", "Environment"],
        };
        // The compiler must not learn the values: a service reads them from its database.
        black_box(Self {
            issuer: "https://api.example.com/idp",
            subject: "space:production:stack:network-eu-west-1:run_type:TRACKED:scope:write",
            audience: "sts.amazonaws.com",
            private: PrivateClaims {
                space_id: "production-01JD3ZQK7V",
                space_path: "/root/live/production-01JD3ZQK7V",
                caller_type: "stack",
                caller_id: "network-eu-west-1",
                run_type: "TRACKED",
                run_id: "01JD3ZQM2E8Y6T4RB7XK5W9CNA",
                mode: "write",
                repository: "example/infrastructure-live",
                git_ref: "refs/heads/main",
                commit: "5f0c2d9be1a47c3386d2f4e0b9a1c7d85e63f210",
                environment: "production",
                triggered_by: "release@example.com",
                worker_pool_id: "01JD3ZR0H4N8M2QX6S5VTK7PWB",
                session_tags: (payload == Payload::SessionTags).then_some(session_tags),
            },
        })
    }

    /// Fresh claims in a struct of the user's own: for the peers that sign anything that
    /// serializes.
    pub(crate) fn claims(&self) -> Result<Claims, SystemTimeError> {
        let now = unix_time()?;
        Ok(Claims {
            iss: self.issuer,
            sub: self.subject,
            aud: self.audience,
            exp: now + LIFETIME,
            iat: now,
            nbf: now,
            jti: TokenId::random(),
            private: self.private,
        })
    }
}

/// All claims of one token. Serializing a flattened struct costs no more than a flat one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Claims {
    iss: &'static str,
    sub: &'static str,
    aud: &'static str,
    exp: u64,
    iat: u64,
    nbf: u64,
    jti: TokenId,
    #[serde(flatten)]
    private: PrivateClaims,
}

/// 128 random bits in base64url, made without an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenId([u8; 22]);

impl TokenId {
    pub(crate) fn random() -> Self {
        let mut text = [0; 22];
        // 16 bytes are 22 characters of base64url, so that the slice is never too short.
        let _ = URL_SAFE_NO_PAD.encode_slice(rand::random::<[u8; 16]>(), &mut text);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Base64url is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> Result<u64, SystemTimeError> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_lengths_they_are_named_for() {
        for payload in [Payload::Plain, Payload::SessionTags] {
            let json = serde_json::to_vec(&Request::new(payload).claims().unwrap()).unwrap();
            assert_eq!(json.len(), payload.len());
        }
    }

    #[test]
    fn token_ids_differ() {
        assert_ne!(TokenId::random().as_str(), TokenId::random().as_str());
        assert_eq!(TokenId::random().as_str().len(), 22);
    }
}
