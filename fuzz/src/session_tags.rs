//! Session tags, out of whatever a service puts into the claim.

use std::time::Duration;

use chancery_core::{Claims, IssuerUrl, TokenPolicy, TokenRequest};
use chancery_federation::aws::SessionTags;
use chancery_federation::{Binding, Bindings, RelyingParty};
use serde_json::{Value, json};

use crate::support::parse_object;

/// What is taken is within AWS's limits, is written as it was read, and passes the check that is
/// made for each token; what is refused does not pass it.
pub fn session_tags(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = SessionTags::from_json(text);
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        assert!(read.is_err());
        return;
    };
    // Of two members of one name, which are refused, `serde_json` keeps one for the token.
    let kept = SessionTags::from_json(&value.to_string());
    if let Ok(claims) = Claims::new("job:42")
        .with_audience("aws")
        .with_private_claim(SessionTags::CLAIM, &value)
    {
        assert_eq!(passes(&claims), kept.is_ok(), "{text}");
    }
    let Ok(tags) = read else { return };
    assert!(tags.len() <= 50);
    let mut keys: Vec<String> = Vec::new();
    for (key, value, _) in tags.iter() {
        assert!((1..=128).contains(&key.chars().count()) && value.chars().count() <= 256);
        assert!(!key.to_lowercase().starts_with("aws:"));
        for character in key.chars().chain(value.chars()) {
            let is_sign = " _.:/=+-@".contains(character);
            assert!(
                is_sign || character.is_alphanumeric() || character.is_whitespace(),
                "{character:?}"
            );
            assert!(!character.is_control());
        }
        assert!(!keys.contains(&key.to_lowercase()));
        keys.push(key.to_lowercase());
    }

    let claims = Claims::new("job:42")
        .with_audience("aws")
        .with_private_claim(SessionTags::CLAIM, &tags)
        .expect("strings in a map");
    assert!(passes(&claims));
    let json = claims
        .private_claim(SessionTags::CLAIM)
        .expect("it was set");
    let written = parse_object(json.as_bytes()).expect("an object");
    assert_eq!(written["principal_tags"], value["principal_tags"]);
    let transitive = written
        .get("transitive_tag_keys")
        .cloned()
        .unwrap_or(json!([]));
    for key in transitive.as_array().expect("an array") {
        assert!(
            value["transitive_tag_keys"]
                .as_array()
                .is_some_and(|keys| keys.contains(key))
        );
    }
}

fn passes(claims: &Claims) -> bool {
    let bindings = Bindings::new([Binding::new("aws", RelyingParty::AWS).allow_session_tags()]);
    let url = IssuerUrl::parse("https://id.example.com").expect("a URL");
    let request = TokenRequest::new(&url, claims, Duration::from_secs(900));
    bindings.terms(&request).is_ok()
}
