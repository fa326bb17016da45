//! A small real HTTP server in the test process: it answers as a function says and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
pub(crate) enum Reply {
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// Bytes as they are.
    Raw(&'static str),
    /// Bytes as they are, and the end of the connection.
    RawClose(&'static str),
    /// The connection is closed without an answer.
    Break,
    /// The connection is closed inside the answer.
    Cut,
    /// Nothing, until the other side goes.
    Silence,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Full { status, headers: Vec::new(), body: String::new() }
    }

    pub fn text(body: impl Into<String>) -> Self {
        Self::Full { status: 200, headers: Vec::new(), body: body.into() }
    }

    pub fn json(body: &Value) -> Self {
        Self::text(body.to_string())
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Answers = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// A server on a port of this machine; its threads end with their connections, and the listener with the process.
#[derive(Clone)]
pub(crate) struct Service {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Service {
    /// Answers each request with what the function says of its number (from 0) and of the request.
    pub fn start(answers: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Self { port, requests: Arc::default(), connections: Arc::default() };
        let (shared, answers): (_, Arc<Answers>) = (service.clone(), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, answers) = (shared.clone(), answers.clone());
                std::thread::spawn(move || shared.serve(stream, answers.as_ref()));
            }
        });
        service
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream, answers: &Answers) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let request = read(&mut reader)?;
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len() - 1
            };
            match answers(number, &request) {
                Reply::Full { status, headers, body } => {
                    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
                    stream.write_all(format!("{text}\r\n{body}").as_bytes()).ok()?;
                }
                Reply::Raw(text) => stream.write_all(text.as_bytes()).ok()?,
                Reply::RawClose(text) => return stream.write_all(text.as_bytes()).ok(),
                Reply::Break => return None,
                Reply::Cut => return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{\"id").ok(),
                Reply::Silence => drop(reader.read(&mut [0])),
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Request { method, path: path.to_owned(), query, headers, body: String::from_utf8(body).ok()? })
}
