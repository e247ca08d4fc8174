//! Sessions with a device.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroize as _;

use crate::access::{Access, Slot};
use crate::channel::{Challenge, Channel, Cryptogram};
use crate::connector::Connector;
use crate::error::{DeviceCode, YubiHsmError};
use crate::wire;

/// The device forgets a session that was idle for so long.
const EXPIRY: Duration = Duration::from_secs(30);

/// A session that was idle for so long is replaced before it is used again.
const IDLE_LIMIT: Duration = Duration::from_secs(25);

/// How long to wait for a device that cannot be reached before trying to close a session again.
const CLOSE_INTERVAL: Duration = Duration::from_millis(250);

/// A MAC of 8 bytes is safe for so many commands (GPC_SPE_014 leaves the number to the host).
const MOST_COMMANDS: u32 = 1 << 20;

/// A session with a device, closed when dropped.
pub(crate) struct Link {
    access: Arc<Access>,
    /// `None` once it is closed.
    open: Option<Open>,
    last_used: Instant,
}

struct Open {
    connector: Connector,
    channel: Channel,
    /// What is outstanding, while an answer is.
    doubt: Option<Doubt>,
    /// The [`Access::give`] of the session.
    given: u32,
    _slot: Slot,
}

/// A session that the device refused to close because its audit log is full. It is used again, lest
/// no session be left for whoever empties the log.
pub(crate) struct Spare {
    open: Open,
    last_used: Instant,
}

impl Spare {
    /// Whether the device still knows it.
    pub(crate) fn is_fresh(&self) -> bool {
        self.last_used.elapsed() < IDLE_LIMIT
    }
}

/// What the device may or may not have seen.
enum Doubt {
    Authentication,
    /// A command, and the channel as it was before.
    Command(Box<Channel>),
}

impl Link {
    /// Connects and authenticates.
    pub(crate) fn open(access: &Arc<Access>) -> Result<Self, YubiHsmError> {
        let wrong_password = YubiHsmError::WrongPassword {
            authentication_key: access.authentication_key,
        };
        if access.is_latched() {
            return Err(wrong_password);
        }
        if let Some(Spare { open, last_used }) = access.spare() {
            return Ok(Self {
                access: Arc::clone(access),
                open: Some(open),
                last_used,
            });
        }
        let slot = access.slot()?;
        let connector = access.route.connector();
        let (mut channel, cryptogram) = create(access, &connector)?;
        if !channel.is_card_cryptogram(&cryptogram) {
            release_unauthenticated(&connector, channel.session());
            return Err(if access.failed() {
                wrong_password
            } else {
                YubiHsmError::Unproven {
                    authentication_key: access.authentication_key,
                }
            });
        }
        access.proved();
        let given = access.give(channel.session());
        let message = channel.authenticate();
        // From here on the session is worth closing, even if the answer gets lost.
        let mut link = Self {
            access: Arc::clone(access),
            open: Some(Open {
                connector,
                channel,
                doubt: Some(Doubt::Authentication),
                given,
                _slot: slot,
            }),
            last_used: Instant::now(),
        };
        link.authenticate(message)?;
        Ok(link)
    }

    fn authenticate(&mut self, message: Vec<u8>) -> Result<(), YubiHsmError> {
        let Some(open) = &mut self.open else {
            return Err(closed());
        };
        let answer = open.connector.exchange(message)?;
        match wire::answer(wire::AUTHENTICATE_SESSION, &answer) {
            Ok([]) => {
                open.doubt = None;
                Ok(())
            }
            Ok(_) => Err(YubiHsmError::Protocol(
                "an authentication answer has a body",
            )),
            Err(error) => {
                // The device has given the session up. Other refusals are of a damaged message.
                if matches!(
                    error,
                    YubiHsmError::Device(
                        DeviceCode::INVALID_SESSION | DeviceCode::AUTHENTICATION_FAILED
                    )
                ) {
                    self.open = None;
                }
                Err(error)
            }
        }
    }

    /// Whether another session has to take its place, because the device has forgotten this one
    /// or its keys have been used long enough.
    pub(crate) fn is_stale(&self) -> bool {
        self.last_used.elapsed() >= IDLE_LIMIT
            || self
                .open
                .as_ref()
                .is_none_or(|open| open.channel.commands() >= MOST_COMMANDS)
    }

    /// Sends a command over the secure channel and returns the body of its answer.
    pub(crate) fn command(&mut self, command: u8, data: &[u8]) -> Result<Vec<u8>, YubiHsmError> {
        if data.len() > wire::DATA_LEN {
            return Err(YubiHsmError::TooLong {
                found: data.len(),
                most: wire::DATA_LEN,
            });
        }
        let Some(open) = &mut self.open else {
            return Err(closed());
        };
        open.doubt = Some(Doubt::Command(Box::new(open.channel.clone())));
        let message = open.channel.seal(command, data);
        self.last_used = Instant::now();
        let answer = open.connector.exchange(message)?;
        let body = match wire::answer(wire::SESSION_MESSAGE, &answer) {
            Ok(body) => body,
            Err(error) => {
                match error {
                    // A session that the device does not know need not be closed; its number may
                    // be another client's by now.
                    YubiHsmError::Device(DeviceCode::INVALID_SESSION) => self.open = None,
                    // The command was damaged on the way, so the device has not chained it.
                    YubiHsmError::Device(DeviceCode::AUTHENTICATION_FAILED) => {
                        if let Some(Doubt::Command(before)) = open.doubt.take() {
                            open.channel = *before;
                        }
                    }
                    _ => {}
                }
                return Err(error);
            }
        };
        let mut inner = open
            .channel
            .open(wire::answer_code(wire::SESSION_MESSAGE), body)?;
        open.doubt = None;
        let result = wire::answer(command, &inner).map(<[u8]>::to_vec);
        inner.zeroize();
        result
    }
}

fn closed() -> YubiHsmError {
    YubiHsmError::Protocol("the session is closed")
}

/// Closes the session in the device, which otherwise keeps it for 30 s.
impl Drop for Link {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let expiry = self.last_used + EXPIRY;
        if Instant::now() >= expiry
            || self
                .access
                .is_given_again(open.channel.session(), open.given)
        {
            // The device has forgotten it, and may know another client by its number.
            return;
        }
        let doubt = match open.doubt.take() {
            None => {
                let mut before = open.channel.clone();
                match close(&open.connector, &mut open.channel) {
                    Ok(()) | Err(YubiHsmError::Device(DeviceCode::INVALID_SESSION)) => return,
                    Err(YubiHsmError::Unreachable(_) | YubiHsmError::Protocol(_)) => {
                        Doubt::Command(Box::new(before))
                    }
                    Err(YubiHsmError::AuditLogFull) => {
                        let last_used = Instant::now();
                        self.access.keep(Spare { open, last_used });
                        return;
                    }
                    // Damaged on the way. Once more, and no more, since the number may be another
                    // client's by now.
                    Err(_) => {
                        let _ = close(&open.connector, &mut before);
                        return;
                    }
                }
            }
            Some(doubt) => doubt,
        };
        // The connection is in an unknown state, perhaps hanging, so nobody waits for this.
        let access = Arc::clone(&self.access);
        let task = move || close_in_doubt(&access, &mut open, doubt, expiry);
        // Without a thread the session expires by itself.
        let _ = thread::Builder::new()
            .name("yubihsm-close".to_owned())
            .spawn(task);
    }
}

/// Closes a session of which it is not known whether the device has seen the last message, as
/// soon as the device can be reached: otherwise a line that fails often would leave the device
/// without sessions. The MAC of a command depends on all before it, so both cases are tried, and the
/// first once more, since the device may have come to that message only after it was.
fn close_in_doubt(access: &Access, open: &mut Open, doubt: Doubt, expiry: Instant) {
    let connector = access.route.connector();
    let is_over =
        || Instant::now() >= expiry || access.is_given_again(open.channel.session(), open.given);
    let candidates = match doubt {
        Doubt::Authentication => [Some(open.channel.clone()), None, None],
        Doubt::Command(before) => [
            Some(open.channel.clone()),
            Some(*before),
            Some(open.channel.clone()),
        ],
    };
    for channel in candidates {
        loop {
            if is_over() {
                return;
            }
            let Some(mut channel) = channel.clone() else {
                release_unauthenticated(&connector, open.channel.session());
                return;
            };
            match close(&connector, &mut channel) {
                Ok(()) => return,
                Err(YubiHsmError::Unreachable(_) | YubiHsmError::Protocol(_)) => {
                    thread::sleep(CLOSE_INTERVAL);
                }
                Err(_) => break,
            }
        }
    }
}

fn close(connector: &Connector, channel: &mut Channel) -> Result<(), YubiHsmError> {
    let answer = connector.exchange(channel.seal(wire::CLOSE_SESSION, &[]))?;
    let body = wire::answer(wire::SESSION_MESSAGE, &answer)?;
    // Only the right command has an answer that is no refusal; whether it can be read matters only
    // where it says that the session was not closed.
    let inner = channel.open(wire::answer_code(wire::SESSION_MESSAGE), body);
    match inner.map(|inner| wire::answer(wire::CLOSE_SESSION, &inner).map(drop)) {
        Ok(Err(error @ YubiHsmError::AuditLogFull)) => Err(error),
        _ => Ok(()),
    }
}

/// Lets the device give up a session that was never authenticated, by failing to authenticate it.
/// What is sent is no function of the password.
fn release_unauthenticated(connector: &Connector, session: u8) {
    let mut body = [0; 17];
    body[0] = session;
    let _ = connector.exchange(wire::message(wire::AUTHENTICATE_SESSION, &body));
}

/// Starts a session; gives its channel and the device's proof.
fn create(access: &Access, connector: &Connector) -> Result<(Channel, Cryptogram), YubiHsmError> {
    let mut host: Challenge = [0; 8];
    getrandom::getrandom(&mut host).map_err(|_| YubiHsmError::Random)?;
    let mut body = access.authentication_key.to_be_bytes().to_vec();
    body.extend_from_slice(&host);
    let answer = connector.exchange(wire::message(wire::CREATE_SESSION, &body))?;
    let body = match wire::answer(wire::CREATE_SESSION, &answer) {
        Err(YubiHsmError::Device(DeviceCode::OBJECT_NOT_FOUND)) => {
            return Err(YubiHsmError::AuthenticationKeyMissing {
                authentication_key: access.authentication_key,
            });
        }
        answer => answer?,
    };
    let malformed = || YubiHsmError::Protocol("the answer that creates a session is malformed");
    let (&session, rest) = body.split_first().ok_or_else(malformed)?;
    let (card, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
    let cryptogram = rest.try_into().map_err(|_| malformed())?;
    let channel = Channel::new(access.long_lived(), session, host, *card);
    Ok((channel, cryptogram))
}
