//! The examples do what a newcomer is told they do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chancery::JwkSet;
use chancery::software::Verifier;
use serde_json::Value;

use chancery_tests::http;

const AUDIENCE: &str = "sts.amazonaws.com";

#[test]
fn quickstart_makes_a_key_once_and_finds_it_again() {
    let folder = empty_folder("quickstart");
    let first = said(&run("quickstart", &folder, None));
    let second = said(&run("quickstart", &folder, None));
    assert!(first.contains("The signing key was made in"), "{first}");
    assert!(
        second.contains("The signing key was found again in"),
        "{second}"
    );

    // The documents stay the same, byte for byte.
    let keys = line(&first, r#"{"keys":"#);
    assert_eq!(keys, line(&second, r#"{"keys":"#));
    let discovery = line(&first, r#"{"issuer":"#);
    assert_eq!(discovery, line(&second, r#"{"issuer":"#));
    let discovery: Value = serde_json::from_str(discovery).unwrap();
    let issuer = discovery["issuer"].as_str().unwrap();

    // Each token verifies with the documents of the other run.
    for (text, keys) in [(&first, line(&second, r#"{"keys":"#)), (&second, keys)] {
        let keys = JwkSet::from_json(keys.as_bytes()).unwrap();
        let token = line(text, "eyJ");
        Verifier::new(issuer, AUDIENCE, keys).verify(token).unwrap();
    }
    assert_ne!(line(&first, "eyJ"), line(&second, "eyJ"));
    assert!(first.contains("What to do next:"), "{first}");
    assert_is_a_private_file(&folder.join("target/quickstart"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn quickstart_says_when_the_password_is_wrong() {
    let folder = empty_folder("quickstart-password");
    said(&run("quickstart", &folder, Some("one")));
    let file = folder.join("target/quickstart/signing-key.pem");
    let before = fs::read(&file).unwrap();

    let output = run("quickstart", &folder, Some("another"));
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("password") && !error.contains("WrongPassword"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn yubihsm_signs_with_a_mock_and_destroys_its_key() {
    let text = said(&example("yubihsm", Path::new(".")).output().unwrap());
    let keys = JwkSet::from_json(line(&text, r#"{"keys":"#).as_bytes()).unwrap();
    let token = line(&text, "eyJ");
    Verifier::new("https://id.example.com", AUDIENCE, keys)
        .verify(token)
        .unwrap();
    assert!(text.ends_with("Destroyed the key.\n"), "{text}");
}

#[test]
#[ignore = "needs SoftHSM; cargo xtask test sets it up"]
fn pkcs11_signs_in_a_token_of_its_own_and_destroys_its_key() {
    let mut command = example("pkcs11", Path::new("."));
    // An operator's own tokens are not touched.
    command.env("SOFTHSM2_CONF", "/nonexistent/softhsm2.conf");
    let text = said(&command.output().unwrap());
    let keys = JwkSet::from_json(line(&text, r#"{"keys":"#).as_bytes()).unwrap();
    let token = line(&text, "eyJ");
    Verifier::new("https://id.example.com", AUDIENCE, keys)
        .verify(token)
        .unwrap();
    let end = "Destroyed the key; the token holds 0.\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn serve_answers_documents_and_tokens() {
    let mut child = Running(
        example("serve", Path::new("."))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(child.0.stdout.take().unwrap());
    let mut announced = String::new();
    lines.read_line(&mut announced).unwrap();
    let discovery_url = announced.trim().strip_prefix("Serving ").expect(&announced);

    let discovery = http::request("GET", discovery_url, None).unwrap();
    assert_eq!(discovery.status, 200);
    assert_eq!(discovery.header("content-type"), Some("application/json"));
    let tag = discovery.header("etag").unwrap();
    let again = http::request("GET", discovery_url, Some(tag)).unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
    let metadata: Value = serde_json::from_slice(&discovery.body).unwrap();
    let issuer = metadata["issuer"].as_str().unwrap();
    assert_eq!(
        discovery_url,
        format!("{issuer}/.well-known/openid-configuration")
    );

    let keys = http::request("GET", metadata["jwks_uri"].as_str().unwrap(), None).unwrap();
    assert_eq!(keys.status, 200);
    let keys = JwkSet::from_json(&keys.body).unwrap();
    let token = http::request("POST", &format!("{issuer}/token?job=42"), None).unwrap();
    assert_eq!(token.status, 200);
    let token = String::from_utf8(token.body).unwrap();
    let verified = Verifier::new(issuer, AUDIENCE, keys)
        .verify(&token)
        .unwrap();
    assert_eq!(verified.subject(), Some("job:42"));

    let status = |method, path| {
        http::request(method, &format!("{issuer}{path}"), None)
            .unwrap()
            .status
    };
    assert_eq!(status("GET", "/elsewhere"), 404);
    assert_eq!(status("POST", "/token?job=everything"), 400);
}

#[test]
fn remote_kms_signs_in_both_ways() {
    let text = said(&run("remote_kms", Path::new("."), None));
    for way in ["prepare and assemble", "a Signer with begin_sign"] {
        assert!(
            text.contains(&format!("Signed by way of {way}, verified")),
            "{text}"
        );
    }
    assert_eq!(
        text.lines().filter(|line| line.starts_with("eyJ")).count(),
        2
    );
}

#[test]
fn rotation_replaces_keys_over_a_week_and_draws_it() {
    let folder = empty_folder("rotation");
    let text = said(&run("rotation", &folder, None));
    line(&text, "Verified all 1008 tokens");
    let tables = text
        .lines()
        .filter(|line| line.starts_with("Keys at 2027-"));
    assert_eq!(tables.count(), 4, "{text}");
    assert!(text.contains("revoked"), "{text}");
    assert!(!text.contains("Needs attention"), "{text}");
    let svg = fs::read_to_string(folder.join("target/rotation.svg")).unwrap();
    // Those of Monday, Wednesday, Friday and Sunday, and two that stood by.
    assert_eq!(svg.matches(r#"class="kid""#).count(), 6);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_five_systems_let_in_whom_they_should() {
    for (name, answers) in [
        (
            "mechcloud",
            [
                "auth0|65f1c0ffee: allowed",
                "auth0|65f1c0ffef: AccessDenied",
            ],
        ),
        (
            "spacelift",
            [
                "space:production-01HZX:stack:payments:run_type:TRACKED:scope:write: allowed",
                "space:sandbox-01HZY:stack:production-01HZX%3Astack%3Apayments:run_type:TRACKED:scope:write: AccessDenied",
            ],
        ),
        (
            "gitpod",
            [
                "organization_id:018e2c5a:project_id:018f77d1: allowed",
                "https://github.com/gitpod-io/gitpod: AccessDenied",
            ],
        ),
        (
            "envzero",
            [
                "auth0|632b8219674bde0224a96141: allowed, with the tags",
                "auth0|5f0d7c2b9a1e4d3c2b1a0f9e: AccessDenied",
            ],
        ),
        (
            "teleport",
            ["system:proxy: allowed", "system:discovery: AccessDenied"],
        ),
    ] {
        let output = example_with(name, Path::new("."), &["--all-features"])
            .output()
            .unwrap();
        let text = said(&output);
        for answer in answers {
            line(&text, answer);
        }
    }
}

fn run(name: &str, folder: &Path, password: Option<&str>) -> Output {
    let mut command = example(name, folder);
    match password {
        Some(password) => command.env("CHANCERY_KEY_PASSWORD", password),
        None => command.env_remove("CHANCERY_KEY_PASSWORD"),
    };
    command.output().unwrap()
}

/// `cargo run --example`, as README has it, in another folder.
fn example(name: &str, folder: &Path) -> Command {
    example_with(name, folder, &[])
}

fn example_with(name: &str, folder: &Path, features: &[&str]) -> Command {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--manifest-path"])
        .arg(manifest)
        .args(features);
    command.args(["--example", name, "--"]).current_dir(folder);
    // What cargo tells a test of its own package would make it build ring anew.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command
}

fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line that begins so.
fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.starts_with(beginning));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no line {beginning}… in {text}"));
    assert_eq!(lines.next(), None);
    line
}

/// The folder holds the encrypted key, for its owner alone, and nothing else.
fn assert_is_a_private_file(folder: &Path) {
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let file = folder.join("signing-key.pem");
    assert_eq!(files, std::slice::from_ref(&file));
    let pem = fs::read_to_string(&file).unwrap();
    assert!(
        pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        "{pem}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}

fn empty_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let mut rest = Vec::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            let _ = stdout.read_to_end(&mut rest);
        }
    }
}
