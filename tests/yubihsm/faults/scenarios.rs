//! The faults.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use chancery_core::{Algorithm, SignErrorKind};
use chancery_software::{Engine, PrivateKey};
use chancery_yubihsm::{NewKey, Password, YubiHsm};
use chancery_yubihsm_tests::{
    AUTHENTICATION_KEY, Backend as _, Fault, MockDevice, PASSWORD, Proxy, SimulatedDevice,
    capability,
};

use crate::bed::{Bed, KEY};

/// A fault, and what callers may notice of it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) deadline: Duration,
    pub(crate) expected: Expected,
    pub(crate) script: Script,
}

/// What happens while 16 callers sign: on the `yubihsm` crate's mock behind its own connector, or
/// on the simulated device where the mock lacks what is needed.
#[derive(Clone, Copy)]
pub(crate) enum Script {
    Mock(MockScript),
    Simulated(fn(&Bed<SimulatedDevice>)),
}

type MockScript = fn(&Bed<MockDevice>);

/// What callers may notice.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// Nothing but a delay.
    NoError,
    /// At least one error, all of these kinds and with this text; and signatures afterwards.
    Errors(&'static [SignErrorKind], &'static str),
    /// Only errors, for good.
    Latched,
}

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(800);

/// How many answers in a row a fault of the line hits: more than one recovery takes.
const ANSWERS: usize = 6;

const UNAVAILABLE: &[SignErrorKind] = &[SignErrorKind::Unavailable];

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut mock = |name, deadline, expected, script| {
        all.push(Scenario {
            name,
            deadline,
            expected,
            script: Script::Mock(script),
        });
    };
    for (name, script) in line_faults() {
        mock(name, LONG, Expected::NoError, script);
    }
    mock("slow answers", LONG, Expected::NoError, |bed| {
        bed.proxy
            .inject(Fault::Delay(Duration::from_millis(100)), 20);
        assert!(bed.traffic.flows(20));
    });
    mock(
        "one answer stalls",
        SHORT,
        Expected::Errors(&[SignErrorKind::Timeout], "deadline"),
        |bed| {
            bed.proxy.inject(Fault::Stall, 1);
            sleep(SHORT * 2);
            bed.proxy.lift();
        },
    );
    mock(
        "all answers stall",
        SHORT,
        Expected::Errors(&[SignErrorKind::Timeout, SignErrorKind::Unavailable], ""),
        |bed| {
            bed.proxy.inject(Fault::Stall, usize::MAX);
            sleep(SHORT * 2);
            bed.proxy.lift();
        },
    );
    mock("connector restarted", LONG, Expected::NoError, |bed| {
        bed.proxy.stop();
        sleep(Duration::from_millis(300));
        bed.proxy.restart();
    });
    mock(
        "connector restarted five times",
        LONG,
        Expected::NoError,
        |bed| {
            for _ in 0..5 {
                bed.proxy.stop();
                bed.proxy.restart();
                assert!(bed.traffic.flows(16));
            }
        },
    );
    mock(
        "connector down past the deadline",
        SHORT,
        Expected::Errors(UNAVAILABLE, "no answer from the connector"),
        |bed| {
            bed.proxy.stop();
            sleep(SHORT * 2);
            bed.proxy.restart();
        },
    );
    mock("device power-cycled", LONG, Expected::NoError, |bed| {
        bed.proxy.swap(mock_with(Some(&bed.key)));
    });
    mock(
        "device swapped for one with another key",
        LONG,
        Expected::Errors(&[SignErrorKind::KeyChanged], "not the one that was opened"),
        |bed| {
            let other = PrivateKey::generate(Algorithm::Es256, Engine::AwsLcRs).unwrap();
            bed.proxy.swap(mock_with(Some(&other)));
            sleep(Duration::from_millis(500));
            bed.proxy.swap(mock_with(Some(&bed.key)));
        },
    );
    mock(
        "device swapped for one without the key",
        SHORT,
        Expected::Errors(&[SignErrorKind::KeyMissing], "identifier 5"),
        |bed| {
            bed.proxy.swap(mock_with(None));
            sleep(SHORT * 2);
            bed.proxy.swap(mock_with(Some(&bed.key)));
        },
    );
    all.extend(simulated());
    all
}

/// Faults of the line that no caller notices.
fn line_faults() -> [(&'static str, MockScript); 15] {
    macro_rules! hit {
        ($fault:ident) => {
            |bed| {
                bed.proxy.inject(Fault::$fault, ANSWERS);
                while bed.proxy.hits() < ANSWERS {
                    sleep(Duration::from_millis(1));
                }
            }
        };
    }
    [
        ("connection cut before the device", hit!(CutBefore)),
        ("connection cut after the device", hit!(CutAfter)),
        ("connection cut within the answer", hit!(CutWithin)),
        ("answer truncated", hit!(Truncate)),
        ("HTTP 500 before the device", hit!(ErrorBefore)),
        ("HTTP 500 after the device", hit!(ErrorAfter)),
        ("answer is no HTTP", hit!(Garbage)),
        ("answer empty", hit!(Empty)),
        ("bit flipped in the MAC", hit!(FlipLast)),
        ("bit flipped in the ciphertext", hit!(FlipMiddle)),
        ("bit flipped in the length", hit!(FlipLength)),
        ("bit flipped in the session identifier", hit!(FlipSession)),
        ("bit flipped in the command", |bed| {
            // Not in a row, since a session whose closing is refused three times is left to expire.
            for _ in 0..ANSWERS {
                bed.proxy.inject(Fault::FlipRequest, 1);
                assert!(bed.traffic.flows(16));
            }
        }),
        ("answer replayed", hit!(Replay)),
        ("answer in two pieces", hit!(Split)),
    ]
}

fn simulated() -> Vec<Scenario> {
    let scenario = |name, deadline, expected, script| Scenario {
        name,
        deadline,
        expected,
        script: Script::Simulated(script),
    };
    vec![
        scenario(
            "sessions forgotten ten times",
            LONG,
            Expected::NoError,
            |bed| {
                for _ in 0..10 {
                    bed.device.power_cycle();
                    assert!(bed.traffic.flows(16));
                }
            },
        ),
        scenario(
            "audit log full",
            SHORT,
            Expected::Errors(UNAVAILABLE, "audit log of the device is full"),
            |bed| {
                bed.device.force_audit(62);
                sleep(SHORT * 2);
                // The operator's part.
                bed.device.end_audit();
            },
        ),
        scenario(
            "sessions taken by others",
            SHORT,
            Expected::Errors(UNAVAILABLE, "all 16 sessions of the device are taken"),
            |bed| {
                // Down in between, so that the signer cannot come first.
                bed.proxy.stop();
                bed.device.power_cycle();
                for _ in 0..16 {
                    let create = [3, 0, 10, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
                    bed.device.exchange(&create).unwrap();
                }
                bed.proxy.restart();
                sleep(SHORT * 2);
                bed.device.power_cycle();
            },
        ),
        scenario("signatures spoiled", LONG, Expected::NoError, |bed| {
            bed.device.spoil(2);
            assert!(bed.traffic.flows(16));
        }),
        scenario(
            "authentication key missing",
            SHORT,
            Expected::Errors(&[SignErrorKind::KeyMissing], "no authentication key 1"),
            |bed| {
                bed.device.take_authentication_key(AUTHENTICATION_KEY);
                bed.device.power_cycle();
                sleep(SHORT * 2);
                bed.device.put_authentication_key(
                    AUTHENTICATION_KEY,
                    PASSWORD,
                    capability::ALL,
                    u16::MAX,
                );
            },
        ),
        scenario("password changed", LONG, Expected::Latched, |bed| {
            bed.device.put_authentication_key(
                AUTHENTICATION_KEY,
                "another",
                capability::ALL,
                u16::MAX,
            );
            bed.device.power_cycle();
            sleep(Duration::from_secs(2));
            assert!(bed.device.failed_authentications() <= 8);
        }),
        scenario("idle for 31 s", LONG, Expected::NoError, |bed| {
            bed.device.expire_after(Duration::from_secs(30));
            bed.traffic.pause(Duration::from_secs(31));
        }),
    ]
}

/// Another mock, as a device is after a power cycle: the keys are there, the sessions are not.
fn mock_with(key: Option<&PrivateKey>) -> Arc<MockDevice> {
    let mock = Arc::new(MockDevice::start());
    if let Some(key) = key {
        let proxy = Proxy::start(mock.clone());
        let password = Password::new(PASSWORD);
        YubiHsm::http(&proxy.url(), AUTHENTICATION_KEY, &password)
            .unwrap()
            .import(key, &NewKey::new("signing").with_id(KEY))
            .unwrap();
    }
    mock
}
