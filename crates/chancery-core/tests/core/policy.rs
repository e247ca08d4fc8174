//! What an issuer allows: audiences, algorithms, published keys.

use chancery_core::{
    Algorithm, Claims, ClaimsError, IssueError, IssuerError, Schedule, ScheduledKey,
};

use crate::support::{
    FakeSigner, NOW, Parts, TurnableClock, always, builder, claims, issuer, time, url,
};

#[test]
fn only_the_listed_audiences_are_issued_for() {
    let issuer = builder(vec![always(Algorithm::Es256, "es256")])
        .allowed_audiences(["a", "b"])
        .allow_several_audiences()
        .build()
        .unwrap();
    let to = |audiences: &[&str]| {
        let claims = audiences.iter().fold(Claims::new("s"), |claims, audience| {
            claims.with_audience(*audience)
        });
        issuer.issue(&claims)
    };
    assert!(to(&["a"]).is_ok());
    assert!(to(&["b", "a"]).is_ok());
    for (audiences, refused) in [
        (&["c"][..], "c"),
        (&["a", "c"], "c"),
        (&["A"], "A"),
        (&["a "], "a "),
        (&["a", ""], ""),
    ] {
        match to(audiences) {
            Err(IssueError::Claims(ClaimsError::AudienceNotAllowed { audience })) => {
                assert_eq!(audience, refused);
            }
            other => panic!("{audiences:?}: {other:?}"),
        }
    }
}

#[test]
fn an_empty_list_allows_nothing_and_builds_no_issuer() {
    let keys = || builder(vec![always(Algorithm::Es256, "es256")]);
    assert_eq!(
        keys().allowed_audiences::<String>([]).build().unwrap_err(),
        IssuerError::EmptyList {
            setting: "allowed_audiences"
        }
    );
    assert_eq!(
        keys().algorithms([]).build().unwrap_err(),
        IssuerError::EmptyList {
            setting: "algorithms"
        }
    );
}

#[test]
fn the_first_key_says_which_algorithm_is_the_default() {
    let issuer = builder(vec![
        always(Algorithm::Rs256, "rs"),
        always(Algorithm::Es256, "es"),
    ])
    .build()
    .unwrap();
    let token = issuer.issue(&claims()).unwrap();
    assert_eq!(Parts::of(token.as_str()).header.text("kid"), "rs");
}

#[test]
fn a_token_is_signed_with_the_algorithm_it_asks_for() {
    let issuer = builder(
        Algorithm::all()
            .map(|algorithm| always(algorithm, algorithm.name()))
            .collect(),
    )
    .build()
    .unwrap();
    for algorithm in Algorithm::all() {
        let token = issuer
            .issue(&claims().with_signing_algorithm(algorithm))
            .unwrap();
        let parts = Parts::of(token.as_str());
        assert!(
            parts.is_signed_by(&crate::support::jwk(algorithm, algorithm.name())),
            "{algorithm}"
        );
    }
}

#[test]
fn an_algorithm_that_the_set_lacks_has_no_active_key() {
    let error = issuer()
        .issue(&claims().with_signing_algorithm(Algorithm::Rs256))
        .unwrap_err();
    assert!(matches!(
        error,
        IssueError::NoActiveKey { algorithm: Algorithm::Rs256, now } if now == time(NOW)
    ));
}

#[test]
fn the_first_published_algorithm_is_the_default() {
    let issuer = builder(vec![
        always(Algorithm::Rs256, "rs"),
        always(Algorithm::Es256, "es"),
        always(Algorithm::Es384, "es384"),
    ])
    .algorithms([Algorithm::Es256, Algorithm::Rs256])
    .build()
    .unwrap();
    let token = issuer.issue(&claims()).unwrap();
    assert_eq!(Parts::of(token.as_str()).header.text("kid"), "es");
}

#[test]
fn a_key_of_an_algorithm_that_is_not_published_never_signs() {
    let issuer = builder(vec![
        always(Algorithm::Rs256, "rs"),
        always(Algorithm::Es256, "es"),
    ])
    .algorithms([Algorithm::Es256])
    .build()
    .unwrap();
    let claims = claims().with_signing_algorithm(Algorithm::Rs256);
    for error in [
        issuer.issue(&claims).unwrap_err(),
        issuer.prepare(&claims).unwrap_err(),
        issuer.issue_into(&claims, &mut String::new()).unwrap_err(),
    ] {
        assert!(matches!(
            error,
            IssueError::AlgorithmNotPublished {
                algorithm: Algorithm::Rs256
            }
        ));
    }
}

/// Whatever the schedule: when a token can be had, its key stands in the JWKS of that moment.
#[test]
fn a_key_that_is_not_published_never_signs() {
    // Every combination of times that a key set takes, over a few moments.
    let moments = [10_u64, 20, 30, 40];
    let optional: Vec<Option<u64>> = moments.iter().copied().map(Some).chain([None]).collect();
    let mut signed = 0;
    for announce in moments {
        for activate in moments {
            for &stop in &optional {
                for &retire in &optional {
                    let schedule = Schedule {
                        announce: time(announce),
                        activate: Some(time(activate)),
                        stop: stop.map(time),
                        retire: retire.map(time),
                    };
                    let key = ScheduledKey::new(FakeSigner::new(Algorithm::Es256, "key"), schedule);
                    let Ok(keys) = chancery_core::KeySet::new(vec![key]) else {
                        continue;
                    };
                    let clock = TurnableClock::at(0);
                    let issuer =
                        chancery_core::Issuer::builder(url("https://id.example.com"), keys)
                            .clock(clock.clone())
                            .build()
                            .unwrap();
                    for now in 0..50 {
                        clock.turn(now);
                        let is_published = announce <= now && retire.is_none_or(|t| now < t);
                        let is_active =
                            is_published && activate <= now && stop.is_none_or(|t| now < t);
                        assert_eq!(schedule.is_published(time(now)), is_published);
                        assert_eq!(schedule.is_active(time(now)), is_active);
                        assert_eq!(issuer.issue(&claims()).is_ok(), is_active);
                        let jwks = issuer.jwks().map(|document| document.bytes().to_vec());
                        assert_eq!(jwks.is_ok(), is_published);
                        signed += u32::from(is_active);
                    }
                }
            }
        }
    }
    assert!(signed > 500, "signed {signed} times");
}
