//! The `yubihsm` crate's mock.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use yubihsm::authentication::Key;
use yubihsm::connector::HttpConfig;
use yubihsm::connector::http::Server;
use yubihsm::{Client, Connector, Credentials};

use crate::backend::{self, Backend, refusal};
use crate::http::Http;
use crate::scp03::CardChannel;
use crate::{AUTHENTICATION_KEY, PASSWORD};

/// The `yubihsm` crate's mock behind its own connector server, on loopback.
///
/// The mock panics, and is of no use from then on, where a device refuses: at a wrong MAC, a wrong
/// cryptogram, an 18th session. This refuses in its place, for which it follows the sessions with
/// an SCP03 of its own; what is right goes to the mock unchanged.
#[derive(Debug)]
pub struct MockDevice {
    server: SocketAddr,
    keys: [u8; 32],
    sessions: Mutex<BTreeMap<u8, CardChannel>>,
    /// The highest identifier of a session that a device gives up and the mock does not.
    stuck: AtomicU8,
}

impl MockDevice {
    /// Starts a mock. Its server lives as long as the process.
    #[must_use]
    pub fn start() -> Self {
        let connector = Connector::mockhsm();
        let (server, port) = serve(&connector);
        thread::spawn(move || {
            loop {
                // An error is one of the request, which is answered with HTTP 500.
                let _ = server.handle_request();
            }
        });
        let keys = Key::derive_from_password(PASSWORD.as_bytes());
        Self {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            keys: keys.as_secret_slice().try_into().unwrap(),
            sessions: Mutex::default(),
            stuck: AtomicU8::new(0),
        }
    }

    /// Where the mock's own server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server)
    }

    /// The real client, connected past the guard.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = HttpConfig {
            port: self.server.port(),
            ..HttpConfig::default()
        };
        let credentials = Credentials::from_password(AUTHENTICATION_KEY, PASSWORD.as_bytes());
        Client::open(Connector::http(&config), credentials, false).unwrap()
    }
}

impl Backend for MockDevice {
    fn exchange(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, body) = backend::split(message)?;
        let forward = || {
            Http::connect(self.server)
                .and_then(|mut http| http.post(message))
                .ok()?
        };
        match code {
            0x03 => {
                // The mock numbers a session one above the highest that is open, up to 16, and
                // knows no other way.
                let highest = sessions.last_key_value().map_or(0, |(&last, _)| last);
                if highest.max(self.stuck.load(Ordering::SeqCst)) >= 15 {
                    return Some(refusal(0x05));
                }
                if body[..2] != AUTHENTICATION_KEY.to_be_bytes() {
                    return Some(refusal(0x0b));
                }
                let answer = forward()?;
                let (_, created) = backend::split(&answer)?;
                let host = body[2..].try_into().ok()?;
                let card = created[1..9].try_into().ok()?;
                let channel = CardChannel::new(&self.keys, created[0], host, card);
                sessions.insert(created[0], channel);
                Some(answer)
            }
            0x04 => {
                let session = *body.first()?;
                let Some(channel) = sessions.get_mut(&session) else {
                    return Some(refusal(0x03));
                };
                if channel.authenticate(body) {
                    return forward();
                }
                sessions.remove(&session);
                self.stuck.fetch_max(session, Ordering::SeqCst);
                Some(refusal(0x04))
            }
            0x05 => {
                let session = *body.first()?;
                let Some(channel) = sessions.get_mut(&session) else {
                    return Some(refusal(0x03));
                };
                let Some(inner) = channel.open(body) else {
                    return Some(refusal(0x04));
                };
                let answer = forward();
                if inner[0] == 0x40 {
                    sessions.remove(&session);
                } else {
                    sessions.get_mut(&session)?.skip_answer();
                }
                answer
            }
            _ => None,
        }
    }

    fn sessions(&self) -> usize {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// Starts the crate's server on a free port, which it cannot find by itself.
fn serve(connector: &Connector) -> (Server, u16) {
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let config = HttpConfig {
            port,
            ..HttpConfig::default()
        };
        if let Ok(server) = Server::new(&config, connector.clone()) {
            return (server, port);
        }
    }
}
