//! Somebody else's verifiers, which know nothing but the issuer's URL.

pub mod jsonwebtoken;
pub mod openidconnect;
pub mod openssl;

use std::env;
use std::process::{self, Command};

use chancery::{Algorithm, JwkSet};
use serde_json::{Value, json};

use self::openssl::Folder;
use crate::http::Server;
use crate::jws::segment;
use crate::programs;

/// A token, and the algorithm that its verifier expects.
pub type Presented<'a> = (Algorithm, &'a str);

/// Good, or what the verifier says of it, in its own words.
pub type Verdict = Result<(), String>;

/// A verifier as all of them are.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    /// Its name.
    pub name: &'static str,
    /// The algorithms that it does not know.
    pub unknown: &'static [Algorithm],
    /// What it says of a signature that is wrong.
    pub bad_signature: &'static str,
    judge: fn(&Server, &str, &[Presented<'_>]) -> Vec<Verdict>,
}

impl Verifier {
    /// Has it judge tokens of a server's issuer for an audience.
    pub fn judge(&self, server: &Server, audience: &str, tokens: &[Presented<'_>]) -> Vec<Verdict> {
        (self.judge)(server, audience, tokens)
    }
}

/// All of them.
pub const ALL: &[Verifier] = &[
    Verifier {
        name: "pyjwt",
        unknown: programs::UNKNOWN_TO_PYJWT,
        bad_signature: "InvalidSignatureError",
        judge: |server, audience, tokens| by(&mut programs::pyjwt(), server, audience, tokens),
    },
    Verifier {
        name: "jose",
        unknown: &[],
        bad_signature: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        judge: |server, audience, tokens| by(&mut programs::jose(), server, audience, tokens),
    },
    Verifier {
        name: "jsonwebtoken",
        unknown: jsonwebtoken::UNKNOWN,
        bad_signature: "InvalidSignature",
        judge: by_jsonwebtoken,
    },
    Verifier {
        name: "openidconnect",
        unknown: openidconnect::UNKNOWN,
        bad_signature: "signature",
        judge: by_openidconnect,
    },
    Verifier {
        name: "openssl",
        unknown: &[],
        bad_signature: "Verification failure",
        judge: by_openssl,
    },
];

fn by(
    program: &mut Command,
    server: &Server,
    audience: &str,
    tokens: &[Presented<'_>],
) -> Vec<Verdict> {
    let asked = tokens.iter().map(|(algorithm, token)| {
        json!({"name": algorithm.name(), "token": token,
               "algorithms": [algorithm.name()], "typ": "JWT"})
    });
    let results = programs::ask(program, server, audience, &asked.collect());
    let verdict = |result: &Value| {
        if result["ok"] == true {
            Ok(())
        } else {
            Err(result["error"].as_str().unwrap().to_owned())
        }
    };
    results.iter().map(verdict).collect()
}

fn by_jsonwebtoken(server: &Server, audience: &str, tokens: &[Presented<'_>]) -> Vec<Verdict> {
    let issuer = server.issuer().url().as_str();
    let keys = jsonwebtoken::fetch(issuer);
    let verdict = |&(algorithm, token): &Presented<'_>| {
        jsonwebtoken::verify(algorithm, token, &keys, issuer, audience).map(drop)
    };
    tokens.iter().map(verdict).collect()
}

fn by_openidconnect(server: &Server, audience: &str, tokens: &[Presented<'_>]) -> Vec<Verdict> {
    let metadata = openidconnect::discover(server.issuer().url().as_str());
    let verdict = |&(algorithm, token): &Presented<'_>| {
        openidconnect::verify(algorithm, token, &metadata, audience).map(drop)
    };
    tokens.iter().map(verdict).collect()
}

/// It reads neither JWKS nor claims, so what it gets of them is read for it.
fn by_openssl(server: &Server, _audience: &str, tokens: &[Presented<'_>]) -> Vec<Verdict> {
    let keys = JwkSet::from_json(server.issuer().jwks().unwrap().bytes()).unwrap();
    let folder = format!("chancery-openssl-{}", process::id());
    let folder = Folder::new(env::temp_dir().join(folder));
    let verdict = |&(algorithm, token): &Presented<'_>| {
        let kid = &segment(token, 0)["kid"];
        let mut keys = keys.keys().iter();
        let key = keys.find(|key| kid == key.kid()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        if openssl::verifies(&folder, key, token) {
            Ok(())
        } else {
            Err("Verification failure".to_owned())
        }
    };
    tokens.iter().map(verdict).collect()
}
