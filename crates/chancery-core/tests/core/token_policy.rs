//! What a token policy is asked, and what becomes of its answer.

use std::fmt;
use std::sync::Arc;

use chancery_core::{
    Algorithm, AlgorithmSet, Claims, ClaimsError, IssueError, Issuer, PolicyError, Schedule,
    ScheduledKey, TokenPolicy, TokenRequest, TokenTerms,
};

use crate::support::{
    FakeSigner, ISSUER, NOW, Parts, TurnableClock, always, builder, claims, payload, seconds, time,
    url,
};

struct Answering(fn(&TokenRequest<'_>) -> Result<TokenTerms, PolicyError>);

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}

impl TokenPolicy for Answering {
    fn terms(&self, request: &TokenRequest<'_>) -> Result<TokenTerms, PolicyError> {
        (self.0)(request)
    }
}

fn keys() -> Vec<ScheduledKey> {
    [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Es256,
    ]
    .map(|algorithm| always(algorithm, algorithm.name()))
    .into()
}

fn issuer(
    keys: Vec<ScheduledKey>,
    answer: fn(&TokenRequest<'_>) -> Result<TokenTerms, PolicyError>,
) -> Issuer {
    builder(keys)
        .token_policy(Arc::new(Answering(answer)))
        .build()
        .unwrap()
}

fn signed_with(issuer: &Issuer) -> String {
    let token = issuer.issue(&claims()).unwrap();
    Parts::of(token.as_str()).header.text("alg").to_owned()
}

fn only(algorithms: &[Algorithm]) -> Result<TokenTerms, PolicyError> {
    Ok(TokenTerms::default().with_algorithms(AlgorithmSet::of(algorithms)))
}

#[test]
fn the_fastest_accepted_algorithm_of_the_key_set_signs() {
    use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Rs256, Rs384};

    assert_eq!(
        signed_with(&issuer(keys(), |_| only(&[Rs256, Es256]))),
        "ES256"
    );
    assert_eq!(signed_with(&issuer(keys(), |_| only(&[Rs256]))), "RS256");
    assert_eq!(
        signed_with(&issuer(keys(), |_| only(&[Ps256, Rs256, Rs384]))),
        "RS256"
    );
    assert_eq!(
        signed_with(&issuer(keys(), |_| only(&[Es512, Es384, Rs256]))),
        "ES384"
    );
    assert_eq!(
        signed_with(&issuer(keys(), |_| only(&[Es384, EdDsa]))),
        "EdDSA"
    );
    // A policy that leaves it open leaves it to the issuer.
    assert_eq!(
        signed_with(&issuer(keys(), |_| Ok(TokenTerms::default()))),
        "RS256"
    );
}

#[test]
fn a_key_that_is_not_active_or_not_published_is_passed_over() {
    let answer = |_: &TokenRequest<'_>| only(&[Algorithm::Es256, Algorithm::Rs256]);
    let later = Schedule {
        activate: Some(time(NOW + 60)),
        ..Schedule::ALWAYS
    };
    let set = || {
        vec![
            ScheduledKey::new(FakeSigner::new(Algorithm::Es256, "next"), later),
            always(Algorithm::Rs256, "now"),
        ]
    };
    let clock = TurnableClock::at(NOW);
    let turned = builder(set())
        .clock(clock.clone())
        .token_policy(Arc::new(Answering(answer)))
        .build()
        .unwrap();
    assert_eq!(signed_with(&turned), "RS256");
    clock.turn(NOW + 60);
    assert_eq!(signed_with(&turned), "ES256");

    let listed = builder(keys())
        .algorithms([Algorithm::Rs256, Algorithm::Ps256])
        .token_policy(Arc::new(Answering(answer)))
        .build()
        .unwrap();
    assert_eq!(signed_with(&listed), "RS256");

    let error = issuer(vec![always(Algorithm::EdDsa, "ed")], answer)
        .issue(&claims())
        .unwrap_err();
    assert!(
        matches!(error, IssueError::NoAcceptedKey { accepted, now }
            if now == time(NOW) && accepted == AlgorithmSet::of(&[Algorithm::Es256, Algorithm::Rs256])),
        "{error}"
    );
    assert!(error.to_string().contains("ES256, RS256"), "{error}");
}

#[test]
fn an_algorithm_asked_for_must_be_accepted() {
    let issuer = issuer(keys(), |_| only(&[Algorithm::Rs256, Algorithm::Es256]));
    let token = issuer
        .issue(&claims().with_signing_algorithm(Algorithm::Rs256))
        .unwrap();
    assert_eq!(Parts::of(token.as_str()).header.text("alg"), "RS256");
    let error = issuer
        .issue(&claims().with_signing_algorithm(Algorithm::EdDsa))
        .unwrap_err();
    assert!(matches!(
        error,
        IssueError::AlgorithmNotAccepted {
            algorithm: Algorithm::EdDsa,
            ..
        }
    ));
}

#[test]
fn a_policy_sees_the_token_and_may_refuse_it() {
    let refusing = issuer(keys(), |request| {
        assert!(matches!(
            request.issuer.as_str(),
            ISSUER | "https://t.example.com"
        ));
        assert_eq!(request.lifetime, seconds(900));
        match request.claims.subject() {
            Some("intruder") => Err(PolicyError::new("not this one")),
            _ => Ok(TokenTerms::default()),
        }
    });
    let intruder = Claims::new("intruder").with_audience("aud");
    // A tenant's issuer has the same policy.
    for issuer in [&refusing, &refusing.tenant(url("https://t.example.com"))] {
        assert!(issuer.issue(&claims()).is_ok());
        for error in [
            issuer.issue(&intruder).unwrap_err(),
            issuer.prepare(&intruder).unwrap_err(),
            issuer
                .issue_into(&intruder, &mut String::new())
                .unwrap_err(),
        ] {
            match error {
                IssueError::Policy(error) => {
                    assert_eq!(error.reason().to_string(), "not this one")
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_token_longer_than_the_policy_grants_is_refused() {
    let short = issuer(keys(), |_| {
        Ok(TokenTerms::default()
            .with_longest_token(2000)
            .with_longest_token(4000))
    });
    assert!(short.issue(&claims()).is_ok());
    match short.issue(&Claims::new("a".repeat(2000)).with_audience("aud")) {
        Err(IssueError::Claims(ClaimsError::TooLarge { len, longest })) => {
            assert!(len > 2000 && longest == 2000);
        }
        other => panic!("{other:?}"),
    }
    // It cannot grant more than every verifier of this library reads.
    let long = issuer(keys(), |_| {
        Ok(TokenTerms::default().with_longest_token(1_000_000))
    });
    assert!(
        long.issue(&Claims::new("a".repeat(100_000)).with_audience("aud"))
            .is_err()
    );
}

#[test]
fn sets_of_algorithms_hold_what_was_put_in() {
    for algorithm in Algorithm::all() {
        let set = AlgorithmSet::of(&[algorithm]);
        assert!(AlgorithmSet::ALL.contains(algorithm));
        assert_eq!(set.fastest_first().collect::<Vec<_>>(), [algorithm]);
        for other in Algorithm::all() {
            assert_eq!(set.contains(other), other == algorithm);
        }
        assert_eq!(set.intersection(AlgorithmSet::ALL), set);
    }
    let none =
        AlgorithmSet::of(&[Algorithm::Es256]).intersection(AlgorithmSet::of(&[Algorithm::Rs256]));
    assert!(none.is_empty());
    assert_eq!(none.to_string(), "none");
    assert_eq!(AlgorithmSet::ALL.fastest_first().count(), 11);
}

#[test]
fn a_private_claim_is_shown_as_it_stands_in_the_token() {
    let claims = claims()
        .with_private_claim("first", &["a", r#"quote " and ,"x":1"#])
        .unwrap()
        .with_private_claim("object", &serde_json::json!({"inner": {"first": 1}}))
        .unwrap()
        .with_private_claim("last", &7)
        .unwrap();
    assert_eq!(
        claims.private_claim("first"),
        Some(r#"["a","quote \" and ,\"x\":1"]"#)
    );
    assert_eq!(
        claims.private_claim("object"),
        Some(r#"{"inner":{"first":1}}"#)
    );
    assert_eq!(claims.private_claim("last"), Some("7"));
    assert_eq!(claims.private_claim("inner"), None);
    assert_eq!(claims.private_claim("sub"), None);
}

#[test]
fn claims_are_used_again_with_another_subject() {
    let mut claims = claims();
    claims.subject_mut().clear();
    claims.subject_mut().push_str("job:43");
    assert_eq!(
        payload(&crate::support::issuer(), &claims).text("sub"),
        "job:43"
    );
}
