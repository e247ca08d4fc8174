//! A load balancer: one public address, and connections in turn to whoever is ready.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

use crate::Result;

/// How often the balancer asks a backend whether it is ready, and how long it waits for an answer.
const POLL: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_millis(700);

/// After so many answers in a row that say otherwise, a backend is taken in or out.
const PERSUADED_AFTER: u32 = 2;

/// How long a backend may take to accept a connection.
const CONNECT: Duration = Duration::from_millis(500);

/// The balancer. Its clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Balancer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    backends: Vec<Backend>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Backend {
    /// None while its process is being started anew.
    address: Mutex<Option<SocketAddr>>,
    is_in: AtomicBool,
}

impl Balancer {
    /// Listens on an address of its own.
    pub(crate) async fn start(backends: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let balancer = Self(Arc::new(Inner {
            address: listener.local_addr()?,
            backends: (0..backends).map(|_| Backend::default()).collect(),
            turn: AtomicUsize::new(0),
        }));
        tokio::spawn(balancer.clone().serve(listener));
        for index in 0..backends {
            tokio::spawn(balancer.clone().watch(index, client(PATIENCE)?));
        }
        Ok(balancer)
    }

    /// The URL that relying parties know.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Sets where a backend listens.
    pub(crate) fn set(&self, index: usize, address: Option<SocketAddr>) {
        let mut known = lock(&self.0.backends[index].address);
        *known = address;
    }

    /// How many backends are in.
    pub(crate) fn ready(&self) -> usize {
        let is_in = |backend: &&Backend| backend.is_in.load(Ordering::SeqCst);
        self.0.backends.iter().filter(is_in).count()
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    tokio::spawn(self.clone().forward(client));
                }
                // Such as a lack of descriptors, which passes.
                Err(_) => time::sleep(POLL).await,
            }
        }
    }

    /// Connects a client to the first in turn that accepts it; with none, it is hung up on.
    async fn forward(self, mut client: TcpStream) {
        let backends = &self.0.backends;
        let turn = self.0.turn.fetch_add(1, Ordering::SeqCst);
        for index in (0..backends.len()).map(|step| (turn + step) % backends.len()) {
            let backend = &backends[index];
            let address = *lock(&backend.address);
            if let (true, Some(address)) = (backend.is_in.load(Ordering::SeqCst), address)
                && let Ok(Ok(mut server)) =
                    time::timeout(CONNECT, TcpStream::connect(address)).await
            {
                // Either side may hang up at any time.
                let _ = io::copy_bidirectional(&mut client, &mut server).await;
                return;
            }
        }
    }

    async fn watch(self, index: usize, client: Client) {
        let backend = &self.0.backends[index];
        let mut contradictions = 0;
        loop {
            time::sleep(POLL).await;
            let address = *lock(&backend.address);
            let is_ready = match address {
                Some(address) => {
                    let answer = client.get(format!("http://{address}/ready")).send().await;
                    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
                }
                None => false,
            };
            if is_ready == backend.is_in.load(Ordering::SeqCst) {
                contradictions = 0;
                continue;
            }
            contradictions += 1;
            if contradictions >= PERSUADED_AFTER {
                backend.is_in.store(is_ready, Ordering::SeqCst);
                contradictions = 0;
            }
        }
    }
}

/// A client whose every request has a connection of its own.
pub(crate) fn client(patience: Duration) -> Result<Client> {
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(patience)
        .build()?;
    Ok(client)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
