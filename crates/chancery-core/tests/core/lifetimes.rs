//! Times: lifetimes, backdating, the ends of time.

use std::time::Duration;

use chancery_core::{
    Algorithm, Claims, ClaimsError, IssueError, Issuer, IssuerBuilder, IssuerError, UnixTime,
    UnixTimeError,
};

use crate::support::{
    ISSUER, NOW, TurnableClock, always, builder, claims, issuer, key_set, payload, seconds, time,
    url,
};

fn es256() -> IssuerBuilder {
    builder(vec![always(Algorithm::Es256, "es256")])
}

fn issuer_at(now: u64) -> Issuer {
    Issuer::builder(
        url(ISSUER),
        key_set(vec![always(Algorithm::Es256, "es256")]),
    )
    .clock(TurnableClock::at(now))
    .build()
    .unwrap()
}

#[track_caller]
fn refuses(issuer: &Issuer, claims: &Claims, expected: ClaimsError) {
    match issuer.issue(claims) {
        Err(IssueError::Claims(error)) => assert_eq!(error, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn issued_and_not_before_are_backdated_and_expiry_counts_from_now() {
    let issuer = es256()
        .backdating(seconds(30))
        .default_lifetime(seconds(120))
        .build()
        .unwrap();
    let payload = payload(&issuer, &claims());
    assert_eq!(payload.number("iat"), NOW - 30);
    assert_eq!(payload.number("nbf"), NOW - 30);
    assert_eq!(payload.number("exp"), NOW + 120);
}

#[test]
fn without_backdating_the_times_are_now() {
    let issuer = es256().backdating(Duration::ZERO).build().unwrap();
    let payload = payload(&issuer, &claims().with_lifetime(seconds(1)));
    assert_eq!(payload.number("iat"), NOW);
    assert_eq!(payload.number("nbf"), NOW);
    assert_eq!(payload.number("exp"), NOW + 1);
}

#[test]
fn the_default_lifetime_holds_where_none_is_asked_for() {
    let payload = payload(&issuer(), &claims());
    assert_eq!(payload.number("exp"), NOW + 15 * 60);
}

#[test]
fn the_longest_lifetime_is_granted_and_a_second_more_is_refused() {
    let issuer = issuer();
    let longest = payload(&issuer, &claims().with_lifetime(seconds(3600)));
    assert_eq!(longest.number("exp"), NOW + 3600);
    refuses(
        &issuer,
        &claims().with_lifetime(seconds(3601)),
        ClaimsError::TooLong {
            lifetime: seconds(3601),
            longest: seconds(3600),
        },
    );
    refuses(
        &issuer,
        &claims().with_lifetime(seconds(u64::MAX)),
        ClaimsError::TooLong {
            lifetime: seconds(u64::MAX),
            longest: seconds(3600),
        },
    );
}

#[test]
fn no_lifetime_is_refused() {
    refuses(
        &issuer(),
        &claims().with_lifetime(Duration::ZERO),
        ClaimsError::NoLifetime,
    );
}

#[test]
fn a_fraction_of_a_second_is_refused() {
    for lifetime in [
        Duration::from_nanos(1),
        Duration::from_millis(1500),
        Duration::MAX,
    ] {
        refuses(
            &issuer(),
            &claims().with_lifetime(lifetime),
            ClaimsError::FractionOfSecond { lifetime },
        );
    }
}

#[test]
fn a_token_must_not_outlive_the_year_9999() {
    let end = UnixTime::MAX.as_secs();
    let lifetime = claims().with_lifetime(seconds(60));
    let last = payload(&issuer_at(end - 60), &lifetime);
    assert_eq!(last.number("exp"), end);
    refuses(&issuer_at(end - 59), &lifetime, ClaimsError::Overflow);
    refuses(&issuer_at(end), &lifetime, ClaimsError::Overflow);
    // Nor does a lifetime that only an absurd policy allows overflow the sum.
    let issuer = es256().longest_lifetime(seconds(u64::MAX)).build().unwrap();
    refuses(
        &issuer,
        &claims().with_lifetime(seconds(u64::MAX)),
        ClaimsError::Overflow,
    );
}

#[test]
fn backdating_stops_at_the_epoch() {
    let payload = payload(&issuer_at(3), &claims());
    assert_eq!(payload.number("iat"), 0);
    assert_eq!(payload.number("nbf"), 0);
    assert_eq!(payload.number("exp"), 903);
}

#[test]
fn not_before_must_lie_before_expiry() {
    let issuer = issuer();
    let at = |moment| {
        claims()
            .with_lifetime(seconds(60))
            .with_not_before(time(moment))
    };
    let last = payload(&issuer, &at(NOW + 59));
    assert_eq!(last.number("nbf"), NOW + 59);
    assert_eq!(last.number("iat"), NOW - 5);
    for moment in [NOW + 60, NOW + 61, UnixTime::MAX.as_secs()] {
        refuses(
            &issuer,
            &at(moment),
            ClaimsError::NeverValid {
                not_before: time(moment),
                expires: time(NOW + 60),
            },
        );
    }
}

#[test]
fn settings_that_contradict_each_other_build_no_issuer() {
    let fraction = Duration::from_millis(1500);
    for (builder, setting) in [
        (es256().default_lifetime(fraction), "default_lifetime"),
        (es256().longest_lifetime(fraction), "longest_lifetime"),
        (es256().backdating(fraction), "backdating"),
        (es256().max_age(fraction), "max_age"),
    ] {
        assert_eq!(
            builder.build().unwrap_err(),
            IssuerError::FractionOfSecond { setting }
        );
    }
    for (default, longest) in [(0, 60), (61, 60)] {
        assert_eq!(
            es256()
                .default_lifetime(seconds(default))
                .longest_lifetime(seconds(longest))
                .build()
                .unwrap_err(),
            IssuerError::DefaultLifetime {
                default: seconds(default),
                longest: seconds(longest)
            }
        );
    }
}

#[test]
fn times_lie_between_1970_and_9999() {
    use std::time::{SystemTime, UNIX_EPOCH};

    let end = 253_402_300_799;
    assert_eq!(UnixTime::from_secs(end), Some(UnixTime::MAX));
    assert_eq!(UnixTime::from_secs(end + 1), None);
    assert_eq!(UnixTime::from_secs(u64::MAX), None);
    assert_eq!(UnixTime::MAX.checked_add(seconds(1)), None);
    assert_eq!(UnixTime::EPOCH.checked_add(seconds(u64::MAX)), None);
    assert_eq!(
        UnixTime::EPOCH.checked_add(Duration::from_millis(1999)),
        Some(time(1))
    );
    assert_eq!(time(5).saturating_sub(seconds(6)), UnixTime::EPOCH);
    assert_eq!(
        UnixTime::try_from(UNIX_EPOCH + Duration::from_millis(1999)),
        Ok(time(1))
    );
    assert_eq!(
        UnixTime::try_from(UNIX_EPOCH - seconds(1)),
        Err(UnixTimeError)
    );
    assert_eq!(
        UnixTime::try_from(SystemTime::UNIX_EPOCH + seconds(end + 1)),
        Err(UnixTimeError)
    );
}

#[test]
fn the_system_clock_tells_the_time() {
    let issuer = Issuer::new(
        url(ISSUER),
        key_set(vec![always(Algorithm::Es256, "es256")]),
    );
    let before = UnixTime::try_from(std::time::SystemTime::now()).unwrap();
    let issued_at = payload(&issuer, &claims()).number("iat");
    let after = UnixTime::try_from(std::time::SystemTime::now()).unwrap();
    assert!((before.as_secs()..=after.as_secs()).contains(&(issued_at + 5)));
}
