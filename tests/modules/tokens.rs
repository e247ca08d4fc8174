//! Tokens, as other people's verifiers see them.

use std::sync::Arc;

use chancery::{Algorithm, Claims, Issuer, KeySet, Schedule, ScheduledKey, Signer};
use chancery_tests::http::Server;
use chancery_tests::jws::with_flipped_bit;
use chancery_tests::verifiers::{Verifier, openidconnect};

use crate::module::Module;

const AUDIENCE: &str = "sts.example.com";

/// One issuer with all the keys; of each a good token, and one whose signature is wrong.
pub(crate) fn are_judged(module: &Module, verifier: &Verifier) {
    let algorithms: Vec<Algorithm> = module.expected.algorithms().collect();
    let server = Server::start(|url| {
        let key = |&algorithm: &Algorithm| {
            let signer: Arc<dyn Signer> = Arc::new(module.signer(algorithm));
            ScheduledKey::new(signer, Schedule::ALWAYS)
        };
        let keys = KeySet::new(algorithms.iter().map(key).collect()).unwrap();
        let builder = Issuer::builder(url, keys).metadata(openidconnect::metadata());
        builder.build().unwrap()
    });
    let issue = |&algorithm: &Algorithm| {
        let claims = Claims::new("job:42").with_audience(AUDIENCE);
        let claims = claims.with_signing_algorithm(algorithm);
        server.issuer().issue(&claims).unwrap().into_string()
    };
    let good: Vec<String> = algorithms.iter().map(issue).collect();
    let bad: Vec<String> = good.iter().map(|token| with_flipped_bit(token)).collect();
    let judge = |tokens: &[String]| {
        let tokens = tokens.iter().map(String::as_str);
        let presented: Vec<_> = algorithms.iter().copied().zip(tokens).collect();
        let verdicts = verifier.judge(&server, AUDIENCE, &presented);
        assert_eq!(verdicts.len(), algorithms.len());
        verdicts
    };
    for ((algorithm, good), bad) in algorithms.iter().zip(judge(&good)).zip(judge(&bad)) {
        let bad_signature = Err(verifier.bad_signature.to_owned());
        if verifier.unknown.contains(algorithm) {
            assert!(
                good.is_err() && good != bad_signature,
                "{algorithm} {good:?}"
            );
        } else {
            assert_eq!(good, Ok(()), "{algorithm}");
            assert_eq!(bad, bad_signature, "{algorithm}");
        }
    }
}
