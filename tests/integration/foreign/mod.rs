//! Somebody else's verifiers take the tokens and refuse the bad ones.
//!
//! They know nothing but the issuer's URL: the documents come over HTTP. Every algorithm goes to
//! every one of them; what one does not know must fail as its own table says.

mod by_jsonwebtoken;
mod by_node_and_python;
mod by_openidconnect;
mod by_openssl;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chancery::software::{Engine, PrivateKey, SoftwareSigner, Verifier, VerifyError};
use chancery::{
    Algorithm, Claims, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey, Signer,
    TokenType, UnixTime,
};
use serde_json::json;

use crate::support::{
    AUDIENCE, SlowClock, algorithms, claims, encode, key_set, published, segment, signer,
};
use chancery_tests::http::Server;
use chancery_tests::jws::with_flipped_bit;
use chancery_tests::verifiers::openidconnect;

/// Why a token has to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The payload was changed after it was signed.
    Payload,
    /// One bit of the signature was flipped.
    Signature,
    Expired,
    NotYetValid,
    Audience,
    /// Signed with a published key, but by the issuer of another URL.
    Issuer,
    /// Signed with a key that the JWKS does not have.
    UnknownKid,
    /// Signed with another key, under the `kid` of a published one.
    OtherKey,
    /// An access token where an ID token is expected.
    Type,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Payload,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
        Self::Issuer,
        Self::UnknownKid,
        Self::OtherKey,
        Self::Type,
    ];
}

/// A token for a verifier that expects its algorithm and `typ` JWT.
struct Case {
    name: String,
    algorithm: Algorithm,
    token: String,
    /// `None` for a good one.
    fault: Option<Fault>,
}

/// An issuer with a key of every algorithm of an engine, served over HTTP, and tokens of it.
struct Scene {
    server: Server,
    cases: Vec<Case>,
}

impl Scene {
    fn new(engine: Engine) -> Self {
        let signers = named_signers(engine, "");
        let keys = always(&signers);
        let server = Server::start(|url| issuer(url, keys.clone(), Duration::ZERO));
        let url = server.issuer().url();
        let tokens = Tokens {
            // On a set of its own, since no set takes a clock that goes back.
            late: issuer(url.clone(), always(&signers), Duration::from_secs(7200)),
            other: issuer(
                IssuerUrl::parse("https://other.example.com").unwrap(),
                keys,
                Duration::ZERO,
            ),
            unknown: issuer(
                url.clone(),
                always(&named_signers(engine, "-of-tomorrow")),
                Duration::ZERO,
            ),
            impostor: issuer(url.clone(), impostors(engine), Duration::ZERO),
        };
        let cases = algorithms(engine)
            .flat_map(|algorithm| tokens.cases(server.issuer(), algorithm))
            .collect();
        Self { server, cases }
    }

    fn url(&self) -> &str {
        self.server.issuer().url().as_str()
    }
}

/// Issuers that make what must be refused.
struct Tokens {
    late: Issuer,
    other: Issuer,
    unknown: Issuer,
    impostor: Issuer,
}

impl Tokens {
    /// A good token, and one of each fault.
    fn cases(&self, issuer: &Issuer, algorithm: Algorithm) -> Vec<Case> {
        let good = rich_claims().with_signing_algorithm(algorithm);
        let issue = |issuer: &Issuer, claims: &Claims| issuer.issue(claims).unwrap().into_string();
        let faulty = |fault| match fault {
            Fault::Payload => with_other_payload(&issue(issuer, &good)),
            Fault::Signature => with_flipped_bit(&issue(issuer, &good)),
            Fault::Expired => issue(&self.late, &good),
            Fault::NotYetValid => {
                let soon = UnixTime::try_from(SystemTime::now() + Duration::from_secs(300));
                issue(issuer, &good.clone().with_not_before(soon.unwrap()))
            }
            Fault::Audience => {
                let other = Claims::new("job:42").with_audience("other.example.com");
                issue(issuer, &other.with_signing_algorithm(algorithm))
            }
            Fault::Issuer => issue(&self.other, &good),
            Fault::UnknownKid => issue(&self.unknown, &good),
            Fault::OtherKey => issue(&self.impostor, &good),
            Fault::Type => issue(issuer, &good.clone().into_access_token("client")),
        };
        let case = |fault: Option<Fault>, token| Case {
            name: format!("{algorithm} {fault:?}"),
            algorithm,
            token,
            fault,
        };
        let mut cases = vec![case(None, issue(issuer, &good))];
        cases.extend(Fault::ALL.map(|fault| case(Some(fault), faulty(fault))));
        cases
    }
}

/// A token with much in it that a foreign parser could trip over.
fn rich_claims() -> Claims {
    claims()
        .with_nonce("n-0S6_WzA2Mj")
        .with_email("dev@example.com", true)
        .with_authentication_method("hwk")
        .with_private_claim(
            "https://example.com/tags",
            &json!({"Straße": ["\"\\\u{1}😀", 1, null]}),
        )
        .unwrap()
}

fn issuer(url: IssuerUrl, keys: KeySet, behind: Duration) -> Issuer {
    Issuer::builder(url, keys)
        .metadata(openidconnect::metadata())
        .clock(Arc::new(SlowClock(behind)))
        .build()
        .unwrap()
}

/// Signers of keys that are named by their algorithms.
fn named_signers(engine: Engine, suffix: &str) -> Vec<Arc<dyn Signer>> {
    let named = |algorithm| {
        let name = format!("{algorithm}{suffix}");
        Arc::new(signer(algorithm, engine).with_kid(name).unwrap()) as Arc<dyn Signer>
    };
    algorithms(engine).map(named).collect()
}

fn always(signers: &[Arc<dyn Signer>]) -> KeySet {
    let key = |signer: &Arc<dyn Signer>| ScheduledKey::new(Arc::clone(signer), Schedule::ALWAYS);
    KeySet::new(signers.iter().map(key).collect()).unwrap()
}

/// Other keys under the same names.
fn impostors(engine: Engine) -> KeySet {
    key_set(algorithms(engine).map(|algorithm| {
        let key = PrivateKey::generate(algorithm, Engine::AwsLcRs).unwrap();
        let signer = SoftwareSigner::new(&key, algorithm, engine).unwrap();
        signer.with_kid(algorithm.name()).unwrap()
    }))
}

fn with_other_payload(token: &str) -> String {
    let mut payload = segment(token, 1);
    payload["sub"] = json!("job:43");
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    format!(
        "{header}.{}.{signature}",
        encode(payload.to_string().as_bytes())
    )
}

/// The cases are what they say they are, as our own verifier sees them.
#[test]
fn every_case_has_the_fault_it_is_named_for() {
    for &engine in Engine::ALL {
        let scene = Scene::new(engine);
        assert_eq!(scene.cases.len(), algorithms(engine).count() * 10);
        let keys = published(scene.server.issuer());
        for case in &scene.cases {
            let verifier = Verifier::new(scene.url(), AUDIENCE, JwkSet::clone(&keys))
                .with_token_type(TokenType::Jwt);
            let error = verifier.verify(&case.token).err();
            let right = match case.fault {
                None => error.is_none(),
                Some(Fault::Payload | Fault::Signature | Fault::OtherKey) => {
                    error == Some(VerifyError::Signature)
                }
                Some(Fault::Expired) => matches!(error, Some(VerifyError::Expired { .. })),
                Some(Fault::NotYetValid) => matches!(error, Some(VerifyError::NotYetValid { .. })),
                Some(Fault::Audience) => error == Some(VerifyError::Audience),
                Some(Fault::Issuer) => error == Some(VerifyError::Issuer),
                Some(Fault::UnknownKid) => error == Some(VerifyError::UnknownKid),
                Some(Fault::Type) => matches!(error, Some(VerifyError::Type { .. })),
            };
            assert!(right, "{engine} {}: {error:?}", case.name);
        }
    }
}
