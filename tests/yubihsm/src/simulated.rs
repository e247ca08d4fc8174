//! A YubiHSM 2 in software.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yubihsm::authentication::Key;

use crate::backend::{Backend, message, random, refusal, split};
use crate::object::{Kind, Object, made};
use crate::scp03::CardChannel;
use crate::{AUTHENTICATION_KEY, PASSWORD};

/// The bits of capabilities, as Yubico numbers them.
pub mod capability {
    /// Imports keys.
    pub const PUT_ASYMMETRIC_KEY: u64 = 1 << 3;
    /// Generates keys.
    pub const GENERATE_ASYMMETRIC_KEY: u64 = 1 << 4;
    /// Signs with RSASSA-PKCS1-v1_5.
    pub const SIGN_PKCS: u64 = 1 << 5;
    /// Signs with ECDSA.
    pub const SIGN_ECDSA: u64 = 1 << 7;
    /// Signs with Ed25519.
    pub const SIGN_EDDSA: u64 = 1 << 8;
    /// May be exported.
    pub const EXPORTABLE_UNDER_WRAP: u64 = 1 << 16;
    /// Reads the audit log.
    pub const GET_LOG_ENTRIES: u64 = 1 << 24;
    /// Attests.
    pub const SIGN_ATTESTATION_CERTIFICATE: u64 = 1 << 34;
    /// Deletes keys.
    pub const DELETE_ASYMMETRIC_KEY: u64 = 1 << 41;
    /// Everything.
    pub const ALL: u64 = u64::MAX >> 17;
}

const MOST_SESSIONS: usize = 16;
const LOG_CAPACITY: usize = 62;

const INVALID_COMMAND: u8 = 0x01;
pub(crate) const INVALID_DATA: u8 = 0x02;
const INVALID_SESSION: u8 = 0x03;
const AUTHENTICATION_FAILED: u8 = 0x04;
const SESSIONS_FULL: u8 = 0x05;
const INSUFFICIENT_PERMISSIONS: u8 = 0x09;
const LOG_FULL: u8 = 0x0a;
const OBJECT_NOT_FOUND: u8 = 0x0b;
const OBJECT_EXISTS: u8 = 0x11;

const TYPE_AUTHENTICATION_KEY: u8 = 2;
const TYPE_ASYMMETRIC_KEY: u8 = 3;

/// A YubiHSM 2 in software that speaks the documented protocol and enforces capabilities and
/// domains.
pub struct SimulatedDevice(Mutex<State>);

#[derive(Default)]
struct State {
    objects: BTreeMap<(u8, u16), Object>,
    sessions: BTreeMap<u8, Session>,
    expiry: Option<Duration>,
    /// The number of entries in the audit log, when it is forced.
    log: Option<usize>,
    spoiled: usize,
    failed_authentications: usize,
}

struct Session {
    channel: CardChannel,
    authentication_key: u16,
    last_used: Instant,
}

impl SimulatedDevice {
    /// A device with the default authentication key, which may do all in all domains.
    #[must_use]
    pub fn new() -> Self {
        let device = Self(Mutex::default());
        device.put_authentication_key(AUTHENTICATION_KEY, PASSWORD, capability::ALL, u16::MAX);
        device
    }

    /// Adds or replaces an authentication key, whose delegated capabilities are its own.
    pub fn put_authentication_key(&self, id: u16, password: &str, capabilities: u64, domains: u16) {
        let key = Key::derive_from_password(password.as_bytes());
        let object = Object {
            capabilities,
            delegated: capabilities,
            domains,
            label: "authentication".to_owned(),
            kind: Kind::Authentication(key.as_secret_slice().try_into().unwrap()),
            origin: 2,
        };
        self.state()
            .objects
            .insert((TYPE_AUTHENTICATION_KEY, id), object);
    }

    /// Adds or replaces an asymmetric key.
    pub fn put(&self, id: u16, object: Object) {
        self.state()
            .objects
            .insert((TYPE_ASYMMETRIC_KEY, id), object);
    }

    /// Takes an asymmetric key away.
    pub fn take(&self, id: u16) -> Option<Object> {
        self.state().objects.remove(&(TYPE_ASYMMETRIC_KEY, id))
    }

    /// Takes an authentication key away; sessions that it opened stay.
    pub fn take_authentication_key(&self, id: u16) {
        self.state().objects.remove(&(TYPE_AUTHENTICATION_KEY, id));
    }

    /// Forgets all sessions, as after a power cycle.
    pub fn power_cycle(&self) {
        self.state().sessions.clear();
    }

    /// Sets after how much idleness a session is forgotten; a device has 30 s, this none at first.
    pub fn expire_after(&self, idle: Duration) {
        self.state().expiry = Some(idle);
    }

    /// Forces the audit log: each signature takes one of 62 entries, `used` of which are taken. When
    /// all are, everything is refused but to open sessions and to empty the log.
    pub fn force_audit(&self, used: usize) {
        self.state().log = Some(used);
    }

    /// Ends the forced audit.
    pub fn end_audit(&self) {
        self.state().log = None;
    }

    /// Spoils the next signatures.
    pub fn spoil(&self, signatures: usize) {
        self.state().spoiled = signatures;
    }

    /// How often somebody failed to authenticate.
    #[must_use]
    pub fn failed_authentications(&self) -> usize {
        self.state().failed_authentications
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimulatedDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimulatedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedDevice")
    }
}

impl Backend for SimulatedDevice {
    fn exchange(&self, request: &[u8]) -> Option<Vec<u8>> {
        let Some((code, body)) = split(request) else {
            return Some(refusal(INVALID_DATA));
        };
        let mut state = self.state();
        state.forget_idle_sessions();
        Some(
            match code {
                0x03 => state.create_session(body),
                0x04 => state.authenticate_session(body),
                0x05 => state.session_message(body),
                _ => Err(INVALID_COMMAND),
            }
            .map_or_else(refusal, |answer| message(code | 0x80, &answer)),
        )
    }

    fn sessions(&self) -> usize {
        let mut state = self.state();
        state.forget_idle_sessions();
        state.sessions.len()
    }
}

type Answer = Result<Vec<u8>, u8>;

impl State {
    fn forget_idle_sessions(&mut self) {
        if let Some(expiry) = self.expiry {
            self.sessions
                .retain(|_, session| session.last_used.elapsed() < expiry);
        }
    }

    fn create_session(&mut self, body: &[u8]) -> Answer {
        let (id, host) = body.split_first_chunk().ok_or(INVALID_DATA)?;
        let id = u16::from_be_bytes(*id);
        let host = host.try_into().map_err(|_| INVALID_DATA)?;
        let Some(Kind::Authentication(keys)) = self
            .objects
            .get(&(TYPE_AUTHENTICATION_KEY, id))
            .map(|object| &object.kind)
        else {
            return Err(OBJECT_NOT_FOUND);
        };
        let session = (0..)
            .take(MOST_SESSIONS)
            .find(|session| !self.sessions.contains_key(session))
            .ok_or(SESSIONS_FULL)?;
        let card = random();
        let channel = CardChannel::new(keys, session, host, card);
        let answer = [&[session], &card[..], &channel.card_cryptogram()].concat();
        self.sessions.insert(
            session,
            Session {
                channel,
                authentication_key: id,
                last_used: Instant::now(),
            },
        );
        Ok(answer)
    }

    fn authenticate_session(&mut self, body: &[u8]) -> Answer {
        let id = body.first().ok_or(INVALID_DATA)?;
        let session = self.sessions.get_mut(id).ok_or(INVALID_SESSION)?;
        session.last_used = Instant::now();
        if session.channel.authenticate(body) {
            return Ok(Vec::new());
        }
        self.sessions.remove(id);
        self.failed_authentications += 1;
        Err(AUTHENTICATION_FAILED)
    }

    fn session_message(&mut self, body: &[u8]) -> Answer {
        let id = *body.first().ok_or(INVALID_DATA)?;
        let session = self.sessions.get_mut(&id).ok_or(INVALID_SESSION)?;
        // A session outlives a wrong MAC here: the harder case for a host that closes one without
        // knowing what the device has seen.
        let inner = session.channel.open(body).ok_or(AUTHENTICATION_FAILED)?;
        session.last_used = Instant::now();
        let authentication_key = session.authentication_key;
        let (code, data) = split(&inner).ok_or(INVALID_DATA)?;
        let answer = match self.command(authentication_key, code, data) {
            Ok(answer) => message(code | 0x80, &answer),
            Err(code) => refusal(code),
        };
        let sealed = match self.sessions.get_mut(&id) {
            Some(session) => session.channel.seal(&answer),
            None => return Err(INVALID_SESSION),
        };
        if code == 0x40 && answer[0] != 0x7f {
            self.sessions.remove(&id);
        }
        Ok(sealed)
    }

    fn command(&mut self, by: u16, code: u8, data: &[u8]) -> Answer {
        let (capabilities, delegated, domains) = self
            .objects
            .get(&(TYPE_AUTHENTICATION_KEY, by))
            .map_or((0, 0, 0), |own| {
                (own.capabilities, own.delegated, own.domains)
            });
        let needs = |bits: u64| {
            if capabilities & bits == bits {
                Ok(())
            } else {
                Err(INSUFFICIENT_PERMISSIONS)
            }
        };
        // Each command that is to be logged fails; sessions can still be opened.
        let is_logged = !matches!(code, 0x01 | 0x4d | 0x67);
        if is_logged && self.log.is_some_and(|used| used >= LOG_CAPACITY) {
            return Err(LOG_FULL);
        }
        match code {
            // ECHO
            0x01 => Ok(data.to_vec()),
            // CLOSE SESSION
            0x40 => Ok(Vec::new()),
            // PUT and GENERATE ASYMMETRIC KEY
            0x45 | 0x46 => {
                let is_put = code == 0x45;
                needs(if is_put {
                    capability::PUT_ASYMMETRIC_KEY
                } else {
                    capability::GENERATE_ASYMMETRIC_KEY
                })?;
                let (id, object) = made(data, is_put)?;
                if object.capabilities & !delegated != 0 || object.domains & !domains != 0 {
                    return Err(INSUFFICIENT_PERMISSIONS);
                }
                let id = match id {
                    0 => (1..)
                        .find(|id| !self.objects.contains_key(&(TYPE_ASYMMETRIC_KEY, *id)))
                        .ok_or(INVALID_DATA)?,
                    id => id,
                };
                if self.objects.contains_key(&(TYPE_ASYMMETRIC_KEY, id)) {
                    return Err(OBJECT_EXISTS);
                }
                self.objects.insert((TYPE_ASYMMETRIC_KEY, id), object);
                Ok(id.to_be_bytes().to_vec())
            }
            // LIST OBJECTS
            0x48 => self.list(domains, data),
            // GET LOG ENTRIES: no events missed, and no entries shown.
            0x4d => {
                needs(capability::GET_LOG_ENTRIES)?;
                Ok(vec![0; 5])
            }
            // GET OBJECT INFO
            0x4e => {
                let [high, low, object_type] = *data else {
                    return Err(INVALID_DATA);
                };
                let id = u16::from_be_bytes([high, low]);
                let object = self.visible(domains, object_type, id)?;
                Ok(object.info(id, object_type))
            }
            // DELETE OBJECT
            0x58 => {
                let [high, low, object_type] = *data else {
                    return Err(INVALID_DATA);
                };
                needs(capability::DELETE_ASYMMETRIC_KEY)?;
                let id = u16::from_be_bytes([high, low]);
                self.visible(domains, object_type, id)?;
                self.objects.remove(&(object_type, id));
                Ok(Vec::new())
            }
            // SET LOG INDEX
            0x67 => {
                needs(capability::GET_LOG_ENTRIES)?;
                self.log = self.log.map(|_| 0);
                Ok(Vec::new())
            }
            _ => {
                let (id, data) = data.split_first_chunk().ok_or(INVALID_DATA)?;
                let id = u16::from_be_bytes(*id);
                let key = self.visible(domains, TYPE_ASYMMETRIC_KEY, id)?;
                match code {
                    // GET PUBLIC KEY
                    0x54 => return Ok(key.public()),
                    // SIGN ATTESTATION CERTIFICATE, of which only the way is tested.
                    0x64 => {
                        needs(capability::SIGN_ATTESTATION_CERTIFICATE)?;
                        return Ok([b"certificate of ", &key.public()[..]].concat());
                    }
                    _ => {}
                }
                let bits = match code {
                    0x47 => capability::SIGN_PKCS,
                    0x56 => capability::SIGN_ECDSA,
                    0x6a => capability::SIGN_EDDSA,
                    _ => return Err(INVALID_COMMAND),
                };
                needs(bits)?;
                if key.capabilities & bits == 0 {
                    return Err(INSUFFICIENT_PERMISSIONS);
                }
                let mut signature = key.sign(code, data)?;
                self.log = self.log.map(|used| used + 1);
                if self.spoiled > 0 {
                    self.spoiled -= 1;
                    if let Some(last) = signature.last_mut() {
                        *last ^= 1;
                    }
                }
                Ok(signature)
            }
        }
    }

    fn visible(&self, domains: u16, object_type: u8, id: u16) -> Result<&Object, u8> {
        self.objects
            .get(&(object_type, id))
            .filter(|object| object.domains & domains != 0)
            .ok_or(OBJECT_NOT_FOUND)
    }

    fn list(&self, domains: u16, mut filters: &[u8]) -> Answer {
        let mut wanted_type = None;
        let mut wanted_label = None;
        while let [filter, rest @ ..] = filters {
            filters = match (filter, rest) {
                (2, [object_type, rest @ ..]) => {
                    wanted_type = Some(*object_type);
                    rest
                }
                (6, rest) => {
                    let (label, rest) = rest.split_first_chunk::<40>().ok_or(INVALID_DATA)?;
                    wanted_label = Some(label);
                    rest
                }
                _ => return Err(INVALID_DATA),
            };
        }
        Ok(self
            .objects
            .iter()
            .filter(|((object_type, _), object)| {
                object.domains & domains != 0
                    && wanted_type.is_none_or(|wanted| wanted == *object_type)
                    && wanted_label.is_none_or(|wanted| *wanted == object.padded_label())
            })
            .flat_map(|((object_type, id), _)| {
                let [high, low] = id.to_be_bytes();
                [high, low, *object_type, 0]
            })
            .collect())
    }
}
