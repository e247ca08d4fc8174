//! Keys that lie encrypted in a store.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chancery_core::rotation::{BackendError, KeyBackend as _};
use chancery_core::{Algorithm, Jwk, Signer, SigningInput};
use chancery_software::{Engine, PrivateKey, Secret, SoftwareSigner, VerifyingKey};
use chancery_store::{Content, EncryptedKeys, Store};

const PASSWORD: &str = "EgWbPDU2zMEWJiFcDIMCszb9xaMWDGWQWTBDqLSE2A4=";

fn keys(store: &Store) -> EncryptedKeys {
    EncryptedKeys::new(store.clone(), Secret::new(PASSWORD), Engine::Ring)
}

/// Calls a backend as a keeper does.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.unwrap()
}

async fn create(keys: &EncryptedKeys) -> (String, Jwk) {
    let keys = keys.clone();
    let made = blocking(move || keys.create(Algorithm::Es256, "issuer"))
        .await
        .unwrap();
    signs(&*made.signer);
    (made.reference, made.signer.jwk().clone())
}

async fn open(
    keys: &EncryptedKeys,
    reference: &str,
    jwk: &Jwk,
) -> Result<Arc<dyn Signer>, BackendError> {
    let (keys, reference, jwk) = (keys.clone(), reference.to_owned(), jwk.clone());
    blocking(move || keys.open(&reference, &jwk)).await
}

async fn destroy(keys: &EncryptedKeys, reference: &str, jwk: &Jwk) -> Result<(), BackendError> {
    let (keys, reference, jwk) = (keys.clone(), reference.to_owned(), jwk.clone());
    blocking(move || keys.destroy(&reference, &jwk)).await
}

fn signs(signer: &dyn Signer) {
    let input = SigningInput::new(signer.jwk().algorithm(), b"header.payload");
    let signature = signer.sign(&input).unwrap();
    let key = VerifyingKey::new(signer.jwk()).unwrap();
    key.verify(b"header.payload", &signature).unwrap();
}

/// The text of the error, with all of its causes. None holds the password.
fn said<T>(result: Result<T, BackendError>) -> String {
    let error = result.err().expect("an error");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    println!("said: {text}");
    assert!(!text.contains(PASSWORD));
    text
}

#[tokio::test]
async fn replicas_that_share_a_store_and_a_password_share_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    for open_store in [
        (&|| Store::local(directory.path()).unwrap()) as &dyn Fn() -> Store,
        &{
            let memory = Store::memory();
            move || memory.clone()
        },
    ] {
        let (reference, jwk) = create(&keys(&open_store())).await;
        assert_eq!(jwk.kid(), jwk.thumbprint());
        let opened = open(&keys(&open_store()), &reference, &jwk).await.unwrap();
        assert_eq!(opened.jwk(), &jwk);
        signs(&*opened);
    }
}

#[tokio::test]
async fn each_algorithm_of_the_engine_is_kept() {
    let keys = keys(&Store::memory());
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Ed25519,
    ] {
        let creating = keys.clone();
        let made = blocking(move || creating.create(algorithm, "issuer"))
            .await
            .unwrap();
        let jwk = made.signer.jwk();
        assert_eq!(jwk.algorithm(), algorithm);
        signs(&*open(&keys, &made.reference, jwk).await.unwrap());
    }
    // Which needs aws-lc-rs.
    let refused = blocking(move || keys.create(Algorithm::Rs256, "issuer")).await;
    assert!(said(refused).contains("RSA"));
}

#[tokio::test]
async fn what_lies_in_the_store_is_encrypted() {
    let store = Store::memory();
    let (reference, jwk) = create(&keys(&store)).await;
    assert_eq!(reference, format!("keys/{}.pem", jwk.kid()));
    assert_eq!(store.list().await.unwrap(), [reference.as_str()]);
    let pem = store.read(&reference).await.unwrap().unwrap().into_bytes();
    assert!(pem.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert!(PrivateKey::from_pem(&pem).is_err());
    assert!(PrivateKey::from_encrypted_pem(&pem, PASSWORD.as_bytes()).is_ok());
}

#[tokio::test]
async fn another_password_opens_and_destroys_nothing() {
    let store = Store::memory();
    let (reference, jwk) = create(&keys(&store)).await;
    let wrong = EncryptedKeys::new(store.clone(), Secret::new("wrong"), Engine::Ring);
    for said in [
        said(open(&wrong, &reference, &jwk).await),
        said(destroy(&wrong, &reference, &jwk).await),
    ] {
        assert!(said.contains("password"), "{said}");
    }
    signs(&*open(&keys(&store), &reference, &jwk).await.unwrap());
}

#[tokio::test]
async fn a_password_that_cannot_be_read_makes_no_key() {
    let store = Store::memory();
    let sealed = Secret::callback(|| Err("the vault is sealed".into()));
    let keys = EncryptedKeys::new(store.clone(), sealed, Engine::Ring);
    let refused = blocking(move || keys.create(Algorithm::Es256, "issuer")).await;
    assert!(said(refused).contains("the vault is sealed"));
    assert!(store.list().await.unwrap().is_empty());
}

/// To stretch it takes a quarter of a second.
#[tokio::test]
async fn the_password_is_stretched_once_a_key() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let password = Secret::callback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(PASSWORD.to_owned())
    });
    let keys = EncryptedKeys::new(Store::memory(), password, Engine::Ring);
    let (reference, jwk) = create(&keys).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let signer = open(&keys, &reference, &jwk).await.unwrap();
    signs(&*signer);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    destroy(&keys, &reference, &jwk).await.unwrap();
    destroy(&keys, &reference, &jwk).await.unwrap();
    assert!(open(&keys, &reference, &jwk).await.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_key_is_destroyed_once_and_stays_gone() {
    let store = Store::memory();
    let keys = keys(&store);
    let (kept, _) = create(&keys).await;
    let (reference, jwk) = create(&keys).await;
    destroy(&keys, &reference, &jwk).await.unwrap();
    destroy(&keys, &reference, &jwk).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [kept]);
    assert!(said(open(&keys, &reference, &jwk).await).contains("is not in the store"));
}

#[tokio::test]
async fn another_key_under_the_name_is_neither_opened_nor_destroyed() {
    let store = Store::memory();
    let keys = keys(&store);
    let (reference, jwk) = create(&keys).await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let other = PrivateKey::generate(algorithm, Engine::Ring).unwrap();
        let pem = other.to_encrypted_pem(PASSWORD.as_bytes()).unwrap();
        let version = store.read(&reference).await.unwrap().unwrap();
        let content = Content::new(pem.as_bytes(), "application/x-pem-file");
        store
            .replace(&reference, &content, version.version())
            .await
            .unwrap();
        for said in [
            said(open(&keys, &reference, &jwk).await),
            said(destroy(&keys, &reference, &jwk).await),
        ] {
            assert!(said.contains("another key"), "{said}");
        }
    }
    assert_eq!(store.list().await.unwrap(), [reference]);
}

#[tokio::test]
async fn a_reference_is_that_of_its_own_key() {
    let store = Store::memory();
    let keys = keys(&store);
    let (one, jwk) = create(&keys).await;
    let (other, _) = create(&keys).await;
    let manifest = Content::new(b"{}", "application/json");
    store.create("manifest.json", &manifest).await.unwrap();
    for reference in [other.as_str(), "manifest.json", "", "../keys/x.pem"] {
        for said in [
            said(open(&keys, reference, &jwk).await),
            said(destroy(&keys, reference, &jwk).await),
        ] {
            assert!(said.contains("no reference of key"), "{said}");
        }
    }
    assert_eq!(store.list().await.unwrap().len(), 3);
    signs(&*open(&keys, &one, &jwk).await.unwrap());
}

#[tokio::test]
async fn what_is_no_key_is_no_key() {
    let store = Store::memory();
    let keys = keys(&store);
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    let reference = format!("keys/{}.pem", signer.jwk().kid());
    let content = Content::new(b"-----BEGIN PRIVATE", "text/plain");
    store.create(&reference, &content).await.unwrap();
    assert!(said(open(&keys, &reference, signer.jwk()).await).contains("cannot be read"));
    assert!(destroy(&keys, &reference, signer.jwk()).await.is_err());
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let keys = keys(&Store::memory());
    let refused = keys.create(Algorithm::Es256, "issuer");
    assert!(said(refused).contains("spawn_blocking"));
    let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring).unwrap();
    let reference = format!("keys/{}.pem", signer.jwk().kid());
    assert!(said(keys.open(&reference, signer.jwk())).contains("spawn_blocking"));
}
