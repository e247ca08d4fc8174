//! Every reason for which a token is refused, and the tokens that are not.

use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::{Clock, Jwk, JwkSet, TokenType, UnixTime};
use chancery_software::{VerifiedToken, Verifier, VerifyError, verify_jws};
use serde_json::{Value, json};

use super::*;

const ENGINE: Engine = Engine::ALL[0];
const NOW: u64 = 1_800_000_000;

#[test]
fn a_good_token_is_accepted_with_all_it_says() {
    let issuer = TestIssuer::new();
    let claims = json!({
        "iss": "https://id.example.com/", "aud": "me", "sub": "job:42", "jti": "a",
        "exp": NOW + 60, "nbf": NOW, "iat": NOW, "nested": {"list": [1, 2]},
    });
    let token = issuer.verify(&issuer.token(&claims)).unwrap();
    assert_eq!(token.kid(), issuer.signer.jwk().kid());
    assert_eq!(token.algorithm(), Algorithm::EdDsa);
    assert_eq!(token.subject(), Some("job:42"));
    assert_eq!(token.token_id(), Some("a"));
    assert_eq!(token.expires_at(), at(NOW + 60));
    assert_eq!(token.not_before(), Some(at(NOW)));
    assert_eq!(token.issued_at(), Some(at(NOW)));
    assert_eq!(Some(token.claims()), claims.as_object());
    assert_eq!(token.claim::<&str>("sub").unwrap(), Some("job:42"));
    assert_eq!(token.claim::<u64>("missing").unwrap(), None);
    assert!(token.claim::<u64>("sub").is_err());
    assert!(!format!("{token:?}").contains("job:42"));
}

#[test]
fn several_audiences_are_accepted_when_one_is_meant() {
    for audience in [json!("me"), json!(["me"]), json!(["other", "me"])] {
        assert!(with_claim("aud", audience).is_ok());
    }
}

#[test]
fn a_wrong_audience_is_refused() {
    for audience in [json!("other"), json!("Me"), json!([]), json!(["other"])] {
        assert_eq!(
            with_claim("aud", audience).unwrap_err(),
            VerifyError::Audience
        );
    }
}

#[test]
fn an_audience_of_another_type_is_refused() {
    for audience in [json!(1), json!(null), json!(["me", 1]), json!({"me": 1})] {
        assert_eq!(with_claim("aud", audience).unwrap_err(), claim("aud"));
    }
    assert_eq!(without_claim("aud").unwrap_err(), claim("aud"));
}

#[test]
fn a_wrong_issuer_is_refused() {
    // The slash at the end counts, and so does case.
    for issuer in ["https://id.example.com", "https://ID.example.com/", ""] {
        let error = with_claim("iss", json!(issuer)).unwrap_err();
        assert_eq!(error, VerifyError::Issuer);
    }
    assert_eq!(without_claim("iss").unwrap_err(), VerifyError::Issuer);
    assert_eq!(with_claim("iss", json!(1)).unwrap_err(), claim("iss"));
}

#[test]
fn an_expired_token_is_refused_from_the_second_it_expires() {
    for late in [0, 1, 1_000_000] {
        let error = with_claim("exp", json!(NOW - late)).unwrap_err();
        let (expired_at, now) = (at(NOW - late), at(NOW));
        assert_eq!(error, VerifyError::Expired { expired_at, now });
    }
    assert!(with_claim("exp", json!(NOW + 1)).is_ok());
}

#[test]
fn a_token_without_an_integer_exp_is_refused() {
    assert_eq!(without_claim("exp").unwrap_err(), claim("exp"));
    for time in not_times() {
        assert_eq!(with_claim("exp", time).unwrap_err(), claim("exp"));
    }
}

#[test]
fn a_token_of_the_future_is_refused() {
    let error = with_claim("nbf", json!(NOW + 1)).unwrap_err();
    let (valid_from, now) = (at(NOW + 1), at(NOW));
    assert_eq!(error, VerifyError::NotYetValid { valid_from, now });
    assert!(with_claim("nbf", json!(NOW)).is_ok());
}

#[test]
fn nbf_and_iat_must_be_integers_when_present() {
    for name in ["nbf", "iat"] {
        assert!(without_claim(name).is_ok());
        for time in not_times() {
            assert_eq!(with_claim(name, time).unwrap_err(), claim(name));
        }
    }
}

#[test]
fn sub_and_jti_must_be_strings_when_present() {
    for name in ["sub", "jti"] {
        assert!(without_claim(name).is_ok());
        assert_eq!(with_claim(name, json!(1)).unwrap_err(), claim(name));
    }
}

#[test]
fn leeway_counts_on_both_ends() {
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier().with_leeway(Duration::from_secs(30));
    let verify = |name: &str, time: u64| {
        let mut claims = good_claims();
        claims[name] = json!(time);
        verifier.verify(&issuer.token(&claims))
    };
    assert!(verify("exp", NOW - 29).is_ok());
    assert!(verify("exp", NOW - 30).is_err());
    assert!(verify("nbf", NOW + 30).is_ok());
    assert!(verify("nbf", NOW + 31).is_err());
    assert!(verify("exp", UnixTime::MAX.as_secs()).is_ok());
    // So long a leeway that no sum with it is a time.
    let verifier = issuer.verifier().with_leeway(Duration::MAX);
    assert!(verifier.verify(&issuer.token(&good_claims())).is_ok());
}

#[test]
fn claims_that_are_not_an_object_of_distinct_members_are_refused() {
    let issuer = TestIssuer::new();
    let good = good_claims().to_string();
    let twice = good.replacen('{', r#"{"iss":"https://evil.example.com","#, 1);
    let escaped = good.replacen('{', r#"{"\u0069ss":"https://evil.example.com","#, 1);
    let more = format!("{good} {{}}");
    for payload in [&twice, &escaped, &more, "", "[]", "null", "\"me\"", "{"] {
        let token = issuer.sign(&issuer.header(), payload.as_bytes());
        assert_eq!(issuer.verify(&token).unwrap_err(), VerifyError::Claims);
    }
    let not_utf8 = [&b"{\"iss\":\""[..], &[0xff], b"\"}"].concat();
    let token = issuer.sign(&issuer.header(), &not_utf8);
    assert_eq!(issuer.verify(&token).unwrap_err(), VerifyError::Claims);
}

#[test]
fn a_header_that_is_not_an_object_of_distinct_members_is_refused() {
    let issuer = TestIssuer::new();
    let good = issuer.header().to_string();
    let twice = good.replacen('{', r#"{"alg":"none","#, 1);
    for header in [&twice[..], "", "[]", "null", "{"] {
        let token = issuer.sign_bytes(header.as_bytes(), good_claims().to_string().as_bytes());
        assert_eq!(issuer.verify(&token).unwrap_err(), VerifyError::Header);
    }
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    for name in ["none", "None", "HS256", "Ed25519", "eddsa", "ES256", ""] {
        let error = with_header("alg", json!(name)).unwrap_err();
        let expected = Algorithm::EdDsa;
        assert_eq!(error, VerifyError::Algorithm { expected }, "{name}");
    }
    for wrong in [json!(null), json!(1), json!(["EdDSA"])] {
        assert_eq!(with_header("alg", wrong).unwrap_err(), parameter("alg"));
    }
    assert_eq!(without_header("alg").unwrap_err(), parameter("alg"));
}

#[test]
fn extensions_are_refused() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("b64", json!(false)),
    ] {
        let error = with_header(name, value).unwrap_err();
        assert_eq!(error, VerifyError::Critical { name });
    }
}

#[test]
fn an_unknown_kid_is_refused() {
    for kid in ["", "other"] {
        let error = with_header("kid", json!(kid)).unwrap_err();
        assert_eq!(error, VerifyError::UnknownKid);
    }
    for wrong in [json!(null), json!(1)] {
        assert_eq!(with_header("kid", wrong).unwrap_err(), parameter("kid"));
    }
}

#[test]
fn a_missing_kid_is_accepted_where_there_is_one_key_alone() {
    assert!(without_header("kid").is_ok());

    let issuer = TestIssuer::new();
    let other = SoftwareSigner::generate(Algorithm::EdDsa, ENGINE).unwrap();
    let token = issuer.sign(
        &json!({"alg": "EdDSA"}),
        good_claims().to_string().as_bytes(),
    );
    let two = JwkSet::new(vec![issuer.signer.jwk().clone(), other.jwk().clone()]).unwrap();
    let none = JwkSet::new(Vec::new()).unwrap();
    // A key of a kind that is not known might be the one that is meant.
    let own = serde_json::to_string(issuer.signer.jwk()).unwrap();
    let passed_over = format!(r#"{{"keys":[{own},{{"kty":"AKP"}}]}}"#);
    let passed_over = JwkSet::from_json(passed_over.as_bytes()).unwrap();
    for keys in [two, none, passed_over] {
        let error = verify_jws(&token, &keys).unwrap_err();
        assert_eq!(error, VerifyError::KidMissing);
    }
}

#[test]
fn keys_that_the_header_brings_are_not_used() {
    // Signed by another key, which the header offers in every way there is.
    let issuer = TestIssuer::new();
    let attacker = TestIssuer::new();
    let header = json!({
        "alg": "EdDSA", "kid": issuer.signer.jwk().kid(), "jwk": attacker.signer.jwk(),
        "jku": "https://evil.example.com/jwks.json", "x5u": "https://evil.example.com/x.pem",
        "x5c": ["AAAA"],
    });
    let token = attacker.sign(&header, good_claims().to_string().as_bytes());
    assert_eq!(issuer.verify(&token).unwrap_err(), VerifyError::Signature);
}

#[test]
fn a_changed_token_is_refused() {
    let issuer = TestIssuer::new();
    let token = issuer.token(&good_claims());
    assert!(issuer.verify(&token).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(issuer.verify(&changed).is_err(), "changed at {at}");
    }
    for len in 0..token.len() {
        assert!(issuer.verify(&token[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn a_signature_of_a_wrong_length_is_refused() {
    let issuer = TestIssuer::new();
    let token = issuer.token(&good_claims());
    let (input, _) = token.rsplit_once('.').unwrap();
    for len in [0, 1, 63, 65, 256, 600] {
        let token = format!("{input}.{}", encode(&vec![0; len]));
        assert_eq!(issuer.verify(&token).unwrap_err(), VerifyError::Signature);
    }
}

#[test]
fn other_than_three_segments_are_refused() {
    let issuer = TestIssuer::new();
    let token = issuer.token(&good_claims());
    let (input, _) = token.rsplit_once('.').unwrap();
    for wrong in ["", "a", input, &format!("{token}.AA"), &format!("{token}.")] {
        assert_eq!(issuer.verify(wrong).unwrap_err(), VerifyError::Segments);
    }
}

#[test]
fn base64_that_is_not_canonical_is_refused() {
    let issuer = TestIssuer::new();
    let token = issuer.token(&good_claims());
    let [header, payload, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().unwrap();
    // 64 bytes leave four stray bits in the last character of the signature.
    let stray = |text: &str| {
        let last = text.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let index = alphabet.find(last).unwrap();
        let next = &alphabet[index + 1..index + 2];
        format!("{}{next}", &text[..text.len() - 1])
    };
    for (token, segment) in [
        (format!("{header}=.{payload}.{signature}"), "header"),
        (format!("{header}.{payload}+.{signature}"), "payload"),
        (format!("{header}.{payload}\n.{signature}"), "payload"),
        (format!("{header}.{payload}.{signature}=="), "signature"),
        (format!("{header}.{payload}.{signature} "), "signature"),
        (
            format!("{header}.{payload}.{}", stray(signature)),
            "signature",
        ),
        (format!("{header}é.{payload}.{signature}"), "header"),
    ] {
        let error = issuer.verify(&token).unwrap_err();
        assert_eq!(error, VerifyError::Base64 { segment }, "{token}");
    }
}

#[test]
fn an_endless_token_is_refused() {
    let issuer = TestIssuer::new();
    let token = "a.".repeat(40_000);
    let error = issuer.verify(&token).unwrap_err();
    assert_eq!(error, VerifyError::TooLong { len: 80_000 });
}

#[test]
fn a_wrong_type_is_refused() {
    let issuer = TestIssuer::new();
    for (expected, accepted) in [
        (TokenType::Jwt, &["", "JWT", "jwt", "application/jwt"][..]),
        (
            TokenType::AccessToken,
            &["at+jwt", "AT+JWT", "application/at+jwt"],
        ),
        (TokenType::Logout, &["logout+jwt", "Application/Logout+JWT"]),
    ] {
        let verifier = issuer.verifier().with_token_type(expected);
        for found in [
            "",
            "JWT",
            "jwt",
            "application/jwt",
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "logout+jwt",
            "Application/Logout+JWT",
            "JOSE",
            "application/",
            "é",
        ] {
            let mut header = issuer.header();
            header["typ"] = json!(found);
            if found.is_empty() {
                header.as_object_mut().unwrap().remove("typ");
            }
            let token = issuer.sign(&header, good_claims().to_string().as_bytes());
            let outcome = verifier.verify(&token).map(drop);
            if accepted.contains(&found) {
                assert_eq!(outcome, Ok(()), "{found} for {expected}");
            } else {
                let expected = expected.name();
                assert_eq!(outcome, Err(VerifyError::Type { expected }), "{found}");
            }
        }
    }
    assert_eq!(with_header("typ", json!(1)).unwrap_err(), parameter("typ"));
    let empty = with_header("typ", json!("")).unwrap_err();
    assert_eq!(empty, VerifyError::Type { expected: "JWT" });
}

#[test]
fn a_signature_of_another_algorithm_is_refused_by_the_verifying_key() {
    let key = PrivateKey::from_pem(&data("rsa2048.pem")).unwrap();
    let signer = |algorithm| SoftwareSigner::new(&key, algorithm, ENGINE).unwrap();
    let input = SigningInput::new(Algorithm::Ps256, b"header.payload");
    let signature = signer(Algorithm::Ps256).sign(&input).unwrap();
    let rs256 = VerifyingKey::new(signer(Algorithm::Rs256).jwk()).unwrap();
    let expected = Algorithm::Rs256;
    assert_eq!(
        rs256.verify(b"header.payload", &signature).unwrap_err(),
        VerifyError::Algorithm { expected }
    );
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    for (jwk, jws, payload) in [
        (
            "rfc7515-a2.jwk.json",
            "rfc7515-a2.jws",
            "{\"iss\":\"joe\",\r\n",
        ),
        (
            "rfc7515-a3.jwk.json",
            "rfc7515-a3.jws",
            "{\"iss\":\"joe\",\r\n",
        ),
        (
            "rfc8037-a.jwk.json",
            "rfc8037-a4.jws",
            "Example of Ed25519 signing",
        ),
        #[cfg(feature = "aws-lc-rs")]
        ("rfc7515-a4.public.jwk.json", "rfc7515-a4.jws", "Payload"),
    ] {
        let mut members: Value = serde_json::from_slice(&data(jwk)).unwrap();
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            members.as_object_mut().unwrap().remove(private);
        }
        let jwk = Jwk::from_json(members.to_string().as_bytes()).unwrap();
        let keys = JwkSet::new(vec![jwk]).unwrap();
        let jws = String::from_utf8(data(jws)).unwrap();
        let verified = verify_jws(jws.trim(), &keys).unwrap();
        assert!(verified.payload().starts_with(payload.as_bytes()));
    }
}

/// Signs whatever it is told to, and verifies.
struct TestIssuer {
    signer: SoftwareSigner,
}

impl TestIssuer {
    fn new() -> Self {
        Self {
            signer: SoftwareSigner::generate(Algorithm::EdDsa, ENGINE).unwrap(),
        }
    }

    fn verifier(&self) -> Verifier {
        let keys = JwkSet::new(vec![self.signer.jwk().clone()]).unwrap();
        Verifier::new("https://id.example.com/", "me", keys).with_clock(Arc::new(StoppedClock))
    }

    fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        self.verifier().verify(token)
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "kid": self.signer.jwk().kid(), "typ": "JWT"})
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims.to_string().as_bytes())
    }

    fn sign(&self, header: &Value, payload: &[u8]) -> String {
        self.sign_bytes(header.to_string().as_bytes(), payload)
    }

    fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        let signing_input = SigningInput::new(Algorithm::EdDsa, input.as_bytes());
        let signature = self.signer.sign(&signing_input).unwrap();
        format!("{input}.{}", encode(signature.as_bytes()))
    }
}

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

fn good_claims() -> Value {
    json!({
        "iss": "https://id.example.com/", "aud": "me", "sub": "job:42", "jti": "a",
        "exp": NOW + 60, "nbf": NOW, "iat": NOW,
    })
}

fn with_claim(name: &str, value: Value) -> Result<VerifiedToken, VerifyError> {
    let issuer = TestIssuer::new();
    let mut claims = good_claims();
    claims[name] = value;
    issuer.verify(&issuer.token(&claims))
}

fn without_claim(name: &str) -> Result<VerifiedToken, VerifyError> {
    let issuer = TestIssuer::new();
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name);
    issuer.verify(&issuer.token(&claims))
}

fn with_header(name: &str, value: Value) -> Result<VerifiedToken, VerifyError> {
    let issuer = TestIssuer::new();
    let mut header = issuer.header();
    header[name] = value;
    issuer.verify(&issuer.sign(&header, good_claims().to_string().as_bytes()))
}

fn without_header(name: &str) -> Result<VerifiedToken, VerifyError> {
    let issuer = TestIssuer::new();
    let mut header = issuer.header();
    header.as_object_mut().unwrap().remove(name);
    issuer.verify(&issuer.sign(&header, good_claims().to_string().as_bytes()))
}

fn not_times() -> Vec<Value> {
    let beyond = UnixTime::MAX.as_secs() + 1;
    vec![
        json!(-1),
        json!(1.9e9),
        json!(1_900_000_000.5),
        json!("1900000000"),
        json!(beyond),
        json!(u64::MAX),
        json!(null),
        json!([NOW + 60]),
    ]
}

fn claim(name: &'static str) -> VerifyError {
    VerifyError::Claim { name }
}

fn parameter(name: &'static str) -> VerifyError {
    VerifyError::HeaderParameter { name }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}
