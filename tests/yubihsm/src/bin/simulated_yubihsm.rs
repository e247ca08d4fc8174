//! A simulated YubiHSM 2 behind a connector, until it is ended: to try `cargo xtask test yubihsm`
//! without a device.

use std::sync::Arc;
use std::time::Duration;

use chancery_yubihsm_tests::{AUTHENTICATION_KEY, PASSWORD, Proxy, SimulatedDevice};

fn main() {
    let device = SimulatedDevice::new();
    device.expire_after(Duration::from_secs(30));
    let proxy = Proxy::start(Arc::new(device));
    println!(
        "{} authentication key {AUTHENTICATION_KEY} password {PASSWORD}",
        proxy.url()
    );
    loop {
        std::thread::park();
    }
}
