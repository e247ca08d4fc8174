//! Issuer URLs from configuration files and forms.

use std::sync::Arc;

use chancery_core::{Claims, Issuer, IssuerUrl};
use url::Url;

use crate::support::{StandingClock, decode, fake_keys, parse_object};

/// What is taken is kept byte for byte, in tokens and documents too, and another parser has no
/// reason to write it otherwise.
pub fn issuer_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let strict = IssuerUrl::parse(text);
    let Ok(url) = IssuerUrl::parse_allowing_loopback_http(text) else {
        assert!(strict.is_err());
        return;
    };
    assert_eq!(strict.is_ok(), text.starts_with("https://"));
    assert_eq!(url.as_str(), text);
    assert_eq!([url.origin(), url.path()].concat(), text);
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    for path in [
        url.discovery_path(),
        url.metadata_path(),
        url.inserted_discovery_path(),
    ] {
        assert!(path.starts_with('/') && !path.contains("//"), "{path}");
    }
    compare(&url);
    publish(url);
}

fn compare(url: &IssuerUrl) {
    let other = match Url::parse(url.as_str()) {
        Ok(other) => other,
        // Whether a label in Punycode stands for anything is for the registrars.
        Err(_) if url.origin().contains("xn--") => return,
        Err(error) => panic!("{url}: {error}"),
    };
    // The one thing it adds is the slash of an empty path.
    let slash = if url.path().is_empty() { "/" } else { "" };
    assert_eq!(other.as_str(), format!("{url}{slash}"));
    assert_eq!(other.origin().ascii_serialization(), url.origin());
    assert!(other.username().is_empty() && other.password().is_none());
    assert!(other.query().is_none() && other.fragment().is_none());
    if url.as_str().starts_with("http://") {
        let is_loopback = match other.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        assert!(is_loopback, "{url}");
    }
}

fn publish(url: IssuerUrl) {
    let issuer = Issuer::builder(url.clone(), fake_keys())
        .clock(Arc::new(StandingClock))
        .build()
        .expect("defaults");
    let discovery = issuer.discovery().expect("a key is published");
    let members = parse_object(discovery.bytes()).expect("an object");
    assert_eq!(members["issuer"], url.as_str());
    let jwks = issuer.jwks().expect("a key is published");
    let jwks_uri = format!("{}{}", url.origin(), jwks.path());
    assert_eq!(members["jwks_uri"], jwks_uri.as_str());
    assert_eq!(issuer.document(discovery.path()), Ok(Some(discovery)));
    assert_eq!(issuer.document(jwks.path()), Ok(Some(jwks)));

    let claims = Claims::new("subject").with_audience("audience");
    let token = issuer.issue(&claims).expect("plain claims");
    let payload = token.as_str().split('.').nth(1).and_then(decode);
    let payload = parse_object(&payload.expect("base64url")).expect("an object");
    assert_eq!(payload["iss"], url.as_str());
}
