//! JWKs and JWK Sets from strangers.

use std::collections::HashSet;

use chancery_core::{Jwk, JwkSet};
use serde_json::Value;

/// Parses the bytes as a JWK and as a JWK Set. What parses renders to public members only, and
/// the rendered form parses to the same key.
pub fn jwk(data: &[u8]) {
    if let Ok(jwk) = Jwk::from_json(data) {
        check(&jwk);
        let set = [b"{\"keys\":[", data, b"]}"].concat();
        let set = JwkSet::from_json(&set).expect("a set of one key that parses alone");
        assert_eq!(set.keys(), [jwk]);
        assert!(set.ignored().is_empty());
    }
    if let Ok(set) = JwkSet::from_json(data) {
        set.keys().iter().for_each(check);
        let kids: HashSet<&str> = set.keys().iter().map(Jwk::kid).collect();
        assert_eq!(kids.len(), set.keys().len());
        let rendered = serde_json::to_vec(&set).expect("a set is JSON");
        let again = JwkSet::from_json(&rendered).expect("a rendered set");
        assert_eq!(again.keys(), set.keys());
        assert!(again.ignored().is_empty());
    }
}

fn check(jwk: &Jwk) {
    let rendered = serde_json::to_vec(jwk).expect("a key is JSON");
    let again = Jwk::from_json(&rendered).expect("a rendered key");
    assert_eq!(again, *jwk);
    assert_eq!(again.thumbprint(), jwk.thumbprint());
    assert_eq!(jwk.thumbprint().len(), 43);
    assert!((1..=255).contains(&jwk.kid().len()));
    assert_eq!(jwk.algorithm().key_type(), jwk.public_key().key_type());
    assert!((64..=512).contains(&jwk.signature_len()));

    let members: Value = serde_json::from_slice(&rendered).expect("JSON");
    for name in members.as_object().expect("an object").keys() {
        let is_public =
            ["kty", "use", "alg", "kid", "crv", "x", "y", "n", "e", "x5c"].contains(&name.as_str());
        assert!(is_public, "{name}");
    }
}
