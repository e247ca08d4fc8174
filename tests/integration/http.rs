//! The documents over HTTP.

use chancery::Issuer;
use chancery_tests::http::{Server, request};

use crate::support;

#[test]
fn documents_are_served_with_headers_that_caches_understand() {
    let engine = chancery::software::Engine::Ring;
    let server = Server::start(|url| {
        Issuer::new(
            url,
            support::key_set([support::signer(chancery::Algorithm::Es256, engine)]),
        )
    });
    let base = server.issuer().url().to_string();
    for (path, document) in [
        (
            "/.well-known/openid-configuration",
            server.issuer().discovery().unwrap(),
        ),
        (
            "/.well-known/oauth-authorization-server",
            server.issuer().discovery().unwrap(),
        ),
        ("/.well-known/jwks.json", server.issuer().jwks().unwrap()),
    ] {
        let url = format!("{base}{path}");
        let response = request("GET", &url, None).unwrap();
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, document.bytes())
        );
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(
            response.header("cache-control"),
            Some("public, max-age=300")
        );
        let tag = response.header("etag").unwrap();

        let again = request("GET", &url, Some(tag)).unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), Some(tag));
        let other = request("GET", &url, Some("\"another\"")).unwrap();
        assert_eq!(other.status, 200);
    }
    for path in [
        "/",
        "/.well-known/openid-configuration/",
        "/.well-known/JWKS.json",
        "//",
    ] {
        let response = request("GET", &format!("{base}{path}"), None).unwrap();
        assert_eq!(response.status, 404, "{path}");
    }
}
