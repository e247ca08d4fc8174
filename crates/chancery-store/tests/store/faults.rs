//! What a service does to us: it ignores conditions, loses answers, or says nothing at all.

use std::error::Error as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use chancery_store::{Store, StoreError};

use crate::server::{Fault, Ignored, Protocol, Server};
use crate::suite::{Traits, conforms, text};

const PROTOCOLS: [Protocol; 2] = [Protocol::S3, Protocol::Google];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_behaves_is_a_store() {
    for protocol in PROTOCOLS {
        let traits = Traits {
            headers: true,
            versions_by_content: protocol == Protocol::S3,
        };
        conforms(&Server::start(protocol).store(), traits).await;
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_found_out() {
    for protocol in PROTOCOLS {
        for condition in [Ignored::Absence, Ignored::Version] {
            let store = Server::start(protocol).ignoring(condition).store();
            // Also when it is asked again.
            for _ in 0..2 {
                let outcome = store.check_conditional_writes().await;
                let Err(error @ StoreError::Unsupported { .. }) = outcome else {
                    panic!("{protocol:?} {condition:?}: {outcome:?}");
                };
                assert!(!error.is_retryable());
                let said = error.to_string();
                assert!(said.contains("chancery/issuer"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn conditional_writes_that_are_switched_off_are_found_out() {
    let options = [
        ("aws_access_key_id", "anybody"),
        ("aws_secret_access_key", "anything"),
        ("aws_endpoint", "http://127.0.0.1:9"),
        ("aws_conditional_put", "disabled"),
    ];
    let store = Store::open("s3://chancery", options).unwrap();
    let outcome = store.create("a", &text(b"1")).await;
    assert!(
        matches!(outcome, Err(StoreError::Unsupported { .. })),
        "{outcome:?}"
    );
}

/// Polling costs more there, and is as good.
#[tokio::test]
async fn a_server_that_always_sends_the_object_is_a_store() {
    for protocol in PROTOCOLS {
        let store = Server::start(protocol).ignoring(Ignored::Change).store();
        store.check_conditional_writes().await.unwrap();
        let version = store.create("a", &text(b"1")).await.unwrap();
        let unchanged = store.read_if_changed("a", &version).await.unwrap();
        assert!(unchanged.is_none());
    }
}

/// The client sends the write again and is refused, or cannot tell whether it was made.
#[tokio::test]
async fn a_write_whose_answer_is_lost_has_succeeded() {
    for protocol in PROTOCOLS {
        for (fault, sent) in [
            (Fault::AnswerLost, 2),
            (Fault::FailsAfter, 2),
            (Fault::AnswerHeldBack, 1),
        ] {
            let server = Server::start(protocol);
            let store = server.store();
            server.fail_next([fault]);
            let first = store.create("a", &text(b"1")).await.unwrap();
            server.fail_next([fault]);
            let second = store.replace("a", &text(b"2"), &first).await.unwrap();
            let object = store.read("a").await.unwrap().unwrap();
            assert_eq!((object.bytes(), object.version()), (&b"2"[..], &second));
            // The version is good for the next change.
            store.replace("a", &text(b"3"), &second).await.unwrap();
            assert_eq!(server.writes(), 2 * sent + 1, "{protocol:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_fails_for_a_moment_is_sent_again() {
    for protocol in PROTOCOLS {
        let server = Server::start(protocol);
        let store = server.store();
        let first = store.create("a", &text(b"1")).await.unwrap();
        // Made by somebody else meanwhile: equal bytes are not enough.
        server.fail_next([Fault::FailsAndTwin]);
        let lost = store.replace("a", &text(b"2"), &first).await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
        server.fail_next([Fault::FailsAndTwin]);
        let lost = store.create("b", &text(b"2")).await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    }
}

#[tokio::test]
async fn a_write_that_was_not_made_has_failed() {
    for protocol in PROTOCOLS {
        let server = Server::start(protocol);
        let store = server.store();
        server.fail_next([Fault::RequestLost; 4]);
        let outcome = store.create("a", &text(b"1")).await;
        let Err(error @ StoreError::Unavailable { .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(error.is_retryable());
        assert!(error.source().is_some());
        assert!(store.read("a").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_hold_anybody_up() {
    let server = Server::start(Protocol::S3);
    let store = server.store();
    server.fail_next([Fault::Hangs; 10]);
    let start = Instant::now();
    let outcome = store.create("a", &text(b"1")).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );

    // Accepts connections, for that needs no program.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let options = [
        ("aws_access_key_id", "anybody"),
        ("aws_secret_access_key", "anything"),
        ("aws_endpoint", &*endpoint),
        ("aws_allow_http", "true"),
    ];
    let store = Store::open("s3://chancery", options).unwrap();
    let start = Instant::now();
    let outcome = store.read("a").await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    println!("a read gave up after {:?}", start.elapsed());

    drop(silent);
    let start = Instant::now();
    let outcome = store.read("a").await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    println!("a read was refused after {:?}", start.elapsed());
}
