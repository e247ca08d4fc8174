//! What is never shown: signatures, access tokens, codes, claims.

use chancery_core::{
    Algorithm, Claims, IssueError, Schedule, ScheduledKey, SignError, SignErrorKind, Signature,
};

use crate::support::{FakeSigner, Parts, builder, claims, encode, issuer};

const ACCESS_TOKEN: &str = "canary-access-token";
const CODE: &str = "canary-code";

fn secretive() -> Claims {
    claims()
        .with_access_token_hash(ACCESS_TOKEN)
        .with_code_hash(CODE)
        .with_nonce("canary-nonce")
        .with_email("canary@example.com", true)
        .with_name("Canary Bird")
        .with_private_claim("ticket", "canary-private")
        .unwrap()
}

#[track_caller]
fn shows_nothing(shown: &str) {
    assert!(!shown.to_lowercase().contains("canary"), "{shown}");
}

#[test]
fn claims_show_subject_audiences_and_names() {
    for shown in [format!("{:?}", secretive()), format!("{:#?}", secretive())] {
        shows_nothing(&shown);
        for part in ["job:4711", "sts.example.com", "ticket"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}

#[test]
fn a_token_shows_header_and_names_of_claims() {
    let issuer = issuer();
    let token = issuer.issue(&secretive()).unwrap();
    let signature = token.as_str().rsplit('.').next().unwrap();
    let payload = token.as_str().split('.').nth(1).unwrap();
    for shown in [format!("{token:?}"), format!("{token:#?}")] {
        shows_nothing(&shown);
        assert!(!shown.contains(signature), "{shown}");
        assert!(!shown.contains(&signature[..16]), "{shown}");
        assert!(!shown.contains(&payload[..16]), "{shown}");
        assert!(!shown.contains("job:4711"), "{shown}");
        for part in ["ES256", "es256", "at_hash", "ticket", "iss"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
    // The payload does hold the claims; that Debug hides them is worth something.
    assert_eq!(
        Parts::of(token.as_str()).payload.text("ticket"),
        "canary-private"
    );
}

#[test]
fn an_unsigned_token_shows_its_key() {
    let unsigned = issuer().prepare(&secretive()).unwrap();
    let text = String::from_utf8(unsigned.signing_input().as_bytes().to_vec()).unwrap();
    let payload = text.split('.').nth(1).unwrap();
    for shown in [
        format!("{unsigned:?}"),
        format!("{:?}", unsigned.signing_input()),
    ] {
        shows_nothing(&shown);
        assert!(!shown.contains(&payload[..16]), "{shown}");
        // Nor the same bytes as a list of numbers.
        let numbers = format!("{:?}", &payload.as_bytes()[..8]);
        assert!(!shown.contains(numbers.trim_matches(['[', ']'])), "{shown}");
    }
    assert!(format!("{unsigned:?}").contains("es256"));
}

#[test]
fn a_signature_shows_algorithm_and_length() {
    let bytes: Vec<u8> = (100..164).collect();
    let signature = Signature::new(Algorithm::Es256, &bytes).unwrap();
    for shown in [format!("{signature:?}"), format!("{signature:#?}")] {
        assert!(!shown.contains("100"), "{shown}");
        assert!(!shown.contains("163"), "{shown}");
        assert!(!shown.contains(&encode(&bytes)[..16]), "{shown}");
        assert!(shown.contains("Es256") && shown.contains("64"), "{shown}");
    }
    let pending = chancery_core::PendingSignature::ready(Ok(signature));
    assert!(!format!("{pending:?}").contains("100"));
}

#[test]
fn errors_show_no_claim_that_was_accepted() {
    let failing = FakeSigner::with(Algorithm::Es256, "key", |_, _| {
        Err(SignError::new(SignErrorKind::Failed, "no"))
    });
    let wrong = FakeSigner::with(Algorithm::Es256, "key", |_, _| {
        Ok(Signature::new(Algorithm::Es384, &[123; 96]).unwrap())
    });
    for signer in [failing, wrong] {
        let issuer = builder(vec![ScheduledKey::new(signer, Schedule::ALWAYS)])
            .build()
            .unwrap();
        let error = issuer.issue(&secretive()).unwrap_err();
        for shown in [format!("{error}"), format!("{error:?}")] {
            shows_nothing(&shown);
            assert!(!shown.contains("123"), "{shown}");
        }
    }
    // A refused value is named by its claim and place, not shown.
    let error = issuer()
        .issue(&secretive().with_nonce("canary\u{7}"))
        .unwrap_err();
    assert!(matches!(error, IssueError::Claims(_)));
    shows_nothing(&format!("{error} {error:?}"));
}
