//! Tokens from strangers.

use std::sync::{Arc, LazyLock};

use chancery_core::{
    Algorithm, Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey, Signer,
    SigningInput,
};
use chancery_software::{Engine, PrivateKey, SoftwareSigner, Verifier};
use serde_json::{Map, Value};

use crate::support::{NOW, StandingClock, decode, encode, parse_object};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "sts.example.com";

/// The private key of RFC 8037 §A.1.
const PRIVATE_KEY: &[u8] = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// The public keys of RFC 7515 §A.3 and RFC 7638 §3.1, beside the one that signs.
const OTHER_KEYS: [&str; 2] = [
    r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#,
];

struct Parties {
    signer: Arc<SoftwareSigner>,
    verifier: Verifier,
    /// The one token that is around.
    token: String,
}

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let key = PrivateKey::from_jwk_json(PRIVATE_KEY).expect("the key of RFC 8037");
    let signer = SoftwareSigner::new(&key, Algorithm::EdDsa, Engine::Ring).expect("ring has it");
    let signer = Arc::new(signer);
    let mut keys = vec![signer.jwk().clone()];
    keys.extend(
        OTHER_KEYS
            .map(|json| chancery_core::Jwk::from_json(json.as_bytes()).expect("a key of an RFC")),
    );
    let verifier = Verifier::new(ISSUER, AUDIENCE, JwkSet::new(keys).expect("different keys"))
        .with_clock(Arc::new(StandingClock));
    let set = KeySet::new(vec![ScheduledKey::new(
        Arc::clone(&signer) as Arc<dyn Signer>,
        Schedule::ALWAYS,
    )])
    .expect("one key is a set");
    let issuer = Issuer::builder(IssuerUrl::parse(ISSUER).expect("a URL"), set)
        .clock(Arc::new(StandingClock))
        .build()
        .expect("defaults");
    let claims = Claims::new("subject")
        .with_audience(AUDIENCE)
        .with_token_id("1");
    let token = issuer.issue(&claims).expect("plain claims").into_string();
    verifier.verify(&token).expect("a token of its own");
    Parties {
        signer,
        verifier,
        token,
    }
});

/// Read as a token, the bytes verify only if they are the one that was issued. Read as header and
/// payload, divided by a line feed and then signed by the key, they verify only if header and
/// claims are what they have to be.
pub fn verifier(data: &[u8]) {
    let parties = &*PARTIES;
    if let Ok(text) = std::str::from_utf8(data)
        && parties.verifier.verify(text).is_ok()
    {
        assert_eq!(text, parties.token);
    }
    if let Some(feed) = data.iter().position(|&byte| byte == b'\n') {
        let (header, payload) = (&data[..feed], &data[feed + 1..]);
        let signing_input = format!("{}.{}", encode(header), encode(payload));
        let input = SigningInput::new(Algorithm::EdDsa, signing_input.as_bytes());
        let signature = parties.signer.sign(&input).expect("a key in memory signs");
        let token = format!("{signing_input}.{}", encode(signature.as_bytes()));
        if let Ok(verified) = parties.verifier.verify(&token) {
            check_header(&parse_object(header).expect("a header without a member twice"));
            let claims = parse_object(payload).expect("claims without a member twice");
            check_claims(&claims);
            assert_eq!(verified.claims(), &claims);
            assert_eq!(
                Some(verified.expires_at().as_secs()),
                claims["exp"].as_u64()
            );
            check_tampered(&token);
        }
    }
}

fn check_header(header: &Map<String, Value>) {
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["kid"], PARTIES.signer.jwk().kid());
    assert!(!header.contains_key("crit") && !header.contains_key("b64"));
    if let Some(typ) = header.get("typ") {
        let typ = typ.as_str().expect("a string").to_ascii_lowercase();
        assert_eq!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt");
    }
}

fn check_claims(claims: &Map<String, Value>) {
    assert_eq!(claims["iss"], ISSUER);
    match &claims["aud"] {
        Value::Array(several) => assert!(several.contains(&Value::from(AUDIENCE))),
        one => assert_eq!(one, AUDIENCE),
    }
    assert!(claims["exp"].as_u64().expect("an integer") > NOW);
    if let Some(not_before) = claims.get("nbf") {
        assert!(not_before.as_u64().expect("an integer") <= NOW);
    }
}

/// No other signature verifies the token, and no other token goes with the signature.
fn check_tampered(token: &str) {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("not three segments");
    };
    let mut bytes = decode(signature).expect("base64url");
    for place in [0, 31, 32, 63] {
        bytes[place] ^= 1;
        let forged = format!("{header}.{payload}.{}", encode(&bytes));
        assert!(PARTIES.verifier.verify(&forged).is_err());
        bytes[place] ^= 1;
    }
    let mut claims = decode(payload).expect("base64url");
    claims.push(b' ');
    let forged = format!("{header}.{}.{signature}", encode(&claims));
    assert!(PARTIES.verifier.verify(&forged).is_err());
}
