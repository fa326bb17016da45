//! A small real HTTP service with orders in pages, which takes posts once per key.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Pages that it has, and orders on each.
pub const PAGES: u64 = 5;
pub const ORDERS: u64 = 4;

/// What the service was asked.
#[derive(Default)]
struct Seen {
    /// The first line of every request.
    requests: Vec<String>,
    /// What was posted, by its key; a key that comes again changes nothing.
    taken: BTreeMap<String, String>,
    /// Keys that came with something else the second time.
    conflicts: Vec<String>,
}

/// Answers on a port of this machine until the test program ends: `GET /orders?page=N` with a page, everything else with
/// success. Every third request meets with a failure that passes; of every ninth the answer is lost.
pub struct Service {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let seen = Arc::<Mutex<Seen>>::default();
        let service = Self { port, seen: seen.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        service
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first line of every request.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no test panicked with it").requests.clone()
    }

    /// What was posted, once per key.
    ///
    /// # Panics
    /// When a key came again with another content.
    pub fn taken(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no test panicked with it");
        assert!(seen.conflicts.is_empty(), "{:?}", seen.conflicts);
        seen.taken.values().cloned().collect()
    }
}

impl Seen {
    fn take(&mut self, key: String, body: String) {
        match self.taken.get(&key) {
            Some(known) if *known == body => {}
            Some(_) => self.conflicts.push(key),
            None => drop(self.taken.insert(key, body)),
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut length, mut key) = (0, None);
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "idempotency-key" => key = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let number = {
            let mut seen = seen.lock().ok()?;
            seen.requests.push(first.trim_end().to_owned());
            let number = seen.requests.len() % 9;
            if let Some(key) = key.filter(|_| !matches!(number, 3 | 6)) {
                seen.take(key, String::from_utf8_lossy(&body).into_owned());
            }
            number
        };
        let answer = match number {
            3 => "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_owned(),
            6 => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
            0 => return None,
            _ => {
                let body = answer(&first);
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn answer(first: &str) -> String {
    let target = first.split(' ').nth(1).unwrap_or_default();
    let page = target.split_once("page=").and_then(|(_, page)| page.parse::<u64>().ok()).unwrap_or(1);
    let ids = (page - 1) * ORDERS + 1..=page.min(PAGES) * ORDERS;
    let orders: Vec<String> =
        ids.map(|id| format!(r#"{{"id":{id},"amount":{id}.25,"updated_at":"2026-01-01T00:00:00Z"}}"#)).collect();
    let orders = orders.join(",");
    let next = if page < PAGES { (page + 1).to_string() } else { "null".to_owned() };
    let head = format!(r#"{{"number":{page},"next_page":{next},"has_more":{}}}"#, page < PAGES);
    format!(r#"{{"data":[{orders}],"orders":[{orders}],"next":null,"page":{head}}}"#)
}
