//! A small server of objects that can be told to misbehave, in the protocol of S3 or of Google Cloud
//! Storage (its XML API), which differ in their conditions.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chancery_store::Store;

/// Longer than any client waits.
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    S3,
    Google,
}

/// A condition that the server does not look at: that of a first write, of a later one, of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Absence,
    Version,
    Change,
}

/// What happens to the next write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is made, but the connection breaks before the answer.
    AnswerLost,
    /// It is made, and never answered.
    AnswerHeldBack,
    /// The connection breaks before it is made.
    RequestLost,
    /// It is made, but the answer says that the server failed.
    FailsAfter,
    /// The server fails, and meanwhile somebody else writes the very same bytes.
    FailsAndTwin,
    /// It is neither made nor answered.
    Hangs,
}

#[derive(Clone)]
pub(crate) struct Server {
    protocol: Protocol,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    generation: u64,
    ignored: Option<Ignored>,
    faults: VecDeque<Fault>,
    writes: usize,
}

#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    generation: u64,
    headers: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            protocol,
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = accepting.clone();
                thread::spawn(move || server.serve(&stream.unwrap()));
            }
        });
        server
    }

    pub(crate) fn ignoring(self, condition: Ignored) -> Self {
        self.state.lock().unwrap().ignored = Some(condition);
        self
    }

    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// How many requests wanted to write.
    pub(crate) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    pub(crate) fn store(&self) -> Store {
        let url = format!("http://{}", self.address);
        match self.protocol {
            Protocol::S3 => Store::open(
                "s3://chancery/issuer",
                [
                    ("AWS_ACCESS_KEY_ID", "anybody"),
                    ("AWS_SECRET_ACCESS_KEY", "anything"),
                    ("AWS_ENDPOINT", &*url),
                    ("AWS_ALLOW_HTTP", "true"),
                    ("TIMEOUT", "1 second"),
                ],
            ),
            Protocol::Google => Store::open(
                "gs://chancery/issuer",
                [
                    ("google_bearer_token", "anything"),
                    ("google_base_url", &*url),
                    ("google_allow_http", "true"),
                    ("timeout", "1 second"),
                ],
            ),
        }
        .unwrap()
    }

    /// One request to a connection.
    fn serve(&self, stream: &TcpStream) {
        let Ok(request) = Request::read(stream) else {
            return;
        };
        if let Some(answer) = self.answer(&request) {
            let _ = answer.write(stream, request.method == "HEAD");
        }
    }

    /// None where the connection breaks.
    fn answer(&self, request: &Request) -> Option<Answer> {
        let mut state = self.state.lock().unwrap();
        match &*request.method {
            "GET" if request.path == "chancery" => Some(state.list(&request.query)),
            "GET" | "HEAD" => Some(self.get(&state, request)),
            "PUT" => {
                state.writes += 1;
                let fault = state.faults.pop_front();
                match fault {
                    Some(Fault::RequestLost) => return None,
                    Some(Fault::Hangs) => {
                        drop(state);
                        thread::sleep(LONG);
                        return None;
                    }
                    Some(Fault::FailsAndTwin) => {
                        let mut twin = request.clone();
                        twin.headers.retain(|(name, _)| !name.contains("-meta-"));
                        self.put(&mut state, &twin);
                        return Some(Answer::new("500 Internal Server Error"));
                    }
                    _ => {}
                }
                let answer = self.put(&mut state, request);
                match fault {
                    None => Some(answer),
                    Some(Fault::FailsAfter) => Some(Answer::new("500 Internal Server Error")),
                    Some(Fault::AnswerHeldBack) => {
                        drop(state);
                        thread::sleep(LONG);
                        None
                    }
                    Some(_) => None,
                }
            }
            "DELETE" => {
                state.objects.remove(&request.path);
                Some(Answer::new("204 No Content"))
            }
            // S3 deletes several at once.
            "POST" => {
                let wanted = String::from_utf8_lossy(&request.body);
                let mut body = String::from("<DeleteResult>");
                for rest in wanted.split("<Key>").skip(1) {
                    let key = rest.split("</Key>").next().unwrap();
                    state.objects.remove(&format!("chancery/{key}"));
                    write!(body, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
                }
                body += "</DeleteResult>";
                Some(Answer::new("200 OK").body(body.into_bytes()))
            }
            other => panic!("{other}"),
        }
    }

    fn get(&self, state: &State, request: &Request) -> Answer {
        let Some(object) = state.objects.get(&request.path) else {
            return Answer::new("404 Not Found");
        };
        let tag = self.tag(object);
        let known = request.header("if-none-match") == Some(&tag);
        let status = if known && state.ignored != Some(Ignored::Change) {
            "304 Not Modified"
        } else {
            "200 OK"
        };
        let mut answer = Answer::new(status).tagged(tag, object.generation);
        answer.headers.extend(object.headers.iter().cloned());
        answer.body(object.bytes.clone())
    }

    fn put(&self, state: &mut State, request: &Request) -> Answer {
        let there = state.objects.get(&request.path);
        let (absence, version) = match self.protocol {
            Protocol::S3 => (
                request.header("if-none-match") == Some("*"),
                request.header("if-match"),
            ),
            Protocol::Google => {
                let generation = request.header("x-goog-if-generation-match");
                (
                    generation == Some("0"),
                    generation.filter(|number| *number != "0"),
                )
            }
        };
        let current = there.map(|object| match self.protocol {
            Protocol::S3 => self.tag(object),
            Protocol::Google => object.generation.to_string(),
        });
        let refused = absence && there.is_some() && state.ignored != Some(Ignored::Absence)
            || version.is_some()
                && version != current.as_deref()
                && state.ignored != Some(Ignored::Version);
        if refused {
            return Answer::new("412 Precondition Failed");
        }
        state.generation += 1;
        let kept = |name: &str| {
            matches!(name, "content-type" | "cache-control") || name.contains("-meta-")
        };
        let object = Stored {
            bytes: request.body.clone(),
            generation: state.generation,
            headers: request
                .headers
                .iter()
                .filter(|(name, _)| kept(name))
                .cloned()
                .collect(),
        };
        let answer = Answer::new("200 OK").tagged(self.tag(&object), object.generation);
        state.objects.insert(request.path.clone(), object);
        answer
    }

    fn tag(&self, object: &Stored) -> String {
        match self.protocol {
            // Of content alone, as S3's; the sum is no digest, but enough for tests.
            Protocol::S3 => {
                let sum = object.bytes.iter().fold(object.bytes.len(), |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
                });
                format!("\"{sum:x}\"")
            }
            Protocol::Google => format!("\"{}\"", object.generation),
        }
    }
}

impl State {
    fn list(&self, query: &str) -> Answer {
        let prefix = query
            .split('&')
            .find_map(|part| part.strip_prefix("prefix="))
            .map(decoded)
            .unwrap_or_default();
        let mut body = String::from("<ListBucketResult>");
        for (path, object) in &self.objects {
            let key = path.strip_prefix("chancery/").unwrap();
            if key.starts_with(&prefix) {
                let size = object.bytes.len();
                write!(
                    body,
                    "<Contents><Key>{key}</Key><Size>{size}</Size>\
                     <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                )
                .unwrap();
            }
        }
        body += "</ListBucketResult>";
        Answer::new("200 OK").body(body.into_bytes())
    }
}

#[derive(Clone)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut start = lines
            .first()
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .split(' ');
        let method = start.next().unwrap().to_owned();
        let target = start.next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut request = Self {
            method,
            path: decoded(path.trim_start_matches('/')),
            query: query.to_owned(),
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").unwrap_or("0");
        request.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(found, _)| found == name)?;
        Some(value)
    }
}

/// Google's client encodes all that is no letter and no digit.
fn decoded(path: &str) -> String {
    let characters = [("%2D", "-"), ("%2E", "."), ("%2F", "/"), ("%5F", "_")];
    let path = path.to_owned();
    characters.iter().fold(path, |path, (code, character)| {
        path.replace(code, character)
    })
}

struct Answer {
    status: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn tagged(mut self, tag: String, generation: u64) -> Self {
        let modified = "Thu, 01 Jan 2026 00:00:00 GMT".to_owned();
        self.headers = vec![
            ("etag".to_owned(), tag),
            ("x-goog-generation".to_owned(), generation.to_string()),
            ("last-modified".to_owned(), modified),
        ];
        self
    }

    fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    fn write(self, mut stream: &TcpStream, head: bool) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").map_err(io::Error::other)?;
        }
        let silent = head || self.status.starts_with("304") || self.status.starts_with("204");
        if !self.status.starts_with("204") {
            write!(text, "content-length: {}\r\n", self.body.len()).map_err(io::Error::other)?;
        }
        let mut answer = (text + "\r\n").into_bytes();
        if !silent {
            answer.extend(&self.body);
        }
        stream.write_all(&answer)
    }
}
