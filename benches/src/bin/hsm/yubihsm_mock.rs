//! The `yubihsm` crate's mock over loopback, driven by that crate's own client and by a signer, each
//! over one connection.

use std::num::NonZeroUsize;
use std::time::Duration;

use chancery::{Algorithm, Signer, SigningInput};
use chancery_benches::MESSAGE;
use chancery_benches::timing::median;
use chancery_hsm::{HsmOptions, HsmSigner};
use chancery_yubihsm::{NewKey, Password, YubiHsm};
use chancery_yubihsm_tests::{AUTHENTICATION_KEY, MockDevice, PASSWORD};

use crate::Outcome;
use crate::callers::Load;
use crate::keys::unverified;

const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_millis(300);
const CALLERS: [usize; 2] = [1, 16];

pub(crate) fn run() -> Outcome {
    let mock = MockDevice::start();
    let password = Password::new(PASSWORD);
    let device = YubiHsm::http(&mock.url(), AUTHENTICATION_KEY, &password)?;
    for (id, algorithm) in [(1, Algorithm::Es256), (2, Algorithm::EdDsa)] {
        device.generate(algorithm, &NewKey::new(algorithm.name()).with_id(id))?;
        let one = || HsmOptions::new().with_workers(NonZeroUsize::MIN);
        let open = |options| device.signer().id(id).options(options).open();
        let (unverified, verified) = (open(unverified(one()))?, open(one())?);
        let client = mock.client();
        let bare = || -> Outcome {
            if algorithm == Algorithm::Es256 {
                let input = SigningInput::new(algorithm, MESSAGE);
                client.sign_ecdsa_prehash_raw(id, input.digest().as_bytes())?;
            } else {
                client.sign_ed25519(id, MESSAGE)?;
            }
            Ok(())
        };
        for callers in CALLERS {
            compare(algorithm, callers, &bare, &unverified, &verified)?;
        }
    }
    Ok(())
}

/// Measures the three in turn, round by round, so that what else the machine does hits all alike.
fn compare(
    algorithm: Algorithm,
    callers: usize,
    bare: &(impl Fn() -> Outcome + Sync),
    unverified: &HsmSigner,
    verified: &HsmSigner,
) -> Outcome {
    let sign = |signer: &HsmSigner| -> Outcome {
        signer.sign(&SigningInput::new(algorithm, MESSAGE))?;
        Ok(())
    };
    let mut ratios = Vec::new();
    let mut verified_ratios = Vec::new();
    let mut waits = Vec::new();
    let mut throughputs = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let by_bare = Load::measure(callers, TIME, || Ok(bare))?;
        let by_unverified = Load::measure(callers, TIME, || Ok(|| sign(unverified)))?;
        let by_verified = Load::measure(callers, TIME, || Ok(|| sign(verified)))?;
        ratios.push(by_unverified.throughput / by_bare.throughput);
        verified_ratios.push(by_verified.throughput / by_bare.throughput);
        // In turn, a caller waits for one signature of each.
        let in_turn = callers as f64 / by_verified.throughput;
        waits
            .push([99, 100].map(|percent| by_verified.percentile(percent).as_secs_f64() / in_turn));
        for (all, one) in throughputs
            .iter_mut()
            .zip([by_bare, by_unverified, by_verified])
        {
            all.push(one.throughput);
        }
    }
    let [bare, unverified, verified] = throughputs.map(median);
    let [most, longest] = [0, 1].map(|of| median(waits.iter().map(|wait| wait[of])));
    println!(
        "{algorithm} yubihsm-mock {callers} {}  ratio {:.3}  bare {bare:.0}/s  chancery \
         {unverified:.0}/s  verified {verified:.0}/s, ratio {:.3}  wait of 99 % {most:.2}, of the \
         longest {longest:.2} of a turn",
        if callers == 1 { "caller " } else { "callers" },
        median(ratios),
        median(verified_ratios),
    );
    Ok(())
}
