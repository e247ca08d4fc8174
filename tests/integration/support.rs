//! What the modules share: keys, issuers and clocks.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use chancery::software::{Engine, PrivateKey, SoftwareSigner};
use chancery::{
    Algorithm, Claims, Clock, Issuer, IssuerUrl, JwkSet, KeySet, KeyType, Schedule, ScheduledKey,
    Signer, UnixTime,
};

pub(crate) use chancery_tests::jws::{decode, encode, segment};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const AUDIENCE: &str = "sts.example.com";

/// An RSA key of 2048 bits for each algorithm, generated once because that takes long.
static RSA: LazyLock<Vec<(Algorithm, PrivateKey)>> = LazyLock::new(|| {
    Algorithm::all()
        .filter(|algorithm| algorithm.key_type() == KeyType::Rsa)
        .map(|algorithm| {
            let key = PrivateKey::generate(algorithm, Engine::AwsLcRs).unwrap();
            (algorithm, key)
        })
        .collect()
});

/// A signer with a key of its own. ring gets its RSA keys from aws-lc-rs; all others are new.
pub(crate) fn signer(algorithm: Algorithm, engine: Engine) -> SoftwareSigner {
    match RSA.iter().find(|(of, _)| *of == algorithm) {
        Some((_, key)) => SoftwareSigner::new(key, algorithm, engine).unwrap(),
        None => SoftwareSigner::generate(algorithm, engine).unwrap(),
    }
}

/// The algorithms that an engine has.
pub(crate) fn algorithms(engine: Engine) -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(move |algorithm| engine.supports(*algorithm))
}

pub(crate) fn key_set(signers: impl IntoIterator<Item = SoftwareSigner>) -> KeySet {
    KeySet::new(signers.into_iter().map(always).collect()).unwrap()
}

pub(crate) fn always(signer: SoftwareSigner) -> ScheduledKey {
    let signer: Arc<dyn Signer> = Arc::new(signer);
    ScheduledKey::new(signer, Schedule::ALWAYS)
}

/// An issuer with one key in memory.
pub(crate) fn issuer(algorithm: Algorithm, engine: Engine) -> Issuer {
    Issuer::new(url(ISSUER), key_set([signer(algorithm, engine)]))
}

pub(crate) fn url(url: &str) -> IssuerUrl {
    IssuerUrl::parse(url).unwrap()
}

pub(crate) fn claims() -> Claims {
    Claims::new("job:42").with_audience(AUDIENCE)
}

/// What a relying party knows of the keys: the published document.
pub(crate) fn published(issuer: &Issuer) -> JwkSet {
    JwkSet::from_json(issuer.jwks().unwrap().bytes()).unwrap()
}

/// A clock that shows another time than the system's, and goes on.
#[derive(Debug)]
pub(crate) struct SlowClock(pub(crate) Duration);

impl Clock for SlowClock {
    fn now(&self) -> UnixTime {
        UnixTime::try_from(SystemTime::now() - self.0).unwrap()
    }
}
