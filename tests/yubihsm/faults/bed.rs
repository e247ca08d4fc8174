//! Runs one scenario.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chancery_core::{Algorithm, SignErrorKind};
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_software::{Engine, PrivateKey};
use chancery_yubihsm::{NewKey, Password, YubiHsm};
use chancery_yubihsm_tests::{
    AUTHENTICATION_KEY, Backend, MockDevice, PASSWORD, Proxy, SimulatedDevice,
};

use crate::scenarios::{Expected, Scenario, Script};
use crate::traffic::Traffic;

/// The identifier of the signing key.
pub(crate) const KEY: u16 = 5;

/// A call may be late by so much, on a machine that has other work.
const SLACK: Duration = Duration::from_millis(500);

/// A signer on a device behind a connector, and what scripts need to break it.
pub(crate) struct Bed<D> {
    pub(crate) device: Arc<D>,
    pub(crate) proxy: Proxy,
    pub(crate) key: PrivateKey,
    pub(crate) traffic: Traffic,
}

pub(crate) fn run(scenario: &Scenario) -> Result<Traffic, String> {
    match scenario.script {
        Script::Mock(script) => run_on(scenario, MockDevice::start(), script),
        Script::Simulated(script) => run_on(scenario, SimulatedDevice::new(), script),
    }
}

fn run_on<D: Backend + 'static>(
    scenario: &Scenario,
    device: D,
    script: fn(&Bed<D>),
) -> Result<Traffic, String> {
    let device = Arc::new(device);
    let key = PrivateKey::generate(Algorithm::Es256, Engine::AwsLcRs).unwrap();
    let bed = Bed {
        proxy: Proxy::start(device.clone()),
        device,
        key,
        traffic: Traffic::default(),
    };
    let signer = open(&bed, scenario.deadline);
    let (before, after) = bed.traffic.run(&signer, || {
        let before = bed.traffic.flows(64);
        script(&bed);
        let after = scenario.expected.is_final() || bed.traffic.flows(64);
        (before, after)
    });
    let health = signer.health();
    drop(signer);
    let traffic = &bed.traffic;
    let check = |holds: bool, otherwise: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!("{otherwise}; {traffic}; {health:?}"))
        }
    };
    check(before, "nothing was signed before the fault")?;
    check(after, "nothing was signed after the fault")?;
    check(traffic.wrong() == 0, "a wrong signature was released")?;
    check(
        traffic.longest() <= scenario.deadline + SLACK,
        "a call returned after its deadline",
    )?;
    scenario.expected.check(&traffic.errors())?;
    let known = sessions_left(&bed);
    let unknown = bed.proxy.creations_hit();
    check(
        known <= unknown,
        &format!("{known} sessions were left in the device, {unknown} of which nobody could know"),
    )?;
    Ok(bed.traffic)
}

fn open<D: Backend + 'static>(bed: &Bed<D>, deadline: Duration) -> HsmSigner {
    let password = Password::new(PASSWORD);
    let device = YubiHsm::http(&bed.proxy.url(), AUTHENTICATION_KEY, &password).unwrap();
    device
        .import(&bed.key, &NewKey::new("signing").with_id(KEY))
        .unwrap();
    let options = HsmOptions::new()
        .with_workers(2.try_into().unwrap())
        .with_deadline(deadline);
    device.signer().id(KEY).options(options).open().unwrap()
}

/// The number of sessions in the device, once what is closed in the background is closed.
fn sessions_left<D: Backend>(bed: &Bed<D>) -> usize {
    let start = Instant::now();
    loop {
        let sessions = bed.proxy.sessions();
        if sessions <= bed.proxy.creations_hit() || start.elapsed() > Duration::from_secs(3) {
            return sessions;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Expected {
    /// Whether nothing is signed any more.
    const fn is_final(self) -> bool {
        matches!(self, Self::Latched)
    }

    fn check(self, errors: &[(SignErrorKind, String)]) -> Result<(), String> {
        let (kinds, needle): (&[SignErrorKind], _) = match self {
            Self::NoError => {
                return match errors {
                    [] => Ok(()),
                    [(_, error), ..] => Err(format!("{} errors, such as: {error}", errors.len())),
                };
            }
            Self::Errors(kinds, needle) => (kinds, needle),
            Self::Latched => (&[SignErrorKind::WrongPin], "wrong password"),
        };
        let is_expected = |(kind, error): &(SignErrorKind, String)| {
            kinds.contains(kind) && error.contains(needle)
        };
        // A caller that the machine kept from running at its deadline knows no more than that.
        let is_late = |(kind, _): &(SignErrorKind, String)| *kind == SignErrorKind::Timeout;
        if !errors.iter().any(is_expected) {
            return Err(format!("no caller was told; there were {errors:?}"));
        }
        match errors
            .iter()
            .find(|error| !is_expected(error) && !is_late(error))
        {
            None => Ok(()),
            Some((_, error)) => Err(format!("an unexpected error: {error}")),
        }
    }
}
