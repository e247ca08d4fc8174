//! Claims with values and names from strangers.

use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use chancery_core::{
    Claims, ClaimsError, IssueError, Issuer, IssuerUrl, PrivateClaimError, UnixTime,
};
use serde_json::{Map, Value, json};

use crate::support::{
    ED25519, FAKE_SIGNATURE, NOW, StandingClock, decode, fake_keys, parse_object,
};

const ISSUER: &str = "https://id.example.com/tenant";

const REGISTERED: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "azp",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "at_hash",
    "c_hash",
    "name",
    "email",
    "email_verified",
    "client_id",
    "scope",
    "sid",
    "events",
];

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    audiences: Vec<String>,
    lifetime: Option<u16>,
    not_before: Option<u32>,
    token_id: Option<String>,
    authorized_party: Option<String>,
    nonce: Option<String>,
    auth_time: Option<u32>,
    acr: Option<String>,
    amr: Vec<String>,
    access_token: Option<String>,
    code: Option<String>,
    name: Option<String>,
    email: Option<(String, bool)>,
    scope: Option<String>,
    session_id: Option<String>,
    single: Vec<(Name, Json)>,
    groups: Vec<Vec<(Name, Json)>>,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Jwt(String),
    AccessToken(String, String),
    LogoutOfSubject(String),
    LogoutOfSession(String),
}

/// Registered names would be too rare among arbitrary ones.
#[derive(Arbitrary, Debug)]
enum Name {
    Registered(u8),
    Text(String),
}

#[derive(Arbitrary, Debug)]
enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::Registered(index) => REGISTERED[usize::from(*index) % REGISTERED.len()],
            Self::Text(text) => text,
        }
    }
}

impl Json {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Integer(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::Array(values) => values.iter().map(Self::value).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value.value()))
                .collect(),
        }
    }
}

/// Builds claims of arbitrary values and issues them. What is refused deserves it; what is issued
/// is one object without a member twice that says what was put in, and the issuer's own claims
/// are the issuer's.
pub fn claims(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let mut expected = Map::new();
    let claims = registered(&input, &mut expected);
    let Some(claims) = private(claims, &input, &mut expected) else {
        return;
    };
    assert!(!format!("{claims:?}").is_empty());

    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER).expect("a URL"), fake_keys())
        .longest_lifetime(Duration::from_secs(20_000))
        .allow_several_audiences()
        .clock(Arc::new(StandingClock))
        .build()
        .expect("the settings agree");
    let mut buffer = String::from("old");
    match issuer.issue_into(&claims, &mut buffer) {
        Ok(()) => check(&buffer, &input, expected),
        Err(IssueError::Claims(error)) => {
            assert!(buffer.is_empty());
            assert_deserved(&error, &input);
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sets the registered claims, and notes what the token has to say.
fn registered(input: &Input, expected: &mut Map<String, Value>) -> Claims {
    let mut note = |name: &str, value: Value| {
        expected.insert(name.to_owned(), value);
    };
    let mut claims = match &input.kind {
        Kind::Jwt(subject) | Kind::AccessToken(subject, _) => Claims::new(subject),
        Kind::LogoutOfSubject(subject) => Claims::logout_of_subject(subject),
        Kind::LogoutOfSession(session) => Claims::logout_of_session(session),
    };
    match &input.kind {
        Kind::Jwt(subject) => note("sub", json!(subject)),
        Kind::AccessToken(subject, client) => {
            claims = claims.into_access_token(client);
            note("sub", json!(subject));
            note("client_id", json!(client));
        }
        Kind::LogoutOfSubject(subject) => note("sub", json!(subject)),
        Kind::LogoutOfSession(session) => note("sid", json!(session)),
    }
    if let Kind::LogoutOfSubject(_) | Kind::LogoutOfSession(_) = &input.kind {
        note(
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
        );
    }
    for audience in &input.audiences {
        claims = claims.with_audience(audience);
    }
    match input.audiences.as_slice() {
        [one] => note("aud", json!(one)),
        several => note("aud", json!(several)),
    }
    let lifetime = input.lifetime.map_or(900, u64::from);
    if input.lifetime.is_some() {
        claims = claims.with_lifetime(Duration::from_secs(lifetime));
    }
    note("iss", json!(ISSUER));
    note("iat", json!(NOW - 5));
    note("nbf", json!(input.not_before.map_or(NOW - 5, u64::from)));
    note("exp", json!(NOW + lifetime));
    if let Some(not_before) = input.not_before {
        claims = claims.with_not_before(time(not_before));
    }
    if let Some(auth_time) = input.auth_time {
        claims = claims.with_auth_time(time(auth_time));
        note("auth_time", json!(auth_time));
    }
    type Setter = fn(Claims, &str) -> Claims;
    let texts: [(&str, &Option<String>, Setter); 7] = [
        ("jti", &input.token_id, |claims, text| {
            claims.with_token_id(text)
        }),
        ("azp", &input.authorized_party, |claims, text| {
            claims.with_authorized_party(text)
        }),
        ("nonce", &input.nonce, |claims, text| {
            claims.with_nonce(text)
        }),
        ("acr", &input.acr, |claims, text| {
            claims.with_authentication_context(text)
        }),
        ("name", &input.name, |claims, text| claims.with_name(text)),
        ("scope", &input.scope, |claims, text| {
            claims.with_scope(text)
        }),
        ("sid", &input.session_id, |claims, text| {
            claims.with_session_id(text)
        }),
    ];
    for (name, text, set) in texts {
        if let Some(text) = text {
            claims = set(claims, text);
            note(name, json!(text));
        }
    }
    for method in &input.amr {
        claims = claims.with_authentication_method(method);
    }
    if !input.amr.is_empty() {
        note("amr", json!(input.amr));
    }
    if let Some((address, verified)) = &input.email {
        claims = claims.with_email(address, *verified);
        note("email", json!(address));
        note("email_verified", json!(verified));
    }
    if let Some(access_token) = &input.access_token {
        claims = claims.with_access_token_hash(access_token);
    }
    if let Some(code) = &input.code {
        claims = claims.with_code_hash(code);
    }
    claims
}

/// Adds the private claims; `None` where they are refused, which they must deserve.
fn private(mut claims: Claims, input: &Input, expected: &mut Map<String, Value>) -> Option<Claims> {
    let mut taken: Vec<String> = Vec::new();
    let singles = input.single.iter().map(|(name, value)| {
        (
            true,
            Map::from_iter([(name.text().to_owned(), value.value())]),
        )
    });
    let groups = input.groups.iter().map(|group| {
        let members = group
            .iter()
            .map(|(name, value)| (name.text().to_owned(), value.value()));
        (false, members.collect::<Map<_, _>>())
    });
    for (is_single, members) in singles.chain(groups) {
        let added = match members.iter().next() {
            Some((name, value)) if is_single => claims.with_private_claim(name, value),
            _ => claims.with_private_claims(&members),
        };
        let is_registered = members
            .keys()
            .any(|name| REGISTERED.contains(&name.as_str()));
        let is_duplicate = members.keys().any(|name| taken.contains(name));
        match added {
            Ok(added) => {
                assert!(!is_registered && !is_duplicate);
                claims = added;
            }
            Err(PrivateClaimError::Registered { .. }) => {
                assert!(is_registered);
                return None;
            }
            Err(PrivateClaimError::Duplicate { .. }) => {
                assert!(is_duplicate);
                return None;
            }
            Err(PrivateClaimError::TooDeep { .. }) => {
                assert!(members.values().any(|value| depth(value) > 63));
                return None;
            }
            Err(PrivateClaimError::TooLarge) => {
                let mut all = expected.clone();
                all.extend(members);
                assert!(Value::Object(all).to_string().len() > 65_536);
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        taken.extend(members.keys().cloned());
        expected.extend(members);
    }
    Some(claims)
}

fn check(token: &str, input: &Input, mut expected: Map<String, Value>) {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("not three segments");
    };
    let header = parse_object(&decode(header).expect("base64url")).expect("an object");
    let kid = chancery_core::Jwk::from_json(ED25519.as_bytes()).expect("a key");
    let typ = match input.kind {
        Kind::Jwt(_) => "JWT",
        Kind::AccessToken(..) => "at+jwt",
        Kind::LogoutOfSubject(_) | Kind::LogoutOfSession(_) => "logout+jwt",
    };
    let expected_header = json!({"alg": "EdDSA", "typ": typ, "kid": kid.kid()});
    assert_eq!(Value::Object(header), expected_header);
    assert_eq!(decode(signature).expect("base64url"), FAKE_SIGNATURE);

    let mut payload = parse_object(&decode(payload).expect("base64url")).expect("an object");
    if input.token_id.is_none() {
        let id = payload.remove("jti").expect("a token has one");
        assert_eq!(id.as_str().and_then(decode).expect("base64url").len(), 16);
    }
    for (name, secret) in [("at_hash", &input.access_token), ("c_hash", &input.code)] {
        if let Some(secret) = secret {
            let hash = payload.remove(name).expect("what was asked for");
            let digest = chancery_core::HashAlgorithm::Sha512.digest(secret.as_bytes());
            let half = &digest.as_bytes()[..32];
            assert_eq!(hash.as_str().and_then(decode).as_deref(), Some(half));
        }
    }
    // `with_session_id` replaces the session that a logout token began with.
    if let (Kind::LogoutOfSession(_), Some(session)) = (&input.kind, &input.session_id) {
        expected.insert("sid".to_owned(), json!(session));
    }
    assert_eq!(payload, expected);
}

fn assert_deserved(error: &ClaimsError, input: &Input) {
    let mut texts: Vec<&str> = input
        .audiences
        .iter()
        .chain(&input.amr)
        .chain(
            [
                &input.token_id,
                &input.authorized_party,
                &input.nonce,
                &input.acr,
                &input.access_token,
                &input.code,
                &input.name,
                &input.scope,
                &input.session_id,
            ]
            .into_iter()
            .flatten(),
        )
        .map(String::as_str)
        .collect();
    texts.extend(input.email.as_ref().map(|(address, _)| address.as_str()));
    match &input.kind {
        Kind::AccessToken(subject, client) => texts.extend([subject.as_str(), client]),
        Kind::Jwt(text) | Kind::LogoutOfSubject(text) | Kind::LogoutOfSession(text) => {
            texts.push(text);
        }
    }
    let is_deserved = match error {
        ClaimsError::Missing { claim, .. } => *claim == "aud" && input.audiences.is_empty(),
        ClaimsError::Empty { .. } => texts.iter().any(|text| text.is_empty()),
        ClaimsError::ControlCharacter { position, .. } => texts.iter().any(|text| {
            text.get(*position..)
                .and_then(|rest| rest.chars().next())
                .is_some_and(char::is_control)
        }),
        ClaimsError::Forbidden { claim, .. } => *claim == "nonce" && input.nonce.is_some(),
        ClaimsError::NoLifetime => input.lifetime == Some(0),
        ClaimsError::TooLong { .. } => input.lifetime.is_some_and(|lifetime| lifetime > 20_000),
        ClaimsError::NeverValid { .. } => input
            .not_before
            .is_some_and(|not_before| u64::from(not_before) > NOW),
        _ => false,
    };
    assert!(is_deserved, "{error}");
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn time(seconds: u32) -> UnixTime {
    UnixTime::from_secs(seconds.into()).expect("32 bits end before the year 9999")
}
