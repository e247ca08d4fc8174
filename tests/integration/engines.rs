//! Both engines side by side, and keys that are swapped while they are in use.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Waker};
use std::thread;

use chancery::software::{Engine, PrivateKey, SoftwareSigner, Verifier, verify_jws};
use chancery::{Algorithm, Issuer, Jwk, JwkSet, KeyType, Signer as _, SigningInput};

use crate::support::{
    AUDIENCE, ISSUER, algorithms, always, claims, issuer, key_set, published, segment, signer, url,
};

/// The algorithms that both engines have, all but ES512.
fn common() -> impl Iterator<Item = Algorithm> {
    algorithms(Engine::Ring).filter(|algorithm| Engine::AwsLcRs.supports(*algorithm))
}

#[test]
fn a_key_of_one_engine_signs_on_the_other() {
    let mut keys = 0;
    for algorithm in common() {
        for &maker in Engine::ALL {
            let Ok(key) = PrivateKey::generate(algorithm, maker) else {
                assert_eq!((algorithm.key_type(), maker), (KeyType::Rsa, Engine::Ring));
                continue;
            };
            keys += 1;
            // As it would be read in by another process.
            let key = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
            assert_signs_alike(&key, algorithm);
        }
    }
    assert_eq!(keys, 4 + 4 + 6);
}

#[test]
fn rsa_keys_of_every_length_sign_on_ring() {
    for bits in [3072, 4096] {
        let key = PrivateKey::generate_rsa(bits, Engine::AwsLcRs).unwrap();
        assert_signs_alike(&key, Algorithm::Rs256);
        assert_signs_alike(&key, Algorithm::Ps512);
    }
}

#[test]
fn a_stored_key_of_one_engine_signs_on_the_other() {
    for (algorithm, maker) in [
        (Algorithm::Es384, Engine::Ring),
        (Algorithm::EdDsa, Engine::AwsLcRs),
        (Algorithm::Rs256, Engine::AwsLcRs),
    ] {
        let pem = PrivateKey::generate(algorithm, maker)
            .unwrap()
            .to_encrypted_pem(b"hunter2")
            .unwrap();
        let key = PrivateKey::from_encrypted_pem(pem.as_bytes(), b"hunter2").unwrap();
        assert_signs_alike(&key, algorithm);
    }
}

/// Signs with the key on each engine; each one's tokens verify with the other's JWKS.
fn assert_signs_alike(key: &PrivateKey, algorithm: Algorithm) {
    let signers = [Engine::Ring, Engine::AwsLcRs]
        .map(|engine| SoftwareSigner::new(key, algorithm, engine).unwrap());
    assert_eq!(signers[0].jwk(), signers[1].jwk());
    let signatures = signers.each_ref().map(|signer| {
        let signature = signer
            .sign(&SigningInput::new(algorithm, b"header.payload"))
            .unwrap();
        signature.as_bytes().to_vec()
    });
    let deterministic = matches!(
        algorithm,
        Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::EdDsa
            | Algorithm::Ed25519
    );
    assert_eq!(signatures[0] == signatures[1], deterministic, "{algorithm}");

    let issuers = signers.map(|signer| Issuer::new(url(ISSUER), key_set([signer])));
    for (signs, publishes) in [(0, 1), (1, 0)] {
        let token = issuers[signs].issue(&claims()).unwrap();
        Verifier::new(ISSUER, AUDIENCE, published(&issuers[publishes]))
            .verify(token.as_str())
            .unwrap();
    }
}

#[test]
fn every_way_of_issuing_gives_tokens_that_verify() {
    for &engine in Engine::ALL {
        for algorithm in algorithms(engine) {
            let key = signer(algorithm, engine);
            let jwk = key.jwk().clone();
            let signer: Arc<SoftwareSigner> = Arc::new(key);
            let keys = chancery::ScheduledKey::new(signer.clone(), chancery::Schedule::ALWAYS);
            let keys = chancery::KeySet::new(vec![keys]).unwrap();
            let issuer = Issuer::new(url(ISSUER), keys);

            let unsigned = issuer.prepare(&claims()).unwrap();
            assert_eq!(unsigned.jwk(), &jwk);
            let signature = signer.sign(&unsigned.signing_input()).unwrap();
            let assembled = unsigned.assemble(&signature).unwrap();
            let mut buffer = String::from("left over from before");
            issuer.issue_into(&claims(), &mut buffer).unwrap();
            let tokens = [
                issuer.issue(&claims()).unwrap().into_string(),
                assembled.into_string(),
                at_once(issuer.issue_async(&claims()))
                    .unwrap()
                    .into_string(),
                buffer,
            ];
            let verifier = Verifier::new(ISSUER, AUDIENCE, published(&issuer));
            for token in &tokens {
                let verified = verifier.verify(token).unwrap();
                assert_eq!(verified.algorithm(), algorithm);
                assert_eq!(verified.kid(), jwk.kid());
            }
        }
    }
}

/// A key in memory signs inline, so that its future is ready when first polled.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a key in memory made its caller wait"),
    }
}

const THREADS: usize = 8;
const TOKENS: usize = 3000;

#[test]
fn swapping_keys_under_load_never_parts_kid_and_signature() {
    // Every key that was ever in the set, by its kid.
    let ever: RwLock<HashMap<String, Jwk>> = RwLock::default();
    let fresh = |round: usize| {
        let algorithm = [Algorithm::EdDsa, Algorithm::Es256][round % 2];
        let key = signer(algorithm, Engine::ALL[round / 2 % 2]);
        let jwk = key.jwk().clone();
        ever.write().unwrap().insert(jwk.kid().to_owned(), jwk);
        key
    };
    let first = Issuer::new(url(ISSUER), key_set([fresh(0)]));
    let second = first.tenant(url("https://other.example.com"));

    let kids: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|index| {
                let issuer = [&first, &second][index % 2];
                let ever = &ever;
                scope.spawn(move || {
                    let mut buffer = String::new();
                    (0..TOKENS)
                        .map(|_| {
                            issuer.issue_into(&claims(), &mut buffer).unwrap();
                            verify_with_named_key(&buffer, ever)
                        })
                        .collect::<Vec<String>>()
                })
            })
            .collect();
        let mut round = 1;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            let key = fresh(round);
            let kid = key.jwk().kid().to_owned();
            first.keys().replace(vec![always(key)]).unwrap();
            // From now on it is this key that signs, and it is published, for every issuer.
            for issuer in [&first, &second] {
                let token = issuer.issue(&claims()).unwrap();
                assert_eq!(segment(token.as_str(), 0)["kid"], kid.as_str());
                let keys = published(issuer);
                assert_eq!(keys.keys().len(), 1);
                verify_jws(token.as_str(), &keys).unwrap();
            }
            round += 1;
        }
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });

    assert_eq!(kids.len(), THREADS * TOKENS);
    let used = kids.iter().collect::<HashSet<_>>().len();
    assert!(used > 100, "only {used} keys were used: that was no load");
}

/// Verifies the signature with the key of the token's `kid`, and gives the `kid`.
fn verify_with_named_key(token: &str, ever: &RwLock<HashMap<String, Jwk>>) -> String {
    let header = segment(token, 0);
    let kid = header["kid"].as_str().unwrap();
    let jwk = ever.read().unwrap()[kid].clone();
    assert_eq!(header["alg"], jwk.algorithm().name());
    verify_jws(token, &JwkSet::new(vec![jwk]).unwrap()).unwrap();
    kid.to_owned()
}

#[test]
fn es512_is_left_to_aws_lc_rs() {
    assert!(!Engine::Ring.supports(Algorithm::Es512));
    let issuer = issuer(Algorithm::Es512, Engine::AwsLcRs);
    let token = issuer.issue(&claims()).unwrap();
    Verifier::new(ISSUER, AUDIENCE, published(&issuer))
        .verify(token.as_str())
        .unwrap();
    // A key that ring cannot use says what can.
    let key = PrivateKey::generate(Algorithm::Es512, Engine::AwsLcRs).unwrap();
    let error = SoftwareSigner::new(&key, Algorithm::Es512, Engine::Ring).unwrap_err();
    assert!(error.to_string().contains("Engine::AwsLcRs"), "{error}");
}
