//! HTTP over loopback: a server that answers with an issuer's documents, and a client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chancery::{Issuer, IssuerUrl};

/// Serves the documents of one issuer until it is dropped, as a service would: three lines of it
/// are the issuer's, the rest is HTTP/1.1.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    issuer: Arc<Issuer>,
    requests: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the issuer of the URL that the server got, and serves it.
    pub fn start(issuer: impl FnOnce(IssuerUrl) -> Issuer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = IssuerUrl::parse_allowing_loopback_http(&format!("http://{address}")).unwrap();
        let issuer = Arc::new(issuer(url));
        let requests = Arc::new(AtomicUsize::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (issuer, requests) = (Arc::clone(&issuer), Arc::clone(&requests));
            let stopping = Arc::clone(&stopping);
            move || {
                for connection in listener.incoming() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    // Counted before the client can have its answer, and look at the count.
                    requests.fetch_add(1, Ordering::SeqCst);
                    // A client that hangs up half-way is its own problem.
                    let _ = connection.and_then(|stream| answer(&issuer, stream));
                }
            }
        });
        Self {
            address,
            issuer,
            requests,
            stopping,
            thread: Some(thread),
        }
    }

    /// The issuer that is served.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Where relying parties begin.
    pub fn discovery_url(&self) -> String {
        let document = self.issuer.discovery().unwrap();
        format!("{}{}", self.issuer.url(), document.path())
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(issuer: &Issuer, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut if_none_match = None;
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("if-none-match") => {
                if_none_match = Some(value.trim().to_owned());
            }
            Some(_) => {}
            None => break,
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, headers, body) = match issuer.document(path) {
        Ok(Some(document)) => {
            let headers = document
                .headers()
                .map(|(name, value)| format!("{name}: {value}\r\n"));
            if document.is_not_modified(if_none_match.as_deref()) {
                ("304 Not Modified", headers.concat(), Vec::new())
            } else {
                ("200 OK", headers.concat(), document.bytes().to_vec())
            }
        }
        Ok(None) => ("404 Not Found", String::new(), Vec::new()),
        Err(_) => ("503 Service Unavailable", String::new(), Vec::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\n"
    )?;
    if !status.starts_with("304") {
        write!(stream, "content-length: {}\r\n", body.len())?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&body)
}

/// What a server answered.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body, empty where there is none.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Sends a request to an `http:` URL and reads the response to its end.
pub fn request(method: &str, url: &str, if_none_match: Option<&str>) -> std::io::Result<Response> {
    let rest = url.strip_prefix("http://").expect("an http: URL");
    let (host, path) = rest.split_at(rest.find('/').expect("a path"));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
    )?;
    if let Some(tag) = if_none_match {
        write!(stream, "if-none-match: {tag}\r\n")?;
    }
    stream.write_all(b"content-length: 0\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let end = response
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("an end of the headers");
    let head = String::from_utf8(response[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Ok(Response {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: response[end + 4..].to_vec(),
    })
}
