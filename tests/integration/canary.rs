//! No byte of a private key shows: not in `Debug`, not in an error, not in a document.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::fmt::Debug;

use base64ct::{Base64, Encoding as _};
use chancery::software::{Engine, KeyFile, PrivateKey, SoftwareSigner, Verifier, VerifyingKey};
use chancery::{Algorithm, Issuer, Jwk, JwkSet, Signer as _};
use chancery_tests::pem::pem;
use serde_json::Value;

use crate::support::{AUDIENCE, ISSUER, always, claims, decode, encode, published, url};

/// A key of an RFC, from the tests of the crate that loads keys.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../../crates/chancery-software/tests/data/", $name))
    };
}

/// How many bytes in a row of a secret count as a leak.
const RUN: usize = 8;

/// What a process might print or publish, each text once.
#[derive(Default)]
struct Shown(HashSet<Vec<u8>>);

impl Shown {
    fn debug(&mut self, value: &dyn Debug) {
        self.text(&format!("{value:?}\n{value:#?}\n"));
    }

    fn error(&mut self, error: &dyn Error) {
        self.debug(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            self.text(&format!("{error}\n{error:?}\n"));
            next = error.source();
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.insert(bytes.to_vec());
    }

    /// The first run of a secret's bytes that is there, and in what form.
    fn leak(&self, secrets: &[(&'static str, Vec<u8>)]) -> Option<String> {
        let mut runs: BTreeMap<usize, HashMap<Vec<u8>, String>> = BTreeMap::new();
        for (name, secret) in secrets {
            for (form, length, text) in forms(secret) {
                let runs = runs.entry(length).or_default();
                for run in text.windows(length) {
                    runs.entry(run.to_vec())
                        .or_insert_with(|| format!("{name} as {form}"));
                }
            }
        }
        let find = |text: &[u8]| {
            runs.iter().find_map(|(&length, runs)| {
                text.windows(length)
                    .find_map(|shown| runs.get(shown))
                    .cloned()
            })
        };
        self.0.iter().find_map(|text| {
            find(text).or_else(|| Some(find(&numbers(text))?.replace("raw", "numbers")))
        })
    }

    #[track_caller]
    fn assert_hides(&self, key: &Key) {
        if let Some(leak) = self.leak(&key.secrets) {
            panic!("{} leaks {leak}", key.name);
        }
    }
}

/// What a secret looks like in each form, and how long a run of it is that counts as a leak.
fn forms(secret: &[u8]) -> Vec<(&'static str, usize, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("raw", RUN, secret.to_vec()),
        ("HEX", 2 * RUN, hex.to_uppercase().into_bytes()),
        ("hex", 2 * RUN, hex.into_bytes()),
    ];
    // Inside of something longer, a secret may begin at any of three places of a group.
    for skipped in 0..3 {
        let whole_groups = (secret.len() - skipped) / 3 * 3;
        let part = &secret[skipped..skipped + whole_groups];
        forms.push(("base64", 10, Base64::encode_string(part).into_bytes()));
        forms.push(("base64url", 10, encode(part).into_bytes()));
    }
    forms
}

/// The bytes that a text lists as `Debug` does: `[1, 2, 3]`, or a number to a line.
fn numbers(text: &[u8]) -> Vec<u8> {
    text.split(|byte| !byte.is_ascii_digit())
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .collect()
}

/// A key whose private bytes are known.
struct Key {
    name: &'static str,
    algorithm: Algorithm,
    key: PrivateKey,
    secrets: Vec<(&'static str, Vec<u8>)>,
    /// The files it may come in.
    files: Vec<Vec<u8>>,
}

fn keys() -> Vec<Key> {
    let jwk = |name, algorithm, json: &[u8]| {
        let members: Value = serde_json::from_slice(json).unwrap();
        let secrets = ["d", "p", "q", "dp", "dq", "qi"]
            .into_iter()
            .filter_map(|member| Some((member, decode(members.get(member)?.as_str()?))))
            .collect();
        let key = PrivateKey::from_jwk_json(json).unwrap();
        let files = vec![json.to_vec(), members.to_string().into_bytes()];
        Key {
            name,
            algorithm,
            key,
            secrets,
            files,
        }
    };
    let generated = |name, algorithm, len: u8| {
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs).unwrap();
        // ECPrivateKey begins with its version and the scalar (RFC 5915 §3).
        let der = key.to_pkcs8_der().unwrap();
        let head = [2, 1, 1, 4, len];
        let start = der.windows(5).position(|bytes| bytes == head).unwrap() + 5;
        let secrets = vec![("scalar", der[start..start + usize::from(len)].to_vec())];
        Key {
            name,
            algorithm,
            key,
            secrets,
            files: Vec::new(),
        }
    };
    let mut keys = vec![
        jwk("RSA", Algorithm::Rs256, data!("rfc7515-a2.jwk.json")),
        jwk("P-256", Algorithm::Es256, data!("rfc7515-a3.jwk.json")),
        jwk("Ed25519", Algorithm::EdDsa, data!("rfc8037-a.jwk.json")),
        generated("P-384", Algorithm::Es384, 48),
        generated("P-521", Algorithm::Es512, 66),
    ];
    for key in &mut keys {
        let der = key.key.to_pkcs8_der().unwrap();
        let pem = pem("PRIVATE KEY", &der);
        // As environment variables and configuration files mangle it.
        key.files.push(pem.replace('\n', " ").into_bytes());
        key.files.push(pem.replace('\n', "\\n").into_bytes());
        key.files.push(
            pem.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN ")
                .into_bytes(),
        );
        key.files.push(pem.into_bytes());
        key.files.push(der.to_vec());
    }
    keys
}

#[test]
fn the_search_finds_what_leaks() {
    for key in keys() {
        for (name, secret) in &key.secrets {
            let middle = &secret[3..secret.len() - 2];
            let hex: String = middle.iter().map(|byte| format!("{byte:02x}")).collect();
            for (form, leaked) in [
                ("raw", middle.to_vec()),
                ("HEX", hex.to_uppercase().into_bytes()),
                ("hex", hex.into_bytes()),
                ("base64", Base64::encode_string(middle).into_bytes()),
                ("base64url", encode(&[b"xy", middle].concat()).into_bytes()),
                ("numbers", format!("{middle:?}").into_bytes()),
                ("numbers", format!("{middle:#?}").into_bytes()),
            ] {
                let mut shown = Shown::default();
                shown.bytes(&[b"something else ", leaked.as_slice()].concat());
                let found = shown.leak(&key.secrets);
                let found = found.unwrap_or_else(|| panic!("{} {name} as {form}", key.name));
                // Short runs may be the same in two forms.
                let same = |form: &str| form.to_lowercase().replace("url", "");
                assert_eq!(same(&found), same(&format!("{name} as {form}")));
            }
        }
        let mut innocent = Shown::default();
        innocent.debug(&key.name);
        assert_eq!(innocent.leak(&key.secrets), None);
    }
}

#[test]
fn what_is_shown_and_published_has_no_private_byte() {
    for key in keys() {
        let mut shown = Shown::default();
        shown.debug(&key.key);
        for &engine in Engine::ALL
            .iter()
            .filter(|engine| engine.supports(key.algorithm))
        {
            let signer = SoftwareSigner::new(&key.key, key.algorithm, engine).unwrap();
            shown.debug(&signer);
            shown.debug(&signer.jwk());
            shown.debug(&signer.jwk().public_key());
            shown.debug(&VerifyingKey::new(signer.jwk()).unwrap());
            shown.text(&serde_json::to_string(signer.jwk()).unwrap());

            let scheduled = always(signer);
            shown.debug(&scheduled);
            let keys = chancery::KeySet::new(vec![scheduled]).unwrap();
            shown.debug(&keys);
            shown.debug(&Issuer::builder(url(ISSUER), keys.clone()));
            let issuer = Issuer::new(url(ISSUER), keys);
            shown.debug(&issuer);
            for document in [issuer.discovery().unwrap(), issuer.jwks().unwrap()] {
                shown.debug(&document);
                shown.bytes(document.bytes());
                shown.debug(&document.headers());
            }
            let unsigned = issuer.prepare(&claims()).unwrap();
            shown.debug(&unsigned);
            shown.debug(&unsigned.signing_input());
            let token = issuer.issue(&claims()).unwrap();
            shown.debug(&token);
            for segment in token.as_str().split('.') {
                shown.text(segment);
                shown.bytes(&decode(segment));
            }
            let verifier = Verifier::new(ISSUER, AUDIENCE, published(&issuer));
            shown.debug(&verifier);
            shown.debug(&verifier.verify(token.as_str()).unwrap());
        }
        shown.assert_hides(&key);
    }
}

#[test]
fn an_encrypted_file_has_no_private_byte() {
    for key in keys() {
        let pem = key.key.to_encrypted_pem(b"hunter2").unwrap();
        let mut shown = Shown::default();
        shown.text(&pem);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        shown.bytes(&Base64::decode_vec(&body).unwrap());
        shown.error(&PrivateKey::from_encrypted_pem(pem.as_bytes(), b"other").unwrap_err());
        shown.error(&PrivateKey::from_pem(pem.as_bytes()).unwrap_err());
        shown.assert_hides(&key);
        // It is the same key that is in it, so there was something to hide.
        let again = PrivateKey::from_encrypted_pem(pem.as_bytes(), b"hunter2").unwrap();
        assert_eq!(
            *again.to_pkcs8_der().unwrap(),
            *key.key.to_pkcs8_der().unwrap()
        );
    }
}

#[test]
fn no_error_shows_a_private_byte_of_a_damaged_key() {
    for key in keys() {
        let mut shown = Shown::default();
        let mut errors = 0;
        for file in &key.files {
            for damaged in damage(file) {
                errors += load_every_way(&damaged, key.algorithm, &mut shown);
            }
        }
        shown.assert_hides(&key);
        assert!(errors > 1000, "{} gave only {errors} errors", key.name);
    }
}

#[test]
fn a_file_that_holds_an_unencrypted_key_is_refused_without_showing_it() {
    for key in keys() {
        let mut shown = Shown::default();
        for (index, file) in key.files.iter().enumerate() {
            let name = format!("canary-{}-{index}.pem", key.name);
            let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            std::fs::write(&path, file).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;

                let owner = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(&path, owner).unwrap();
            }
            let file = KeyFile::new(&path);
            shown.debug(&file);
            shown.error(&file.load(b"hunter2").unwrap_err());
            std::fs::remove_file(path).unwrap();
        }
        shown.assert_hides(&key);
    }
}

/// The file itself, cut off, with bytes changed, left out and doubled, at places all over it.
fn damage(file: &[u8]) -> Vec<Vec<u8>> {
    let mut damaged = vec![file.to_vec()];
    let step = (file.len() / 60).max(1);
    for at in (0..file.len()).step_by(step) {
        damaged.push(file[..at].to_vec());
        damaged.push(file[at..].to_vec());
        for byte in [0, b'"', b'\\', 0xff, file[at] ^ 1, file[at] ^ 0x80] {
            let mut changed = file.to_vec();
            changed[at] = byte;
            damaged.push(changed);
        }
        damaged.push([&file[..at], &file[at + 1..]].concat());
        damaged.push([&file[..=at], &file[at..]].concat());
    }
    damaged
}

/// Hands the bytes to every function that takes a key, and keeps what each says.
fn load_every_way(bytes: &[u8], algorithm: Algorithm, shown: &mut Shown) -> usize {
    let mut errors = 0;
    for loaded in [
        PrivateKey::from_pem(bytes),
        PrivateKey::from_encrypted_pem(bytes, b"hunter2"),
        PrivateKey::from_pkcs8_der(bytes),
        PrivateKey::from_encrypted_pkcs8_der(bytes, b"hunter2"),
        PrivateKey::from_jwk_json(bytes),
    ] {
        match loaded {
            Ok(key) => {
                shown.debug(&key);
                for &engine in Engine::ALL {
                    if let Err(error) = SoftwareSigner::new(&key, algorithm, engine) {
                        shown.error(&error);
                        errors += 1;
                    }
                }
            }
            Err(error) => {
                shown.error(&error);
                errors += 1;
            }
        }
    }
    // Where a public key is expected, somebody will put a private one.
    let set = [br#"{"keys":["#, bytes, b"]}"].concat();
    for error in [Jwk::from_json(bytes).err(), JwkSet::from_json(&set).err()]
        .into_iter()
        .flatten()
    {
        shown.error(&error);
        errors += 1;
    }
    if let Ok(set) = JwkSet::from_json(&set) {
        shown.debug(&set);
    }
    errors
}
