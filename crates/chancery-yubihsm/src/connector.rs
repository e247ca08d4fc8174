//! How a device is reached.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "usb")]
use std::sync::Mutex;

use yubihsm::connector::HttpConfig;

use crate::error::{ConnectorError, YubiHsmError};

/// The port of yubihsm-connector, where none is named.
const DEFAULT_PORT: u16 = 12345;

/// The way to a device: it makes [`Connector`]s.
pub(crate) enum Route {
    /// Each connector has a TCP connection of its own.
    Http(HttpConfig),
    /// A device on USB has one opener, so all share one connector until it is replaced.
    #[cfg(feature = "usb")]
    Usb {
        config: yubihsm::connector::UsbConfig,
        shared: Mutex<yubihsm::Connector>,
    },
}

impl Route {
    /// Reads `http://host:port`.
    pub(crate) fn http(address: &str) -> Result<Self, YubiHsmError> {
        let refuse = |reason| YubiHsmError::Address {
            address: address.to_owned(),
            reason,
        };
        if address.starts_with("https://") {
            return Err(refuse(
                "the connector library has no TLS; run a connector on this machine, or tunnel to it",
            ));
        }
        let authority = address
            .strip_prefix("http://")
            .ok_or_else(|| refuse("write it as http://host:port"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand within brackets.
            Some((host, port)) if !port.ends_with(']') => (
                host,
                port.parse()
                    .map_err(|_| refuse("its port is no number up to 65535"))?,
            ),
            _ => (authority, DEFAULT_PORT),
        };
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_host = if is_bracketed {
            host.bytes()
                .all(|byte| is_name(byte) || b"[:]%".contains(&byte))
        } else {
            host.bytes().all(is_name)
        };
        if host.is_empty() || !is_host {
            return Err(refuse("it may hold a host and a port only"));
        }
        Ok(Self::Http(HttpConfig {
            addr: host.to_owned(),
            port,
            // yubihsm 0.42.1 ignores it and waits 20 s; the deadline of a call does not.
            timeout_ms: 5000,
        }))
    }

    /// A device in a USB port of this machine: the one with the serial number, or the only one.
    #[cfg(feature = "usb")]
    pub(crate) fn usb(serial: Option<&str>) -> Result<Self, YubiHsmError> {
        let serial = serial
            .map(str::parse)
            .transpose()
            .map_err(|_| YubiHsmError::Address {
                address: format!("USB {}", serial.unwrap_or_default()),
                reason: "the serial number of a YubiHSM 2 has ten digits",
            })?;
        let config = yubihsm::connector::UsbConfig {
            serial,
            ..Default::default()
        };
        let shared = Mutex::new(yubihsm::Connector::usb(&config));
        Ok(Self::Usb { config, shared })
    }

    pub(crate) fn connector(&self) -> Connector {
        match self {
            Self::Http(config) => Connector(yubihsm::Connector::http(config)),
            #[cfg(feature = "usb")]
            Self::Usb { shared, .. } => Connector(lock(shared).clone()),
        }
    }

    /// Makes the connectors to come start afresh.
    pub(crate) fn reset(&self) {
        match self {
            // They do so anyway.
            Self::Http(_) => {}
            #[cfg(feature = "usb")]
            Self::Usb { config, shared } => *lock(shared) = yubihsm::Connector::usb(config),
        }
    }
}

#[cfg(feature = "usb")]
fn lock(shared: &Mutex<yubihsm::Connector>) -> std::sync::MutexGuard<'_, yubihsm::Connector> {
    shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(config) => write!(f, "{config}"),
            #[cfg(feature = "usb")]
            Self::Usb { config, .. } => match &config.serial {
                Some(serial) => write!(f, "USB {serial}"),
                None => f.write_str("USB"),
            },
        }
    }
}

/// Carries messages to a device and its answers back.
pub(crate) struct Connector(yubihsm::Connector);

impl Connector {
    pub(crate) fn exchange(&self, message: Vec<u8>) -> Result<Vec<u8>, YubiHsmError> {
        // The identifier is for the library's log; nothing needs to find the message there.
        let send = || {
            self.0
                .send_message(yubihsm::Uuid::nil(), message.into())
                .map(Into::into)
                .map_err(|error| ConnectorError::new(&error))
        };
        // The HTTP client of yubihsm 0.42.1 panics when an answer is longer than its buffer. Each
        // message after that panics too, and so is an error, until there is another connector.
        catch_unwind(AssertUnwindSafe(send))
            .unwrap_or_else(|_| Err(ConnectorError::panicked()))
            .map_err(YubiHsmError::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (address, canonical) in [
            ("http://127.0.0.1:12345", "http://127.0.0.1:12345"),
            ("http://127.0.0.1", "http://127.0.0.1:12345"),
            ("http://hsm.internal:80/", "http://hsm.internal:80"),
            ("http://[::1]:9", "http://[::1]:9"),
            ("http://[::1]", "http://[::1]:12345"),
        ] {
            assert_eq!(Route::http(address).ok().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "127.0.0.1:12345",
            "https://127.0.0.1:12345",
            "http://",
            "http://:1",
            "http://a:",
            "http://a:65536",
            "http://a/b",
            "http://user@a",
            "http://a\r\nHost: b",
            "http://[::1",
        ] {
            let error = Route::http(address).err().unwrap();
            assert!(matches!(error, YubiHsmError::Address { .. }), "{address}");
        }
    }
}
