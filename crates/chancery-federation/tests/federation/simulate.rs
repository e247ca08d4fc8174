//! The local STS: what it answers to good tokens and to attacks.

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::{
    Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey, Signer,
    SigningInput, UnixTime,
};
use chancery_federation::aws::{
    Denial, DenialReason, Doubt, ErrorCode, Outcome, Policy, Provider, Reason, simulate,
    simulate_verified,
};
use chancery_software::{Engine, PrivateKey, SoftwareSigner};
use serde_json::{Map, Value, json};

const ACCOUNT: &str = "111122223333";
const URL: &str = "https://id.example.com/tenant/";
pub(crate) const AUDIENCE: &str = "sts.amazonaws.com";
const NOW: u64 = 1_795_132_800;

#[derive(Debug)]
struct StandingClock(u64);

impl Clock for StandingClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0).unwrap()
    }
}

pub(crate) fn now() -> UnixTime {
    StandingClock(NOW).now()
}

pub(crate) fn provider() -> Provider {
    let url = IssuerUrl::parse(URL).unwrap();
    Provider::new(ACCOUNT, url, [AUDIENCE, "client"]).unwrap()
}

/// A policy of one statement: its actions and conditions.
pub(crate) fn policy(actions: Value, conditions: Value) -> Policy {
    let statement = json!({
        "Effect": "Allow", "Principal": {"Federated": provider().arn()},
        "Action": actions, "Condition": conditions,
    });
    let json = json!({"Version": "2012-10-17", "Statement": [statement]});
    json.to_string().parse().unwrap()
}

pub(crate) fn plain_policy() -> Policy {
    policy(
        json!("sts:AssumeRoleWithWebIdentity"),
        json!({"StringEquals": {
            "id.example.com/tenant/:sub": "space:1:job:42", "id.example.com/tenant/:aud": AUDIENCE,
        }}),
    )
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": URL, "sub": "space:1:job:42", "aud": AUDIENCE,
        "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3600,
    });
    let Value::Object(claims) = claims else {
        panic!("an object")
    };
    claims
}

pub(crate) fn changed(change: Value) -> Map<String, Value> {
    let mut claims = claims();
    let Value::Object(change) = change else {
        panic!("an object")
    };
    for (name, value) in change {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    claims
}

pub(crate) fn denial(outcome: Outcome) -> Denial {
    match outcome {
        Outcome::Denied(denial) => denial,
        other => panic!("{other:?}"),
    }
}

/// A signer of a fresh key of that name.
pub(crate) fn signer(algorithm: Algorithm, kid: &str) -> Arc<SoftwareSigner> {
    let key = PrivateKey::generate(algorithm, Engine::Ring).unwrap();
    let signer = SoftwareSigner::new(&key, algorithm, Engine::Ring).unwrap();
    Arc::new(signer.with_kid(kid).unwrap())
}

pub(crate) fn token(signer: &Arc<SoftwareSigner>, url: &str) -> String {
    let keys = KeySet::new(vec![ScheduledKey::new(
        Arc::clone(signer) as Arc<dyn Signer>,
        Schedule::ALWAYS,
    )]);
    let issuer = Issuer::builder(IssuerUrl::parse(url).unwrap(), keys.unwrap())
        .clock(Arc::new(StandingClock(NOW)))
        .build()
        .unwrap();
    let claims = Claims::new("space:1:job:42").with_audience(AUDIENCE);
    issuer.issue(&claims).unwrap().into_string()
}

fn published(signer: &Arc<SoftwareSigner>) -> JwkSet {
    JwkSet::new(vec![signer.jwk().clone()]).unwrap()
}

#[test]
fn a_good_token_is_let_in() {
    let signer = signer(Algorithm::Es256, "one");
    let provider = provider().with_keys(published(&signer));
    let outcome = simulate(&plain_policy(), &provider, &token(&signer, URL), now());
    let Outcome::Allowed(session) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(session.statement, 0);
    assert!(session.tags.is_empty() && session.source_identity.is_none());
}

#[test]
fn another_key_of_the_same_name_is_found_out() {
    let mine = signer(Algorithm::Es256, "one");
    let theirs = signer(Algorithm::Es256, "one");
    let provider = provider().with_keys(published(&mine));
    let found = denial(simulate(
        &plain_policy(),
        &provider,
        &token(&theirs, URL),
        now(),
    ));
    assert_eq!(found.code, ErrorCode::InvalidIdentityToken);
    assert_eq!(found.reason, DenialReason::Signature);
}

#[test]
fn keys_that_aws_does_not_find_or_take_are_told() {
    const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider";
    let es256 = signer(Algorithm::Es256, "one");
    let other = signer(Algorithm::Es256, "two");
    let es384 = signer(Algorithm::Es384, "one");
    let ed25519 = signer(Algorithm::EdDsa, "one");
    let none = provider();
    for (provider, signer) in [
        (none.clone(), &es256),
        (none.clone().with_keys(published(&es256)), &other),
        (none.clone().with_keys(published(&es256)), &es384),
        (none.clone().with_keys(published(&ed25519)), &ed25519),
    ] {
        let found = denial(simulate(
            &plain_policy(),
            &provider,
            &token(signer, URL),
            now(),
        ));
        assert_eq!(found.code, ErrorCode::InvalidIdentityToken, "{found}");
        assert_eq!(found.message.as_deref(), Some(NO_KEY));
        assert!(matches!(found.reason, DenialReason::Key { .. }), "{found}");
    }
    let provider = none.with_keys(published(&es384));
    let outcome = simulate(&plain_policy(), &provider, &token(&es384, URL), now());
    assert!(matches!(outcome, Outcome::Allowed(_)), "{outcome:?}");
}

#[test]
fn the_issuer_is_compared_before_the_key() {
    let mine = signer(Algorithm::Es256, "one");
    let theirs = signer(Algorithm::Es256, "two");
    let provider = provider().with_keys(published(&mine));
    for url in [
        "https://id.example.com/tenant",
        "https://id.example.com/other/",
    ] {
        let found = denial(simulate(
            &plain_policy(),
            &provider,
            &token(&theirs, url),
            now(),
        ));
        assert_eq!(found.code, ErrorCode::InvalidIdentityToken);
        assert_eq!(
            found.message.unwrap(),
            format!("No OpenIDConnect provider found in your account for {url}")
        );
    }
}

/// No issuer of ours makes such a token.
#[test]
fn a_claim_that_is_there_twice_is_not_trusted() {
    let signer = signer(Algorithm::Es256, "one");
    let provider = provider().with_keys(published(&signer));
    let once = serde_json::to_string(&claims()).unwrap();
    let twice = once.replacen('{', r#"{"sub":"space:2:job:42","#, 1);
    let within = |tags: &str| once.replacen('{', &format!(r#"{{"nested":{tags},"#), 1);
    let tags = within(r#"{"principal_tags":{"org":["1"]}}"#);
    let tags_twice = within(r#"{"principal_tags":{"org":["1"],"org":["2"]}}"#);
    let list_twice = within(r#"[{"org":"1","org":"2"}]"#);
    for (payload, is_known) in [
        (once, true),
        (tags, true),
        (twice, false),
        (tags_twice, false),
        (list_twice, false),
    ] {
        let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let input = format!(
            "{}.{}",
            encode(r#"{"alg":"ES256","kid":"one"}"#),
            encode(&payload)
        );
        let signature = signer
            .sign(&SigningInput::new(Algorithm::Es256, input.as_bytes()))
            .unwrap();
        let signature = Base64UrlUnpadded::encode_string(signature.as_bytes());
        let outcome = simulate(
            &plain_policy(),
            &provider,
            &format!("{input}.{signature}"),
            now(),
        );
        match outcome {
            Outcome::Allowed(_) => assert!(is_known),
            outcome => {
                assert_eq!(outcome, Outcome::Indeterminate(Doubt::RepeatedClaim));
                assert!(!is_known);
            }
        }
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let signer = signer(Algorithm::Es256, "one");
    let provider = provider().with_keys(published(&signer));
    let good = token(&signer, URL);
    let payload = good.split('.').nth(1).unwrap();
    let long = "x".repeat(20_001);
    for (text, code) in [
        ("", ErrorCode::ValidationError),
        ("a.b", ErrorCode::ValidationError),
        (&long, ErrorCode::ValidationError),
        ("abcd", ErrorCode::InvalidIdentityToken),
        ("a.b.c.d", ErrorCode::InvalidIdentityToken),
        (&format!("{good}.x"), ErrorCode::InvalidIdentityToken),
        (&format!("!.{payload}.x"), ErrorCode::InvalidIdentityToken),
        (&format!("e30.{payload}.x"), ErrorCode::InvalidIdentityToken),
    ] {
        let found = denial(simulate(&plain_policy(), &provider, text, now()));
        assert_eq!(found.code, code, "{text}");
    }
}

/// Changes of the claims, the code, AWS's message, and a part of ours.
#[test]
fn claims_are_read_as_aws_reads_them() {
    const DENIED: &str = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    let invalid = ErrorCode::InvalidIdentityToken;
    for (change, code, message, ours) in [
        (
            json!({"sub": "space:2:job:42"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "the request has \"space:2:job:42\"",
        ),
        (
            json!({"sub": "space:1:job:42:x"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "statement 0",
        ),
        (
            json!({"sub": "*"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "StringEquals id.example.com/tenant/:sub",
        ),
        (
            json!({"aud": "client"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "tenant/:aud",
        ),
        (
            json!({"azp": "client"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "tenant/:aud",
        ),
        (
            json!({"aud": "other"}),
            invalid,
            Some("Incorrect token audience"),
            "`aud` is \"other\"",
        ),
        (
            json!({"azp": "other"}),
            invalid,
            Some("Incorrect token audience"),
            "`azp` is \"other\"",
        ),
        (
            json!({"aud": ["other", "more"]}),
            invalid,
            Some("Incorrect token audience"),
            "other more",
        ),
        (
            json!({"aud": [AUDIENCE, 1]}),
            invalid,
            None,
            "`aud` is of another type",
        ),
        (json!({"aud": 1}), invalid, None, "`aud` is of another type"),
        (json!({"azp": 1}), invalid, None, "`azp` is of another type"),
        (
            json!({"iss": "https://id.example.com/tenant"}),
            invalid,
            Some(
                "No OpenIDConnect provider found in your account for https://id.example.com/tenant",
            ),
            "last slash included",
        ),
        (
            json!({"iss": null}),
            invalid,
            Some("Missing a required claim: iss"),
            "`iss`",
        ),
        (
            json!({"sub": null}),
            invalid,
            Some("Missing a required claim: sub"),
            "`sub`",
        ),
        (
            json!({"aud": null}),
            invalid,
            Some("Missing a required claim: aud"),
            "`aud`",
        ),
        (
            json!({"exp": null}),
            invalid,
            Some("Missing a required claim: exp"),
            "`exp`",
        ),
        (
            json!({"iat": null}),
            invalid,
            Some("Missing a required claim: iat"),
            "`iat`",
        ),
        (json!({"sub": 1}), invalid, None, "another type"),
        (json!({"exp": 1.5}), invalid, None, "another type"),
        (json!({"exp": "1795132800"}), invalid, None, "another type"),
        (json!({"nbf": -1}), invalid, None, "another type"),
        (
            json!({"exp": NOW - 301}),
            ErrorCode::ExpiredTokenException,
            None,
            "more than five minutes ago",
        ),
        (
            json!({"https://aws.amazon.com/source_identity": "x"}),
            ErrorCode::Undocumented,
            None,
            "2 to 64",
        ),
        (
            json!({"https://aws.amazon.com/tags": {"principal_tags": {"aws:x": ["y"]}}}),
            ErrorCode::Undocumented,
            None,
            "aws:",
        ),
        (
            json!({"https://aws.amazon.com/tags": {"principal_tags": {"a": ["y"], "A": ["z"]}}}),
            ErrorCode::Undocumented,
            None,
            "case",
        ),
        (
            json!({"https://aws.amazon.com/tags": {"principal_tags": {"a": ["y"]}}}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "no statement allows sts:TagSession",
        ),
        (
            json!({"https://aws.amazon.com/source_identity": "jo"}),
            ErrorCode::AccessDenied,
            Some(DENIED),
            "no statement allows sts:SetSourceIdentity",
        ),
    ] {
        let outcome = simulate_verified(
            &plain_policy(),
            &provider(),
            &changed(change.clone()),
            now(),
        );
        let found = denial(outcome);
        assert_eq!(found.code, code, "{change}: {found}");
        assert_eq!(found.message.as_deref(), message, "{change}");
        assert!(found.to_string().contains(ours), "{change}: {found}");
    }
}

#[test]
fn five_minutes_of_grace_are_given() {
    for (expires_at, is_allowed) in [(NOW, true), (NOW - 300, true), (NOW - 301, false)] {
        let claims = changed(json!({"exp": expires_at}));
        let outcome = simulate_verified(&plain_policy(), &provider(), &claims, now());
        assert_eq!(
            matches!(outcome, Outcome::Allowed(_)),
            is_allowed,
            "{outcome:?}"
        );
    }
}

#[test]
fn the_keys_of_tags_are_not_known_where_tags_are_flat() {
    let flat = changed(json!({"https://aws.amazon.com/tags/principal_tags/Project": ["x"]}));
    for (operator, key, value) in [
        ("StringEquals", "aws:RequestTag/Project", "x"),
        ("StringEquals", "AWS:requesttag/Other", "x"),
        ("ForAnyValue:StringEquals", "aws:TagKeys", "Project"),
        (
            "ForAnyValue:StringEquals",
            "sts:TransitiveTagKeys",
            "Project",
        ),
        ("Null", "aws:RequestTag/Project", "false"),
    ] {
        let tagged = policy(json!("sts:*"), json!({operator: {key: value}}));
        let outcome = simulate_verified(&tagged, &provider(), &flat, now());
        assert!(
            matches!(outcome, Outcome::Indeterminate(Doubt::Claim { .. })),
            "{key}: {outcome:?}"
        );
        // Without such claims they are known not to be there.
        let outcome = simulate_verified(&tagged, &provider(), &changed(json!({})), now());
        assert!(matches!(outcome, Outcome::Denied(_)), "{key}: {outcome:?}");
    }
    // Whether they need sts:TagSession is not known either; another condition still denies.
    let outcome = simulate_verified(&plain_policy(), &provider(), &flat, now());
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
    let other = policy(
        json!("sts:*"),
        json!({"StringEquals": {"id.example.com/tenant/:sub": "space:2", "aws:RequestTag/Project": "x"}}),
    );
    let outcome = simulate_verified(&other, &provider(), &flat, now());
    assert_eq!(denial(outcome).code, ErrorCode::AccessDenied);
}

/// Keys of other services may be in a request; those of other providers are not.
#[test]
fn a_key_of_which_nothing_is_known_is_no_missing_key() {
    for (key, is_known) in [
        ("saml:aud", false),
        ("ec2:SourceInstanceARN", false),
        ("aws:SourceIp", false),
        ("sts:RoleSessionName", false),
        ("name", false),
        ("sts:SourceIdentity", true),
        ("other.example.com:sub", true),
        ("id.example.com/tenant/:project", true),
        ("https://id.example.com/tenant/:sub", true),
    ] {
        let on_key = policy(json!("sts:*"), json!({"StringEquals": {key: "x"}}));
        let outcome = simulate_verified(&on_key, &provider(), &changed(json!({})), now());
        let is_unknown = matches!(
            outcome,
            Outcome::Indeterminate(Doubt::Policy {
                reason: Reason::KeyNotKnown,
                ..
            })
        );
        assert_eq!(is_unknown, !is_known, "{key}: {outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Denied(_)), is_known, "{key}");
    }
}

/// What would be let in but for something of which AWS's behaviour is not known.
#[test]
fn what_is_not_known_is_said_to_be() {
    for (change, claim) in [
        (json!({"aud": [AUDIENCE]}), "aud"),
        (json!({"iat": NOW + 1}), "iat"),
        (json!({"nbf": NOW + 1}), "nbf"),
        (
            json!({"https://aws.amazon.com/tags/principal_tags/a": ["b"]}),
            "https://aws.amazon.com/tags",
        ),
    ] {
        let any = policy(
            json!("sts:*"),
            json!({"StringLike": {"id.example.com/tenant/:sub": "*"}}),
        );
        let outcome = simulate_verified(&any, &provider(), &changed(change), now());
        assert!(
            matches!(outcome, Outcome::Indeterminate(Doubt::Claim { claim: found, .. }) if found == claim),
            "{outcome:?}"
        );
    }
    let short = policy(
        json!("sts:*"),
        json!({"StringEquals": {"id.example.com/tenant/:sub": "five5"}}),
    );
    let outcome = simulate_verified(
        &short,
        &provider(),
        &changed(json!({"sub": "five5"})),
        now(),
    );
    assert!(matches!(
        outcome,
        Outcome::Indeterminate(Doubt::Claim { claim: "sub", .. })
    ));
    // Whatever is not known, a condition that fails denies.
    let outcome = simulate_verified(
        &short,
        &provider(),
        &changed(json!({"iat": NOW + 1})),
        now(),
    );
    assert_eq!(denial(outcome).code, ErrorCode::AccessDenied);
}
