//! The probe over HTTP, and what a server may answer it with.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use chancery_core::IssuerUrl;
use chancery_store::{HttpProbe, Probe as _};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Answers each path with a status and a body, in which `ISSUER` stands for the server's URL.
fn serve(answers: &[(&'static str, &'static str, String)]) -> (IssuerUrl, HttpProbe) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers: HashMap<_, _> = answers
        .iter()
        .map(|(path, status, body)| (*path, (*status, body.replace("ISSUER", &url))))
        .collect();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let path = request.split(' ').nth(1).unwrap();
            let nothing = ("404 Not Found", String::new());
            let (status, body) = answers.get(path).unwrap_or(&nothing);
            let length = body.len();
            // Who has read enough hangs up.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nLocation: /other\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
    let url = IssuerUrl::parse_allowing_loopback_http(&url).unwrap();
    let probe = HttpProbe::new(&url).unwrap();
    (url, probe)
}

fn discovery(jwks_uri: &str) -> (&'static str, &'static str, String) {
    let document = serde_json::json!({"issuer": "ISSUER", "jwks_uri": jwks_uri});
    (DISCOVERY, "200 OK", document.to_string())
}

#[tokio::test]
async fn the_jwks_is_where_the_discovery_document_says() {
    let jwks = ("/keys", "200 OK", "the keys".to_owned());
    let (_, probe) = serve(&[discovery("ISSUER/keys"), jwks]);
    assert_eq!(probe.jwks().await.unwrap(), b"the keys");
}

#[tokio::test]
async fn what_relying_parties_could_not_use_is_refused() {
    let large = "x".repeat((1 << 20) + 1);
    let other = r#"{"issuer": "https://other.example", "jwks_uri": "ISSUER/keys"}"#;
    for (answers, expected) in [
        (vec![], "404"),
        (vec![(DISCOVERY, "200 OK", "<html>".to_owned())], "no JSON"),
        (
            vec![(DISCOVERY, "200 OK", other.to_owned())],
            "the issuer is \"https://other.example\"",
        ),
        (
            vec![(DISCOVERY, "200 OK", r#"{"issuer": "ISSUER"}"#.to_owned())],
            "no jwks_uri",
        ),
        (vec![discovery("ISSUER/keys")], "404"),
        (
            vec![
                discovery("ISSUER/keys"),
                ("/keys", "302 Found", String::new()),
                ("/other", "200 OK", "the keys".to_owned()),
            ],
            "302",
        ),
        (
            vec![discovery("ISSUER/keys"), ("/keys", "200 OK", large)],
            "more than",
        ),
        (vec![discovery("no URL")], "cannot be fetched"),
    ] {
        let (_, probe) = serve(&answers);
        let error = probe.jwks().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// An error is a line of a log, whatever was answered.
#[tokio::test]
async fn an_error_is_short_and_a_line() {
    let long = "x".repeat(1 << 19);
    let issuer = serde_json::json!({"issuer": long, "jwks_uri": "ISSUER/keys"}).to_string();
    for answers in [
        [(DISCOVERY, "200 OK", issuer)],
        [discovery(&format!("ISSUER/{long}"))],
        [discovery("ISSUER/keys\nmanifest 7: revoke")],
    ] {
        let (_, probe) = serve(&answers);
        let error = probe.jwks().await.unwrap_err().to_string();
        assert!(error.len() < 600, "{} bytes", error.len());
        assert!(!error.contains('\n'), "{error}");
    }
}
