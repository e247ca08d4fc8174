//! The hot path, piece by piece: `cargo xtask bench criterion`.
//!
//! Absolute times vary between machines; `cargo xtask bench overhead` gives ratios.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use chancery::software::{Engine, PrivateKey, SoftwareSigner, Verifier};
use chancery::{Algorithm, JwkSet, Signer, SigningInput};
use chancery_benches::raw::RawKey;
use chancery_benches::{Payload, issuer};
use criterion::{Criterion, criterion_group, criterion_main};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const KEYS: [(Algorithm, Engine); 6] = [
    (Algorithm::Es256, Engine::Ring),
    (Algorithm::Es256, Engine::AwsLcRs),
    (Algorithm::EdDsa, Engine::Ring),
    (Algorithm::EdDsa, Engine::AwsLcRs),
    (Algorithm::Rs256, Engine::Ring),
    (Algorithm::Rs256, Engine::AwsLcRs),
];

fn tokens(criterion: &mut Criterion) -> Outcome {
    for (algorithm, engine) in KEYS {
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs)?;
        let signer = Arc::new(SoftwareSigner::new(&key, algorithm, engine)?);
        let raw = RawKey::new(&key, algorithm, engine)?;
        let issuer = issuer(Arc::clone(&signer) as Arc<dyn Signer>)?;
        let mut group = criterion.benchmark_group(format!("{algorithm} {engine}"));
        for payload in Payload::ALL {
            let len = payload.size();
            let claims = payload.claims()?;
            let unsigned = issuer.prepare(&claims)?;
            let message = unsigned.signing_input().as_bytes().to_vec();
            group.bench_function(format!("raw signature/{len}"), |bencher| {
                bencher.iter(|| raw.sign(black_box(&message)).is_ok());
            });
            group.bench_function(format!("Signer::sign/{len}"), |bencher| {
                bencher.iter(|| {
                    signer
                        .sign(&SigningInput::new(algorithm, black_box(&message)))
                        .is_ok()
                });
            });
            let mut out = String::new();
            group.bench_function(format!("issue_into/{len}"), |bencher| {
                bencher.iter(|| issuer.issue_into(black_box(&claims), &mut out).is_ok());
            });
            group.bench_function(format!("claims and issue/{len}"), |bencher| {
                bencher.iter(|| {
                    payload
                        .claims()
                        .is_ok_and(|claims| issuer.issue(&claims).is_ok())
                });
            });
        }
        group.finish();
    }
    Ok(())
}

fn pieces(criterion: &mut Criterion) -> Outcome {
    let signer = Arc::new(SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?);
    let issuer = issuer(signer)?;
    for payload in Payload::ALL {
        let len = payload.size();
        let claims = payload.claims()?;
        criterion.bench_function(&format!("claims/{len}"), |bencher| {
            bencher.iter(|| payload.claims().is_ok());
        });
        criterion.bench_function(&format!("prepare/{len}"), |bencher| {
            bencher.iter(|| issuer.prepare(black_box(&claims)).is_ok());
        });
        let jwks = JwkSet::from_json(issuer.jwks()?.bytes())?;
        let verifier = Verifier::new(issuer.url().as_str(), "sts.amazonaws.com", jwks);
        let token = issuer.issue(&claims)?;
        criterion.bench_function(&format!("verify/{len}"), |bencher| {
            bencher.iter(|| verifier.verify(black_box(token.as_str())).is_ok());
        });
    }
    let path = issuer.jwks()?.path().to_owned();
    criterion.bench_function("document, cached", |bencher| {
        bencher.iter(|| issuer.document(black_box(&path)).is_ok());
    });
    Ok(())
}

fn hot_path(criterion: &mut Criterion) {
    if let Err(error) = tokens(criterion).and_then(|()| pieces(criterion)) {
        eprintln!("nothing was measured: {error}");
        std::process::exit(1);
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
