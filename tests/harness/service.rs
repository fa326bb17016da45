//! A small real HTTP service with orders in pages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Pages that it has, and orders on each.
pub const PAGES: u64 = 5;
pub const ORDERS: u64 = 4;

/// Answers on a port of this machine until the test program ends: `GET /orders?page=N` with a page, everything else with
/// success. Every third request meets with a failure that passes.
pub struct Service {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { port, requests }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first line of every request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panicked with it").clone()
    }
}

fn serve(mut stream: TcpStream, requests: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().ok()?;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let number = {
            let mut requests = requests.lock().ok()?;
            requests.push(first.trim_end().to_owned());
            requests.len()
        };
        let answer = match number % 9 {
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
