//! A connector in front of a device, and the faults it injects.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::http::{Http, answer};

/// What goes wrong between a client and its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before the device sees the message.
    CutBefore,
    /// The connection is cut once the device has answered.
    CutAfter,
    /// The connection is cut in the middle of the answer.
    CutWithin,
    /// The answer is whole HTTP, but the message in it lacks its end.
    Truncate,
    /// HTTP 500, and the device sees nothing.
    ErrorBefore,
    /// HTTP 500, after the device has answered.
    ErrorAfter,
    /// The answer is no HTTP.
    Garbage,
    /// The answer is empty.
    Empty,
    /// A bit of the last byte of the answer, its MAC, is flipped.
    FlipLast,
    /// A bit in the middle of the answer is flipped.
    FlipMiddle,
    /// A bit of the answer's length is flipped.
    FlipLength,
    /// A bit of the answer's session identifier is flipped.
    FlipSession,
    /// A bit in the middle of the message to the device is flipped.
    FlipRequest,
    /// A bit of the code of the message to the device is flipped.
    FlipCode,
    /// The answer before is given once more.
    Replay,
    /// The answer comes in two pieces.
    Split,
    /// The answer takes so long.
    Delay(Duration),
    /// The answer is held back until the fault is lifted, or for 20 s.
    Stall,
}

impl Fault {
    /// Whether a session that is created meanwhile is one whose identifier the client never learns.
    const fn hides_sessions(self) -> bool {
        matches!(
            self,
            Self::CutAfter
                | Self::CutWithin
                | Self::Truncate
                | Self::ErrorAfter
                | Self::FlipLength
                | Self::FlipSession
                | Self::Replay
                | Self::Split
        )
    }
}

/// A connector on loopback with a device behind it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    backend: Mutex<Arc<dyn Backend>>,
    fault: Mutex<Option<Fault>>,
    /// How many answers pass before the fault.
    passing: AtomicUsize,
    /// Only the creation of sessions is hit.
    is_for_creation: AtomicBool,
    /// How many answers the fault still hits.
    left: AtomicUsize,
    hits: AtomicUsize,
    last_hit: AtomicU8,
    creations_hit: AtomicUsize,
    exchanges: AtomicUsize,
    is_running: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    last_answer: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Starts a connector on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(backend: Arc<dyn Backend>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            backend: Mutex::new(backend),
            fault: Mutex::default(),
            passing: AtomicUsize::new(0),
            is_for_creation: AtomicBool::new(false),
            left: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
            last_hit: AtomicU8::new(0),
            creations_hit: AtomicUsize::new(0),
            exchanges: AtomicUsize::new(0),
            is_running: AtomicBool::new(false),
            connections: Mutex::default(),
            last_answer: Mutex::default(),
        });
        let proxy = Self { shared, address };
        proxy.listen(listener);
        proxy
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it listens at.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Injects a fault into the next `answers`.
    pub fn inject(&self, fault: Fault, answers: usize) {
        self.shared.left.store(answers, Ordering::SeqCst);
        *lock(&self.shared.fault) = Some(fault);
    }

    /// Injects a fault into one answer, after `answers` more have passed.
    pub fn inject_after(&self, fault: Fault, answers: usize) {
        self.shared.passing.store(answers, Ordering::SeqCst);
        self.inject(fault, 1);
    }

    /// Injects a fault into the answers to the next `creations` of sessions alone.
    pub fn inject_into_creation(&self, fault: Fault, creations: usize) {
        self.shared.is_for_creation.store(true, Ordering::SeqCst);
        self.inject(fault, creations);
    }

    /// Lifts the fault.
    pub fn lift(&self) {
        *lock(&self.shared.fault) = None;
    }

    /// How often a fault hit.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// The code of the message that a fault hit last.
    #[must_use]
    pub fn last_hit(&self) -> u8 {
        self.shared.last_hit.load(Ordering::SeqCst)
    }

    /// How many sessions may have been created in the device without the client knowing.
    #[must_use]
    pub fn creations_hit(&self) -> usize {
        self.shared.creations_hit.load(Ordering::SeqCst)
    }

    /// How many messages were answered or tried.
    #[must_use]
    pub fn exchanges(&self) -> usize {
        self.shared.exchanges.load(Ordering::SeqCst)
    }

    /// Puts another device in the place of the one behind.
    pub fn swap(&self, backend: Arc<dyn Backend>) {
        *lock(&self.shared.backend) = backend;
    }

    /// The number of sessions in the device behind.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let backend = Arc::clone(&lock(&self.shared.backend));
        backend.sessions()
    }

    /// Ends the connector: its port is closed, and so are its connections.
    pub fn stop(&self) {
        self.shared.is_running.store(false, Ordering::SeqCst);
        for connection in lock(&self.shared.connections).drain(..) {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, which then gives the port up.
        let _ = TcpStream::connect(self.address);
        while TcpStream::connect(self.address).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Starts it again at the same port.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn restart(&self) {
        self.listen(TcpListener::bind(self.address).unwrap());
    }

    fn listen(&self, listener: TcpListener) {
        self.shared.is_running.store(true, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if !shared.is_running.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(clone) = stream.try_clone() {
                    lock(&shared.connections).push(clone);
                }
                let shared = Arc::clone(&shared);
                // A connection ends with an error when it is cut.
                thread::spawn(move || Http::new(stream).and_then(|http| shared.serve(http)));
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn serve(&self, mut http: Http) -> io::Result<()> {
        while let Some((_, request)) = http.read()? {
            self.exchanges.fetch_add(1, Ordering::SeqCst);
            let fault = self.next_fault(&request);
            if let Some(fault) = fault {
                self.hits.fetch_add(1, Ordering::SeqCst);
                let code = request.first().copied().unwrap_or_default();
                self.last_hit.store(code, Ordering::SeqCst);
                if is_creation(&request) && fault.hides_sessions() {
                    self.creations_hit.fetch_add(1, Ordering::SeqCst);
                }
                self.fail(fault, &mut http, request)?;
            } else {
                let bytes = match self.exchange(&request) {
                    Some(response) => answer("200 OK", &response),
                    None => answer("500 Internal Server Error", b""),
                };
                http.write(&bytes)?;
            }
        }
        Ok(())
    }

    fn next_fault(&self, request: &[u8]) -> Option<Fault> {
        let fault = (*lock(&self.fault))?;
        if self.is_for_creation.load(Ordering::SeqCst) && !is_creation(request) {
            return None;
        }
        let is_due = !count_down(&self.passing) && count_down(&self.left);
        is_due.then_some(fault)
    }

    fn exchange(&self, request: &[u8]) -> Option<Vec<u8>> {
        let backend = Arc::clone(&lock(&self.backend));
        let response = backend.exchange(request)?;
        lock(&self.last_answer).clone_from(&response);
        Some(response)
    }

    fn fail(&self, fault: Fault, http: &mut Http, mut request: Vec<u8>) -> io::Result<()> {
        let cut = || Err(io::ErrorKind::ConnectionAborted.into());
        let before = lock(&self.last_answer).clone();
        match fault {
            Fault::CutBefore => {
                http.stream().shutdown(Shutdown::Both)?;
                return cut();
            }
            Fault::ErrorBefore => {
                return http.write(&answer("500 Internal Server Error", b""));
            }
            Fault::Garbage => {
                http.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")?;
                http.stream().shutdown(Shutdown::Both)?;
                return cut();
            }
            Fault::Empty => return http.write(&answer("200 OK", b"")),
            Fault::FlipRequest => {
                let middle = request.len() / 2;
                request[middle] ^= 0x10;
            }
            Fault::FlipCode => request[0] ^= 0x10,
            _ => {}
        }
        let Some(mut response) = self.exchange(&request) else {
            return http.write(&answer("500 Internal Server Error", b""));
        };
        let len = response.len();
        let mut flip = |place: usize| response[place.min(len - 1)] ^= 0x10;
        match fault {
            Fault::CutAfter => {
                http.stream().shutdown(Shutdown::Both)?;
                return cut();
            }
            Fault::CutWithin => {
                let bytes = answer("200 OK", &response);
                http.write(&bytes[..bytes.len() - len / 2 - 1])?;
                http.stream().shutdown(Shutdown::Both)?;
                return cut();
            }
            Fault::Truncate => response.truncate(len / 2),
            Fault::ErrorAfter => {
                return http.write(&answer("500 Internal Server Error", b""));
            }
            Fault::FlipLast => flip(len - 1),
            Fault::FlipMiddle => flip(len / 2),
            Fault::FlipLength => flip(2),
            Fault::FlipSession => flip(3),
            Fault::Replay => response = before,
            Fault::Split => {
                let bytes = answer("200 OK", &response);
                let (head, body) = bytes.split_at(bytes.len() - len);
                http.write(head)?;
                thread::sleep(Duration::from_millis(5));
                return http.write(body);
            }
            Fault::Delay(delay) => thread::sleep(delay),
            Fault::Stall => {
                let start = Instant::now();
                while *lock(&self.fault) == Some(Fault::Stall)
                    && start.elapsed() < Duration::from_secs(20)
                {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            _ => {}
        }
        http.write(&answer("200 OK", &response))
    }
}

fn is_creation(request: &[u8]) -> bool {
    request.first() == Some(&3)
}

/// Whether there was something left to count.
fn count_down(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
